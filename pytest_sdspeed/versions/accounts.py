"""One run against another version that counts: two workers, and two accounts of every target."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import (
    GenerationError,
    SdSpeedError,
    UnsupportedError,
    UsageMistakeError,
    WorkerLostError,
)
from pytest_sdspeed.judge.accounts import compare_accounts, drop_repeats, find_more, list_changes
from pytest_sdspeed.model import AccountAgainst
from pytest_sdspeed.model.account_history import NEGLIGIBLE
from pytest_sdspeed.versions.file_names import find_names, rename_files
from pytest_sdspeed.versions.workers import Worker, note_same_code, start_missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_sdspeed.model import AccountResult, CountChange, Verdict
    from pytest_sdspeed.run.targets import Target
    from pytest_sdspeed.versions.environments import Environment
    from pytest_sdspeed.versions.workers import WorkerConfig

_GRAVITY: tuple[Verdict, ...] = ("fail", "invalid", "pass")


class Counted(NamedTuple):
    """What the process of one version counted.

    Attributes:
        result: what that process made of it, held to its bounds.
        modules: name of a file in the account -> its path from the folder of its package.
    """

    result: AccountResult
    modules: Mapping[str, str]


class AccountComparison:
    """Counts in the version in hand and in another one, each in its own process.

    Each process runs the test that asks, so that whatever a test can count can be compared.

    Args:
        spec: what the other version is, as ``--sd-against`` was given.
        new: environment of the version in hand.
        old: environment of the other version.
        told: what every worker is told.
    """

    def __init__(
        self, spec: str, *, new: Environment, old: Environment, told: WorkerConfig
    ) -> None:
        self._spec = spec
        self._new, self._old = Worker("new", new, told), Worker("old", old, told)

    def open(self) -> None:
        """Start the workers. ``close`` must follow, even if this raises.

        Raises:
            UsageMistakeError: a version does not start, or does not import.
        """
        try:
            start_missing((self._new, self._old))
        except SdSpeedError as error:
            raise UsageMistakeError(f"--sd-against={self._spec}: {error}") from None

    def close(self) -> None:
        """End the workers."""
        for worker in (self._new, self._old):
            worker.stop()

    def count(
        self, target: Target, _bounds: Mapping[str, int], test: str, gate: str
    ) -> AccountResult:
        """Count a target in both versions, and compare; see ``Run.count``.

        The bounds are those that the test's marker and table have in the version in hand.

        Raises:
            UnsupportedError: no version can count it, or only the one in hand can.
            SdSpeedError: it could not be counted; the message says on which side, and why.
        """
        start_missing((self._new, self._old))
        new, old = self._ask_both(test, gate)
        if isinstance(new, SdSpeedError):
            raise self._explain_new(target.name, new, old)
        if isinstance(old, SdSpeedError):
            if new.result.verdict in ("fail", "invalid"):
                # It does not pass, whatever the other version asks for.
                note = f"not compared with {self._old.environment.label}: {old}"
                return replace(new.result, notes=(*new.result.notes, note))
            raise self._explain_old(target.name, old)
        return self._compare(new, old)

    def _ask_both(
        self, test: str, gate: str
    ) -> tuple[Counted | SdSpeedError, Counted | SdSpeedError]:
        """Ask both workers at once: nothing is timed."""
        try:
            for worker in (self._new, self._old):
                worker.send("account", test, gate)
            return _receive(self._new), _receive(self._old)
        except BaseException:
            # A time limit, or Ctrl+C: an answer is still to come, and is not the next one's.
            self.close()
            raise

    def _explain_new(
        self, name: str, error: SdSpeedError, old: Counted | SdSpeedError
    ) -> SdSpeedError:
        """Say that the version in hand could not count: no pass, and no skip if the other could."""
        if isinstance(error, WorkerLostError):
            return error
        if not isinstance(error, UnsupportedError):
            return type(error)(f"{self._new.environment.label}: {error}")
        if isinstance(old, UnsupportedError):
            return error
        return GenerationError(
            f"{self._new.environment.label} cannot count {name}, and {self._old.environment.label}"
            f" can: {error}"
        )

    def _explain_old(self, name: str, error: SdSpeedError) -> SdSpeedError:
        """Say that there is nothing to compare with."""
        if isinstance(error, WorkerLostError):
            return error
        said = (
            f"{self._old.environment.label} cannot count {name}, so there is nothing to compare"
            f" with: {error}"
        )
        return UnsupportedError(said) if isinstance(error, UnsupportedError) else type(error)(said)

    def _compare(self, new: Counted, old: Counted) -> AccountResult:
        theirs = rename_files(old.result.account, find_names(new.modules, old.modules))
        ours = new.result.account
        found = compare_accounts(theirs, ours)
        versions: Mapping[str, str] = new.result.versions
        versions_of: Mapping[str, str] = old.result.versions
        changes = list_changes(theirs, ours)
        notes = (*new.result.notes, *_note_negligible(changes))
        # A worker may be lost here too; what was counted before stays.
        with suppress(SdSpeedError):
            versions, versions_of = self._new.ask("versions"), self._old.ask("versions")
            notes = (*notes, *note_same_code(self._old, "counted"))
        return replace(
            new.result,
            verdict=min((new.result.verdict or "pass", found.verdict), key=_GRAVITY.index),
            reasons=tuple(dict.fromkeys((*new.result.reasons, *found.reasons))),
            versions=versions,
            notes=notes,
            against=AccountAgainst(
                spec=self._spec,
                label=self._old.environment.label,
                account=theirs,
                versions=versions_of,
                more=tuple(str(one) for one in changes if one.rises),
                fewer=found.fewer,
                places=found.places,
                gone=drop_repeats(find_more(ours, theirs)),
            ),
        )


def _note_negligible(changes: Iterable[CountChange]) -> list[str]:
    return [
        f"{one}: less than {NEGLIGIBLE:.1%} of the call, which fails no test"
        for one in changes
        if one.is_negligible
    ]


def _receive(worker: Worker) -> Counted | SdSpeedError:
    """Return what a worker counted, or the error that it raised."""
    from pytest_sdspeed.store.accounts import account_from_json

    try:
        told = worker.receive()
    except SdSpeedError as error:
        return error
    return Counted(account_from_json(json.loads(told["account"])), told["modules"])
