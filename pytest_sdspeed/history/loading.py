"""The histories of stored runs, and the place of a run in hand in them."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import PlaceError
from pytest_sdspeed.history.index import read_storage
from pytest_sdspeed.history.merging import RunFile, merge_runs
from pytest_sdspeed.history.storages import Folder
from pytest_sdspeed.model import History

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pytest_sdspeed.history.contents import Fault, IndexedRuns
    from pytest_sdspeed.history.storages import Storage

NAMED = 5
"""Files that are named of each kind that is passed over."""
_KINDS: dict[Fault, str] = {
    "damaged": "damaged files",
    "unfinished": "unfinished files",
    "schema": "files of another schema",
    "record": "files with damaged records",
    "copy": "copies that differ",
}


class LoadedHistories(NamedTuple):
    """What several places say together.

    Attributes:
        histories: one for each table, setup, baseline, device and recipe, without their changes.
        problems: lines on what was passed over.
        files: those that count, the oldest first.
        read: whether any of the places could be read.
    """

    histories: tuple[History, ...]
    problems: tuple[str, ...]
    files: Sequence[RunFile]
    read: bool


def load_histories(*folders: Path) -> tuple[tuple[History, ...], tuple[str, ...]]:
    """All histories below folders of stored runs, without their changes, and lines on what was passed over.

    Args:
        folders: such as that of ``--benchmark-storage``; where there is none, there are no
            histories.
    """
    found = load_from([Folder(folder) for folder in folders])
    return found.histories, found.problems


def load_from(places: Sequence[Storage]) -> LoadedHistories:
    """What places hold together. A place that cannot be read is named, and the others are read.

    What is there twice counts once: two tests that share a campaign, two files that hold the same
    run.
    """
    held: list[tuple[Storage, IndexedRuns]] = []
    problems: list[str] = []
    with _no_collection():
        for place in places:
            try:
                held.append((place, read_storage(place)))
            except PlaceError as error:
                problems.append(f"sd history: {error}")
            else:
                problems += held[-1][1].listing.problems
        runs, files, wrong = merge_runs(held)
    found = (History.with_runs(key, members) for key, members in runs.items())
    return LoadedHistories(
        tuple(found), (*problems, *_passed_over(held, wrong)), files, read=bool(held)
    )


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


def _passed_over(
    held: Iterable[tuple[Storage, IndexedRuns]], wrong: Iterable[tuple[Fault, str]]
) -> Iterator[str]:
    """What was not read, and why: a line each for the first few files of a kind, and one on what is not this plugin's."""
    lines: dict[Fault, list[str]] = {kind: [] for kind in _KINDS}
    others = [0, 0]
    for kind, line in wrong:
        lines[kind].append(line)
    for place, stored in held:
        lines["unfinished"] += [
            f"{place.named(path)}: left by a run that was killed, or is being written"
            for path in stored.listing.unfinished
        ]
        others = [others[0] + stored.foreign_files, others[1] + stored.foreign_benchmarks]
    for kind, what in _KINDS.items():
        yield from _capped(lines[kind], what)
    if any(others):
        yield (
            f"sd history: not this plugin's: {others[0]} files, and {others[1]} benchmarks in files"
            " that hold its own too"
        )


def _capped(lines: list[str], what: str) -> Iterator[str]:
    yield from (f"sd history: passed over {line}" for line in lines[:NAMED])
    if len(lines) > NAMED:
        yield f"sd history: passed over, and {len(lines) - NAMED} more {what}"
