"""The ways of `stage_ways.py`: each measures a block of a baseline and a row."""

from __future__ import annotations

import gc
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.device.accelerator import synchronize
from pytest_sdspeed.judge.speed.put_together import (
    LEAST_STEPS,
    SHARE,
    Sampling,
    cut_short,
    put_together,
)
from pytest_sdspeed.measure.turns import count_turns, split_into_turns
from pytest_sdspeed.model import Case
from pytest_sdspeed.pipelines.units import find_denoisers, watch_calls
from ways.threads import ThreadedCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_sdspeed.model.stages import StagedCall, StageTime
    from pytest_sdspeed.setups.setup import Setup

WHOLE = "whole calls"
CASE = Case(0)
SHORT = 3
"""Steps of the shorter one of two lengths."""


@dataclass(slots=True)
class Timed:
    """What a block says of one arm.

    Attributes:
        calls_s: latency of a call, as its two slots tell, seconds.
        spent_s: seconds that measuring them took.
    """

    calls_s: list[float] = field(default_factory=list)
    spent_s: float = 0.0

    def add(self, call_s: float, spent_s: float) -> None:
        """Add a slot."""
        self.calls_s.append(call_s)
        self.spent_s += spent_s


class Way(ABC):
    """A way to time calls.

    Args:
        setups: baseline and row, built and warm.
        steps: denoising steps of a call.
    """

    def __init__(self, setups: Sequence[Setup], steps: int) -> None:
        self._setups, self._steps = setups, steps
        self._sampled = min(steps, 1 + max(LEAST_STEPS, round((steps - 1) / SHARE)))

    def measure_block(self) -> list[Timed]:
        """Measure a block, a palindrome: what it says of the baseline and of the row."""
        found = [Timed() for _ in self._setups]
        gc.collect()
        gc.disable()
        try:
            self._measure(found)
        finally:
            gc.enable()
        return found

    @abstractmethod
    def _measure(self, found: Sequence[Timed]) -> None:
        """Add two slots of each arm."""

    def _time(self, setup: Setup, work: Callable[[], object]) -> float:
        with setup.slot():
            synchronize()
            start = time.perf_counter()
            work()
            synchronize()
            return time.perf_counter() - start


class WholeCalls(Way):
    """Whole calls: the truth."""

    def _measure(self, found: Sequence[Timed]) -> None:
        for arm in (0, 1, 1, 0):
            setup = self._setups[arm]
            seconds = self._time(setup, lambda: setup.draw(CASE))  # noqa: B023 - called at once
            found[arm].add(seconds, seconds)


class TwoLengths(Way):
    """Whole calls of two lengths, extrapolated: every step more takes what the last ones took."""

    def _measure(self, found: Sequence[Timed]) -> None:
        for arm in (0, 1, 1, 0):
            short = self._draw(arm, SHORT)
            longer = self._draw(arm, self._sampled)
            # On a busy machine the longer one may take less.
            step = max(0.0, longer - short) / (self._sampled - SHORT)
            found[arm].add(longer + (self._steps - self._sampled) * step, short + longer)

    def _draw(self, arm: int, steps: int) -> float:
        setup = self._setups[arm]
        return self._time(setup, lambda: setup.draw(Case(CASE.seed, steps=steps)))


class Turns(Way):
    """Calls that take turns at a step or a few, each in a greenlet: the package's way."""

    def __init__(self, setups: Sequence[Setup], steps: int) -> None:
        super().__init__(setups, steps)
        self._stages = [setup.open_stages() for setup in setups]
        if any(stages.uneven for stages in self._stages):
            self._sampled = steps
        wholes = [
            _advance_to_its_end(setup, stages.call(CASE, None, 0))
            for setup, stages in zip(setups, self._stages, strict=True)
        ]
        turns, sampling = count_turns(wholes, self._sampled), Sampling(steps, self._sampled)
        self._turns = [split_into_turns(cut_short(whole, sampling), turns) for whole in wholes]

    def _begin(self, arm: int) -> StagedCall:
        wanted = self._sampled if self._sampled < self._steps else None
        return self._stages[arm].call(CASE, wanted, 0)

    def _measure(self, found: Sequence[Timed]) -> None:
        for order in ([0, 1], [1, 0]):
            calls = [self._begin(arm) for arm in (0, 1)]
            parts: list[list[StageTime]] = [[], []]
            for lengths in zip(*self._turns, strict=True):
                for arm in order:
                    with self._setups[arm].slot():
                        parts[arm] += calls[arm].take_turn(lengths[arm])
                order.reverse()
            for arm in (0, 1):
                spent_s = sum(part.seconds for part in parts[arm])
                call_s = sum(put_together(parts[arm], self._steps).values())
                found[arm].add(call_s, spent_s)


class Threads(Turns):
    """The same, with each call in a thread of its own: a baton goes around."""

    def _begin(self, arm: int) -> StagedCall:
        setup = self._setups[arm]
        wanted = self._sampled if self._sampled < self._steps else None
        return ThreadedCall(setup.pipeline, lambda: setup.draw(CASE), wanted)


class Replays(Way):
    """Calls of the denoiser alone, with the arguments that a call gave it; the rest once before."""

    def __init__(self, setups: Sequence[Setup], steps: int) -> None:
        super().__init__(setups, steps)
        self._calls = [self._capture(setup) for setup in setups]
        self._others_s = [self._time_others(setup) for setup in setups]

    def _capture(self, setup: Setup) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
        """Keep the arguments of the first steps' calls."""
        found: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        (module,) = find_denoisers(setup.pipeline).values()
        with (
            setup.slot(),
            watch_calls(module, lambda args, kwargs: found.append((module, args, kwargs))),
        ):
            setup.draw(CASE)
        return found[: self._sampled]

    def _time_others(self, setup: Setup) -> float:
        parts = _advance_to_its_end(setup, setup.open_stages().call(CASE, None, 0))
        return sum(part.seconds for part in parts if not part.is_step)

    def _measure(self, found: Sequence[Timed]) -> None:
        for turns in ([0, 1], [1, 0]):
            seconds: list[list[float]] = [[], []]
            for at in range(self._sampled):
                for arm in turns:
                    module, args, kwargs = self._calls[arm][at]
                    with torch.no_grad():
                        seconds[arm].append(
                            self._time(self._setups[arm], lambda: module(*args, **kwargs))  # noqa: B023 - called at once
                        )
                turns.reverse()
            for arm in (0, 1):
                spent_s = sum(seconds[arm])
                call_s = self._others_s[arm] + self._steps * spent_s / self._sampled
                found[arm].add(call_s, spent_s)


WAYS: dict[str, Callable[[Sequence[Setup], int], Way]] = {
    WHOLE: WholeCalls,
    "greenlets (the package)": Turns,
    "threads with a baton": Threads,
    "replays of the denoiser": Replays,
    "two lengths": TwoLengths,
}
"""Name -> what makes the way for a baseline and a row."""


def _advance_to_its_end(setup: Setup, call: StagedCall) -> list[StageTime]:
    with setup.slot():
        return call.take_turn(sys.maxsize)
