"""What the stored runs and this one together say about a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.history.loading import load_histories
from pytest_sdspeed.history.parsing import read_run_facts
from pytest_sdspeed.judge.changes.causes import judge_history_among
from pytest_sdspeed.model import History, HistoryRun
from pytest_sdspeed.store.records import make_history_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_sdspeed.model import HistoryKey, Result
    from pytest_sdspeed.model.history import RunFacts


class HistoryLookup:
    """Stored runs, read when a result is first asked about.

    Args:
        folder: folder of the stored runs; there may be none.
        run_info: tells what is known of this run as a whole, as
            ``store.benchmark.collect_run_info`` does.

    Attributes:
        problems: what was passed over, a line each.
    """

    def __init__(self, folder: Path, run_info: Callable[[], Mapping[str, Any]]) -> None:
        self._folder, self._run_info = folder, run_info
        self.problems: tuple[str, ...] = ()

    @cached_property
    def _stored(self) -> dict[HistoryKey, History]:
        found, self.problems = load_histories(self._folder)
        return {history.key: history for history in found}

    @cached_property
    def _run(self) -> RunFacts:
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
        key, run = make_history_key(result, test), HistoryRun.of(result, self._run)
        beside = [
            self._continue(
                replace(key, setup=name),
                replace(run, speedup=speedup, low=speedup, high=speedup, latency_s=latency_s),
            )
            for name, (speedup, latency_s) in others.items()
        ]
        return judge_history_among(self._continue(key, run), beside)

    def _continue(self, key: HistoryKey, run: HistoryRun) -> History:
        """Return the stored history of a key, or a new one, with one more run."""
        earlier = self._stored[key].runs if key in self._stored else ()
        return History.with_runs(key, (*earlier, run))
