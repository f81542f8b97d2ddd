"""Stored runs of several storages as one history: in the order of their dates, and none twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.history.aliases import Renaming
from pytest_sdspeed.history.ci_attempts import find_superseded
from pytest_sdspeed.history.keys import settle_work
from pytest_sdspeed.history.processors import settle_processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_sdspeed.history.contents import (
        Fault,
        IndexedRuns,
        StoredFile,
        StoredResult,
        StoredRunFacts,
    )
    from pytest_sdspeed.history.storages import Storage
    from pytest_sdspeed.model import HistoryKey, HistoryRun

TWICE_S = 1.0
"""Two files without an id, which runs lacked once, are of one run if host, commit and samples are
equal and their dates are nearer than this."""


class RunFile(NamedTuple):
    """A file that counts: its storage, what it holds, and where it is there."""

    storage: Storage
    file: StoredFile
    where: str


class MergedRuns(NamedTuple):
    """What storages hold together.

    Attributes:
        runs: the runs of every history, by date, then name.
        files: those that these runs are from, and those without results, in the same order.
        wrong: the fault of a file, and words that name it, in the order of storages and paths.
    """

    runs: dict[HistoryKey, list[HistoryRun]]
    files: list[RunFile]
    wrong: list[tuple[Fault, str]]


def merge_runs(
    storages: Sequence[tuple[Storage, IndexedRuns]],
    renaming: Renaming | None = None,
    current: StoredRunFacts | None = None,
) -> MergedRuns:
    """Return the runs of all storages, each once, however often it was written.

    Args:
        storages: storages, with what they hold.
        renaming: tells the names of today.
        current: the run in hand, or None: what it repeats of its CI run does not count.
    """
    wrong: list[tuple[Fault, str]] = [
        (kind, f"{storage.describe(path)}: {words}")
        for storage, held in storages
        for path, kind, words in held.wrong
    ]
    files = sorted(
        (
            RunFile(storage, file, held.listing.files[file.path][0])
            for storage, held in storages
            for file in held.files
        ),
        key=lambda kept: (kept.file.run.date, kept.file.path.rpartition("/")[2]),
    )
    files = _settle_keys(files, renaming or Renaming())
    outdone: dict[int, set[HistoryKey]] = {}
    for number, key in find_superseded((kept.file for kept in files), current):
        outdone.setdefault(number, set()).add(key)
    damaged = {
        (storage.describe(""), path) for storage, held in storages for path, *_ in held.wrong
    }
    for copies in _find_copies(files):
        best = min(
            copies,
            key=lambda kept: (
                (kept.storage.describe(""), kept.file.path) in damaged,
                -len(kept.file.results),
            ),
        )
        for other in copies:
            if other is not best:
                outdone.setdefault(id(other.file), set()).update(
                    series for series, *_ in best.file.results
                )
                if not _figures_of(other.file) <= _figures_of(best.file):
                    words = (
                        f"differs from {best.storage.describe(best.file.path)}, a copy of the same"
                        " run, which counts"
                    )
                    wrong.append(("copy", f"{other.storage.describe(other.file.path)}: {words}"))
    members: dict[HistoryKey, _Members] = {}
    counted = list(_count(files, outdone, members))
    return MergedRuns({key: found.runs for key, found in members.items()}, counted, wrong)


def _settle_keys(files: list[RunFile], renaming: Renaming) -> list[RunFile]:
    """Give results the names of today, and what they do not tell of processor and work."""
    renaming.learn(
        (kept.file.run.id or id(kept.file), key)
        for kept in files
        for key in (
            *(one.key for one in kept.file.results),
            *(one.key for one in kept.file.accounts),
        )
    )
    if renaming.aliases:
        files = _with_keys(files, lambda one: renaming.rename(one.key))
    models = settle_processors(_list_results(files))
    if models:
        files = _with_keys(
            files,
            lambda one: (
                replace(one.key, cpu=models.get((one.key, one.run.host)))
                if one.key.cpu is None
                else one.key
            ),
        )
    settled = settle_work(_list_results(files))
    return _with_keys(files, lambda one: settled.get(id(one), one.key)) if settled else files


def _list_results(files: Iterable[RunFile]) -> list[StoredResult]:
    return [one for kept in files for one in kept.file.results]


def _with_keys(
    files: Iterable[RunFile], find_key: Callable[[StoredResult], HistoryKey]
) -> list[RunFile]:
    return [
        kept._replace(
            file=kept.file._replace(
                results=[one._replace(key=find_key(one)) for one in kept.file.results]
            )
        )
        for kept in files
    ]


class _Members(NamedTuple):
    """The runs of one history so far.

    Attributes:
        runs: the runs, sorted by date.
        dates: identity of a run and its samples -> date of the latest such run.
    """

    runs: list[HistoryRun]
    dates: dict[tuple[object, int], str]


def _count(
    files: Iterable[RunFile],
    outdone: Mapping[int, set[HistoryKey]],
    members: dict[HistoryKey, _Members],
) -> Iterator[RunFile]:
    """Put each result of files into the runs of its history once, and yield the files that count.

    A file counts if it had a result to put there, or holds none at all.

    Args:
        files: the files, sorted by date.
        outdone: ``id`` of a file -> keys of the results that a better copy of it has.
        members: the runs of every history so far.
    """
    for kept in files:
        run, other, new = kept.file.run, outdone.get(id(kept.file), ()), not kept.file.results
        identity = run.id or (run.host, run.commit, run.dated)
        for key, samples, result in kept.file.results:
            if key in other:
                continue
            found = members.get(key)
            if found is None:
                found = members[key] = _Members([], {})
            # Equal samples are one campaign, whatever test or file they come from.
            campaign = identity, samples
            if campaign in found.dates and _is_same(run, found.dates[campaign]):
                continue
            found.dates[campaign] = run.date
            found.runs.append(result)
            new = True
        if new:
            yield kept


def _is_same(run: StoredRunFacts, date: str) -> bool:
    """Tell whether a run is the one of that date that has the same samples and identity."""
    if run.date == date or not run.dated:
        return True
    return (
        run.id is None
        and abs((datetime.fromisoformat(run.date) - datetime.fromisoformat(date)).total_seconds())
        < TWICE_S
    )


def _find_copies(files: Iterable[RunFile]) -> Iterator[list[RunFile]]:
    """Yield the files of each run that has several, by id and date.

    A file that somebody gave another date is another run.
    """
    groups: dict[tuple[str, str], list[RunFile]] = {}
    for kept in files:
        if kept.file.run.id is not None:
            groups.setdefault((kept.file.run.id, kept.file.run.date), []).append(kept)
    return (group for group in groups.values() if len(group) > 1)


def _figures_of(file: StoredFile) -> set[tuple[object, ...]]:
    """Return what two copies of a run must have in common."""
    return {
        (series, samples, run.verdict, run.speedup, run.low, run.high)
        for series, samples, run in file.results
    }
