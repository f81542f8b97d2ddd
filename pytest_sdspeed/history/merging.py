"""Stored runs of several places as one history: in the order of their dates, and none twice."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_sdspeed.history.contents import Fault, IndexedRuns, StoredFile, StoredRunFacts
    from pytest_sdspeed.history.storages import Storage
    from pytest_sdspeed.model import HistoryKey, HistoryRun

TWICE_S = 1.0
"""Two files from before runs had an id are of one run where host, commit and samples are equal and
their dates are nearer than this."""


class RunFile(NamedTuple):
    """A file that counts."""

    place: Storage
    file: StoredFile
    where: str


class MergedRuns(NamedTuple):
    """What places hold together.

    Attributes:
        runs: of every series, by date, then name.
        files: those that these runs are of, and those whose results have no series, in the same
            order.
        wrong: what kind of thing is wrong with a file, and in words that name it, in the order of
            places and paths.
    """

    runs: dict[HistoryKey, list[HistoryRun]]
    files: list[RunFile]
    wrong: list[tuple[Fault, str]]


def merge_runs(places: Sequence[tuple[Storage, IndexedRuns]]) -> MergedRuns:
    """The runs of all places, each once, wherever it lies and however often it was written."""
    wrong: list[tuple[Fault, str]] = [
        (kind, f"{place.named(path)}: {words}")
        for place, held in places
        for path, kind, words in held.wrong
    ]
    files = sorted(
        (
            RunFile(place, file, held.listing.files[file.path][0])
            for place, held in places
            for file in held.files
        ),
        key=lambda kept: (kept.file.run.date, kept.file.path.rpartition("/")[2]),
    )
    outdone: dict[int, set[HistoryKey]] = {}
    damaged = {(place.named(""), path) for place, held in places for path, *_ in held.wrong}
    for copies in _copies(files):
        best = min(
            copies,
            key=lambda kept: (
                (kept.place.named(""), kept.file.path) in damaged,
                -len(kept.file.results),
            ),
        )
        for other in copies:
            if other is not best:
                outdone[id(other.file)] = {series for series, *_ in best.file.results}
                if not _figures(other.file) <= _figures(best.file):
                    words = (
                        f"differs from {best.place.named(best.file.path)}, a copy of the same run,"
                        " which counts"
                    )
                    wrong.append(("copy", f"{other.place.named(other.file.path)}: {words}"))
    members: dict[HistoryKey, _Members] = {}
    counted = list(_count(files, outdone, members))
    return MergedRuns({key: found.runs for key, found in members.items()}, counted, wrong)


class _Members(NamedTuple):
    """The runs of one history so far, and (identity of the run, its samples) -> date of the latest."""

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
        files: by date.
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
    """Whether a run is the one of that date that has its samples, and its id or host and commit."""
    if run.date == date or not run.dated:
        return True
    return (
        run.id is None
        and abs((datetime.fromisoformat(run.date) - datetime.fromisoformat(date)).total_seconds())
        < TWICE_S
    )


def _copies(files: Iterable[RunFile]) -> Iterator[list[RunFile]]:
    """Files of one run, by id and date, where there are several: a file that somebody gave another date is another run."""
    groups: dict[tuple[str, str], list[RunFile]] = {}
    for kept in files:
        if kept.file.run.id is not None:
            groups.setdefault((kept.file.run.id, kept.file.run.date), []).append(kept)
    return (group for group in groups.values() if len(group) > 1)


def _figures(file: StoredFile) -> set[tuple[object, ...]]:
    """What two copies of a run must have in common."""
    return {
        (series, samples, run.verdict, run.speedup, run.low, run.high)
        for series, samples, run in file.results
    }
