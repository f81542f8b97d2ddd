"""Attempts of one CI run: the last one of each row counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from pytest_sdspeed.history.contents import StoredFile, StoredRunFacts
    from pytest_sdspeed.model import HistoryKey

    _Job: TypeAlias = tuple[str | None, ...]
    _Versions: TypeAlias = tuple[tuple[str, str], ...]


def find_superseded(
    files: Iterable[StoredFile], current: StoredRunFacts | None = None
) -> set[tuple[int, HistoryKey]]:
    """Return the results that a later attempt has repeated, as ``id`` of their file and key.

    Runs of one job of a CI run, of one commit, are attempts if their numbers differ, or if they ran
    on one host: jobs of a matrix run beside each other, and on several hosts. With other versions a
    row is another measurement.

    Args:
        files: files of stored runs, sorted by date.
        current: the run in hand, which is later than all that is stored; None if there is none.
    """
    rows: dict[tuple[_Job, HistoryKey, _Versions], list[StoredFile]] = {}
    superseded: set[tuple[int, HistoryKey]] = set()
    # Results share their versions, whose order costs time.
    known: dict[int, _Versions] = {}
    for file in files:
        run = file.run
        if run.ci_run is None:
            continue
        if current is not None and _job_of(run) == _job_of(current) and _is_before(run, current):
            superseded.update((id(file), one.key) for one in file.results)
            continue
        for one in file.results:
            versions = known.get(id(one.run.versions))
            if versions is None:
                versions = known[id(one.run.versions)] = tuple(sorted(one.run.versions.items()))
            row = rows.setdefault((_job_of(run), one.key, versions), [])
            if not row or row[-1] is not file:
                row.append(file)
    for (_, key, _), row in rows.items():
        last = max(row, key=lambda file: (file.run.ci_attempt or 0, file.run.date)).run
        superseded.update((id(file), key) for file in row if _is_before(file.run, last))
    return superseded


def _job_of(run: StoredRunFacts) -> _Job:
    return run.ci_run, run.ci_job, run.commit


def _is_before(run: StoredRunFacts, last: StoredRunFacts) -> bool:
    """Tell whether a run is an earlier attempt of what the last one of a job did again."""
    if (run.id or run) == (last.id or last):
        return False
    if None not in (run.ci_attempt, last.ci_attempt) and run.ci_attempt != last.ci_attempt:
        return True
    return run.host is not None and run.host == last.host
