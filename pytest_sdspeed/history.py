"""What is stored, and how: the only module that knows pytest-benchmark."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from pytest_sdspeed.model import CONTROL, Machine, Result

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
PLUGIN = "benchmark"
EXTRA = "sdspeed"
_SAVING: dict[str, list[str] | None] = {
    "json": None,
    "save": None,
    "autosave": None,
    "compare": [],
    "compare_fail": None,
    "histogram": [],
    "cprofile_dump": [],
}
"""pytest-benchmark's options that write or read stored runs, with the value that does neither."""


class ReplayClock:
    """A timer that tells pytest-benchmark the samples measured before."""

    __name__ = "sdspeed_replay"

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


def measuring_is_off(benchmark: Any) -> bool:
    """Whether pytest-benchmark was told not to measure (``--benchmark-disable``)."""
    return bool(benchmark.disabled)


def store(benchmark: Any, clock: ReplayClock, result: Result) -> None:
    """Hand a result to pytest-benchmark: the candidate's latencies as samples, the rest as ``extra_info["sdspeed"]``.

    Args:
        benchmark: the test's ``benchmark`` fixture, whose timer is ``clock``.
        clock: replays the samples.
        result: what was measured.
    """
    samples = iter(own_samples(result))
    benchmark.group = f"{result.table or 'callables'} on {result.device}"
    benchmark.pedantic(lambda: clock.advance(next(samples)), rounds=len(own_samples(result)), iterations=1)
    benchmark.extra_info[EXTRA] = record(result)


def own_samples(result: Result) -> list[float]:
    """Every slot of the candidate, seconds; of a baseline its control slots too."""
    pairs = list(result.samples_s[result.setup])
    if result.is_baseline:
        pairs += result.samples_s[CONTROL]
    return [float(duration) for pair in pairs for duration in pair]


def record(result: Result) -> dict[str, Any]:
    """The stored form of a result: builtins only, unknown is None."""
    recipe = None if result.recipe is None else asdict(result.recipe) | {"weights": result.weights}
    return {
        "schema": SCHEMA,
        "table": result.table,
        "setup": result.setup,
        "baseline": result.baseline,
        "device": result.device,
        "speedup": _number(result.speedup),
        "low": _number(result.low),
        "high": _number(result.high),
        "expected": result.expected,
        "tolerance": result.tolerance,
        "floor": result.floor,
        "verdict": result.verdict,
        "reasons": list(result.reasons),
        "blocks": result.blocks,
        "samples_s": {arm: [[float(slot) for slot in pair] for pair in pairs] for arm, pairs in result.samples_s.items()},
        "image": {metric: _number(value) for metric, value in result.image.items()},
        "image_verdict": result.image_verdict,
        "recipe": recipe,
        "versions": dict(result.versions),
        "peak_memory_bytes": result.peak_memory_bytes,
        "stages_s": None if result.stages_s is None else dict(result.stages_s),
        "telemetry": None if result.telemetry is None else dict(result.telemetry),
        "confirmation": None if result.confirmation is None else dict(result.confirmation),
    }


def _number(value: float) -> float | None:
    """A number that strict JSON can hold, or None."""
    return float(value) if math.isfinite(value) else None


def save_nothing(option: Any) -> None:
    """Keep pytest-benchmark from writing and comparing stored runs, whatever the command line asks.

    Args:
        option: parsed command line, before pytest-benchmark reads it.
    """
    for name, value in _SAVING.items():
        setattr(option, f"benchmark_{name}", value)


class _Run(Protocol):
    """What ``MachineInfo`` asks of a run."""

    results: list[Result]

    @property
    def machine(self) -> Machine:
        """Where it measures."""
        ...


class MachineInfo:
    """Tells pytest-benchmark what its ``machine_info`` lacks: the device that was measured.

    Args:
        run: its machine is asked for only where something was measured.
    """

    def __init__(self, run: _Run) -> None:
        self._run = run

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Add kind and device under ``sdspeed``."""
        if self._run.results:
            machine_info["sdspeed"] = {"kind": self._run.machine.kind, "device": self._run.machine.device}


def unwritable_storage(option: Any, root: Path) -> str | None:
    """What keeps pytest-benchmark from saving this run, found before anything is measured; None where nothing does.

    Args:
        option: parsed command line, with pytest-benchmark's options.
        root: folder that relative storage paths start from.
    """
    address = getattr(option, "benchmark_storage", "")
    if not (getattr(option, "benchmark_save", None) or getattr(option, "benchmark_autosave", None)) or "://" in address.removeprefix(
        "file://"
    ):
        return None
    folder = root / address.removeprefix("file://")
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir():
        return f"--benchmark-storage={address}: {nearest} is a file, not a folder: move it away or choose another storage"
    if not os.access(nearest, os.W_OK):
        return f"--benchmark-storage={address}: {nearest} is read-only: make it writable or choose another storage"
    return None
