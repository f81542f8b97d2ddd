"""Recording calls that take turns by stages: rounds of fake calls, the file and the errors of the command."""

import json
import lzma
import random
from contextlib import nullcontext

import pytest
import record_steps
from record_steps import HeldCall, main, record, record_round

from pytest_sdspeed.model.stages import StageTime


class FakeCalls:
    """Begins calls of some parts, each of which takes its number times a millisecond, and notes who goes on."""

    def __init__(self, parts=4, longer=-1):
        self.parts, self.longer, self.taken, self.closed = parts, longer, [], 0

    def __call__(self, number):
        return FakeCall(self, number, self.parts + (number == self.longer))


class FakeCall:
    pictures = None

    def __init__(self, calls, number, parts):
        self.calls, self.number, self.left, self.done = calls, number, parts, False

    def advance(self):
        self.calls.taken.append(self.number)
        self.left -= 1
        self.done = not self.left
        return StageTime("denoising", 0.001 * (self.number + 1))

    def take_turn(self, parts):
        return [self.advance() for _ in range(min(parts, self.left))]

    def close(self):
        self.calls.closed += 1


@pytest.fixture
def begin(monkeypatch):
    calls = FakeCalls()
    monkeypatch.setattr("record_steps.open_miniature", lambda steps: FakeCalls(steps + 2))
    return calls


def test_calls_take_turns_in_the_order_of_a_round_reversed_at_every_other_part(begin):
    assert record_round(begin, ["row", "baseline", record_steps.CONTROL]) == [[1000, 2000, 3000]] * 4
    assert begin.taken == [2, 0, 1, 1, 0, 2] * 2
    assert begin.closed == 3


def test_calls_of_unequal_length_are_refused_and_closed():
    calls = FakeCalls(longer=1)
    with pytest.raises(ValueError, match="equally many parts"):
        record_round(calls, record_steps.LANES)
    assert calls.closed == 3


def test_a_block_is_two_rounds_of_which_the_second_is_reversed(begin):
    now = iter(range(100))
    orders, found = record(begin, 9, random.Random(0), clock=lambda: next(now))
    assert len(orders) == len(found) > 4
    assert all(one == other[::-1] for one, other in zip(orders[::2], orders[1::2], strict=True))
    assert all(sorted(order) == [0, 1, 2] for order in orders)


def test_a_stop_keeps_the_blocks_that_are_whole(begin):
    def stop(_now):
        if len(begin.taken) > 50:
            raise KeyboardInterrupt

    orders, found = record(begin, 1e9, random.Random(0), progress=stop)
    assert len(orders) == len(found) == 6


def test_flags_are_held_whenever_a_call_goes_on(begin):
    held = []

    def slot():
        held.append(1)
        return nullcontext()

    call = HeldCall(begin(0), slot)
    while not call.done:
        call.take_turn(1)
    assert len(held) == 4


def test_the_command_writes_a_recording(begin, tmp_path, capsys):
    output = tmp_path / "steps.json.xz"
    assert main([str(output), "--minutes", "0.002", "--steps", "7"]) == 0
    trace = json.loads(lzma.decompress(output.read_bytes()))
    assert set(trace) == {"work", "orders", "microseconds", "machine"}
    assert trace["microseconds"][0] == [[1000, 2000, 3000]] * 9
    assert len(trace["orders"]) == len(trace["microseconds"])
    assert len(trace["machine"]["load"]) == 3
    assert f"{len(trace['orders'])} rounds of 9 parts" in capsys.readouterr().out


def test_stopped_at_once_writes_nothing(monkeypatch, tmp_path, capsys):
    def interrupted(_steps):
        raise KeyboardInterrupt

    monkeypatch.setattr("record_steps.open_miniature", interrupted)
    assert main([str(tmp_path / "steps.json.xz")]) == 130
    assert "nothing is written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none/steps.json.xz"], "there is no folder"),
        (["old.json.xz"], "old.json.xz exists: name another file"),
        (["new.json.xz", "--steps", "2"], "--steps 2 is less than 3"),
        (["new.json.xz", "--minutes", "0"], "0 is not above 0"),
    ],
)
@pytest.mark.usefixtures("begin")
def test_wrong_use_is_explained(monkeypatch, tmp_path, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json.xz").write_bytes(b"")
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
