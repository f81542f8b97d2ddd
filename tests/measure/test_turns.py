"""Which parts of its call an arm makes before another one goes on."""

import pytest

from pytest_sdspeed.measure.turns import LEAST_TURN_S, count_turns, split_into_turns
from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING, StageTime


def call(steps, step_s=0.1):
    """Two text encodings, steps, and decoding."""
    return [
        *[StageTime(TEXT_ENCODING, 0.01)] * 2,
        *[StageTime(DENOISING, step_s)] * steps,
        StageTime(DECODING, 0.02),
    ]


@pytest.mark.parametrize(
    ("step_s", "turns"), [(10 * LEAST_TURN_S, 7), (LEAST_TURN_S, 7), (0.99 * LEAST_TURN_S, 3), (0.4 * LEAST_TURN_S, 2), (1e-3, 1), (0.0, 1)]
)
def test_a_turn_has_as_many_steps_of_the_quickest_arm_as_it_should_last(step_s, turns):
    assert count_turns([call(7, 100.0), call(7, step_s)], 7) == turns


@pytest.mark.parametrize(("steps", "turns", "lengths"), [(7, 1, [10]), (7, 2, [6, 4]), (7, 3, [5, 2, 3]), (3, 3, [3, 1, 2]), (1, 1, [4])])
def test_what_is_no_step_belongs_to_the_turn_of_the_step_beside_it(steps, turns, lengths):
    assert split_into_turns(call(steps), turns) == lengths


@pytest.mark.parametrize("steps", range(1, 60))
def test_every_part_is_in_one_turn_and_turns_have_about_as_many_steps(steps):
    for turns in range(1, steps + 1):
        lengths = split_into_turns(call(steps), turns)
        assert len(lengths) == turns
        assert sum(lengths) == steps + 3
        own = [lengths[0] - 2, *lengths[1:]] if turns > 1 else [steps]
        own[-1] -= turns > 1
        assert max(own) - min(own) <= 1


def test_what_is_decoded_between_two_steps_belongs_to_the_step_before_it():
    parts = [StageTime(DENOISING, 1.0), StageTime(DECODING, 1.0)] * 2
    assert split_into_turns(parts, 2) == [2, 2]
