"""How long a campaign by stages measures on for a stage that is undecided."""

import random

import pytest

from pytest_sdspeed.measure.campaign_data import Arm
from pytest_sdspeed.measure.decisions import Decisions
from pytest_sdspeed.measure.held_stages import HeldStages
from pytest_sdspeed.measure.roster import Roster
from pytest_sdspeed.model import CONTROL

LEGS = ("base", CONTROL, "row")


class Play:
    """Plays blocks of a row whose call is steady, and whose decoding is as noisy as it is told to be."""

    def __init__(self, noise, slower=1.0, denoising=1.0, planned=40, stage_floor=0.97):
        row = Arm(name="row", generate=str, floor=0.97, stage_floor=stage_floor)
        self.roster = Roster(Arm(name="base", generate=str), [row], None, None)
        self.samples = {leg: [] for leg in LEGS}
        self.stages = {leg: {"denoising": [], "decoding": []} for leg in LEGS}
        self.held = HeldStages(self.roster, self.stages)
        self.decisions = Decisions(self.roster, self.samples, 1, stages=self.held)
        rng, self.blocks = random.Random(1), 0
        while self.roster.active and self.blocks < planned:
            self.blocks += 1
            for leg in LEGS:
                effects = (denoising, slower) if leg == "row" else (1.0, 1.0)
                pairs = [
                    tuple(seconds * effect * rng.gauss(1, cv) for _ in range(2))
                    for seconds, effect, cv in zip((1.0, 0.05), effects, (0.0005, noise), strict=True)
                ]
                self.stages[leg]["denoising"].append(pairs[0])
                self.stages[leg]["decoding"].append(pairs[1])
                self.samples[leg].append((1.0 * effects[0] + rng.gauss(0, 0.0005), 1.0 * effects[0] + rng.gauss(0, 0.0005)))
            if self.blocks >= 3:
                self.decisions.look(self.blocks, planned)
        self.verdicts = {stage: one.verdict for stage, one in self.held.verdicts.get("row", {}).items()}


def test_a_row_whose_stages_are_as_steady_as_its_call_leaves_with_it():
    play = Play(noise=0.0005)
    assert play.verdicts == {"denoising": "pass", "decoding": "pass"}
    assert play.blocks <= 4


def test_a_row_is_measured_on_for_an_undecided_stage_and_its_call_stays_decided():
    play = Play(noise=0.005, slower=1.06)
    assert play.verdicts["decoding"] == "fail"
    assert 4 <= play.blocks <= 8
    decision = play.decisions.decided["row"]
    assert decision.verdict == "pass"
    assert decision.blocks < play.blocks


def test_a_stage_too_noisy_to_be_decided_costs_few_blocks():
    play = Play(noise=0.2)
    assert play.verdicts["decoding"] == "inconclusive"
    assert play.blocks <= 8


@pytest.mark.parametrize("facts", [{"denoising": 1.1}, {"stage_floor": None}])
def test_nothing_is_measured_on_for_a_row_that_fails_anyway_or_holds_no_stage(facts):
    play = Play(noise=0.2, **facts)
    assert play.blocks == play.decisions.decided["row"].blocks <= 5
    assert play.decisions.decided["row"].verdict == ("fail" if "denoising" in facts else "pass")
