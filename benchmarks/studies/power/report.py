"""The lines of the studies as CSV, as Markdown tables and as a plot."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

from markdown_tables import MarkdownTable, join_titled

from power.campaigns import FLOOR
from power.studies import DOCUMENTED, RATIOS, SHORT, Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

PLOTTED = "mixed, CV 3.0%"
GATE, PEERS = "gate.md", "gate-peers.md"
"""Snippets of the documentation."""


def write_csv(lines: Sequence[Line], path: Path) -> None:
    """Write one line for each line of the studies; columns that do not apply are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0].cells()))
        writer.writeheader()
        writer.writerows(line.cells() for line in lines)


def markdown(lines: Sequence[Line]) -> str:
    """Write every study as a table, with shares in percent."""
    tables = [_gate(lines), _rules(lines), _rows(lines), _control(lines), _peers(lines)]
    return join_titled(tables, level=3) + "\n"


def snippets(lines: Sequence[Line]) -> dict[str, str]:
    """Return the tables of the documentation: gate and peers, under the most telling noises.

    Returns:
        File name to Markdown.
    """
    gate = [line for line in lines if _tells(line.noise, ("CV 1.0%", "CV 3.0%"))]
    peers = [line for line in lines if _tells(line.noise, ("CV 3.0%",))]
    return {GATE: _gate(gate).text(), PEERS: _peers(peers).text()}


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
    )
    cells = [
        (
            noise,
            share(at[FLOOR].passed),
            share(at[FLOOR].failed),
            share(at[DOCUMENTED].failed, 3),
            share(at[SHORT].failed, 1),
            share(at[DOCUMENTED].passed, 1),
            share(at[0.97].passed, 1),
            number(at[DOCUMENTED].blocks),
        )
        for (noise, _rule), at in _by_ratio(lines, "gate")
    ]
    return MarkdownTable("The gate", header, cells)


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
        "true speed-up",
        "rows that `pass`",
        "rows that `fail`",
        "every row `pass`",
        "some row `fail`",
        "blocks",
    )
    cells = [
        (
            str(line.rows + 1),
            f"x{line.ratio:.2f}",
            share(line.passed),
            share(line.failed),
            share(line.suite_passed),
            share(line.suite_failed),
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
    axes.legend(fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
