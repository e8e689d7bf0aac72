#!/usr/bin/env python3
"""Fits the polynomials of vector_math.cc for float: smallest largest relative error, by Lawson's
reweighted least squares. Prints coefficients, highest power first, and the error before rounding.

    python3 compiler/codegen/fit_vector_math.py      (needs numpy)
"""
import math

import numpy as np


def nodes(low, high, count=600):
    k = np.arange(count)
    return (low + high) / 2 - (high - low) / 2 * np.cos(math.pi * (k + 0.5) / count)


def fit(target, x, top, bottom=0, fixed=None, through=None, rounds=400):
    """top(x) / bottom(x) near target(x), polynomials of these degrees, bottom(0) = 1.

    fixed: value of the constant coefficient of `top`. through: (x, y) met exactly; needs x = 1.
    """
    y = np.array([target(v) for v in x])
    columns = [x**i for i in range(top + 1)] + [-y * x**i for i in range(1, bottom + 1)]
    ends = [1.0] * (top + 1) + [-(through[1] if through else 0)] * bottom
    right = y.copy()
    # Unknowns that conditions decide are eliminated: the constant, or the highest power.
    if fixed is not None:
        right = right - fixed * columns[0]
        columns = columns[1:]
    elif through is not None:
        last = columns[top]
        right = right - through[1] * last
        columns = [c - e * last for i, (c, e) in enumerate(zip(columns, ends)) if i != top]
    matrix = np.stack(columns, axis=1)
    weight, divisor, best = np.ones(len(x)), np.ones(len(x)), None
    for _ in range(rounds):
        scale = np.sqrt(weight) / np.abs(y * divisor)
        found = np.linalg.lstsq(matrix * scale[:, None], right * scale, rcond=None)[0]
        values = list(found)
        if fixed is not None:
            values.insert(0, fixed)
        elif through is not None:
            rest = [e for i, e in enumerate(ends) if i != top]
            values.insert(top, through[1] - sum(v * e for v, e in zip(values, rest)))
        numerator, denominator = values[: top + 1], [1.0] + values[top + 1 :]
        p = sum(v * x**i for i, v in enumerate(numerator))
        divisor = sum(v * x**i for i, v in enumerate(denominator))
        error = np.abs(p / divisor / y - 1)
        if best is None or error.max() < best[0]:
            best = error.max(), numerator, denominator
        weight *= error / error.max() + 1e-3
        weight /= weight.mean()
    return best


def show(name, result, unit=1.0):
    """`unit`: the fit's variable is the printed polynomials' divided by it."""
    error, numerator, denominator = result
    print(f"{name}: relative error {error:.2e}")
    for part in (numerator, denominator):
        if len(part) > 1:
            scaled = [v / unit**i for i, v in enumerate(part)]
            print("   ", ", ".join(f"{v:.9e}" for v in reversed(scaled)))


def odd(function, limit):
    """function(x) / x of t, where x² = limit² (t + 1) / 2."""
    def at(t):
        x = limit * math.sqrt((t + 1) / 2)
        return function(x) / x
    return at


def main():
    half = math.log(2) / 2
    show("exp on ±ln2/2", fit(math.exp, nodes(-half, half), 5, fixed=1.0))
    log = lambda f: math.log1p(f) / f
    show("log1p(f) / f on [-1/4, 1/2]", fit(log, nodes(-0.25, 0.5), 7, fixed=1.0))
    show("log1p(f) / f on [sqrt(1/2) - 1, sqrt(2) - 1]",
         fit(log, nodes(math.sqrt(0.5) - 1, math.sqrt(2) - 1), 7, fixed=1.0))
    limit = 3.5625
    show(f"erf(x) / x of x² - {limit}²/2",
         fit(odd(math.erf, limit), nodes(-1, 1), 12, through=(1.0, 1 / limit)), limit**2 / 2)
    limit = 8.0
    root = lambda t: limit * math.sqrt(t)
    show(f"tanh(x) / x of x², |x| <= {limit}",
         fit(lambda t: math.tanh(root(t)) / root(t), nodes(0, 1), 3, 4, through=(1.0, 1 / limit)),
         limit**2)


main()
