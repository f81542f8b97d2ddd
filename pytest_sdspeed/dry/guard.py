"""What torch asks before it touches a GPU, answered without one.

A build of torch without CUDA, or an old one on a machine without a GPU, has nothing that switches
between GPUs, and refuses a tensor that says that it is on one as soon as it would switch: at an
index, at ``item()``. During a dry run it gets what it uses for the CPU, which switches nothing.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pytest_sdspeed.compatibility import find_guard_setter
from pytest_sdspeed.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_REGISTRY = "_ZN3c104impl26device_guard_impl_registryE"
"""An array of torch's library c10: kind of a device -> what switches between devices of it."""
_LIBRARIES = {"linux": "libc10.so", "darwin": "libc10.dylib"}
_CPU, _CUDA, _KINDS = 0, 1, 2


@contextmanager
def allow_cuda() -> Iterator[None]:
    """Let torch switch to a GPU that is not there, inside the block.

    Raises:
        UnsupportedError: this build of torch cannot be made to.
    """
    leave_gpus_alone = find_guard_setter(torch)
    if torch.cuda.is_available() or (torch.backends.cuda.is_built() and leave_gpus_alone):
        if leave_gpus_alone is not None:
            leave_gpus_alone()
        yield
        return
    registry = _find_registry()
    before = registry[_CUDA]
    registry[_CUDA] = registry[_CPU]
    try:
        yield
    finally:
        registry[_CUDA] = before


def _find_registry() -> ctypes.Array[ctypes.c_void_p]:
    name = _LIBRARIES.get(sys.platform, "c10.dll")
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name))
        registry = (ctypes.c_void_p * _KINDS).in_dll(library, _REGISTRY)
    except (OSError, ValueError) as error:
        raise UnsupportedError(
            f"a dry run needs a build of torch with CUDA here (no GPU): {error}"
        ) from error
    if registry[_CPU] is None:
        raise UnsupportedError(
            f"a dry run does not know torch {torch.__version__}: it has no device guard of the CPU"
        )
    return registry
