"""Calls by stages between the process that compares and a worker: what each asks, answers and forgets."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from pytest_sdspeed.errors import UnstageableError, WorkerLostError
from pytest_sdspeed.measure.campaign_data import Arm
from pytest_sdspeed.model import Case
from pytest_sdspeed.model.stages import StageTime
from pytest_sdspeed.plugin.settings import read_options
from pytest_sdspeed.run.session import Session
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.versions.arms import RemoteArm, WorkersMemory
from pytest_sdspeed.versions.server import WorkerServer
from pytest_sdspeed.versions.workers import _error

NAMED = ("setup", "table", "fp16")
PARTS = [StageTime("text_encoder", 0.1), *(StageTime("denoising", 0.2, work) for work in "abab"), StageTime("decoding", 0.3)]
SHORT = [*PARTS[:3], PARTS[-1]]


class Call:
    """A call of known parts; one that breaks raises at its third."""

    def __init__(self, case, steps, breaks):
        self.parts = list(PARTS if steps is None else SHORT)
        self.case, self.breaks = case, breaks
        self.pictures, self.done, self.closed = None, False, False

    def advance(self):
        if self.breaks and len(self.parts) == len(PARTS) - 2:
            raise self.breaks
        part = self.parts.pop(0)
        if not self.parts:
            self.done, self.pictures = True, np.full((1, 8, 8, 3), self.case.seed / 10, dtype=np.float32)
        return part

    def take_turn(self, parts):
        return [self.advance() for _ in range(min(parts, len(self.parts)))]

    def close(self):
        self.closed = True


class Stages:
    """What opens such calls, and remembers them."""

    def __init__(self):
        self.uneven, self.calls, self.breaks = "", [], None

    def call(self, case, steps, _number):
        self.calls.append(Call(case, steps, self.breaks))
        return self.calls[-1]


@pytest.fixture
def scene(request):
    """An arm here and its worker's server, with a wire in between that can be cut."""
    stages, held = Stages(), []

    @contextmanager
    def slot():
        held.append(1)
        yield
        held.pop()

    server = WorkerServer(Session(read_options(request.config), Registry()), None)
    there = Arm(name="fp16", generate=str, slot=slot, stages=lambda: stages)
    server._arm = lambda _named: there
    asked = []

    def ask(command, *arguments):
        asked.append(command)
        if scene.cut:
            raise WorkerLostError("the process has ended")
        kind, told = server.answer(command, *arguments)
        if kind == "error":
            raise _error(*told)
        return told

    memory = WorkersMemory()
    worker = SimpleNamespace(ask=ask, environment=SimpleNamespace(label="main"))
    here = RemoteArm(worker, NAMED, memory).arm("fp16")
    scene = SimpleNamespace(arm=here, stages=stages, asked=asked, server=server, memory=memory, there=there, held=held, cut=False)
    return scene


def advance(call):
    """To its end, two parts a turn."""
    parts = []
    while not call.done:
        parts += call.take_turn(2)
    return parts


def test_a_whole_call_tells_its_parts_and_ends_with_its_pictures(scene):
    call = scene.arm.stages().call(Case(3), None, 0)
    assert advance(call) == PARTS
    assert call.pictures.values == pytest.approx(0.3)
    # The second time the same pictures are not sent again, and are the same here.
    again = scene.arm.stages().call(Case(3), None, 0)
    advance(again)
    assert again.pictures.values is not None
    assert scene.held == []


def test_a_call_that_leaves_steps_out_draws_nothing(scene):
    call = scene.arm.stages().call(Case(3), 2, 0)
    assert advance(call) == SHORT
    assert call.pictures is None


def test_two_calls_take_turns(scene):
    stages = scene.arm.stages()
    calls = [stages.call(Case(3), 2, number) for number in (0, 1)]
    found = [[], []]
    while not all(call.done for call in calls):
        for parts, call in zip(found, calls, strict=True):
            parts.append(call.take_turn(1)[0])
    assert found == [SHORT, SHORT]


def test_memory_is_metered_over_the_whole_call(scene):
    scene.memory.start()
    advance(scene.arm.stages().call(Case(3), None, 0))
    assert scene.memory.peak_bytes() is not None


def test_a_call_that_is_abandoned_ends_there_too(scene):
    call = scene.arm.stages().call(Case(3), 2, 0)
    call.close()
    assert "abandon_call" not in scene.asked
    call.take_turn(1)
    call.close()
    call.close()
    assert scene.asked.count("abandon_call") == 1
    assert scene.stages.calls[-1].closed
    assert not scene.server._calls._begun


def test_a_new_campaign_and_a_release_leave_no_call_behind(scene):
    stages = scene.arm.stages()
    stages.call(Case(3), 2, 0).take_turn(1)
    # The same number again, as after a test that was interrupted.
    stages.call(Case(3), 2, 0).take_turn(1)
    first, second = scene.stages.calls
    assert (first.closed, second.closed) == (True, False)
    scene.server.on_release()
    assert second.closed


def test_a_call_that_raises_is_abandoned_and_says_what_it_raised(scene):
    scene.stages.breaks = RuntimeError("no such kernel")
    call = scene.arm.stages().call(Case(3), None, 0)
    with pytest.raises(Exception, match="fp16 raised RuntimeError: no such kernel"):
        advance(call)
    assert scene.stages.calls[-1].closed
    assert not scene.server._calls._begun


def test_what_cannot_be_staged_says_so_by_its_version(scene):
    scene.stages.breaks = UnstageableError("setup 'fp16': it denoises in a mode")
    with pytest.raises(UnstageableError, match=r"^main: setup 'fp16': it denoises in a mode$"):
        advance(scene.arm.stages().call(Case(3), None, 0))
    object.__setattr__(scene.there, "stages", None)
    with pytest.raises(UnstageableError, match=r"^main: fp16 is no pipeline whose stages are known$"):
        scene.arm.stages()


def test_a_worker_that_is_lost_ends_the_call_and_lets_it_be_closed(scene):
    call = scene.arm.stages().call(Case(3), None, 0)
    call.take_turn(1)
    scene.cut = True
    with pytest.raises(WorkerLostError):
        call.take_turn(1)
    call.close()
    assert call.done
    assert scene.arm.stages is not None


def test_why_steps_are_uneven_is_told(scene):
    scene.stages.uneven = "its unet keeps what it computed"
    assert scene.arm.stages().uneven == "its unet keeps what it computed"
