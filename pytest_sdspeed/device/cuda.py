"""Wait for the CUDA device, and give its memory back."""

from __future__ import annotations

import gc
import sys


def synchronize() -> None:
    """Wait for the CUDA device if this process uses one, whoever started it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def free_device_memory() -> None:
    """Collect what compiled pipelines hold in cycles, forget what Dynamo compiled, and give the allocator's cache back."""
    gc.collect()
    torch = sys.modules.get("torch")
    if "torch._dynamo" in sys.modules and torch is not None:
        torch.compiler.reset()
        gc.collect()
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
