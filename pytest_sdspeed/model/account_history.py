"""What stored runs say about the account of one setup or callable."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_sdspeed.model.history import HistoryKey, RunFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_sdspeed.model.accounts import Account, Place
    from pytest_sdspeed.model.history import Acknowledgement, Predecessor

NEGLIGIBLE = 0.001
"""Share of an amount of a call by which it may rise: a tensor of a few bytes before the loop."""
_AMOUNTS = ("flops", "bytes_moved", "peak_bytes", "weight_bytes")


@dataclass(frozen=True, slots=True)
class CountChange:
    """A count that is another one than before.

    Attributes:
        name: one of ``ACCOUNT_BOUNDS``, or one of a call, "beyond its steps".
        was: the count of before.
        now: the count of today.
    """

    name: str
    was: int
    now: int

    @property
    def rises(self) -> bool:
        """Tell whether it is higher than before, and not negligibly."""
        return self.now > self.was and not self.is_negligible

    @property
    def is_negligible(self) -> bool:
        """Tell whether it is an amount of a whole call that rose by less than 0.1%.

        Of what is counted one by one, and of what a denoising step asks for, nothing is negligible.
        """
        more = self.now - self.was
        return self.name in _AMOUNTS and 0 < more < NEGLIGIBLE * self.was

    @property
    def pair(self) -> str:
        """Return ``host_syncs_per_step 0 -> 1``."""
        return f"{self.name} {self.was:,} -> {self.now:,}"

    def __str__(self) -> str:
        """Return ``host_syncs_per_step 0 -> 1 (+1)``."""
        return f"{self.pair} ({self.now - self.was:+,})"


@dataclass(frozen=True, slots=True)
class PlaceChange:
    """A line of code that asks for more, or for less, than the other version did.

    Attributes:
        place: where it is, with how often it asks.
        more: how much more, or less, often that is; above 0.
        per_step: whether that is in a denoising step.
    """

    place: Place
    more: int
    per_step: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRun(RunFacts):
    """What one run counted of one target.

    Attributes:
        name: name of the stored file, without folder and suffix; "" for the run in hand.
        versions: package -> version.
        account: what was counted, without stages and sizes of operations.
    """

    name: str
    versions: Mapping[str, str]
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """The counts that differ between one run and the one before: exact, and of no chance.

    Attributes:
        before: index of the run that it is compared with.
        since: index of the first run with the new counts.
        counts: the counts that differ.
        holds: whether the latest run that goes on from it still has more; if nothing rose, less.
        places: lines of code that ask for more.
        gone: lines of code that ask for less.
        versions: package -> before and after, of those that changed with it; None if it was not
            there.
        acknowledged: how it was accepted, or None.
    """

    before: int
    since: int
    counts: tuple[CountChange, ...]
    holds: bool = True
    places: tuple[PlaceChange, ...] = ()
    gone: tuple[PlaceChange, ...] = ()
    versions: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    acknowledged: Acknowledgement | None = None

    @property
    def rises(self) -> bool:
        """Tell whether any count is higher than before."""
        return any(one.rises for one in self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHistory(HistoryKey):
    """The accounts of one target, as the runs counted them, and what changed in them.

    Attributes:
        runs: the oldest first.
        changes: what changed, the oldest first.
        follows: the history that this one began after, or None if it is the first of its target.
    """

    runs: tuple[AccountRun, ...]
    changes: tuple[AccountChange, ...] = ()
    follows: Predecessor | None = None

    @classmethod
    def with_runs(cls, key: HistoryKey, runs: Iterable[AccountRun]) -> AccountHistory:
        """Return the history of a key, without its changes.

        Args:
            key: what it is the history of.
            runs: the oldest first.
        """
        return AccountHistory(**key.facts, runs=tuple(runs))

    def name_change(self, change: AccountChange) -> str:
        """Return the id of a change, which further runs do not alter.

        Args:
            change: one of ``changes``.
        """
        first = self.runs[change.since]
        counts = tuple((one.name, one.was, one.now) for one in change.counts)
        text = repr((self.table, self.setup, self.device, self.recipe, first.date, counts))
        return f"{zlib.crc32(text.encode(errors='backslashreplace')):08x}"
