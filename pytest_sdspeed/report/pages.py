"""The page of the documentation that a failing message ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.errors import DOCUMENTATION, ThrottledError, WorkerLostError

if TYPE_CHECKING:
    from pytest_sdspeed.model import Result

_TOO_SLOW = f"{DOCUMENTATION}/explanations/verdicts/#fail"
_PICTURES = f"{DOCUMENTATION}/explanations/verdicts/#pictures"
_MEMORY = f"{DOCUMENTATION}/explanations/verdicts/#memory"
_STARTS = f"{DOCUMENTATION}/explanations/verdicts/#starts"
_INCONCLUSIVE = f"{DOCUMENTATION}/explanations/verdicts/#inconclusive"
_NO_EFFECT = f"{DOCUMENTATION}/explanations/verdicts/#no-effect"
_INVALID = f"{DOCUMENTATION}/explanations/verdicts/#invalid"
_THROTTLING = f"{DOCUMENTATION}/explanations/gpu/#throttling"
_HOST_BOUND = f"{DOCUMENTATION}/explanations/gpu/#where-the-time-goes"
_RECORDING = f"{DOCUMENTATION}/guides/record-a-reference/"
_ERRORS = f"{DOCUMENTATION}/reference/errors/"
_REHEARSAL = f"{DOCUMENTATION}/guides/rehearse/#what-is-judged"
COMPARING = f"{DOCUMENTATION}/guides/compare-versions/"
ACCOUNTS = f"{DOCUMENTATION}/guides/count-without-a-gpu/"
WORKER_LOST = f"{DOCUMENTATION}/guides/several-gpus/#if-a-worker-ends"
HISTORY_COUNTS = f"{DOCUMENTATION}/guides/history/#counts"
HISTORY_SLOWER = f"{DOCUMENTATION}/explanations/verdicts/#history-slower"


def add_page(message: str, page: str) -> str:
    """Return a message with a last line that says where to read on."""
    return f"{message}\nSee {page}"


def find_page(result: Result) -> str:
    """Return the address of the page that tells most about a result that does not pass."""
    if result.rehearsal is not None and not result.without_effect:
        return _REHEARSAL
    if result.verdict == "invalid":
        return _find_page_of_invalid(result)
    pages = (
        (result.verdict == "inconclusive", _INCONCLUSIVE),
        (result.against is not None, COMPARING),
        (result.image_verdict == "fail", _PICTURES),
        (result.too_large, _MEMORY),
        (bool(result.exceeded), _STARTS),
        (result.too_slow and result.host_bound, _HOST_BOUND),
        (result.too_slow and result.held_to_another_device, _RECORDING),
    )
    return next((page for holds, page in pages if holds), _TOO_SLOW)


def _find_page_of_invalid(result: Result) -> str:
    """Tell apart what makes a result invalid.

    An optimization without effect, a lost process, the A/A control, another process of the same
    side, or a throttled GPU.
    """
    if result.without_effect:
        return _NO_EFFECT
    if result.against is not None and result.raised is not None:
        return COMPARING
    if result.raised is not None or not result.blocks:
        return WORKER_LOST
    if is_biased(result):
        return _INVALID
    return _THROTTLING if result.against is None else COMPARING


def is_biased(result: Result) -> bool:
    """Tell whether a baseline that differs from itself makes a result invalid."""
    whole = result.raised is None and result.blocks > 0
    if result.biased is not None:
        return whole and result.biased
    return whole and result.control is not None and result.control.excludes_one


def describe_error(error: Exception) -> str:
    """Return what a failing test says of an error, with the page that explains it."""
    if isinstance(error, ThrottledError):
        return add_page(str(error), _THROTTLING)
    if isinstance(error, WorkerLostError):
        return add_page(str(error), COMPARING)
    return add_page(str(error), _ERRORS)
