"""What the stored runs and this one together say about a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.history.accounts import make_account_key
from pytest_sdspeed.history.aliases import Renaming
from pytest_sdspeed.history.keys import find_same
from pytest_sdspeed.history.loading import load_from
from pytest_sdspeed.history.parsing import read_run_facts
from pytest_sdspeed.history.storages import Folder
from pytest_sdspeed.judge.changes.causes import judge_history_among
from pytest_sdspeed.judge.changes.counts import judge_accounts
from pytest_sdspeed.judge.changes.succession import find_predecessor
from pytest_sdspeed.model import AccountHistory, AccountRun, History, HistoryRun
from pytest_sdspeed.store.records import make_history_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_sdspeed.history.aliases import Alias
    from pytest_sdspeed.history.contents import StoredRunFacts
    from pytest_sdspeed.history.loading import LoadedHistories
    from pytest_sdspeed.history.merging import RunFile
    from pytest_sdspeed.model import AccountResult, HistoryKey, Result


_OWN = ("optimizations", "revision")
"""What a row of a campaign need not have in common with the others."""

_CLOCKS_DIFFER = timedelta(days=1)
"""How far clocks of several hosts may differ without a word."""


class HistoryLookup:
    """Stored runs, read when a result is first asked about.

    Args:
        folder: folder of the stored runs; there may be none.
        run_info: tells what is known of this run as a whole, as
            ``store.benchmark.collect_run_info`` does.
        aliases: names of before.

    Attributes:
        problems: what was passed over, a line each.
    """

    def __init__(
        self,
        folder: Path,
        run_info: Callable[[], Mapping[str, Any]],
        aliases: Sequence[Alias] = (),
    ) -> None:
        self._folder, self._run_info = folder, run_info
        self._renaming = Renaming(aliases)
        self.problems: tuple[str, ...] = ()

    @cached_property
    def _loaded(self) -> LoadedHistories:
        found = load_from([Folder(self._folder)], self._renaming, self._run)
        self.problems = (
            *found.problems,
            *found.describe_unread(),
            *self._describe_clock(found.files),
        )
        return found

    @cached_property
    def _stored(self) -> dict[HistoryKey, History]:
        return {history.key: history for history in self._loaded.histories}

    def _describe_clock(self, files: Sequence[RunFile]) -> Iterator[str]:
        """Yield a line if stored runs are dated later than this one: a clock was or is wrong."""
        now = datetime.fromisoformat(self._run.date) + _CLOCKS_DIFFER
        later = [one for one in files if datetime.fromisoformat(one.file.run.date) > now]
        if later:
            last = later[-1]
            yield (
                f"sd history: {len(later)} stored run{'s' * (len(later) > 1)} dated later than this"
                f" one, the last {last.file.run.date[:10]} in"
                f" {last.storage.describe(last.file.path)}: the clock of"
                f" {last.file.run.host or 'its host'} or of this one is wrong, and runs are judged"
                " in the order of their dates"
            )

    @cached_property
    def _run(self) -> StoredRunFacts:
        return read_run_facts(self._run_info(), datetime.now(UTC).timestamp())

    def judge(
        self, result: Result, others: Mapping[str, tuple[float, float]], test: str
    ) -> History:
        """Return the history of a row, this run its latest, with its changes.

        Args:
            result: result of the row.
            others: what this run says about the other setups of its campaign: name -> speed-up and
                latency in seconds.
            test: id of the test, which tells callables apart.
        """
        key = self._find_key(make_history_key(result, test, self._run.cpu))
        run = HistoryRun.of(result, self._run)
        beside = [
            self._continue(
                find_same(replace(key, setup=name), self._stored, _OWN),
                replace(run, speedup=speedup, low=speedup, high=speedup, latency_s=latency_s),
            )
            for name, (speedup, latency_s) in others.items()
        ]
        history = judge_history_among(self._continue(key, run), beside, self._loaded.acknowledged)
        return replace(history, follows=find_predecessor(history, self._loaded.histories))

    def judge_account(self, result: AccountResult, test: str) -> AccountHistory:
        """Return the history of an account, this run its latest, with its changes.

        Args:
            result: what was counted.
            test: id of the test, which tells callables apart.
        """
        loaded, run = self._loaded, self._run
        key = self._renaming.rename(make_account_key(result, test))
        stored = {one.key: one.runs for one in loaded.accounts}
        own = AccountRun(
            name="",
            date=run.date,
            commit=run.commit,
            dirty=run.dirty,
            host=run.host,
            no_commit=run.no_commit,
            versions=result.versions,
            account=replace(result.account, stages={}, work=()),
        )
        history = AccountHistory.with_runs(key, (*stored.get(key, ()), own))
        history = judge_accounts(history, loaded.acknowledged)
        return replace(history, follows=find_predecessor(history, loaded.accounts))

    def list_elsewhere(self, history: History) -> list[History]:
        """Return the stored histories of the same row on other devices and processors."""
        return [
            stored
            for key, stored in self._stored.items()
            if key != history.key
            and (key.device, key.cpu) != (history.device, history.cpu)
            and key.fits(history.key, ("device", "cpu"))
        ]

    def _find_key(self, key: HistoryKey) -> HistoryKey:
        stored = self._stored
        return find_same(self._renaming.rename(key), stored)

    def _continue(self, key: HistoryKey, run: HistoryRun) -> History:
        """Return the stored history of a key, or a new one, with one more run."""
        earlier = self._stored[key].runs if key in self._stored else ()
        return History.with_runs(key, (*earlier, run))
