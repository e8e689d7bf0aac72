"""The operators of a suite as the few forms that libraries know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from case import Case, Unsupported

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Convolution:
    """[n, groups·ic, spatial…] to [n, groups·oc, …]; weights [groups·oc, ic, kernel…].

    Transposed: weights [ic, oc, kernel…], one group.
    """

    n: int
    groups: int
    ic: int  # of one group
    oc: int  # of one group
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int
    pad: int
    dilation: int
    transposed: bool
    bias: bool
    add: bool
    relu: bool
    blocked: bool  # the caller lets the library choose how activations are stored

    @property
    def source(self) -> tuple[int, ...]:
        return (self.n, self.groups * self.ic, *self.size)

    @property
    def out_size(self) -> tuple[int, ...]:
        sizes = zip(self.size, self.kernel)
        if self.transposed:
            return tuple((s - 1) * self.stride - 2 * self.pad + k for s, k in sizes)
        return tuple(
            (s + 2 * self.pad - self.dilation * (k - 1) - 1) // self.stride + 1 for s, k in sizes
        )

    @property
    def result(self) -> tuple[int, ...]:
        return (self.n, self.groups * self.oc, *self.out_size)

    @property
    def weights(self) -> tuple[int, ...]:
        if self.transposed:
            return (self.ic, self.oc, *self.kernel)
        return (self.groups * self.oc, self.ic, *self.kernel)

    def weights_of(self, values: Values) -> np.ndarray:
        w = values["W"]
        if w.ndim == 6:  # capsules: [k, j, ic, oc, kh, kw] to [j, oc, k, ic, kh, kw]
            w = w.transpose(1, 3, 0, 2, 4, 5)
        return np.ascontiguousarray(w).reshape(self.weights)


def refuse_requantized(case: Case) -> None:
    if case.flag("requantize"):
        raise Unsupported("the harness has no model of requantized results")


RANKS = {"conv1d": "w", "conv2d": "hw", "conv3d": "dhw"}


def convolution(case: Case) -> Convolution | None:
    """Also depthwise, transposed and capsule convolutions (4 × 4 products of capsules are sums over
    channels: n·i images, k·ic channels in, j·oc out). None for other operators."""
    if case.op not in (*RANKS, "depthwise_conv2d", "t2d", "capsule_conv2d"):
        return None
    letters = RANKS.get(case.op, "hw")
    size = tuple(case.number(s, case.attributes.get("size")) for s in letters)
    kernel = tuple(case.number(f"k{s}", case.attributes.get("k")) for s in letters)
    n, groups = case.number("n", 1), case.number("groups", 1)
    if case.op == "depthwise_conv2d":
        groups, ic, oc = case.number("c"), 1, case.number("multiplier", 1)
    elif case.op == "capsule_conv2d":
        capsule = case.number("capsule", 4)
        n, ic, oc = n * capsule, capsule * case.number("ic"), capsule * case.number("oc")
        if case.flag("bias"):
            raise Unsupported("a capsule convolution with bias is no plain convolution")
    else:
        ic, oc = case.number("ic") // groups, case.number("oc") // groups
    return Convolution(
        n=n,
        groups=groups,
        ic=ic,
        oc=oc,
        size=size,
        kernel=kernel,
        stride=case.number("stride", 1),
        pad=case.number("pad", 0),
        dilation=case.number("dilation", 1),
        transposed=case.op == "t2d",
        bias=case.flag("bias"),
        add=case.flag("add"),
        relu=case.flag("relu"),
        blocked=case.op == "capsule_conv2d" or case.word("layout", "nchw") != "nchw",
    )


@dataclass(frozen=True)
class Product:
    batch: int  # 1 for a plain product
    m: int
    n: int
    k: int
    transposed: bool  # B is [n, k]
    constant: bool
    bias: bool
    add: bool
    relu: bool


def product(case: Case) -> Product | None:
    if case.op not in ("matmul", "batch_matmul", "dense"):
        return None
    dense = case.op == "dense"
    default = "input" if case.op == "batch_matmul" else "const"
    return Product(
        batch=case.number("batch", 1),
        m=case.number("m", 1),
        n=case.number("n"),
        k=case.number("k"),
        transposed=dense or case.flag("transpose_b"),
        constant=dense or case.word("b", default) == "const",
        bias=case.flag("bias"),
        add=case.flag("add"),
        relu=case.flag("relu"),
    )


def operator_class(case: Case) -> str:
    """The class of the geometric means; types other than f32 have classes of their own."""
    return _shape_class(case) + ("" if case.dtype == "f32" else f" {case.dtype}")


def _shape_class(case: Case) -> str:
    conv = convolution(case)
    if conv is None:
        matrix = product(case)
        if matrix is not None:
            return "gemv" if matrix.m * matrix.batch == 1 else case.op
        return case.op
    if case.op == "conv2d":
        if conv.groups > 1:
            return "conv2d grouped"
        if conv.dilation > 1 and max(conv.kernel) > 1:
            return "conv2d dilated"
        if conv.kernel == (3, 3) and conv.stride == 1:
            return "conv2d 3x3 stride 1"
    return case.op
