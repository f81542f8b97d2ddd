"""Arms on a fake clock whose calls can be stopped at the borders of their stages, and a project whose setups can."""

from __future__ import annotations

import inspect
from dataclasses import replace

from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING, StageTime


class Call:
    """A call by stages, each part of which takes its seconds when it is asked for."""

    def __init__(self, clock, parts, pictures=None):
        self._clock, self._left, self._pictures = clock, list(parts), pictures

    @property
    def done(self):
        return not self._left

    @property
    def pictures(self):
        return self._pictures if self.done else None

    def take_turn(self, parts):
        turn, self._left = self._left[:parts], self._left[parts:]
        for part in turn:
            self._clock.spend(part.seconds)
        return turn

    def close(self):
        self._left.clear()


class Stages:
    """What calls an arm by stages: text, equal steps, decoding, each as many times as long as ``effect`` says then."""

    uneven = ""
    alone = ""
    casts = False

    def __init__(self, clock, step_s, steps, *, text_s=0.1, decode_s=0.2, uneven="", effect=lambda: 1.0, draw=lambda _case: None):
        self._clock, self._step_s, self._steps, self._draw = clock, step_s, steps, draw
        self._text_s, self._decode_s, self.uneven, self._effect = text_s, decode_s, uneven, effect

    @property
    def call_s(self):
        return self._text_s + self._steps * self._step_s + self._decode_s

    def call(self, case, steps, _number):
        loop = [StageTime(DENOISING, self._step_s * self._effect(), "work")] * min(steps or self._steps, self._steps)
        ends = (StageTime(TEXT_ENCODING, self._text_s), StageTime(DECODING, self._decode_s))
        return Call(self._clock, [ends[0], *loop, ends[1]], self._draw(case))


def staged_arm(bench, name, step_s, steps=50, *, floor=None, **facts):
    """An arm of the bench whose whole calls take as long as their stages."""
    stages = Stages(bench.clock, step_s, steps, **facts)
    return replace(bench.arm(name, stages.call_s, floor=floor), stages=lambda: stages)


STAGED_SETUPS = f"""
import inspect
from dataclasses import replace
from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING, StageTime

{inspect.getsource(Call)}

{inspect.getsource(Stages)}

def open_stages(self):
    noise = NOISE.setdefault((self.resolved.table.name, self.name), random.Random(self.name))
    step_s = SECONDS[self.name] / 100
    pictures = lambda case: np.random.default_rng(case.seed).random((1, 32, 32, 3), dtype=np.float32)
    ends_s = SECONDS[self.name] / 4
    return Stages(CLOCK, step_s, 50, text_s=ends_s, decode_s=ends_s, effect=lambda: noise.gauss(1, 0.003), draw=pictures)


Setup.open_stages = open_stages
"""
"""Behind the conftest of ``distributed_project``: its setups can be called by stages, and take as long; half of it is the steps'."""
