"""What is known of the files of stored runs.

Nothing heavy is loaded with it: thousands of runs are read from an index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pytest_sdspeed.history.storages import Listing
from pytest_sdspeed.model.history import RunFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.model import HistoryKey, HistoryRun

Fault = Literal["damaged", "unfinished", "schema", "record", "copy"]
"""What may be wrong with a file: it is no stored run, it was never finished, its records are of
another schema, or no records; it differs from another copy of its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRunFacts(RunFacts):
    """What a stored run says about itself.

    Attributes:
        dated: whether the run tells its date, which is otherwise that of its file.
        id: what its files have in common; None for a run from before it was stored.
        cpu: model of the processor.
        ci_run: what all attempts of a run of a CI system share; ci_job: name of its job;
            ci_attempt: a number that is larger in a later attempt. All None if unknown.
    """

    dated: bool
    id: str | None
    cpu: str | None = None
    ci_run: str | None = None
    ci_job: str | None = None
    ci_attempt: int | None = None


class StoredResult(NamedTuple):
    """One result of a stored run.

    Attributes:
        key: what it belongs to the history of.
        samples: tells its samples from others.
        run: what its history keeps.
    """

    key: HistoryKey
    samples: int
    run: HistoryRun


class StoredCounts(NamedTuple):
    """One account of a stored run.

    Attributes:
        key: what it belongs to the history of.
        versions: package -> version.
        account: the stored form of the account, without stages and sizes of operations.
    """

    key: HistoryKey
    versions: Mapping[str, str]
    account: Mapping[str, Any]


class FileContents(NamedTuple):
    """What a file holds.

    Attributes:
        run: what it says about the run, or None if it is damaged.
        results: results of this plugin, in order; the run of each has no name.
        wrong: what is wrong with it, at most one text for each kind of fault.
        foreign: how many benchmarks are not this plugin's.
        accounts: accounts of this plugin, in order.
    """

    run: StoredRunFacts | None
    results: tuple[StoredResult, ...] = ()
    wrong: tuple[tuple[Fault, str], ...] = ()
    foreign: int = 0
    accounts: tuple[StoredCounts, ...] = ()


class StoredFile(NamedTuple):
    """What is known of a file that holds a run.

    Attributes:
        path: its path from its storage, printable.
        run: what holds for all its results.
        foreign: how many of its benchmarks are not this plugin's.
        results: results of this plugin, in order.
        accounts: accounts of this plugin, in order.
    """

    path: str
    run: StoredRunFacts
    foreign: int
    results: list[StoredResult]
    accounts: Sequence[StoredCounts] = ()


class IndexedRuns(NamedTuple):
    """What is known of a storage.

    Attributes:
        files: those that hold runs.
        wrong: path of a file from the storage, printable; the kind of its fault; what is wrong.
        foreign_files: how many files hold nothing of this plugin.
        foreign_benchmarks: how many benchmarks that are not this plugin's stand in files that hold
            its own.
        listing: what lies there.
    """

    files: Sequence[StoredFile] = ()
    wrong: Sequence[tuple[str, Fault, str]] = ()
    foreign_files: int = 0
    foreign_benchmarks: int = 0
    listing: Listing = Listing()
