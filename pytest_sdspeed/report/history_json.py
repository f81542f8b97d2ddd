"""Histories as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model.numbers import finite_or_none
from pytest_sdspeed.report.history import find_commits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_sdspeed.model import Change, History, HistoryRun


def to_json(histories: Iterable[History]) -> list[dict[str, Any]]:
    """Convert histories to builtins: what is unknown, not finite, or did not change is None.

    Returns:
        One object for each: ``table``, ``setup``, ``baseline``, ``device``, ``cpu`` if the device's
        name does not tell it, ``recipe``, ``runs`` (how many), ``latest`` (the latest run's
        figures), ``changes`` (the oldest first), ``follows`` (the series of before, None if there
        is none: what ``changed``, its ``runs`` and ``until`` when), and of the latest change that
        was not acknowledged: ``kind``, ``id``, ``since`` and ``found`` (dates), ``since_run`` (a
        name, None for the run in hand), ``change`` (of the latency, a fraction), ``commits``
        (``after`` which and ``first`` with which), ``versions`` (name -> before and after),
        ``reasons`` and ``acknowledged`` (``reason``, ``date``, ``by`` and the ``change`` then; None
        if it was not).
    """
    return [_history_to_json(history) for history in histories]


def _history_to_json(history: History) -> dict[str, Any]:
    changes = [_change_to_json(history, change) for change in history.changes]
    told = history.latest
    return {
        "table": history.table,
        "setup": history.setup,
        "baseline": history.baseline,
        "device": history.device,
        **({} if history.cpu is None else {"cpu": history.cpu}),
        "recipe": history.recipe,
        "runs": len(history.runs),
        **(_change_to_json(history, told) if told else _UNCHANGED),
        "latest": _run_to_json(history.runs[-1]) if history.runs else None,
        "follows": asdict(history.follows) if history.follows else None,
        "changes": changes,
    }


_UNCHANGED: dict[str, Any] = {
    "kind": "none",
    "since": None,
    "since_run": None,
    "found": None,
    "change": None,
    "commits": None,
    "versions": {},
    "reasons": [],
    "id": None,
    "acknowledged": None,
}


def _change_to_json(history: History, change: Change) -> dict[str, Any]:
    first, found = history.runs[change.since], find_commits(history, change)
    accepted = change.acknowledged
    return {
        "kind": change.kind,
        "since": first.date,
        "since_run": first.name or None,
        "found": history.runs[change.found].date,
        "change": finite_or_none(change.change),
        "commits": {"after": found[0], "first": found[1]} if found else None,
        "versions": {name: list(pair) for name, pair in change.versions.items()},
        "reasons": list(change.reasons),
        "id": history.name_change(change),
        "acknowledged": accepted
        and {
            "reason": accepted.reason,
            "date": accepted.acknowledged,
            "by": accepted.by,
            "change": accepted.change,
        },
    }


def _run_to_json(run: HistoryRun) -> dict[str, Any]:
    figures = {
        name: finite_or_none(getattr(run, name)) for name in ("speedup", "low", "high", "latency_s")
    }
    return {**figures, "date": run.date, "run": run.name or None}
