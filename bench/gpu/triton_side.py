"""Products, softmax and layer norm in Triton, each tuned by triton.autotune."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import triton
import triton.language as tl

from contenders import Contender
from operators import EPSILON, Values
from torch_side import contender, on_device

import peers_modules  # noqa: F401
from case import Case

PRODUCTS = [
    triton.Config({"TILE_M": m, "TILE_N": n, "TILE_K": k, "BAND": 8}, num_stages=s, num_warps=w)
    for m, n, k, s, w in (
        (128, 256, 64, 3, 8),
        (256, 128, 64, 3, 8),
        (128, 128, 64, 4, 8),
        (128, 128, 32, 4, 4),
        (128, 64, 64, 4, 4),
        (64, 128, 64, 4, 4),
        (64, 64, 64, 4, 4),
        (64, 64, 32, 5, 4),
        (64, 32, 64, 5, 4),
        (32, 64, 64, 5, 4),
        (32, 32, 64, 5, 2),
        (128, 64, 16, 4, 8),
        (64, 64, 16, 4, 4),
    )
]
ROWS = [
    triton.Config({"ROWS": rows}, num_warps=warps)
    for rows in (1, 2, 4, 8)
    for warps in (1, 2, 4, 8, 16)
]
MOST_VALUES = 64  # of a thread: more of them spill, and take long to compile


def with_registers(
    configs: list[triton.Config], arguments: dict[str, Any], **_: Any
) -> list[triton.Config]:
    values = triton.next_power_of_2(arguments["n"])
    fit = [c for c in configs if c.kwargs["ROWS"] * values <= MOST_VALUES * 32 * c.num_warps]
    return fit or configs[4:5]  # a row for the most warps


@triton.autotune(configs=PRODUCTS, key=["m", "n", "k", "PRECISION"])
@triton.jit
def product_kernel(
    a,
    b,
    c,
    m,
    n,
    k,
    PRECISION: tl.constexpr,
    TILE_M: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_K: tl.constexpr,
    BAND: tl.constexpr,
):
    # Bands of tiles go together, so that their operands are still in the cache.
    tiles_m, tiles_n = tl.cdiv(m, TILE_M), tl.cdiv(n, TILE_N)
    number = tl.program_id(0)
    band = number // (BAND * tiles_n)
    height = tl.minimum(tiles_m - band * BAND, BAND)
    inside = number % (BAND * tiles_n)
    row = (band * BAND + inside % height) * TILE_M + tl.arange(0, TILE_M)
    column = (inside // height) * TILE_N + tl.arange(0, TILE_N)
    depth = tl.arange(0, TILE_K)
    total = tl.zeros((TILE_M, TILE_N), dtype=tl.float32)
    for first in range(0, k, TILE_K):
        at = first + depth
        left = tl.load(
            a + row[:, None] * k + at[None, :],
            mask=(row[:, None] < m) & (at[None, :] < k),
            other=0.0,
        )
        right = tl.load(
            b + at[:, None] * n + column[None, :],
            mask=(at[:, None] < k) & (column[None, :] < n),
            other=0.0,
        )
        total = tl.dot(left, right, total, input_precision=PRECISION)
    tl.store(
        c + row[:, None] * n + column[None, :],
        total.to(c.dtype.element_ty),
        mask=(row[:, None] < m) & (column[None, :] < n),
    )


@triton.autotune(
    configs=ROWS, key=["m", "n"], prune_configs_by={"early_config_prune": with_registers}
)
@triton.jit
def softmax_kernel(x, y, m, n, WIDTH: tl.constexpr, ROWS: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    at = row[:, None] * n + column[None, :]
    mask = (row[:, None] < m) & (column[None, :] < n)
    values = tl.load(x + at, mask=mask, other=-float("inf")).to(tl.float32)
    # Rows beyond the last would be infinity less infinity.
    largest = tl.where(row < m, tl.max(values, axis=1), 0.0)
    powers = tl.exp(values - largest[:, None])
    total = tl.where(row < m, tl.sum(powers, axis=1), 1.0)
    tl.store(y + at, (powers / total[:, None]).to(y.dtype.element_ty), mask=mask)


@triton.autotune(
    configs=ROWS, key=["m", "n"], prune_configs_by={"early_config_prune": with_registers}
)
@triton.jit
def layer_norm_kernel(
    x, scale, shift, y, m, n, epsilon, WIDTH: tl.constexpr, ROWS: tl.constexpr
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    at = row[:, None] * n + column[None, :]
    mask = (row[:, None] < m) & (column[None, :] < n)
    values = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    mean = tl.sum(values, axis=1) / n
    centred = tl.where(mask, values - mean[:, None], 0.0)
    variance = tl.sum(centred * centred, axis=1) / n
    factor = 1.0 / tl.sqrt(variance + epsilon)
    weights = tl.load(scale + column, mask=column < n, other=0.0).to(tl.float32)
    offsets = tl.load(shift + column, mask=column < n, other=0.0).to(tl.float32)
    result = centred * factor[:, None] * weights[None, :] + offsets[None, :]
    tl.store(y + at, result.to(y.dtype.element_ty), mask=mask)


def versions() -> dict[str, str]:
    return {"triton": triton.__version__}


def contenders(case: Case, inputs: Values) -> Iterator[Contender]:
    """None for convolutions."""
    if case.op not in ("matmul", "softmax", "layer_norm"):
        return
    values = on_device(case, inputs)
    if case.op == "matmul":
        a, b = values["A"], values["B"]
        (m, k), n = a.shape, b.shape[1]
        c = torch.empty(m, n, dtype=a.dtype, device="cuda")

        precision = "tf32" if case.flag("tf32") else "ieee"

        def multiply() -> torch.Tensor:
            def grid(chosen: dict[str, int]) -> tuple[int]:
                return (triton.cdiv(m, chosen["TILE_M"]) * triton.cdiv(n, chosen["TILE_N"]),)

            product_kernel[grid](a, b, c, m, n, k, PRECISION=precision)
            return c

        yield contender("Triton", multiply)
        return
    x = values["X"]
    (m, n), y = x.shape, torch.empty_like(x)
    width = triton.next_power_of_2(n)

    def rows(chosen: dict[str, int]) -> tuple[int]:
        return (triton.cdiv(m, chosen["ROWS"]),)

    def normalize() -> torch.Tensor:
        if case.op == "softmax":
            softmax_kernel[rows](x, y, m, n, WIDTH=width)
        else:
            scale, shift = values["Scale"], values["Shift"]
            layer_norm_kernel[rows](x, scale, shift, y, m, n, EPSILON, WIDTH=width)
        return y

    yield contender("Triton", normalize)
