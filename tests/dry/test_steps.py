"""The steps and stages of a generation are found from what its schedulers and parts did."""

import pytest

from pytest_sdspeed.dry.ledger import Ledger
from pytest_sdspeed.dry.steps import find_stages, find_steps


def steps(*marks):
    return find_steps([(index, "schedule" if word == "schedule" else "step", scheduler) for index, word, scheduler in marks])


def rounds(scheduler, *indices):
    return [(index, "step", scheduler) for index in indices]


def test_an_interval_is_from_the_end_of_a_step_to_the_end_of_the_next():
    found = steps((0, "schedule", 1), *rounds(1, 10, 20, 30))
    assert found.count == 3
    assert found.intervals == ((10, 20), (20, 30))


def test_no_step_and_one_step_have_no_interval():
    assert steps().count == 0
    assert steps((0, "schedule", 1), *rounds(1, 10)) == find_steps([(10, "step", 1)])
    assert steps(*rounds(1, 10)).intervals == ()


def test_a_new_schedule_begins_a_loop_so_that_no_interval_spans_two_calls():
    found = steps((0, "schedule", 1), *rounds(1, 10, 20), (25, "schedule", 1), *rounds(1, 50, 60))
    assert found.count == 4
    assert found.intervals == ((10, 20), (50, 60))


def test_a_second_scheduler_of_the_same_loop_belongs_to_the_round():
    # Sound and picture, each with its own scheduler; what the second does the first time is in no steady step.
    found = steps(
        (0, "schedule", 1),
        (1, "schedule", 2),
        (10, "step", 1),
        (14, "step", 2),
        (20, "step", 1),
        (22, "step", 2),
        (30, "step", 1),
        (32, "step", 2),
    )
    assert found.count == 3
    assert found.intervals == ((14, 22), (22, 32))


def test_a_scheduler_that_takes_over_without_a_new_schedule_leads_a_loop_of_its_own():
    found = steps((0, "schedule", 1), (0, "schedule", 2), *rounds(1, 10, 20), *rounds(2, 100, 110, 120))
    assert found.count == 5
    assert found.intervals == ((10, 20), (100, 110), (110, 120))


def spans(*made, marks=()):
    ledger = Ledger()
    ledger.spans.extend(made)
    ledger.marks.extend(marks)
    found = {stage: [(run.start, run.end) for run in runs] for stage, runs in find_stages(ledger).items()}
    return {stage: runs[0] if len(runs) == 1 else runs for stage, runs in found.items()}


def test_stages_are_what_comes_before_between_and_after_the_denoisers():
    found = spans(
        ("text_encoder.forward", 0, 5),
        ("text_encoder_2.forward", 5, 9),
        ("transformer.forward", 12, 20),
        ("transformer.forward", 22, 30),
        ("vae.decode", 40, 55),
        marks=[(21, "step", 1), (31, "step", 1)],
    )
    assert found == {"text_encoder": (0, 9), "denoising": (12, 31), "decoding": (40, 55)}


def test_without_a_denoiser_there_are_no_stages():
    assert spans(("vae.decode", 0, 3)) == {}


@pytest.mark.parametrize("name", ["unet.forward", "controlnet.forward", "transformer_2.forward", "prior.forward"])
def test_denoisers_go_by_many_names(name):
    assert spans((name, 3, 8)) == {"denoising": (3, 8)}


def test_an_image_that_is_encoded_first_is_a_stage_of_its_own_and_a_text_encoder_after_the_loop_no_text_stage():
    found = spans(("vae.encode", 0, 4), ("unet.forward", 5, 8), ("text_encoder.forward", 9, 10), ("vae.decode", 10, 12))
    assert found == {"image_encoding": (0, 4), "denoising": (5, 8), "decoding": (10, 12)}


def test_a_second_loop_after_an_upsampler_is_denoising_too():
    found = spans(
        ("transformer.forward", 0, 5),
        ("latent_upsampler.forward", 8, 10),
        ("transformer.forward", 12, 20),
        ("vae.decode", 25, 30),
        marks=[(6, "step", 1), (22, "step", 1)],
    )
    assert found == {"denoising": [(0, 6), (12, 22)], "upsampling": (8, 10), "decoding": (25, 30)}


def test_a_prior_before_a_decoder_is_a_stage_and_text_may_be_encoded_between_them():
    found = spans(
        ("prior_text_encoder.forward", 0, 2),
        ("prior_prior.forward", 3, 8),
        ("text_encoder.forward", 9, 11),
        ("decoder.forward", 12, 20),
        ("vqgan.decode", 21, 30),
    )
    assert found == {"text_encoder": [(0, 2), (9, 11)], "prior": (3, 8), "denoising": (12, 20), "decoding": (21, 30)}


def test_what_a_part_calls_of_another_one_is_its_own():
    found = spans(
        ("vae.decode", 3, 5), ("unet.forward", 0, 6), ("text_encoder.forward", 7, 8), ("vae.forward", 10, 12), ("vae.decode", 9, 13)
    )
    assert found == {"denoising": (0, 6), "decoding": (9, 13)}
