"""The histories of stored runs, and the place of a run in hand in them."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import PlaceError
from pytest_sdspeed.history.facts import Series, run_in_history
from pytest_sdspeed.history.index import contents
from pytest_sdspeed.history.merging import Kept, merged
from pytest_sdspeed.history.places import Folder
from pytest_sdspeed.model import History, HistoryRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_sdspeed.history.facts import Kind
    from pytest_sdspeed.history.index_tables import Contents
    from pytest_sdspeed.history.places import Place
    from pytest_sdspeed.model import Result

NAMED = 5
"""Files that are named of each kind that is passed over."""
_KINDS: dict[Kind, str] = {
    "damaged": "damaged files",
    "unfinished": "unfinished files",
    "schema": "files of another schema",
    "record": "files with damaged records",
    "copy": "copies that differ",
}


class Gathered(NamedTuple):
    """What several places say together.

    Attributes:
        histories: one for each table, setup, baseline, device and recipe, without their changes.
        problems: lines on what was passed over.
        files: those that count, the oldest first.
        read: whether any of the places could be read.
    """

    histories: tuple[History, ...]
    problems: tuple[str, ...]
    files: Sequence[Kept]
    read: bool


def histories(*folders: Path) -> tuple[tuple[History, ...], tuple[str, ...]]:
    """All histories below folders of stored runs, without their changes, and lines on what was passed over.

    Args:
        folders: such as that of ``--benchmark-storage``; where there is none, there are no histories.
    """
    found = gathered([Folder(folder) for folder in folders])
    return found.histories, found.problems


def gathered(places: Sequence[Place]) -> Gathered:
    """What places hold together. A place that cannot be read is named, and the others are read.

    What is there twice counts once: two tests that share a campaign, two files that hold the same run.
    """
    held: list[tuple[Place, Contents]] = []
    problems: list[str] = []
    with _no_collection():
        for place in places:
            try:
                held.append((place, contents(place)))
            except PlaceError as error:
                problems.append(f"sd history: {error}")
            else:
                problems += held[-1][1].found.problems
        runs, files, wrong = merged(held)
    found = (History(**series._asdict(), runs=tuple(members)) for series, members in runs.items())
    return Gathered(tuple(found), (*problems, *_passed_over(held, wrong)), files, read=bool(held))


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection: it would look at every fact of thousands of runs several times over, and none is in a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def series_of(result: Result, test: str) -> Series:
    """The series that a result in hand belongs to: its fields are those of its ``History``.

    Args:
        result: what was measured.
        test: id of the test that measured it, which tells callables apart.
    """
    from pytest_sdspeed.store.records import recipe_key, stored_recipe

    return Series(result.table, result.setup, result.baseline, result.device, recipe_key(stored_recipe(result), test))


def history_run(result: Result, run_info: Mapping[str, Any]) -> HistoryRun:
    """A result in hand as the run of a history, without a name.

    Args:
        result: what was measured.
        run_info: of the run, as ``saving.run_info`` makes it.
    """
    from datetime import UTC, datetime

    from pytest_sdspeed.history.parsing import result_facts, run_facts
    from pytest_sdspeed.store.records import record

    # Its pictures say nothing here, and storing them costs.
    stored = record(replace(result, exhibits=()))
    return run_in_history("", run_facts(run_info, datetime.now(UTC).timestamp()), result_facts(stored))


def _passed_over(held: Iterable[tuple[Place, Contents]], wrong: Iterable[tuple[Kind, str]]) -> Iterator[str]:
    """What was not read, and why: a line each for the first few files of a kind, and one on what is not this plugin's."""
    lines: dict[Kind, list[str]] = {kind: [] for kind in _KINDS}
    others = [0, 0]
    for kind, line in wrong:
        lines[kind].append(line)
    for place, stored in held:
        lines["unfinished"] += [
            f"{place.named(path)}: left by a run that was killed, or is being written" for path in stored.found.unfinished
        ]
        others = [others[0] + stored.files_of_others, others[1] + stored.benchmarks_of_others]
    for kind, what in _KINDS.items():
        yield from _capped(lines[kind], what)
    if any(others):
        yield f"sd history: not this plugin's: {others[0]} files, and {others[1]} benchmarks in files that hold its own too"


def _capped(lines: list[str], what: str) -> Iterator[str]:
    yield from (f"sd history: passed over {line}" for line in lines[:NAMED])
    if len(lines) > NAMED:
        yield f"sd history: passed over, and {len(lines) - NAMED} more {what}"
