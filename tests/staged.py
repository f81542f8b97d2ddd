"""Calls by stages for tests: whole ones, alone and in turns, and pipelines that are hard to stop."""

from __future__ import annotations

import numpy as np

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.model import Case
from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING

MAIN = Case(0)


def stages_of(parts):
    return [part.stage for part in parts]


def expected(steps):
    """Return the stages of a call of so many steps."""
    return [TEXT_ENCODING, *[DENOISING] * steps, DECODING]


def finish(setup, call):
    """Advance a call to its end, with the flags of its setup held only while it moves."""
    parts = []
    while not call.done:
        with quiet(), setup.slot():
            parts.append(call.advance())
    return parts


def take_turns(*calls):
    """Advance calls in turns, a part each: pairs of a setup and its call. Return the parts of each."""
    parts = [[] for _ in calls]
    while not all(call.done for _, call in calls):
        for own, (setup, call) in zip(parts, calls, strict=True):
            if not call.done:
                with quiet(), setup.slot():
                    own.append(call.advance())
    return parts


def draw(setup, case=MAIN):
    """Return the pictures of a plain call."""
    with quiet(), setup.slot():
        return setup.draw(case)


def is_equal(*drawn):
    return all(np.array_equal(drawn[0], one) for one in drawn[1:])
