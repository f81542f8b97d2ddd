"""Replay the history rule and the rules of other tools, night by night.

    history_replay.py nightlies.csv              # real nightlies
    history_replay.py --simulate                 # series with known changes, under ten minutes
    history_replay.py --simulate --quick         # fewer of them, under one minute
    history_replay.py nightlies.csv --simulate --docs docs/figures  # also renews documentation

The columns of the file are timestamp_utc, commit, case, framework, latency_s. The study prints
Markdown tables; ``history/scoring.py`` describes how alarms are scored. If the file is bad, the
message names line and column; exit code 2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from history import nightlies, peers, scoring, simulation, tables
from markdown_tables import add_docs_option, write_snippets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from history.rules import Rule

FULL, QUICK = (100, 160), (8, 16)
"""Number of simulated series for the fast rules: without a change, and with each change."""

QUICK_NOISES = ("iid, CV 1%", "spikes", "two speeds", "AR(1), CV 1%")


def main() -> None:
    """Replay, simulate, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("csv", nargs="?", type=Path, metavar="CSV", help="nightlies to replay")
    parser.add_argument("--simulate", action="store_true", help="also, or only, simulated series")
    parser.add_argument("--quick", action="store_true", help="fewer simulated series")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="OUT",
        help="writes everything: each alarm, each lasting step and who found it",
    )
    add_docs_option(parser)
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        metavar="N",
        help="processes that simulate; default: %(default)s",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the simulation; default: %(default)s"
    )
    options = parser.parse_args()
    if not (options.csv or options.simulate):
        parser.error("nothing to do: name a CSV file, or --simulate, or both")
    try:
        data = nightlies.read(options.csv) if options.csv else None
    except (OSError, ValueError) as error:
        parser.exit(2, f"history_replay: {error}\n")
    rules, missing = peers.available()
    for said in missing:
        print(said, file=sys.stderr)
    texts, everything, snippets = [], dict[str, Any](), dict[str, str]()
    if data:
        replays = scoring.replay(data.series, rules)
        texts += [_about(data), tables.NOTES, tables.replayed(replays)]
        snippets |= tables.replayed_snippets(replays)
        everything["replay"] = {
            "nights": data.nights,
            "repeated_rows": data.repeated,
        } | tables.replayed_json(replays)
    if options.simulate:
        lines = simulate(rules, quick=options.quick, seed=options.seed, processes=options.jobs)
        texts += [tables.simulated(lines), tables.precision(lines)]
        everything["simulation"] = tables.simulated_json(lines)
        snippets |= tables.simulated_snippets(lines)
    print("\n\n".join(texts))
    if options.docs:
        write_snippets(options.docs, snippets)
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


def _about(data: nightlies.Nightlies) -> str:
    results = sum(len(one.nights) for one in data.series)
    repeated = (
        f" {data.repeated} rows repeat the night of another; the last one of each counts."
        if data.repeated
        else ""
    )
    return f"{data.nights} nights, {len(data.series)} series, {results} results.{repeated}"


def simulate(
    rules: Sequence[Rule], *, quick: bool, seed: int, processes: int
) -> list[simulation.Line]:
    """Simulate all lines, which do not depend on the number of processes."""
    tasks = simulation.jobs(
        rules, QUICK_NOISES if quick else list(simulation.NOISES), QUICK if quick else FULL, seed
    )
    if processes == 1:
        return simulation.lines(tasks)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return simulation.lines(tasks, pool.map)


if __name__ == "__main__":
    main()
