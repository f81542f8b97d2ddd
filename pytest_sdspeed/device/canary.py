"""The work of the canary on each kind of device, in torch."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.device.machine import AMPERE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Product(NamedTuple):
    """A matrix product of the canary: the name of the operation, and its FLOPs."""

    operation: str
    flops: int


PRODUCTS: Mapping[tuple[str, str], Product] = {
    ("cpu", "float32"): Product("matmul_float32_512", 2 * 512**3),
    ("cuda", "float16"): Product("matmul_float16_4096_x8", 8 * 2 * 4096**3),
    ("cuda", "bfloat16"): Product("matmul_bfloat16_4096_x8", 8 * 2 * 4096**3),
    ("cuda", "tf32"): Product("matmul_tf32_4096_x8", 8 * 2 * 4096**3),
    ("cuda", "float32"): Product("matmul_tf32_4096_x8", 8 * 2 * 4096**3),
}
"""Kind of device and precision -> the product whose rate is the ceiling there.

The ceiling of float32 on CUDA is TF32's: by default torch runs convolutions in TF32, although it
does not run matrix products in it.
"""


def make_canary(
    kind: str, capability: tuple[int, int] | None = None
) -> Mapping[str, Callable[[], Callable[[], None]]]:
    """Return the canary's operations on a device.

    They are matrix products, a convolution, a memory copy, and ``dispatch``: operations so small
    that the host is the limit.

    A name identifies an operation: if its definition changes it gets another name, so that its
    times are never compared with older ones. Each call takes milliseconds and runs in the type that
    its name gives, without gradients or autocast. On a CPU the inputs take 100 MiB; those of the
    copy are too large for malloc to keep once they are freed. On an accelerator they take 750 MiB,
    which go back to torch's allocator; nothing computes in float32 there, since flags of the
    process decide whether that is TF32.

    Args:
        kind: kind of the device.
        capability: compute capability of an NVIDIA GPU; without it, or below (8, 0), there are no
            operations in bfloat16 and TF32.

    Returns:
        Operation -> what makes its inputs and returns the work of one call. Empty if torch was not
        imported: callables without torch do not pay for its import, and have no canary.
    """
    if "torch" not in sys.modules:
        return {}
    import torch

    if kind == "cpu":
        return {
            "matmul_float32_512": lambda: _repeat(kind, _make_matmul(kind, torch.float32, 512)),
            "conv2d_float32_1x64x64x64": lambda: _repeat(
                kind, _make_conv2d(kind, torch.float32, (1, 64, 64, 64))
            ),
            "copy_48mib": lambda: _repeat(kind, _make_copy(kind, 48)),
            "dispatch_1000": lambda: _repeat(kind, _make_dispatch(kind), 1000),
        }
    ampere = {
        "matmul_bfloat16_4096_x8": lambda: _repeat(
            kind, _make_matmul(kind, torch.bfloat16, 4096), 8
        ),
        "matmul_tf32_4096_x8": lambda: _repeat(
            kind, _wrap_in_tf32(_make_matmul(kind, torch.float32, 4096)), 8
        ),
    }
    return (ampere if capability is not None and capability >= AMPERE else {}) | {
        "matmul_float16_4096_x8": lambda: _repeat(kind, _make_matmul(kind, torch.float16, 4096), 8),
        "conv2d_float16_16x320x64x64_x8": lambda: _repeat(
            kind, _make_conv2d(kind, torch.float16, (16, 320, 64, 64)), 8
        ),
        "copy_128mib_x16": lambda: _repeat(kind, _make_copy(kind, 128), 16),
        "dispatch_1000": lambda: _repeat(kind, _make_dispatch(kind), 1000),
    }


def _repeat(kind: str, call: Callable[[], Any], count: int = 1) -> Callable[[], None]:
    import torch

    def work() -> None:
        with torch.no_grad(), torch.autocast(kind, enabled=False):
            for _ in range(count):
                call()

    return work


def _make_matmul(device: str, dtype: Any, side: int) -> Callable[[], Any]:
    """Make the product of two square matrices."""
    import torch

    first, second = (
        _draw_random(device, dtype, (side, side)),
        _draw_random(device, dtype, (side, side)),
    )
    return partial(torch.mm, first, second, out=torch.empty_like(first))


def _wrap_in_tf32(call: Callable[[], Any]) -> Callable[[], None]:
    """Wrap a call so that its float32 products run in TF32, whatever the process has set."""
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


def _make_conv2d(device: str, dtype: Any, shape: tuple[int, int, int, int]) -> Callable[[], Any]:
    """Make a 3x3 convolution of ``shape`` (N, C, H, W) into the same shape."""
    import torch

    channels = shape[1]
    return partial(
        torch.nn.functional.conv2d,
        _draw_random(device, dtype, shape),
        _draw_random(device, dtype, (channels, channels, 3, 3)),
        padding=1,
    )


def _make_copy(device: str, mebibytes: int) -> Callable[[], Any]:
    """Make a copy on the device of memory that was written before."""
    import torch

    source = torch.ones(mebibytes * 2**20, dtype=torch.uint8, device=device)
    return partial(torch.ones_like(source).copy_, source)


def _make_dispatch(device: str) -> Callable[[], Any]:
    """Make one operation on 16 numbers."""
    import torch

    return partial(torch.ones(16, dtype=torch.float32, device=device).mul_, 1.0)


def _draw_random(device: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Draw seeded normal numbers from a new generator, since arms use the process's own."""
    import torch

    return torch.randn(
        shape, generator=torch.Generator(device).manual_seed(0), device=device, dtype=dtype
    )
