"""What was replayed and simulated, as Markdown tables and as builtins for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markdown_tables import MarkdownTable, join_titled

from history.scoring import SOON, nights_until
from history.simulation import DRIFT_WITHIN, STEPS, WITHIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from history.scoring import Judged, Replay, Step
    from history.simulation import Line, Power

SLOWER, FASTER, BOTH = (
    "history-nightlies-slower.md",
    "history-nightlies-faster.md",
    "history-nightlies-both.md",
)
SIMULATED = "history-simulated.md"
"""Snippets of the documentation."""

LEVEL = 4
"""Level of the headings above tables."""

SHORT_NOISES = (
    "iid, CV 1%",
    "iid, CV 2%",
    "spikes",
    "two speeds",
    "sticky",
    "AR(1), CV 1%",
    "wander",
)
SHORT_STEPS = (0.05, 0.10)
"""Noises and steps that the documentation shows."""

NOTES = """\
An alarm is the first night of an unbroken run of flags in one direction. It is transient when the \
median of the next three results is nearer to
the level before than to the level claimed, and no longer 5% beyond the former. A lasting step is \
found in hindsight, by none of the rules: levels
of up to ten nights on either side, five at least, that differ by a factor of 1.05 or more and by \
three standard deviations, 80% of the nights on their own
side; a level that came for a night, went and came to stay counts since it stayed. It is found by \
an alarm in its direction until ten
results after it; night 1 is its first. An alarm that this project's rule withdrew counts as an \
alarm, and finds nothing."""


class Told(NamedTuple):
    """Alarms in one direction.

    Attributes:
        alarms: number of alarms.
        transient: number of transient ones among ``decided``.
        decided: number of alarms of which it is known whether they are transient.
    """

    alarms: int
    transient: int
    decided: int


class Summary(NamedTuple):
    """The result of a rule in one direction, over all series.

    Attributes:
        told: its alarms.
        steps: number of lasting steps.
        soon: number of steps found on their second night at the latest; found: of all found.
        first_soon: number of steps found on the second night of their first appearance at the
            latest.
        delays: nights until each found step was found.
    """

    told: Told
    steps: int
    soon: int
    found: int
    first_soon: int
    delays: tuple[int, ...]


def summary(replays: Sequence[Replay], rule: str, *, slower: bool) -> Summary | None:
    """Summarize a rule in one direction, or return None if it does not know that direction."""
    own = [one for one in replays if one.rule.name == rule and (slower or one.rule.both)]
    if not own:
        return None
    steps = [
        (step, alarm) for one in own for step, alarm in one.steps if (step.change > 0) == slower
    ]
    delays = tuple(nights_until(alarm, step.night) for step, alarm in steps if alarm)
    first = [nights_until(alarm, step.came) for step, alarm in steps if alarm]
    alarms = _told([alarm for one in own for alarm in one.alarms if alarm.alarm.slower == slower])
    return Summary(alarms, len(steps), _soon(delays), len(delays), _soon(first), delays)


def _told(alarms: Sequence[Judged]) -> Told:
    decided = [alarm.transient for alarm in alarms if alarm.transient is not None]
    return Told(len(alarms), sum(decided), len(decided))


def _soon(delays: Iterable[int]) -> int:
    return sum(delay <= SOON for delay in delays)


def replayed(replays: Sequence[Replay]) -> str:
    """Return the tables of real nightlies."""
    return join_titled(_nightlies(replays), LEVEL)


def replayed_snippets(replays: Sequence[Replay]) -> dict[str, str]:
    """Return the tables of real nightlies for the documentation.

    Returns:
        File name to Markdown.
    """
    tables = _nightlies(replays)
    return {name: table.text() for name, table in zip((SLOWER, FASTER, BOTH), tables, strict=True)}


def _nightlies(replays: Sequence[Replay]) -> list[MarkdownTable]:
    """Return three tables: slower, faster, both directions."""
    rules = list(dict.fromkeys(one.rule.name for one in replays))
    header = (
        "rule",
        "alarms",
        "transient",
        "lasting steps found",
        "by the second night",
        "by the second of their first coming",
        "median night",
        "worst",
    )
    parts = [
        MarkdownTable(
            f"Nightlies: {'slower' if slower else 'faster'}",
            header,
            [
                (rule, *_cells(found))
                for rule in rules
                if (found := summary(replays, rule, slower=slower))
            ],
        )
        for slower in (True, False)
    ]
    both = [(rule, *_together(replays, rule)) for rule in rules]
    return [
        *parts,
        MarkdownTable("Nightlies: both directions", ("rule", "alarms", "transient"), both),
    ]


def _cells(found: Summary) -> tuple[str, ...]:
    median, worst = (
        (f"{np.median(found.delays):g}", str(max(found.delays))) if found.delays else ("-", "-")
    )
    counts = (f"{count} of {found.steps}" for count in (found.found, found.soon, found.first_soon))
    return (str(found.told.alarms), _transient(found.told), *counts, median, worst)


def _transient(told: Told) -> str:
    return f"{told.transient} ({told.transient / told.decided:.0%})" if told.decided else "-"


def _together(replays: Sequence[Replay], rule: str) -> tuple[str, str]:
    told = _told([alarm for one in replays if one.rule.name == rule for alarm in one.alarms])
    return str(told.alarms), _transient(told)


def simulated(
    lines: Sequence[Line], noises: Sequence[str] | None = None, steps: Sequence[float] = STEPS
) -> str:
    """Return the tables of simulated series, with a row for each noise and a column for each rule.

    Args:
        lines: lines of the simulation.
        noises: names of the noises to show, or None for all.
        steps: sizes of the steps to show.
    """
    chosen = [line for line in lines if noises is None or line.noise in noises]
    spiked = [line for line in chosen if line.spike is not None]
    parts = [
        _by_rule(
            "Alarms for 1,000 runs without a change (standard error)",
            chosen,
            [_alarms(line) for line in chosen],
        ),
        *(
            _by_rule(
                f"A step of {size:.0%}: share found within {WITHIN[0]}, {WITHIN[1]} and {WITHIN[2]}"
                " runs, median run",
                chosen,
                [_power(line.steps[size]) for line in chosen],
            )
            for size in steps
        ),
        _by_rule(
            f"A drift of 0.5% a run: share found within {DRIFT_WITHIN} runs, median run",
            chosen,
            [_power(line.drift) for line in chosen],
        ),
        _by_rule(
            "A single run 30% slower: share of series that alarm",
            spiked,
            [_percent(line.spike) for line in spiked],
        ),
    ]
    return join_titled(parts, LEVEL)


def simulated_snippets(lines: Sequence[Line]) -> dict[str, str]:
    """Return the tables of simulated series for the documentation.

    They show some noises, and steps of 5% and 10%.

    Returns:
        File name to Markdown.
    """
    return {SIMULATED: simulated(lines, SHORT_NOISES, SHORT_STEPS)}


def precision(lines: Sequence[Line]) -> str:
    """Write how many series the shares are of, and their largest standard error."""
    series = {line.rule: line.series for line in lines}
    runs = {line.rule: line.runs for line in lines}
    counts = "; ".join(
        f"{rule} {runs[rule]:,} runs, {count} series, {50 / math.sqrt(count):.0f} points"
        for rule, count in series.items()
    )
    return (
        "Runs without a change, series with each change, and the largest standard error of a"
        f" share, by rule: {counts}."
    )


def _alarms(line: Line) -> str:
    withdrawn = f", {line.withdrawn:.0%} withdrawn" if line.withdrawn else ""
    return f"{line.alarms:.1f} ({line.error:.1f}){withdrawn}"


def _power(power: Power) -> str:
    median = f"{power.delay:g}" if math.isfinite(power.delay) else "-"
    return f"{' / '.join(f'{100 * share:.0f}' for share in power.within.values())}%, {median}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _by_rule(title: str, lines: Sequence[Line], cells: Sequence[str]) -> MarkdownTable:
    rules = list(dict.fromkeys(line.rule for line in lines))
    found: dict[str, dict[str, str]] = {}
    for line, cell in zip(lines, cells, strict=True):
        found.setdefault(line.noise, {})[line.rule] = cell
    return MarkdownTable(
        title,
        ("noise", *rules),
        [(noise, *(row[rule] for rule in rules)) for noise, row in found.items()],
    )


# JSON


def replayed_json(replays: Sequence[Replay]) -> dict[str, Any]:
    """Return every alarm, every lasting step, and the counts.

    A step has the rules, each with the night of the step on which it found it (None: missed).
    """
    rules = list(dict.fromkeys(one.rule.name for one in replays))
    steps: dict[tuple[str, str, int], dict[str, Any]] = {}
    for one in replays:
        for step, alarm in one.steps:
            key = one.series.case, one.series.framework, step.night
            entry = steps.setdefault(
                key, {**_place(one), **_step(one, step), "found": {}, "missed": []}
            )
            entry["found"][one.rule.name] = nights_until(alarm, step.night) if alarm else None
            entry["missed"] += [] if alarm else [one.rule.name]
    return {
        "notes": NOTES,
        "rules": {one.rule.name: one.rule.source for one in replays},
        "summary": {
            rule: {
                side: found._asdict() | {"told": found.told._asdict()} if found else None
                for side, found in _sides(replays, rule)
            }
            for rule in rules
        },
        "lasting_steps": list(steps.values()),
        "alarms": [
            {**_place(one), "rule": one.rule.name, **_alarm(one, judged)}
            for one in replays
            for judged in one.alarms
        ],
    }


def _sides(replays: Sequence[Replay], rule: str) -> list[tuple[str, Summary | None]]:
    return [
        (side, summary(replays, rule, slower=side == "slower")) for side in ("slower", "faster")
    ]


def _place(one: Replay) -> dict[str, str]:
    return {"case": one.series.case, "framework": one.series.framework}


def _step(one: Replay, step: Step) -> dict[str, Any]:
    return {
        "since": _night(one, step.night),
        "came": _night(one, step.came),
        "commit": one.series.nights[step.night].commit,
        "change": math.expm1(step.change),
    }


def _alarm(one: Replay, judged: Judged) -> dict[str, Any]:
    alarm = judged.alarm
    return {
        "since": _night(one, alarm.since),
        "found": _night(one, alarm.found),
        "commit": one.series.nights[alarm.since].commit,
        "change": math.expm1(alarm.change),
        "transient": judged.transient,
        "withdrawn": None if alarm.gone is None else _night(one, alarm.gone),
    }


def _night(one: Replay, index: int) -> str:
    return one.series.nights[index].time.isoformat()


def simulated_json(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return every line; what is not found in half of the series has no delay (None)."""
    return [
        asdict(line)
        | {
            "steps": {f"{size:g}": _power_json(power) for size, power in line.steps.items()},
            "drift": _power_json(line.drift),
        }
        for line in lines
    ]


def _power_json(power: Power) -> dict[str, Any]:
    return {
        "within": {str(runs): share for runs, share in power.within.items()},
        "delay": power.delay if math.isfinite(power.delay) else None,
    }
