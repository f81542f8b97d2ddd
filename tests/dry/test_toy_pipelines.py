"""Whole pipelines at toy size: what is planted into their steps is found with its line, and nothing else."""

from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from toy_accounts import count_toy
from toy_pipelines import STEPS

# Schedulers hand tensors to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")

count_once = cache(partial(count_toy, steps=STEPS))


def plant(work):
    """Return what plants work into every call of a pipeline's denoiser."""

    def change(pipeline):
        denoiser = getattr(pipeline, "transformer", None) or pipeline.unet
        call = denoiser.forward

        def planted(*args, **kwargs):
            found = call(*args, **kwargs)
            sample = found[0] if isinstance(found, tuple) else found.sample
            work(sample)
            return found

        denoiser.forward = planted

    return change


def wait(sample):
    sample.mean().item()


def cast(sample):
    sample.half()


def copy_up(sample):
    torch.zeros(2).to(sample.device)


def copy_down(sample):
    sample.cpu()


def choose(sample):
    sample[sample > 0]


def allocate(sample):
    torch.empty(1 << 22, device=sample.device)


def compute(sample):
    sample[0] @ sample[0].t()


PLANTED = {
    wait: ("host_syncs", "sample.mean().item()"),
    choose: ("host_syncs", "sample[sample > 0]"),
    copy_up: ("host_to_device", "torch.zeros(2).to(sample.device)"),
    copy_down: ("device_to_host", "sample.cpu()"),
    cast: ("casts", "sample.half()"),
    allocate: ("peak_bytes", None),
    compute: ("flops", None),
}


@pytest.mark.parametrize("work", PLANTED, ids=lambda work: work.__name__)
def test_what_is_planted_into_a_step_is_found_with_its_line(work):
    count_name, code = PLANTED[work]
    clean, planted = count_once("flux"), count_toy("flux", STEPS, plant(work))
    assert getattr(planted.per_step, count_name) > getattr(clean.per_step, count_name)
    new = [
        place
        for place in planted.per_step.places
        if replace(place, count=0) not in {replace(one, count=0) for one in clean.per_step.places}
    ]
    if code is None:
        assert new == []
    else:
        (file,) = {place.file for place in new}
        assert file.endswith("tests/dry/test_toy_pipelines.py")
        assert {place.code for place in new} == {code}
        assert {place.count for place in new} == {1}
        assert {place.count for place in planted.places if place.code == code} == {STEPS}


@pytest.mark.parametrize("name", ["flux", "stable_diffusion"])
def test_two_accounts_of_the_same_are_equal(name):
    assert count_toy(name, STEPS) == count_once(name)


def test_an_account_does_not_depend_on_the_number_of_steps_but_in_its_sum():
    short, long = count_toy("flux", 3), count_once("flux")
    # The timesteps, of which there are more, are held in each.
    assert short.per_step == replace(long.per_step, peak_bytes=short.per_step.peak_bytes)
    assert long.operations - short.operations == long.per_step.operations
    assert (short.steps, long.steps) == (3, STEPS)


WAITS_PER_STEP = {"stable_diffusion": 6, "stable_diffusion_euler": 0, "sdxl": 0, "stable_diffusion_3": 0, "flux": 0, "wan": 1}


@pytest.mark.parametrize("name", WAITS_PER_STEP)
def test_the_host_waits_this_often_in_a_step(name):
    account = count_once(name)
    assert account.per_step.host_syncs == WAITS_PER_STEP[name]
    assert account.steps == STEPS
    assert account.weight_bytes > 0
    assert account.peak_bytes > account.weight_bytes
    assert set(account.stages) == {"denoising", "decoding"}
    assert account.stages["denoising"].flops > account.per_step.flops > 0
    for field in ("operations", "host_syncs", "host_to_device", "device_to_host", "casts", "flops", "bytes_moved"):
        assert getattr(account, field) >= sum(getattr(stage, field) for stage in account.stages.values())
    for field in ("operations", "flops", "bytes_moved"):
        assert getattr(account, field) == sum(work_of(account, field))


def work_of(account, name):
    size = {"operations": lambda _one: 1, "flops": lambda one: one.flops, "bytes_moved": lambda one: one.bytes_moved}[name]
    return [size(one) * one.count for one in account.work]
