"""What a result that does not pass says of itself, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.report import against, rehearsal, text
from pytest_sdspeed.report.pages import add_page, find_page, is_biased
from pytest_sdspeed.report.ranges import describe_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_sdspeed.model import Result

_GRAVITY = ("fail", "invalid", "inconclusive")


def write_message(result: Result, *more: str) -> str:
    """Write what a test that does not pass says.

    Its last line is the page of the documentation.

    Args:
        result: result of the test.
        more: what else there is to say, a paragraph each; "" says nothing.
    """
    return add_page("\n".join(filter(None, (describe_result(result), *more))), find_page(result))


def describe_result(result: Result) -> str:
    """Describe a result that does not pass.

    What was measured and expected, the interval, the device, and what to do next.
    """
    lead = [] if result.verdict == "fail" else [f"{result.verdict}:"]
    why = [f"Reason: {'; '.join(result.reasons)}."] if result.reasons else []
    ranges = describe_ranges(result) if result.image_verdict == "fail" else ""
    held_up = (
        [f"T{text.describe_host_bound(result)[1:]}."]
        if result.host_bound and result.too_slow
        else []
    )
    spread = [f"Pictures: {ranges}."] if ranges else []
    return " ".join([*lead, _state_facts(result), *why, *spread, *held_up, *_advise(result)])


def select_attention(results: Iterable[Result]) -> list[Result]:
    """Return what does not pass, the gravest first.

    Tests of one row that say the same share an entry.
    """
    found = {
        (result.table, describe_result(result)): result
        for result in results
        if result.verdict != "pass"
    }
    return sorted(found.values(), key=lambda result: _GRAVITY.index(result.verdict))


def _state_facts(result: Result) -> str:
    lead = "" if result.table or not result.test else f"{result.test}: "
    if result.rehearsal is not None:
        return rehearsal.describe_finding(result, text.format_pictures(result.image))
    if result.against is not None:
        found = against.describe_finding(result, result.against, text.format_pictures(result.image))
        return (
            f"{found}. On {result.device}; at most {text.format_tolerance(result)} slower passes"
            f" (floor {text.format_ratio(result.floor)}), {result.blocks} blocks."
        )
    if result.is_baseline:
        return (
            f"{lead}{result.setup} on {result.device}: {text.format_latency(result.latency_s)},"
            f" {result.blocks} blocks."
        )
    where = f" on {result.documented_on}" if result.documented_on else ""
    file = f" ({result.recorded_in})" if result.recorded_in else ""
    documented = f"{text.name_origin(result)} {text.format_ratio(result.expected)}{where}{file}"
    measured = f"{lead}{result.setup} on {result.device}: {result.interval} over {result.baseline}"
    needed = _format_memory_share(result)
    return (
        f"{measured}; {documented}, floor {text.format_ratio(result.floor)}"
        f" (tolerance {text.format_tolerance(result)}), {result.blocks} blocks{needed}."
    )


def _format_memory_share(result: Result) -> str:
    """Format ``, 81% of the baseline's peak memory (at most 95%)`` if a bound was judged."""
    if result.memory_share is None or result.memory_bound is None:
        return ""
    return (
        f", {result.memory_share:.1%} of the baseline's peak memory (at most"
        f" {result.memory_bound:.1%})"
    )


def _advise(result: Result) -> Iterable[str]:
    if result.without_effect:
        yield ("Nothing of it was timed: correct what is stacked, or its options, or take it out.")
    elif result.verdict == "invalid" and result.rehearsal is None:
        yield (
            "The baseline differs from itself: stop what else uses this machine and rerun."
            if is_biased(result)
            else "This says nothing about the code: find what disturbed the machine and rerun."
        )
    if result.too_slow and result.held_to_another_device:
        name = "".join(
            letter if letter.isalnum() else "-" for letter in result.device.lower()
        ).strip("-")
        yield (
            f'To gate this device on its own ratios: --sd-record {name}.toml, see README "Recording'
            ' a reference".'
        )
