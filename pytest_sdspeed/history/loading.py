"""The histories of stored runs."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import AcknowledgementError, PlaceError
from pytest_sdspeed.history.accounts import merge_accounts
from pytest_sdspeed.history.acknowledged import parse_acknowledged
from pytest_sdspeed.history.index import read_storage
from pytest_sdspeed.history.merging import RunFile, merge_runs
from pytest_sdspeed.history.storages import Folder
from pytest_sdspeed.model import History

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pytest_sdspeed.history.aliases import Renaming
    from pytest_sdspeed.history.contents import Fault, IndexedRuns, StoredRunFacts
    from pytest_sdspeed.history.storages import Storage
    from pytest_sdspeed.model import AccountHistory, Acknowledgement

NAMED = 5
"""How many files are named for each fault for which files are passed over."""
_FAULTS: dict[Fault, str] = {
    "damaged": "damaged files",
    "unfinished": "unfinished files",
    "schema": "files of another schema",
    "record": "files with damaged records",
    "copy": "copies that differ",
}


class LoadedHistories(NamedTuple):
    """What several storages say together.

    Attributes:
        histories: one for each table, setup, baseline, device, processor and recipe, without their
            changes.
        problems: lines on what was passed over.
        files: those that count, the oldest first.
        read: whether any of the storages could be read.
        acknowledged: changes that were accepted, in the histories of today's names.
        unread: what is wrong with files of such changes, of which none counts.
        accounts: one history for each target that was counted, without its changes.
    """

    histories: tuple[History, ...]
    problems: tuple[str, ...]
    files: Sequence[RunFile]
    read: bool
    acknowledged: tuple[Acknowledgement, ...] = ()
    unread: tuple[AcknowledgementError, ...] = ()
    accounts: tuple[AccountHistory, ...] = ()

    def describe_unread(self) -> Iterator[str]:
        """Yield a line for each file of accepted changes that does not count."""
        return (f"sd history: {error}: nothing in it counts" for error in self.unread)


def load_histories(*folders: Path) -> tuple[tuple[History, ...], tuple[str, ...]]:
    """Return all histories below folders, without their changes, and lines on what was passed over.

    Args:
        folders: folders of stored runs, such as that of ``--benchmark-storage``; one that is not
            there has no histories.
    """
    found = load_from([Folder(folder) for folder in folders])
    return found.histories, found.problems


def load_from(
    storages: Sequence[Storage],
    renaming: Renaming | None = None,
    current: StoredRunFacts | None = None,
) -> LoadedHistories:
    """Return what storages hold together; one that cannot be read is named.

    What is there twice counts once: two tests that share a campaign, two files that hold the same
    run, attempts of one CI run.

    Args:
        storages: storages of stored runs.
        renaming: tells the names of today.
        current: the run in hand, or None: what it repeats of its CI run does not count.
    """
    held: list[tuple[Storage, IndexedRuns]] = []
    problems: list[str] = []
    with _without_collection():
        for storage in storages:
            try:
                held.append((storage, read_storage(storage)))
            except PlaceError as error:
                problems.append(f"sd history: {error}")
            else:
                problems += held[-1][1].listing.problems
        runs, files, wrong = merge_runs(held, renaming, current)
    accepted, unread = _read_acknowledged(held)
    if renaming is not None:
        accepted = [replace(one, key=renaming.rename(one.key)) for one in accepted]
        problems += renaming.describe_problems()
    found = (History.with_runs(key, members) for key, members in runs.items())
    return LoadedHistories(
        tuple(found),
        (*problems, *_describe_skipped(held, wrong)),
        files,
        read=bool(held),
        acknowledged=tuple(accepted),
        unread=tuple(unread),
        accounts=merge_accounts((kept.file for kept in files), renaming),
    )


def _read_acknowledged(
    held: Iterable[tuple[Storage, IndexedRuns]],
) -> tuple[list[Acknowledgement], list[AcknowledgementError]]:
    """Return the changes that were accepted, and what is wrong with the files of others."""
    accepted: list[Acknowledgement] = []
    unread: list[AcknowledgementError] = []
    for storage, stored in held:
        for path, where in stored.listing.acknowledged.items():
            try:
                (content,) = storage.fetch([where])
                accepted += parse_acknowledged(content, storage.describe(path))
            except AcknowledgementError as error:
                unread.append(error)
            except PlaceError as error:
                unread.append(AcknowledgementError(storage.describe(path), "", str(error)))
    return accepted, unread


@contextmanager
def _without_collection() -> Iterator[None]:
    """Collect no garbage: thousands of runs would be looked at often, and none is in a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _describe_skipped(
    held: Iterable[tuple[Storage, IndexedRuns]], wrong: Iterable[tuple[Fault, str]]
) -> Iterator[str]:
    """Yield lines on what was not read, and why.

    The first few files of each fault have a line of their own; one line is on what is not this
    plugin's.
    """
    lines: dict[Fault, list[str]] = {fault: [] for fault in _FAULTS}
    others = [0, 0]
    for fault, line in wrong:
        lines[fault].append(line)
    for storage, stored in held:
        lines["unfinished"] += [
            f"{storage.describe(path)}: left by a run that was killed, or is being written"
            for path in stored.listing.unfinished
        ]
        others = [others[0] + stored.foreign_files, others[1] + stored.foreign_benchmarks]
    for fault, what in _FAULTS.items():
        yield from _name_first(lines[fault], what)
    if any(others):
        yield (
            f"sd history: not this plugin's: {others[0]} files, and {others[1]} benchmarks in files"
            " that hold its own too"
        )


def _name_first(lines: list[str], what: str) -> Iterator[str]:
    yield from (f"sd history: passed over {line}" for line in lines[:NAMED])
    if len(lines) > NAMED:
        yield f"sd history: passed over, and {len(lines) - NAMED} more {what}"
