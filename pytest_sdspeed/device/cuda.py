"""Wait for the CUDA device, and give its memory back."""

from __future__ import annotations

import gc
import sys


def synchronize() -> None:
    """Wait for the CUDA device if this process uses one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def free_device_memory() -> None:
    """Free the device memory that nothing uses any more.

    Collect what compiled pipelines hold in cycles, reset Dynamo, and empty the allocator's cache.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if "torch._dynamo" in sys.modules and torch is not None:
        torch.compiler.reset()
        gc.collect()
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
