"""What the stored runs and this one together say of a row."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.history.series import histories, history_run, series_of
from pytest_sdspeed.judge.changes.causes import judged_among
from pytest_sdspeed.model import History

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_sdspeed.history.facts import Series
    from pytest_sdspeed.model import HistoryRun, Result


class Past:
    """Stored runs, read when a result is first asked about.

    Args:
        folder: of the stored runs; there may be none.
        run_info: what is known of this run as a whole.

    Attributes:
        problems: what was passed over, a line each.
    """

    def __init__(self, folder: Path, run_info: Callable[[], Mapping[str, Any]]) -> None:
        self._folder, self._run_info = folder, run_info
        self.problems: tuple[str, ...] = ()

    @cached_property
    def _stored(self) -> dict[tuple[Any, ...], History]:
        found, self.problems = histories(self._folder)
        return {(history.table, history.setup, history.baseline, history.device, history.recipe): history for history in found}

    @cached_property
    def _info(self) -> Mapping[str, Any]:
        return self._run_info()

    def judged(self, result: Result, others: Mapping[str, tuple[float, float]], test: str) -> History:
        """The history of a row, this run its latest, with its changes.

        Args:
            result: of the row.
            others: what this run says of the other setups of its campaign: name -> speed-up and latency in seconds.
            test: id of the test, which tells callables apart.
        """
        series, run = series_of(result, test), history_run(result, self._info)
        beside = [
            self._continued(series._replace(setup=name), replace(run, speedup=speedup, low=speedup, high=speedup, latency_s=latency_s))
            for name, (speedup, latency_s) in others.items()
        ]
        return judged_among(self._continued(series, run), beside)

    def _continued(self, series: Series, run: HistoryRun) -> History:
        earlier = self._stored[series].runs if series in self._stored else ()
        return History(**series._asdict(), runs=(*earlier, run))
