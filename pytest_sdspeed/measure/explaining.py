"""What measured code raises, as one of this package's own errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.errors import GenerationError, OutOfMemoryError, SdSpeedError, first_line

if TYPE_CHECKING:
    from types import TracebackType

_NO_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What CUDA and its libraries say where they, not torch's allocator, run out of memory."""


def explained(arm: str, error: Exception) -> SdSpeedError:
    """An arm's exception as one of this package's own: its first line, since torch prints whole tensors into some, and where it was raised.

    The traceback is let go: its frames hold what the arm had allocated, which after an out-of-memory error is what the others need.

    Args:
        arm: the name of what raised.
        error: what it raised; one of this package's own stays what it is.
    """
    if isinstance(error, SdSpeedError):
        return error.with_traceback(None)
    first = first_line(error, "no message")[:300] + _raised_at(error.__traceback__)
    # By name, since this room does not import torch, whose OutOfMemoryError is no MemoryError.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or any(said in first for said in _NO_MEMORY):
        return OutOfMemoryError(f"{arm} ran out of memory: {first}")
    return GenerationError(f"{arm} raised {type(error).__name__}: {first}")


def _raised_at(traceback: TracebackType | None) -> str:
    """File and line of the last frame, or nothing for an exception that was never raised."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f" ({traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno})"
