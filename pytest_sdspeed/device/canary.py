"""The canary's work on each kind of device, in torch."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_AMPERE = (8, 0)


class Product(NamedTuple):
    """A matrix product of the canary: the operation's name, and the FLOPs that its time is of."""

    operation: str
    flops: int


PRODUCTS: Mapping[tuple[str, str], Product] = {
    ("cpu", "float32"): Product("matmul_float32_512", 2 * 512**3),
    ("cuda", "float16"): Product("matmul_float16_4096_x8", 8 * 2 * 4096**3),
    ("cuda", "bfloat16"): Product("matmul_bfloat16_4096_x8", 8 * 2 * 4096**3),
    ("cuda", "tf32"): Product("matmul_tf32_4096_x8", 8 * 2 * 4096**3),
    ("cuda", "float32"): Product("matmul_tf32_4096_x8", 8 * 2 * 4096**3),
}
"""Kind of device and precision -> the product whose rate is a ceiling there.

That of float32 on CUDA is TF32's: as torch comes, its convolutions run in TF32, although its matrix products do not.
"""


def canary(kind: Literal["cpu", "cuda"], capability: tuple[int, int] | None = None) -> Mapping[str, Callable[[], Callable[[], None]]]:
    """The operations of a device: products, a convolution, a memory copy, and ``dispatch``, operations so small that the host is the limit.

    A name says all that an operation is: one that is defined anew gets another name, so that its times are never compared with older ones.
    Each call takes milliseconds and runs in the type that its name says, without gradients or autocast. On a CPU the inputs take 100 MiB;
    those of the copy are too large for malloc to keep once they are freed. On CUDA they take 750 MiB, which go back to torch's allocator;
    there nothing computes in float32, since flags of the process decide whether that is TF32.

    Args:
        kind: of the device.
        capability: compute capability of a CUDA device. bfloat16 and TF32 need (8, 0); where it is None they are left out.

    Returns:
        Operation -> what makes its inputs and returns the work of one call. Empty where nothing has imported torch: callables without it
        do not pay for its import, and have no canary.
    """
    if "torch" not in sys.modules:
        return {}
    import torch

    if kind == "cpu":
        return {
            "matmul_float32_512": lambda: _calls(kind, _matmul(kind, torch.float32, 512)),
            "conv2d_float32_1x64x64x64": lambda: _calls(kind, _conv2d(kind, torch.float32, (1, 64, 64, 64))),
            "copy_48mib": lambda: _calls(kind, _copy(kind, 48)),
            "dispatch_1000": lambda: _calls(kind, _dispatch(kind), 1000),
        }
    ampere = {
        "matmul_bfloat16_4096_x8": lambda: _calls(kind, _matmul(kind, torch.bfloat16, 4096), 8),
        "matmul_tf32_4096_x8": lambda: _calls(kind, _with_tf32(_matmul(kind, torch.float32, 4096)), 8),
    }
    return (ampere if capability is not None and capability >= _AMPERE else {}) | {
        "matmul_float16_4096_x8": lambda: _calls(kind, _matmul(kind, torch.float16, 4096), 8),
        "conv2d_float16_16x320x64x64_x8": lambda: _calls(kind, _conv2d(kind, torch.float16, (16, 320, 64, 64)), 8),
        "copy_128mib_x16": lambda: _calls(kind, _copy(kind, 128), 16),
        "dispatch_1000": lambda: _calls(kind, _dispatch(kind), 1000),
    }


def _calls(kind: str, call: Callable[[], Any], count: int = 1) -> Callable[[], None]:
    import torch

    def work() -> None:
        with torch.no_grad(), torch.autocast(kind, enabled=False):
            for _ in range(count):
                call()

    return work


def _matmul(device: str, dtype: Any, side: int) -> Callable[[], Any]:
    """The product of two square matrices."""
    import torch

    first, second = _random(device, dtype, (side, side)), _random(device, dtype, (side, side))
    return partial(torch.mm, first, second, out=torch.empty_like(first))


def _with_tf32(call: Callable[[], Any]) -> Callable[[], None]:
    """The call with TF32 for float32 products, whatever the process says."""
    import torch

    flag = torch.backends.cuda.matmul

    def work() -> None:
        before = flag.allow_tf32
        flag.allow_tf32 = True
        try:
            call()
        finally:
            flag.allow_tf32 = before

    return work


def _conv2d(device: str, dtype: Any, shape: tuple[int, int, int, int]) -> Callable[[], Any]:
    """A 3x3 convolution of ``shape`` (N, C, H, W) into the same shape."""
    import torch

    channels = shape[1]
    return partial(torch.nn.functional.conv2d, _random(device, dtype, shape), _random(device, dtype, (channels, channels, 3, 3)), padding=1)


def _copy(device: str, mebibytes: int) -> Callable[[], Any]:
    """A copy on the device, of memory that was written before."""
    import torch

    source = torch.ones(mebibytes * 2**20, dtype=torch.uint8, device=device)
    return partial(torch.ones_like(source).copy_, source)


def _dispatch(device: str) -> Callable[[], Any]:
    """One operation on 16 numbers."""
    import torch

    return partial(torch.ones(16, dtype=torch.float32, device=device).mul_, 1.0)


def _random(device: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Seeded normal numbers, from a generator of their own: the process's is the arms'."""
    import torch

    return torch.randn(shape, generator=torch.Generator(device).manual_seed(0), device=device, dtype=dtype)
