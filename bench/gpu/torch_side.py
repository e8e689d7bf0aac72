"""PyTorch's operators, that is cuBLAS and cuDNN: in f32, by TF32 where the operator allows it, and in f16
with sums in f32."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

import peers_modules  # noqa: F401
from case import Case, Unsupported
from contenders import Contender
from device import Memory
from operators import EPSILON, Values

TYPES = {"f32": torch.float32, "f16": torch.float16}


def start() -> None:
    """Makes PyTorch's context that of the thread."""
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    torch.set_grad_enabled(False)
    torch.zeros(1, device="cuda")


def versions() -> dict[str, str]:
    return {
        "torch": torch.__version__,
        "CUDA of torch": str(torch.version.cuda),
        "cuDNN": str(torch.backends.cudnn.version()),
    }


def allocate(size: int) -> Memory:
    tensor = torch.empty(max(size, 1), dtype=torch.uint8, device="cuda")
    return Memory(tensor.data_ptr(), size, tensor)


def on_device(case: Case, inputs: Values) -> dict[str, torch.Tensor]:
    """All in the operator's type."""
    kind = TYPES[case.dtype]
    return {name: torch.from_numpy(v).to("cuda", kind) for name, v in inputs.items()}


class Computed:
    """Keeps what the last call computed."""

    def __init__(self, compute: Callable[[], torch.Tensor]) -> None:
        self._compute = compute
        self._last: torch.Tensor | None = None

    def call(self) -> None:
        self._last = self._compute()

    def result(self) -> np.ndarray:
        assert self._last is not None
        return self._last.float().cpu().contiguous().numpy()


def contender(name: str, compute: Callable[[], torch.Tensor]) -> Contender:
    computed = Computed(compute)
    return Contender(name, computed.call, computed.result)


def contenders(case: Case, inputs: Values) -> Iterator[Contender]:
    if case.dtype not in TYPES:
        raise Unsupported(f"{case.name}: PyTorch's side knows {', '.join(TYPES)} only")
    values = on_device(case, inputs)
    torch.backends.cuda.matmul.allow_tf32 = case.flag("tf32")  # while the case is measured
    if case.op == "matmul":
        a, b = values["A"], values["B"]
        out = torch.empty(a.shape[0], b.shape[1], dtype=a.dtype, device="cuda")
        yield contender("cuBLAS", lambda: torch.mm(a, b, out=out))
    elif case.op == "conv2d":
        for name, order in (("NCHW", torch.contiguous_format), ("NHWC", torch.channels_last)):
            x = values["X"].contiguous(memory_format=order)
            w = values["W"].contiguous(memory_format=order)
            yield contender(f"cuDNN {name}", _convolution(case, x, w))
    elif case.op == "softmax":
        x = values["X"]
        yield contender("PyTorch", lambda: torch.softmax(x, 1))
    elif case.op == "layer_norm":
        x, scale, shift = (values[name] for name in ("X", "Scale", "Shift"))
        yield contender("PyTorch", lambda: F.layer_norm(x, x.shape[1:], scale, shift, EPSILON))
    else:
        raise Unsupported(f"{case.name}: PyTorch's side has no {case.op}")


def _convolution(case: Case, x: torch.Tensor, w: torch.Tensor) -> Callable[[], torch.Tensor]:
    stride, pad = case.number("stride", 1), case.number("pad", 0)
    return lambda: F.conv2d(x, w, stride=stride, padding=pad)
