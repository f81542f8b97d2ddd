"""The histories of a folder of stored runs, and the place of a run in hand in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.history.facts import Series, run_in_history
from pytest_sdspeed.history.index import contents
from pytest_sdspeed.model import History, HistoryRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_sdspeed.history.facts import Kind
    from pytest_sdspeed.history.rows import Contents
    from pytest_sdspeed.model import Result

NAMED = 5
"""Files that are named of each kind that is passed over."""
_KINDS: dict[Kind, str] = {
    "damaged": "damaged files",
    "unfinished": "unfinished files",
    "schema": "files of another schema",
    "record": "files with damaged records",
}


def histories(folder: Path) -> tuple[tuple[History, ...], tuple[str, ...]]:
    """All histories below a folder of stored runs, without their changes.

    What is there twice counts once: two tests that share a campaign, two files that hold the same run.

    Args:
        folder: that of ``--benchmark-storage``; where there is none, there are no histories.

    Returns:
        One history for each table, setup, baseline, device and recipe, and lines on what was passed over.
    """
    stored, problems = contents(folder)
    names = {file: PurePosixPath(path).stem for file, path in stored.paths.items()}
    in_order = sorted(stored.runs, key=lambda file: (stored.runs[file].date, names[file]))
    place = {file: number for number, file in enumerate(in_order)}
    runs: dict[Series, list[HistoryRun]] = {}
    seen = set()
    for file, series, result in sorted(stored.results, key=lambda found: place[found[0]]):
        same = (series, stored.runs[file].date, result.samples)
        if same not in seen:
            seen.add(same)
            runs.setdefault(series, []).append(run_in_history(names[file], stored.runs[file], result))
    found = tuple(History(**series._asdict(), runs=tuple(members)) for series, members in runs.items())
    return found, (*problems, *_passed_over(folder, stored))


def series_of(result: Result, test: str) -> Series:
    """The series that a result in hand belongs to: its fields are those of its ``History``.

    Args:
        result: what was measured.
        test: id of the test that measured it, which tells callables apart.
    """
    from pytest_sdspeed.history.parsing import recipe_key
    from pytest_sdspeed.history.records import stored_recipe

    return Series(result.table, result.setup, result.baseline, result.device, recipe_key(stored_recipe(result), test))


def history_run(result: Result, run_info: Mapping[str, Any]) -> HistoryRun:
    """A result in hand as the run of a history, without a name.

    Args:
        result: what was measured.
        run_info: of the run, as ``saving.run_info`` makes it.
    """
    from datetime import UTC, datetime

    from pytest_sdspeed.history.parsing import result_facts, run_facts
    from pytest_sdspeed.history.records import record

    # Its pictures say nothing here, and storing them costs.
    stored = record(replace(result, exhibits=()))
    return run_in_history("", run_facts(run_info, datetime.now(UTC).timestamp()), result_facts(stored))


def _passed_over(folder: Path, stored: Contents) -> Iterator[str]:
    """What was not read, and why: a line each for the first few files of a kind, and one on what is not this plugin's."""
    wrong: dict[Kind, list[str]] = {kind: [] for kind in _KINDS}
    for file, kind, words in stored.wrong:
        wrong[kind].append(f"{folder / stored.paths[file]}: {words}")
    wrong["unfinished"] += [f"{folder / path}: left by a run that was killed, or is being written" for path in stored.unfinished]
    for kind, lines in wrong.items():
        yield from _capped(sorted(lines), _KINDS[kind])
    yield from _of_others(stored)


def _capped(lines: list[str], what: str) -> Iterator[str]:
    yield from (f"sd history: passed over {line}" for line in lines[:NAMED])
    if len(lines) > NAMED:
        yield f"sd history: passed over, and {len(lines) - NAMED} more {what}"


def _of_others(stored: Contents) -> Iterator[str]:
    own = {file for file, *_ in stored.results} | {file for file, *_ in stored.wrong}
    alone = sum(number > 0 and file not in own for file, number in stored.of_others.items())
    beside = sum(number for file, number in stored.of_others.items() if file in own)
    if alone or beside:
        yield f"sd history: not this plugin's: {alone} files, and {beside} benchmarks in files that hold its own too"
