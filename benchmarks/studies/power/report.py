"""The lines of the studies as CSV, as Markdown tables and as a plot."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

from markdown_tables import MarkdownTable, join_titled

from power.campaigns import FLOOR
from power.slot_order import EFFECTS, SIZES
from power.stages import ALLOWED, BARE
from power.studies import ABOVE, BEFORE, DOCUMENTED, NOW, RATIOS, SHORT, Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

PLOTTED = "mixed, CV 3.0%"
GATE, ORDER, OWN, PEERS = "gate.md", "gate-order.md", "gate-own.md", "gate-peers.md"
STAGES = "gate-stages.md"
"""Snippets of the documentation."""


def write_csv(lines: Sequence[Line], path: Path) -> None:
    """Write one line for each line of the studies; columns that do not apply are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0].cells()))
        writer.writeheader()
        writer.writerows(line.cells() for line in lines)


def markdown(lines: Sequence[Line]) -> str:
    """Write every study as a table, with shares in percent."""
    tables = [make(lines) for make in TABLES]
    return join_titled([table for table in tables if table.rows], level=3) + "\n"


def snippets(lines: Sequence[Line]) -> dict[str, str]:
    """Return the tables of the documentation; gate and peers under the most telling noises.

    Returns:
        File name to Markdown, for the studies that have lines.
    """
    gate = [line for line in lines if _tells(line.noise, ("CV 1.0%", "CV 3.0%"))]
    peers = [line for line in lines if _tells(line.noise, ("CV 3.0%",))]
    tables = {
        GATE: _gate(gate),
        ORDER: _order(lines),
        OWN: _own(lines),
        PEERS: _peers(peers),
        STAGES: _stages(lines),
    }
    return {name: table.text() for name, table in tables.items() if table.rows}


def _tells(noise: str, cvs: tuple[str, ...]) -> bool:
    """Tell whether a noise is a recorded trace, or simulated with one of some CVs."""
    return "CV" not in noise or noise.endswith(cvs)


def _gate(lines: Iterable[Line]) -> MarkdownTable:
    header = (
        "noise",
        "wrong at the floor: `pass`",
        "`fail`",
        "false `fail` at documented",
        "`fail` 10% short",
        "`pass` at documented",
        "`pass` at x0.97",
        "blocks at documented",
        "`invalid` 20% above the floor",
    )
    cells = [
        (
            noise,
            *(
                _both(rules, ratio, figure, digits)
                for ratio, figure, digits in (
                    (FLOOR, "passed", 2),
                    (FLOOR, "failed", 2),
                    (DOCUMENTED, "failed", 3),
                    (SHORT, "failed", 1),
                    (DOCUMENTED, "passed", 1),
                    (0.97, "passed", 1),
                    (DOCUMENTED, "blocks", 1),
                    (ABOVE, "invalid", 2),
                )
            ),
        )
        for noise, rules in _by_noise(lines, "gate").items()
    ]
    return MarkdownTable("The gate", header, cells)


def _order(lines: Sequence[Line]) -> MarkdownTable:
    """Put all simulated noises together for each effect, and name the worst one's kind."""
    header = (
        "what takes longer",
        "by",
        "campaigns",
        "wrong at the floor: `pass`",
        "`fail`",
        "most of one kind of noise, now",
        "`invalid` 20% above the floor",
    )
    found: dict[tuple[str, str], dict[str, list[Line]]] = {}
    for line in lines:
        if line.study == "order":
            noise, effect, size = line.noise.split("; ")
            kind, simulated, _cv = noise.partition(", CV")
            if simulated:
                found.setdefault((effect, size), {}).setdefault(kind, []).append(line)
    cells = []
    for effect, size in ((effect, f"{size:.0%}") for effect in EFFECTS for size in SIZES):
        kinds = found.get((effect, size), {})
        if not kinds:
            continue
        every = [line for own in kinds.values() for line in own]
        wrong = {
            (kind, side): _mean(own, NOW, FLOOR, side)
            for kind, own in kinds.items()
            for side in ("passed", "failed")
        }
        (kind, side), most = max(wrong.items(), key=lambda item: item[1])
        campaigns = sum(line.trials for line in every if _is_line(line, NOW, FLOOR))
        cells.append(
            (
                effect,
                size,
                f"{campaigns:,}",
                *(
                    " / ".join(share(_mean(every, rule, ratio, figure)) for rule in (BEFORE, NOW))
                    for ratio, figure in ((FLOOR, "passed"), (FLOOR, "failed"))
                ),
                f"{share(most)} ({kind}, {'`pass`' if side == 'passed' else '`fail`'})",
                " / ".join(share(_mean(every, rule, ABOVE, "invalid")) for rule in (BEFORE, NOW)),
            )
        )
    return MarkdownTable("Planted effects of the order, before / now", header, cells)


def _own(lines: Iterable[Line]) -> MarkdownTable:
    header = ("noise", "slow by its own doing", "`pass`", "`fail`", "blocks")
    cells = []
    for name, rules in _by_noise(lines, "own").items():
        noise, doing = name.split("; ")
        (ratio,) = rules[NOW]
        figures = ((ratio, "passed", 1), (ratio, "failed", 1), (ratio, "blocks", 1))
        cells.append((noise, doing, *(_both(rules, *figure) for figure in figures)))
    return MarkdownTable(
        "Candidates that are slow in some calls, 10% short of the floor on average, before / now",
        header,
        cells,
    )


def _is_line(line: Line, rule: str, ratio: float) -> bool:
    return line.rule == rule and math.isclose(line.ratio, ratio)


def _mean(lines: Iterable[Line], rule: str, ratio: float, figure: str) -> float:
    """Return the share of a figure over all campaigns of some lines."""
    chosen = [line for line in lines if _is_line(line, rule, ratio)]
    found: float = sum(getattr(line, figure) * line.trials for line in chosen)
    return found / sum(line.trials for line in chosen)


def _both(
    rules: Mapping[str, Mapping[float, Line]],
    ratio: float,
    figure: str,
    digits: int,
    pair: tuple[str, str] = (BEFORE, NOW),
) -> str:
    """Write a figure of two rules, that before and the one now, as ``0.45% / 0.43%``."""
    told = [rules[rule][ratio] if rule in rules else None for rule in pair]
    values = [None if line is None else getattr(line, figure) for line in told]
    return " / ".join(
        number(value) if figure == "blocks" else share(value, digits) for value in values
    )


def _by_noise(lines: Iterable[Line], study: str) -> dict[str, dict[str, dict[float, Line]]]:
    """Return the lines of a study by noise, rule and true speed-up."""
    found: dict[str, dict[str, dict[float, Line]]] = {}
    for (noise, rule), at in _by_ratio(lines, study):
        found.setdefault(noise, {})[rule] = at
    return found


def _rules(lines: Iterable[Line]) -> MarkdownTable:
    header = (
        "noise",
        "rule",
        "wrong at the floor: `pass`",
        "`fail`",
        "`fail` 10% short",
        "`pass` at documented",
        "blocks at documented",
    )
    cells = [
        (
            noise,
            rule,
            share(at[FLOOR].passed),
            share(at[FLOOR].failed),
            share(at[SHORT].failed, 1),
            share(at[DOCUMENTED].passed, 1),
            number(at[DOCUMENTED].blocks),
        )
        for (noise, rule), at in _by_ratio(lines, "rules")
    ]
    return MarkdownTable("Rules that were tried", header, cells)


def _rows(lines: Iterable[Line]) -> MarkdownTable:
    header = (
        "arms",
        "rule",
        "true speed-up",
        "rows that `pass`",
        "rows that `fail`",
        "every row `pass`",
        "some row `fail`",
        "rows `invalid`",
        "blocks",
    )
    cells = [
        (
            str(line.rows + 1),
            line.rule,
            f"x{line.ratio:.2f}",
            share(line.passed),
            share(line.failed),
            share(line.suite_passed),
            share(line.suite_failed),
            share(line.invalid),
            number(line.blocks),
        )
        for line in lines
        if line.study == "rows"
    ]
    return MarkdownTable(
        "Several rows, all of one true speed-up (mixed noise, CV 1%)", header, cells
    )


def _control(lines: Iterable[Line]) -> MarkdownTable:
    cells = [
        (line.noise, line.rule, share(line.failed), number(line.blocks))
        for line in lines
        if line.study == "control"
    ]
    return MarkdownTable("The A/A control", ("noise", "planted", "alarms", "blocks"), cells)


def _peers(lines: Iterable[Line]) -> MarkdownTable:
    header = (
        "noise",
        "rule",
        *(f"alarms at x{ratio:.2f}" for ratio in RATIOS),
        "undecided at x1.00",
        "generations at x1.00",
    )
    cells = [
        (
            noise,
            rule,
            *(share(at[ratio].failed, 1) for ratio in RATIOS),
            share(_undecided(at[DOCUMENTED]), 1),
            number(at[DOCUMENTED].generations),
        )
        for (noise, rule), at in _by_ratio(lines, "peers")
    ]
    return MarkdownTable("Peers, at equal generations", header, cells)


def _stages(lines: Iterable[Line]) -> MarkdownTable:
    header = (
        "noise of parts",
        "calls",
        "wrong at the floor: `pass`",
        "`fail`",
        "false `fail` at documented",
        "`fail` 10% short",
        "`pass` at documented",
        "`invalid` at documented",
        "blocks at documented",
    )
    cells = []
    for name, rules in _by_noise(lines, "stages").items():
        noise, calls = name.split("; ")
        figures = (
            (FLOOR, "passed", 2),
            (FLOOR, "failed", 2),
            (DOCUMENTED, "failed", 3),
            (SHORT, "failed", 1),
            (DOCUMENTED, "passed", 1),
            (DOCUMENTED, "invalid", 2),
            (DOCUMENTED, "blocks", 1),
        )
        told = [_both(rules, *figure, pair=(BARE, ALLOWED)) for figure in figures]
        cells.append((noise, calls, *told))
    return MarkdownTable(
        "By stages: without and with the 1% by which intervals are wider", header, cells
    )


def _undecided(line: Line) -> float | None:
    """Return the share without a verdict; None for rules that always decide."""
    return None if line.passed is None else max(0.0, 1 - line.passed - line.failed)


def _by_ratio(
    lines: Iterable[Line], study: str
) -> Iterable[tuple[tuple[str, str], dict[float, Line]]]:
    """Return the lines of a study by noise and rule, then by true speed-up."""
    found: dict[tuple[str, str], dict[float, Line]] = {}
    for line in lines:
        if line.study == study:
            found.setdefault((line.noise, line.rule), {})[line.ratio] = line
    return found.items()


TABLES = (_gate, _order, _own, _rules, _rows, _control, _peers, _stages)


def share(value: float | None, digits: int = 2) -> str:
    """Write a share as ``0.45%``, or None as a dash."""
    return "-" if value is None else f"{100 * value:.{digits}f}%"


def number(value: float | None) -> str:
    """Write a number as ``7.6``, or None as a dash."""
    return "-" if value is None else f"{value:.1f}"


def plot(lines: Sequence[Line], path: Path) -> None:
    """Plot how often each rule calls a row too slow, over its true speed-up.

    Bars are two Monte Carlo standard errors.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "pytest-sdspeed"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    chosen = [line for line in lines if line.study == "peers" and line.noise == PLOTTED]
    for rule in dict.fromkeys(line.rule for line in chosen):
        own = sorted((line for line in chosen if line.rule == rule), key=lambda line: line.ratio)
        errors = [2 * math.sqrt(line.failed * (1 - line.failed) / line.trials) for line in own]
        ours = rule == "pytest-sdspeed"
        axes.errorbar(
            [line.ratio for line in own],
            [line.failed for line in own],
            errors,
            label=rule,
            linewidth=3 if ours else 1.2,
            color="black" if ours else None,
            zorder=3 if ours else 2,
            capsize=2,
        )
    axes.axvspan(DOCUMENTED, max(RATIOS), color="0.93", zorder=0)
    axes.axvline(FLOOR, color="0.6", linewidth=1, linestyle=":", zorder=0)
    axes.set(
        xlabel="true speed-up / documented speed-up",
        ylabel="share called too slow",
        ylim=(-0.02, 1.02),
    )
    axes.set_title(
        f"An alarm in the shaded range is false; dotted: 5% below ({PLOTTED}, equal generations)",
        fontsize="medium",
    )
    if chosen:
        axes.legend(fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
