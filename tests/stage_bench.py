"""Arms on a fake clock whose calls can be stopped at the borders of their stages."""

from __future__ import annotations

from dataclasses import replace

from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING, StageTime


class Call:
    """A call by stages, each part of which takes its seconds when it is asked for."""

    def __init__(self, clock, parts):
        self._clock, self._left, self.pictures = clock, list(parts), None

    @property
    def done(self):
        return not self._left

    def advance(self):
        part = self._left.pop(0)
        self._clock.spend(part.seconds)
        return part

    def close(self):
        self._left.clear()


class Stages:
    """What calls an arm by stages: text, equal steps, decoding, each as many times as long as ``effect`` says then."""

    uneven = ""

    def __init__(self, clock, step_s, steps, *, text_s=0.1, decode_s=0.2, uneven="", effect=lambda: 1.0):
        self._clock, self._step_s, self._steps = clock, step_s, steps
        self._text_s, self._decode_s, self.uneven, self._effect = text_s, decode_s, uneven, effect

    @property
    def call_s(self):
        return self._text_s + self._steps * self._step_s + self._decode_s

    def call(self, _case, steps, _number):
        loop = [StageTime(DENOISING, self._step_s * self._effect(), "work")] * min(steps or self._steps, self._steps)
        ends = (StageTime(TEXT_ENCODING, self._text_s), StageTime(DECODING, self._decode_s))
        return Call(self._clock, [ends[0], *loop, ends[1]])


def staged_arm(bench, name, step_s, steps=50, *, floor=None, **facts):
    """An arm of the bench whose whole calls take as long as their stages."""
    stages = Stages(bench.clock, step_s, steps, **facts)
    return replace(bench.arm(name, stages.call_s, floor=floor), stages=lambda: stages)
