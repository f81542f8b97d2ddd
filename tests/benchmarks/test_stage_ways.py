"""Ways to time a call: what their blocks say, and that each measures real calls of both arms."""

import json
import math
import random

import numpy as np
import pytest

pytest.importorskip("tqdm")

import stage_ways
from stage_ways import Block
from ways import WAYS, WHOLE, Timed
from ways.threads import ThreadedCall

from pytest_sdspeed.model import Case
from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING

GREENLETS, THREADS, REPLAYS, TWO = list(WAYS)[1:]


class FakeWay:
    def __init__(self, ratio, seconds):
        self.ratio, self.seconds, self.blocks = ratio, seconds, 0

    def measure_block(self):
        self.blocks += 1
        late = 1 + 0.01 * self.blocks
        return [Timed([late * self.ratio, self.ratio / late], self.seconds), Timed([1.0, 1.0], self.seconds)]


def test_a_block_of_every_way_is_measured_in_every_turn():
    ways = {WHOLE: FakeWay(2.0, 3.0), GREENLETS: FakeWay(1.5, 0.5)}
    found = stage_ways.measure(ways, 4, random.Random(0))
    assert [len(blocks) for blocks in found.values()] == [4, 4]
    assert found[WHOLE][0].log_ratio == pytest.approx(math.log(2))
    assert {block.seconds for block in found[GREENLETS]} == {1.0}


def test_a_way_that_cannot_measure_a_row_is_left_out_and_said_so(capsys):
    broken = FakeWay(2.0, 1.0)
    broken.measure_block = lambda: [].index(901)
    found = stage_ways.measure({WHOLE: FakeWay(2.0, 1.0), REPLAYS: broken}, 3, random.Random(0))
    assert (len(found[WHOLE]), found[REPLAYS]) == (3, [])
    assert f"{REPLAYS}: ValueError" in capsys.readouterr().err
    assert stage_ways.make_table({"row": found}).rows[1] == ("row", REPLAYS, "-", "cannot measure it", "-", "-")


def test_the_bias_is_that_of_paired_blocks_with_its_t_interval():
    whole = [Block(math.log(2) + by, 4.0) for by in (0.1, -0.1, 0.0)]
    own = [Block(block.log_ratio + 0.01 + by, 1.0) for block, by in zip(whole, (0.001, -0.001, 0.0), strict=True)]
    said = stage_ways.estimate(own, whole)
    assert said.ratio == pytest.approx(2 * math.exp(0.01))
    assert said.bias == pytest.approx(math.expm1(0.01))
    assert said.error == pytest.approx(4.3027 * 0.001 / math.sqrt(3), rel=1e-4)
    assert said.width == pytest.approx(2 * 1.96 * 0.101 * math.sqrt(1 / 60))


def test_whole_calls_are_beside_nothing_in_the_table():
    blocks = {WHOLE: [Block(0.0, 2.0)] * 3, TWO: [Block(0.1, 1.0)] * 3}
    lines = stage_ways.make_table({"cache": blocks}).text().splitlines()
    assert lines[2:] == [
        "| cache | whole calls | x1.000 | - | 2.00 | 0.0% |",
        "| cache | two lengths | x1.105 | +10.5% ± 0.0% | 1.00 | 0.0% |",
    ]


def test_an_unknown_row_is_refused_by_name(capsys):
    with pytest.raises(SystemExit):
        stage_ways.main(["cahce"])
    assert "unknown: cahce; valid: distilled, cache" in capsys.readouterr().err


@pytest.fixture(scope="module")
def setups(tmp_path_factory):
    found = stage_ways.make_setups("cache", 8, tmp_path_factory.mktemp("tables"))
    for setup in found:
        setup.build()
    return found


@pytest.mark.slow
def test_a_call_in_a_thread_has_the_parts_and_the_pictures_of_a_usual_one(setups):
    setup = setups[0]
    with setup.slot():
        drawn = setup.draw(Case(0))
    call = ThreadedCall(setup.pipeline, lambda: setup.draw(Case(0)), None)
    stages = []
    while not call.done:
        with setup.slot():
            stages.append(call.take_turn(1)[0].stage)
    assert stages == [TEXT_ENCODING, *[DENOISING] * 8, DECODING]
    np.testing.assert_array_equal(call.pictures, drawn)
    short = ThreadedCall(setup.pipeline, lambda: setup.draw(Case(0)), 3)
    with setup.slot():
        parts = [short.take_turn(1)[0]]
        while not short.done:
            parts.append(short.take_turn(1)[0])
    assert [part.stage for part in parts] == [TEXT_ENCODING, *[DENOISING] * 3, DECODING]


@pytest.mark.slow
def test_what_a_call_in_a_thread_raises_is_raised_where_it_is_advanced(setups):
    call = ThreadedCall(setups[0].pipeline, lambda: 1 / 0, None)
    with pytest.raises(ZeroDivisionError):
        call.take_turn(1)


@pytest.mark.slow
@pytest.mark.parametrize("way", list(WAYS))
def test_every_way_measures_two_slots_of_both_arms(setups, way):
    baseline, row = WAYS[way](setups, 8).measure_block()
    for timed in (baseline, row):
        assert len(timed.calls_s) == 2
        assert all(0 < seconds < 60 for seconds in timed.calls_s)
        assert timed.spent_s > 0


@pytest.mark.slow
def test_the_command_writes_its_table_and_its_blocks(tmp_path, capsys):
    output = tmp_path / "ways.json"
    stage_ways.main(["cache", "--blocks", "2", "--steps", "8", "-o", str(output), "--docs", str(tmp_path), "--clock", "processor"])
    assert set(json.loads(output.read_text())["cache"]) == set(WAYS)
    assert (tmp_path / stage_ways.SNIPPETS["processor"]).read_text().count("| cache |") == len(WAYS)
    assert "### Ways to time a call" in capsys.readouterr().out
