"""Exceptions, one for each cause. Every message says what is wrong, where, and what is valid.

The tree, and what each means for a user. Exit code 4 ends a run before anything is measured; a
failed test ends with the message. Exit codes 1 and 2 are those of ``python -m pytest_sdspeed``::

    SdSpeedError
        TableError             exit code 4
        UnknownNameError       exit code 4 for a marker or a fixture, else a failed test
        MarkerError            exit code 4
        RegistrationError      exit code 4; a failed test for optimizations that exclude each other
        UsageMistakeError      a failed test; exit code 4 for an environment of --sd-against
        UnsupportedError       exit code 4 for --sd-gpu, a skipped test for --sd-against
        ModelUnavailableError  a failed test; a skipped one for a built-in row of --sd-dry; a note
                               for the model of --sd-clip
        GenerationError        a failed test
        UnstageableError       a note: the campaign measures whole calls
        OutOfMemoryError       a skipped test for a setup, a failed one for a callable
        UnusableDeviceError    a failed test, and the tests after it that measure fail too
        ThrottledError         a failed test
        WorkerLostError        a failed test
        NoEffectError          a failed test, whose row is invalid
        DistributedError       exit code 4
        LeakedFlagError        a failed test
        ChangedPartError       a failed test
        DryRunError            a failed test; a skipped one for a row of --sd-dry without account
        TimeLimitError         a failed test, and so are the others of its table
        PictureError           a failed picture gate, whose test fails
            MetricError        a failed picture gate, whose test fails
        PlaceError             a note in a run; exit code 2 if no place can be read
        StoredRunError         a note in a run; exit code 1 for a report
        AcknowledgementError   a note in a run; exit code 1 for a command
        CommentError           exit code 1 of the command ``comment``
            TokenError         exit code 0 and a warning: ``comment`` prints the text instead
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

DOCUMENTATION = "https://pytest-sdspeed.readthedocs.io/en/latest"
"""Address of the documentation, without a slash at its end.

Messages add the path of a page, such as ``/explanations/verdicts/#fail``.
"""


class SdSpeedError(Exception):
    """Base of every error this package raises on purpose."""


class TableError(SdSpeedError):
    """A table file is malformed or contradicts itself.

    Args:
        path: path of the file.
        key: the key at fault, as a dotted path (``rows[2].speedup``), or "" for the whole file.
        problem: what is wrong and what would be valid.
    """

    def __init__(self, path: Path | str, key: str, problem: str) -> None:
        self.path, self.key, self.problem = str(path), key, problem
        where = f"{path}: {key}" if key else str(path)
        super().__init__(f"{where}: {problem}")


class UnknownNameError(SdSpeedError):
    """A name of a table, setup, optimization, architecture or count is unknown.

    Args:
        kind: what has the name ("table", "setup", "optimization", ...).
        name: the unknown name.
        valid: the known names.
        where: what uses the name, which begins the message ("table 'mine'").
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str], where: str = "") -> None:
        self.kind, self.name = kind, name
        prefix = f"{where}: " if where else ""
        known = sorted(valid)
        super().__init__(
            f"{prefix}unknown {kind} {name!r}; {_find_meant(name, known)}"
            f"valid: {', '.join(known) or 'none'}"
        )


_MANY = 40
"""Names that nobody reads to the end: the one that was meant is said first."""


def _find_meant(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1) if len(known) > _MANY else []
    return f"did you mean {close[0]!r}? " if close else ""


NO_ARCHITECTURE = "architecture for random weights"
"""Kind of the name of a model of which no configuration is known."""


class MarkerError(SdSpeedError):
    """The marker ``sd_latency`` or ``sd_account`` has an invalid argument."""


class RegistrationError(SdSpeedError):
    """A setup or an optimization cannot be registered, or optimizations exclude each other."""


class UsageMistakeError(SdSpeedError):
    """A gate's fixture, a flag or ``--sd-against`` was used in an invalid way."""


class UnsupportedError(SdSpeedError):
    """This machine cannot run what was asked for; the message says why and what would help."""


class ModelUnavailableError(SdSpeedError):
    """Weights or configuration of a model are unavailable.

    There is no cache and no network, or a folder is broken or incomplete.
    """


class GenerationError(SdSpeedError):
    """An arm raised while generating."""


class UnstageableError(SdSpeedError):
    """A call cannot be measured by stages: it is measured as a whole."""


class OutOfMemoryError(SdSpeedError):
    """An arm did not fit into the memory of the device."""


class UnusableDeviceError(SdSpeedError):
    """The device no longer answers: an error broke the context of this process on it."""


class ThrottledError(SdSpeedError):
    """The GPU throttled so often that nothing could be measured."""


class WorkerLostError(SdSpeedError):
    """The process that measures one version of a comparison has ended, or did not start."""


class NoEffectError(SdSpeedError):
    """An optimization of an arm had no effect, or whether it had any cannot be told."""


class DistributedError(SdSpeedError):
    """The workers of pytest-xdist cannot measure side by side.

    There are more of them than GPUs or cores, or this system cannot pin a process to cores.
    """


class LeakedFlagError(SdSpeedError):
    """An optimization, or a callable, left a process-global flag changed after its slot."""


class ChangedPartError(SdSpeedError):
    """An optimization changed weights or modules that other setups share."""


class DryRunError(SdSpeedError):
    """A dry run cannot count a generation: it needs what only a real device has."""


class TimeLimitError(SdSpeedError):
    """A time limit of another plugin leaves too little for a campaign, or has ended it.

    Args:
        message: what was too short, and what to set.
        seconds: the limit.
    """

    def __init__(self, message: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(message)


class PictureError(SdSpeedError):
    """What an arm returned is not a picture that this project can judge."""


class MetricError(PictureError):
    """A registered metric of pictures raised, or returned no number."""


class PlaceError(SdSpeedError):
    """A place of stored runs cannot be read.

    The message names the place, and what to install or check.
    """


class StoredRunError(SdSpeedError):
    """A stored run, or one of its results, cannot be read.

    It is damaged, of another schema, or not of this plugin.
    """


class AcknowledgementError(SdSpeedError):
    """A file of acknowledged changes cannot be read, or holds something else.

    Args:
        path: path of the file.
        key: the key at fault, as a dotted path (``3f9a21b4.reason``), or "" for the whole file.
        problem: what is wrong and what would be valid.
    """

    def __init__(self, path: Path | str, key: str, problem: str) -> None:
        self.path, self.key, self.problem = str(path), key, problem
        super().__init__(f"{path}: {key + ': ' if key else ''}{problem}")


class CommentError(SdSpeedError):
    """A comment could not be put on a pull request.

    The message says what the server answered, and what to check. It holds no token.
    """


class TokenError(CommentError):
    """The token may not write comments, as that of a fork's pull request."""


def read_first_line(error: BaseException, otherwise: str) -> str:
    """Return the first line of an exception's message.

    If that only announces the next one (``backend='inductor' raised:``), return both.

    Args:
        error: exception with any message; torch prints whole tensors into some messages.
        otherwise: what to return for an empty message.
    """
    try:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    except Exception:  # noqa: BLE001 - an exception of anybody's, which cannot say what it is
        lines = [f"{type(error).__name__}, whose message cannot be read"]
    return " ".join(lines[: 1 + lines[0].endswith(":")]) if lines else otherwise


def explain(arm: str, error: Exception) -> SdSpeedError:
    """Turn an arm's exception into one of this package's own.

    Its message has the first line of the original, and where it was raised. The traceback is
    dropped: its frames hold what the arm had allocated, which the other arms need after an
    out-of-memory error.

    Args:
        arm: name of the arm that raised.
        error: what it raised; one of this package's own stays what it is.
    """
    if isinstance(error, SdSpeedError):
        return error.with_traceback(None)
    first = read_first_line(error, "no message")[:300] + _show_origin(error.__traceback__)
    # torch's OutOfMemoryError is no MemoryError; its name identifies it without importing torch.
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(words in first for words in _NO_MEMORY)
    ):
        return OutOfMemoryError(f"{arm} ran out of memory: {first}")
    return GenerationError(f"{arm} raised {type(error).__name__}: {first}")


_NO_MEMORY = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "HIP error: out of memory",
    "HIPBLAS_STATUS_ALLOC_FAILED",
    "UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY",
    "MPS backend out of memory",
)
"""What accelerators and their libraries say if they run out of memory without torch's own error.

They are CUDA, ROCm, XPU's runtime, and torch's allocator for MPS."""


def _show_origin(traceback: TracebackType | None) -> str:
    """Return file and line of the last frame, or "" for an exception that was never raised."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f" ({traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno})"
