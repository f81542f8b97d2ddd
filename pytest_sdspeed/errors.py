"""One exception per cause. Each message stands alone: what is wrong, where, and what is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

DOCUMENTATION = "https://pytest-sdspeed.readthedocs.io/en/latest"
"""Where the documentation is, without a slash at its end: messages add the path of a page, such as ``/explanations/verdicts/#fail``."""


class SdSpeedError(Exception):
    """Base of every error this package raises on purpose."""


class TableError(SdSpeedError):
    """A table file is malformed or contradicts itself.

    Args:
        path: the file.
        key: the key at fault, as a dotted path (``rows[2].speedup``), or "" for the file as a
            whole.
        problem: what is wrong and what would be valid.
    """

    def __init__(self, path: Path | str, key: str, problem: str) -> None:
        self.path, self.key, self.problem = str(path), key, problem
        where = f"{path}: {key}" if key else str(path)
        super().__init__(f"{where}: {problem}")


class UnknownNameError(SdSpeedError):
    """A name that nothing here answers to.

    Args:
        kind: what was looked for ("table", "setup", "optimization", ...).
        name: the name given.
        valid: the names that would have been found.
        where: who asked, put in front ("marker sd_latency of test_a.py::test_b").
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str], where: str = "") -> None:
        self.kind, self.name = kind, name
        prefix = f"{where}: " if where else ""
        super().__init__(
            f"{prefix}unknown {kind} {name!r}; valid: {', '.join(sorted(valid)) or 'none'}"
        )


class MarkerError(SdSpeedError):
    """The ``sd_latency`` marker carries an argument that cannot be."""


class RegistrationError(SdSpeedError):
    """Something registered through ``pytest_sdspeed_register`` cannot be."""


class UsageMistakeError(SdSpeedError):
    """The ``sd_latency`` fixture was called in a way that has no meaning."""


class UnsupportedError(SdSpeedError):
    """This machine cannot run a setup; the message is the reason and what would help."""


class ModelUnavailableError(SdSpeedError):
    """Weights or configuration of a model cannot be had: no cache, no network, a broken or incomplete folder."""


class GenerationError(SdSpeedError):
    """An arm raised while generating."""


class OutOfMemoryError(SdSpeedError):
    """An arm did not fit in the device's memory."""


class UnusableDeviceError(SdSpeedError):
    """The device no longer answers: an error has broken this process's context on it."""


class ThrottledError(SdSpeedError):
    """The GPU throttled so often that nothing could be measured."""


class WorkerLostError(SdSpeedError):
    """The process that one side of a comparison is measured in has ended, or did not start."""


class FleetError(SdSpeedError):
    """The workers of pytest-xdist cannot measure side by side: there are more of them than GPUs or cores."""


class LeakedFlagError(SdSpeedError):
    """An optimization left a process-global flag changed after its slot."""


class PictureError(SdSpeedError):
    """What an arm returned is not a picture this project can judge."""


class PlaceError(SdSpeedError):
    """Stored runs cannot be read where they are said to lie; the message names the place, and what to install or check."""


class StoredRunError(SdSpeedError):
    """A stored run, or one of its results, cannot be read: damaged, of another schema, or not of this plugin."""


def first_line(error: BaseException, otherwise: str) -> str:
    """The first line of an exception's message; where that only announces what follows (``backend='inductor' raised:``), the next one too.

    Args:
        error: it may say anything; torch prints whole tensors into some messages.
        otherwise: what an empty message becomes.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[: 1 + lines[0].endswith(":")]) if lines else otherwise


def explain(arm: str, error: Exception) -> SdSpeedError:
    """An arm's exception as one of this package's own: its first line, since torch prints whole tensors into some, and where it was raised.

    The traceback is let go: its frames hold what the arm had allocated, which after an
    out-of-memory error is what the others need.

    Args:
        arm: the name of what raised.
        error: what it raised; one of this package's own stays what it is.
    """
    if isinstance(error, SdSpeedError):
        return error.with_traceback(None)
    first = first_line(error, "no message")[:300] + _raised_at(error.__traceback__)
    # By name, since this room does not import torch, whose OutOfMemoryError is no MemoryError.
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(said in first for said in _NO_MEMORY)
    ):
        return OutOfMemoryError(f"{arm} ran out of memory: {first}")
    return GenerationError(f"{arm} raised {type(error).__name__}: {first}")


_NO_MEMORY = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What CUDA and its libraries say where they, not torch's allocator, run out of memory."""


def _raised_at(traceback: TracebackType | None) -> str:
    """File and line of the last frame, or nothing for an exception that was never raised."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f" ({traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno})"
