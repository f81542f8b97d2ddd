"""Calls by stages for tests: whole ones, alone and in turns, of setups and of toy pipelines."""

from __future__ import annotations

import numpy as np
import torch
from toy_pipelines import PIPELINES

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.model import Case
from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.outputs import as_floats, take_pictures
from pytest_sdspeed.pipelines.staged_calls import PipelineStages

MAIN = Case(0)


def optimize(apply=None, name="planted", **facts):
    """Return an optimization that changes the pipeline, or its slots, so."""
    return Optimization(name=name, summary="", **({"apply": apply} if apply else {}), **facts)


def stages_of(parts):
    return [part.stage for part in parts]


def expected(steps):
    """Return the stages of a call of so many steps."""
    return [TEXT_ENCODING, *[DENOISING] * steps, DECODING]


def finish(setup, call):
    """Advance a call to its end, with the flags of its setup held only while it moves."""
    return take_turns((setup, call))[0]


def take_turns(*calls):
    """Advance calls in turns, a part each: pairs of a setup and its call. Return the parts of each."""
    parts = [[] for _ in calls]
    while not all(call.done for _, call in calls):
        for own, (setup, call) in zip(parts, calls, strict=True):
            if not call.done:
                with quiet(), setup.slot():
                    own.append(call.take_turn(1)[0])
    return parts


def run_alone(call):
    """Advance a call of no setup to its end."""
    parts = []
    with quiet():
        while not call.done:
            parts.append(call.take_turn(1)[0])
    return parts


def draw(setup, case=MAIN):
    """Return the pictures of a plain call."""
    with quiet(), setup.slot():
        return setup.draw(case)


def is_equal(*drawn):
    return all(np.array_equal(drawn[0], one) for one in drawn[1:])


class ToyStages(PipelineStages):
    """Calls a toy pipeline by stages; ``change`` is called with it first.

    Attributes:
        pipeline, arguments: the pipeline, and what it is called with.
    """

    def __init__(self, name, steps, change=lambda _pipeline: None):
        with torch.random.fork_rng(), quiet():
            torch.manual_seed(0)
            self.pipeline, self.arguments = PIPELINES[name]()
        change(self.pipeline)
        self._steps = steps
        super().__init__(self.pipeline, self.draw, name)

    def draw(self, case):
        generator = torch.Generator().manual_seed(case.seed)
        with quiet():
            returned = self.pipeline(**self.arguments, num_inference_steps=self._steps, generator=generator)
        return as_floats(take_pictures(returned))
