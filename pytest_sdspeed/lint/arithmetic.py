"""Speed-ups and percentages against latencies: is a ratio what it is called?"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.lint.entries import Saying
from pytest_sdspeed.lint.printed import Figure, differ_by, read_stated, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.lint.entries import Entry, Material
    from pytest_sdspeed.model import Stated
    from pytest_sdspeed.model.contradictions import Contradiction

_ENOUGH_PLACES = Decimal("0.02")
"""Width of a figure, as a share of it, up to which a coincidence with another ratio is a hint."""
_CALLED_SPEEDUP = re.compile(r"speed-?\s?up|faster", re.IGNORECASE)


class _Claimed(NamedTuple):
    """A speed-up: its place in the row, what it is, and as what it is stated, if it is."""

    key: str
    said: Figure
    stated: Stated | None = None

    def __str__(self) -> str:
        return f"x{self.said} ({self.stated.where})" if self.stated else f"x{self.said}"


def find_speedups(material: Material) -> Iterator[Contradiction]:
    """Find speed-ups that the latencies deny, and that are no other ratio either."""
    yield from _find(material, "speedup")


def find_flops_ratios(material: Material) -> Iterator[Contradiction]:
    """Find speed-ups that are ratios of floating-point operations."""
    yield from _find(material, "flops-ratio")


def find_efficiencies(material: Material) -> Iterator[Contradiction]:
    """Find speed-ups that were divided by the number of GPUs."""
    yield from _find(material, "efficiency")


def find_saved_percents(material: Material) -> Iterator[Contradiction]:
    """Find percentages of time saved that the latencies deny, or that are sold as speed-ups."""
    yield from _find(material, "saved-percent")
    for entry in material.entries:
        truth = _find_truth(entry)
        for index, stated, said in entry.stated("saved_percent"):
            if truth is None:
                continue
            if said.agrees(truth.figure.saved_percent):
                yield from _judge_name(entry, index, stated, said, truth)
                continue
            documented = entry.documented_speedup
            claimed = documented and _Claimed("speedup", documented)
            if claimed and _explain_sold_percent(entry, claimed, None):
                continue  # found at the speed-up
            message = _explain_percent(entry, stated.where, said, truth)
            yield entry.find("saved-percent", f"stated[{index}].saved_percent", message)


def _find(material: Material, rule: str) -> Iterator[Contradiction]:
    for entry in material.entries:
        for claimed in _list_claimed(entry):
            found, message = _judge(entry, claimed)
            if found == rule:
                yield entry.find(rule, claimed.key, message)


def _list_claimed(entry: Entry) -> Iterator[_Claimed]:
    documented = entry.documented_speedup
    if documented:
        yield _Claimed("speedup", documented)
    for index, stated, said in entry.stated("speedup"):
        yield _Claimed(f"stated[{index}].speedup", said, stated)


def _find_truth(entry: Entry) -> Saying | None:
    """Return the speed-up that a row's own figures give."""
    documented = entry.documented_speedup
    if entry.measured_speedup or documented is None:
        return entry.measured_speedup
    return Saying(documented, "the documented speed-up")


def _judge(entry: Entry, claimed: _Claimed) -> tuple[str, str]:
    """Return the rule that a stated speed-up breaks, and why; "" twice if it breaks none."""
    truth = None
    if claimed.stated:
        truth = _find_own_truth(entry, claimed) or _find_truth(entry)
    if entry.row.is_baseline or (truth and claimed.said.agrees(truth.figure)):
        return "", ""
    kinds = {
        "flops-ratio": _explain_flops,
        "efficiency": _explain_efficiency,
        "saved-percent": _explain_sold_percent,
        "speedup": _explain_ratio,
    }
    messages = ((rule, explain(entry, claimed, truth)) for rule, explain in kinds.items())
    return next(((rule, message) for rule, message in messages if message), ("", ""))


def _explain_flops(entry: Entry, claimed: _Claimed, truth: Saying | None) -> str:
    """Tell that a speed-up is the ratio of floating-point operations, "" if it is not."""
    ours, theirs = entry.figure("tflops"), entry.baseline.figure("tflops")
    if ours is None or theirs is None or not claimed.said.agrees(theirs / ours):
        return ""
    against = _against(claimed, truth) or "no latency is there to confirm it"
    return (
        f"{claimed} is the ratio of the floating-point operations, {theirs} / {ours} TFLOP ="
        f" {show((theirs / ours).value, claimed.said)}; {against}"
    )


def _explain_efficiency(entry: Entry, claimed: _Claimed, truth: Saying | None) -> str:
    """Tell that a speed-up is divided by the GPUs, "" if it is not."""
    gpus = entry.row.gpus
    if truth is None or gpus == 1 or not claimed.said.agrees(truth.figure.scale(1 / gpus)):
        return ""
    return f"{claimed} is a speed-up divided by {gpus} GPUs; {_against(claimed, truth)}"


def _explain_sold_percent(entry: Entry, claimed: _Claimed, truth: Saying | None) -> str:
    """Tell that a speed-up is 1 and the percent of time saved, x1.38 for 38%; "" if it is not."""
    said = claimed.said
    saved = [figure for _, _, figure in entry.stated("saved_percent")]
    if truth:
        saved.insert(0, truth.figure.saved_percent)
    for one in saved:
        if one.low <= 0 or one.high >= 100:  # noqa: PLR2004 - nothing saves all of its time
            continue
        real = Figure(*(1 / (1 - part / 100) for part in (one.value, one.low, one.high)))
        sold = Figure(*(1 + part / 100 for part in (one.value, one.low, one.high)))
        if said.agrees(sold) and not said.agrees(real):
            return (
                f"{claimed} sells a percent of time saved as a speed-up: {show(one.value)}% less"
                f" time is x{show(real.value, said)}"
            )
    return ""


def _explain_ratio(entry: Entry, claimed: _Claimed, truth: Saying | None) -> str:
    """Tell that a speed-up is not the ratio of the times; "" if there are none."""
    if truth is None:
        return ""
    by = differ_by(claimed.said, truth.figure)
    hint = _hint(entry, claimed.said)
    return f"{claimed} is stated; {_against(claimed, truth)}: {by} apart{hint}"


def _against(claimed: _Claimed, truth: Saying | None) -> str:
    return f"{truth.words} is x{show(truth.figure.value, claimed.said)}" if truth else ""


def _find_own_truth(entry: Entry, claimed: _Claimed) -> Saying | None:
    """Return the speed-up of a latency that is stated beside the speed-up itself.

    It is over the baseline's latency of the same place, or else over its own.
    """
    ours = read_stated(claimed.stated, "latency_s") if claimed.stated else None
    beside = [
        figure
        for _, one, figure in entry.baseline.stated("latency_s")
        if claimed.stated and one.where == claimed.stated.where
    ]
    theirs = beside[0] if beside else entry.baseline.figure("latency_s")
    return Saying(theirs / ours, f"{theirs} s / {ours} s") if ours and theirs else None


def _judge_name(
    entry: Entry, index: int, stated: Stated, said: Figure, truth: Saying
) -> Iterator[Contradiction]:
    """Find a percent of time saved that its source calls a speed-up."""
    above = truth.figure.percent_above_one
    if _CALLED_SPEEDUP.search(stated.where) and not said.agrees(above):
        yield entry.find(
            "saved-percent",
            f"stated[{index}].saved_percent",
            f"{said}% ({stated.where}) is time saved and no speed-up: {truth.words} is"
            f" {show(above.value)}% faster",
        )


def _explain_percent(entry: Entry, where: str, said: Figure, truth: Saying) -> str:
    saved = truth.figure.saved_percent
    text = f"{said}% saved is stated ({where}); {truth.words} saves {show(saved.value, said)}%"
    if said.agrees(truth.figure.percent_above_one):
        return f"{text}: {said}% is what the speed-up is above 1, and no time that is saved"
    theirs = entry.baseline.figure("latency_s")
    if theirs is None:
        return text
    left = theirs.value * (1 - said.value / 100)
    return f"{text}: {said}% less than {theirs} s is {show(left)} s"


def _hint(entry: Entry, said: Figure) -> str:
    """Return which other row a speed-up is the ratio to, if there is exactly one."""
    ours = entry.figure("latency_s")
    if ours is None or said.high - said.low > _ENOUGH_PLACES * said.value:
        return ""
    ratios = {
        row.setup: Figure.of(row.latency_s, row.written.get("latency_s", "")) / ours
        for row in entry.table.rows
        if row.latency_s is not None and row.setup not in {entry.row.setup, entry.row.baseline}
    }
    fitting = [setup for setup, ratio in ratios.items() if said.agrees(ratio)]
    return f"; it is the ratio to {fitting[0]!r}" if len(fitting) == 1 else ""
