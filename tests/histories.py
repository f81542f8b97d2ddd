"""Histories made up for the reports and the commands: a level with a little noise, and what happened to it."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime, timedelta

from pytest_sdspeed.model import Change, History, HistoryRun

FIRST = datetime(2026, 9, 1, 8, 30, tzinfo=UTC)
VERSIONS = {"torch": "2.13.0", "diffusers": "0.42.1", "driver": "580.65"}
NOISE = 0.002
REASONS = {
    "code": "the ratio to the baseline moved, the canary did not",
    "stack": "every row moved, the canary did not",
    "machine": "the canary moved as far, the ratio to the baseline did not",
    "improvement": "the ratio to the baseline rose and stayed",
}


def commit(number):
    """The id of a run's commit: 40 digits that begin with the run's number."""
    return f"{number:04x}{'ab12cd34ef56' * 3}"


def run(number=0, **facts):
    """The run of that number: a steady ``fp16`` at x1.31, or what ``facts`` make of it; its interval is 1% to either side."""
    speedup = facts.get("speedup", 1.31)
    known = {
        "name": f"{number:04d}_{commit(number)[:6]}",
        "date": (FIRST + timedelta(days=number)).isoformat(),
        "commit": commit(number),
        "dirty": False,
        "host": "node7",
        "versions": VERSIONS,
        "verdict": "pass",
        "speedup": speedup,
        "low": 0.99 * speedup,
        "high": 1.01 * speedup,
        "latency_s": 1.93 / speedup,
        "baseline_latency_s": 1.93,
        "canary_s": {"matmul": 0.01, "copy": 0.002},
        "reference": True,
    }
    return HistoryRun(**{**known, **facts})


def history(n=54, *, kind=None, since=40, step=0.062, setup="fp16", versions=None, runs=None, seed=1, **facts):
    """``n`` runs of a setup; with a ``kind``, all from ``since`` on are ``step`` slower for that reason, and it was found two runs later.

    Args:
        n: how many runs.
        kind: of the change, or None for a steady history.
        since: number of the first run at the new level.
        step: of the latency, a fraction; negative is faster.
        setup: its name; ``baseline`` gives the baseline, whose ratio is always 1.
        versions: name -> before and after, of what changed with it; torch's where the kind is ``stack``.
        runs: number -> facts of that run, over all else.
        seed: of the noise.
        facts: of the history.
    """
    noise = random.Random(seed)
    pairs = versions or ({"torch": ("2.13.0", "2.14.0")} if kind == "stack" else {})
    former, latter = ({**VERSIONS, **{name: pair[side] for name, pair in pairs.items() if pair[side]}} for side in (0, 1))
    made = []
    for number in range(n):
        moved = kind not in (None, "none") and number >= since
        slower = (1 + step if moved else 1.0) * noise.gauss(1, NOISE)
        rest = slower if kind in ("machine", "stack") or setup == "baseline" else 1.0
        machine = (1 + step if moved and kind == "machine" else 1.0) * noise.gauss(1, NOISE)
        speedup = 1.0 if setup == "baseline" else 1.31 * rest / slower * noise.gauss(1, NOISE)
        own = {
            "speedup": speedup,
            "latency_s": 1.93 * rest / speedup,
            "baseline_latency_s": 1.93 * rest,
            "canary_s": {"matmul": 0.01 * machine, "copy": 0.002 * machine},
            "versions": latter if moved else former,
        }
        made.append(run(number, **{**own, **(runs or {}).get(number, {})}))
    change = Change(
        kind=kind or "none",
        since=since,
        found=min(since + 2, n - 1),
        change=step,
        ratio=kind in ("code", "improvement") and setup != "baseline",
        reasons=(REASONS[kind],) if kind in REASONS else (),
        versions=pairs,
    )
    known = {"table": "inference", "setup": setup, "baseline": "baseline", "device": "NVIDIA H200", "recipe": "r1"}
    return History(**{**known, "runs": tuple(made), "changes": (change,) if kind else (), **facts})


def unknown(**facts):
    """Facts of a run whose figures are not known."""
    return {"speedup": math.nan, "low": math.nan, "high": math.nan, "latency_s": math.nan, "canary_s": {}, **facts}


def day(number):
    """The date of a run, as people read it."""
    return date.isoformat((FIRST + timedelta(days=number)).date())
