"""Pipelines that are hard to stop between two steps: what cannot be is refused by name, and nothing is left behind."""

from __future__ import annotations

import copy
import functools
import threading
from contextvars import ContextVar

import pytest
import torch
from greenlet import GreenletExit
from staged import MAIN, ToyStages, is_equal, run_alone, stages_of

from pytest_sdspeed.device.flags import snapshot
from pytest_sdspeed.errors import UnstageableError
from pytest_sdspeed.model import Case
from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING
from pytest_sdspeed.pipelines.staged_calls import PipelineStages

VARIABLE = ContextVar("VARIABLE", default="unset")


class Denoiser(torch.nn.Module):
    """A denoiser of one weight; ``before`` is called in every call."""

    def __init__(self, before):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.5))
        self.before = before

    def forward(self, sample):
        self.before()
        return sample * self.weight


class Decoder(torch.nn.Module):
    def decode(self, sample):
        return sample + 1


class Scheduler:
    """A scheduler that counts, and adds noise of its own."""

    def __init__(self):
        self.taken = []

    def set_timesteps(self, steps):
        self.timesteps, self.taken = list(range(steps)), []

    def step(self, output, at, sample, generator=None):
        assert self.taken == self.timesteps[: len(self.taken)]
        self.taken.append(at)
        return sample + output + torch.randn(sample.shape, generator=generator)


class Toy:
    """A pipeline of nobody's, whose loop is given: ``around`` a context of all its steps, ``after`` what follows each one."""

    def __init__(self, steps=4, *, around=torch.no_grad, after=lambda _toy: None, heeds=True, denoise=lambda: None):
        self.unet, self.vae, self.scheduler = Denoiser(denoise), Decoder(), Scheduler()
        self.steps, self.around, self.after, self.heeds = steps, around, after, heeds

    def __call__(self, case):
        generator = torch.Generator().manual_seed(case.seed)
        sample = torch.randn(4, generator=generator)
        self.scheduler.set_timesteps(self.steps)
        if self.heeds:
            self._interrupt = False
        with self.around():
            for at in self.scheduler.timesteps:
                if self.heeds and self._interrupt:
                    continue
                sample = self.scheduler.step(self.unet(sample), at, sample, generator)
                self.after(self)
            return self.vae.decode(sample).detach().numpy()


def open_stages(toy):
    return PipelineStages(toy, toy, "toy")


def turns(*calls):
    parts = [[] for _ in calls]
    while not all(call.done for call in calls):
        for own, call in zip(parts, calls, strict=True):
            if not call.done:
                own.append(call.take_turn(1)[0])
    return [stages_of(own) for own in parts]


PLAIN = [TEXT_ENCODING, *[DENOISING] * 4, DECODING]


def test_a_pipeline_of_nobodys_is_stopped_too():
    toy = Toy()
    stages = open_stages(toy)
    calls = [stages.call(MAIN, None, 0), stages.call(Case(1), None, 1)]
    assert turns(*calls) == [PLAIN, PLAIN]
    assert [is_equal(call.pictures, toy(case)) for call, case in zip(calls, (MAIN, Case(1)), strict=True)] == [True, True]
    assert run_alone(stages.call(MAIN, 2, 0))[-1].stage == DECODING


def test_truncated_calls_end_after_their_steps_and_one_that_does_not_heed_it_takes_all():
    assert [len(run_alone(open_stages(Toy(steps=9, heeds=heeds)).call(MAIN, 5, 0))) for heeds in (True, False)] == [7, 11]


def test_an_interrupt_of_another_kind_is_let_be():
    class Own(Toy):
        def _interrupt(self):
            """Stop the music."""

    toy = Own(heeds=False)
    assert stages_of(run_alone(open_stages(toy).call(MAIN, 2, 0))) == PLAIN
    assert "_interrupt" not in vars(toy)


def test_the_pipeline_is_afterwards_what_it_was():
    toy = Toy()
    before, scheduler = dict(vars(toy)), copy.deepcopy(vars(toy.scheduler))
    stages = open_stages(toy)
    turns(stages.call(MAIN, None, 0), stages.call(MAIN, 2, 1))
    assert vars(toy) == before
    assert vars(toy.scheduler) == scheduler
    assert not toy.unet._forward_pre_hooks
    assert "decode" not in vars(toy.vae)


def test_what_a_slot_sets_on_the_pipeline_is_there_while_it_moves():
    toy, seen = Toy(), []
    toy.after = lambda toy: seen.append(getattr(toy, "planted", None))
    call = open_stages(toy).call(MAIN, None, 0)
    toy.planted = "by a slot"
    run_alone(call)
    assert seen == ["by a slot"] * 4


def test_what_a_scheduler_keeps_in_place_is_of_its_own_call():
    """A list that its steps extend, and that no ``set_timesteps`` makes anew."""
    toy = Toy()
    toy.scheduler.kept = ["before"]
    toy.after = lambda toy: toy.scheduler.kept.append(len(toy.scheduler.kept))
    stages = open_stages(toy)
    calls = [stages.call(MAIN, None, number) for number in (0, 1)]
    turns(*calls)
    assert toy.scheduler.kept == ["before"]


def test_two_names_of_one_scheduler_are_one():
    toy = Toy()
    toy.other_scheduler = toy.scheduler
    assert stages_of(run_alone(open_stages(toy).call(MAIN, None, 0))) == PLAIN
    assert len(run_alone(open_stages(toy).call(MAIN, 2, 0))) == 4


def test_a_wrapped_step_finds_the_state_of_its_own_call():
    """A closure on the scheduler, as who plants or measures something writes it: copies of the scheduler would all step the first one."""
    toy = Toy()
    step, toy.log = toy.scheduler.step, []
    toy.scheduler.step = lambda *args: toy.log.append(len(toy.scheduler.taken)) or step(*args)
    stages = open_stages(toy)
    assert turns(*(stages.call(MAIN, None, number) for number in (0, 1))) == [PLAIN, PLAIN]
    assert toy.log == [0, 0, 1, 1, 2, 2, 3, 3]


def test_previews_between_steps_are_parts_of_their_own():
    toy = Toy(after=lambda toy: toy.vae.decode(torch.zeros(1)))
    found = stages_of(run_alone(open_stages(toy).call(MAIN, None, 0)))
    assert found == [TEXT_ENCODING, *[DENOISING, DECODING] * 4]


def test_values_of_context_variables_are_those_of_the_caller():
    seen = []
    toy = Toy(denoise=lambda: seen.append((VARIABLE.get(), threading.get_ident())))
    token = VARIABLE.set("set")
    run_alone(open_stages(toy).call(MAIN, None, 0))
    VARIABLE.reset(token)
    assert set(seen) == {("set", threading.get_ident())}


@pytest.mark.parametrize(
    ("around", "said"),
    [(torch.inference_mode, "torch inference mode"), (lambda: torch.device("meta"), "torch (default device|function modes)")],
    ids=["inference mode", "default device"],
)
def test_what_cannot_be_put_aside_is_refused_by_name_and_left(around, said):
    before = snapshot()
    call = open_stages(Toy(around=around)).call(MAIN, None, 0)
    with pytest.raises(UnstageableError, match=f"toy: its pipeline denoises inside of .*{said}"):
        run_alone(call)
    assert call.done
    assert snapshot() == before


@pytest.mark.parametrize(
    "around",
    [
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        torch.enable_grad,
        lambda: torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        lambda: torch.autograd.set_detect_anomaly(mode=False),
    ],
    ids=["autocast", "gradients", "attention", "nothing"],
)
def test_what_a_pipeline_holds_around_its_loop_goes_with_its_own_call(around):
    seen = {"held": [], "plain": []}
    toys = {
        name: Toy(around=own, denoise=lambda name=name: seen[name].append(snapshot()))
        for name, own in (("held", around), ("plain", torch.no_grad))
    }
    before = snapshot()
    turns(*(open_stages(toy).call(MAIN, None, 0) for toy in toys.values()))
    assert snapshot() == before
    for name, toy in toys.items():
        own, seen[name] = seen[name], []
        toy(MAIN)
        assert own == seen[name]


@pytest.mark.parametrize("error", [ValueError("planted"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_what_a_call_raises_in_the_middle_reaches_the_caller_and_the_others_go_on(error):
    def fail():
        calls.append(1)
        if len(calls) == 3:
            raise error

    calls, before = [], snapshot()
    toy, other = Toy(denoise=fail), Toy()
    broken, whole = open_stages(toy).call(MAIN, None, 0), open_stages(other).call(MAIN, None, 0)
    with pytest.raises(type(error)) as caught:
        turns(broken, whole)
    assert caught.value is error
    broken.close()
    run_alone(whole)
    assert is_equal(whole.pictures, other(MAIN))
    assert snapshot() == before
    calls[:] = [0] * 9
    assert is_equal(toy(MAIN), whole.pictures)


def test_an_abandoned_call_ends_at_once_and_frees_what_it_held():
    ended, before = [], snapshot()

    class Context(torch.enable_grad):
        def __exit__(self, *error):
            ended.append(error[0])
            return super().__exit__(*error)

    toy = Toy(around=Context)
    stages = open_stages(toy)
    call, fresh = stages.call(MAIN, None, 0), stages.call(MAIN, None, 1)
    call.take_turn(1)
    call.take_turn(1)
    assert not ended
    call.close()
    fresh.close()
    assert ended == [GreenletExit]
    assert call.done
    assert fresh.done
    assert snapshot() == before
    assert len(run_alone(stages.call(MAIN, None, 0))) == 6


def test_a_call_that_catches_what_ends_it_ends_all_the_same():
    class Stubborn(Toy):
        def __call__(self, case):
            for _ in range(3):
                try:
                    return super().__call__(case)
                except BaseException:  # noqa: BLE001 - the worst of pipelines
                    tries.append(1)
            raise RuntimeError("never")

    tries = []
    call = open_stages(Stubborn()).call(MAIN, None, 0)
    call.take_turn(1)
    call.close()
    assert call.done
    assert len(tries) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda toy: delattr(toy, "scheduler"), "Toy has no scheduler"),
        (
            # As a function it is no module, and what it calls has a name of its own.
            lambda toy: vars(toy).update(model=toy.unet, unet=functools.partial(toy.unet)),
            "never called a known denoiser",
        ),
    ],
    ids=["no scheduler", "no denoiser"],
)
def test_what_tells_no_steps_apart_is_refused_by_name(change, said):
    toy = Toy()
    change(toy)
    with pytest.raises(UnstageableError, match=said):
        run_alone(open_stages(toy).call(MAIN, None, 0))


def test_a_pipeline_that_steps_copies_of_its_scheduler_is_refused_by_name():
    class Copies(Toy):
        def __call__(self, case):
            steps = copy.deepcopy(self.scheduler)
            steps.set_timesteps(self.steps)
            sample = torch.zeros(4)
            for at in steps.timesteps:
                sample = steps.step(self.unet(sample), at, sample)
            return self.vae.decode(sample).detach().numpy()

    with pytest.raises(UnstageableError, match="never took a step of its scheduler"):
        run_alone(open_stages(Copies()).call(MAIN, None, 0))


def cache_by_hooks(pipeline):
    from diffusers import FirstBlockCacheConfig
    from diffusers.hooks import apply_first_block_cache

    apply_first_block_cache(pipeline.transformer, FirstBlockCacheConfig(threshold=0.2))


def cache_by_its_method(pipeline):
    from diffusers import FirstBlockCacheConfig

    pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.2))


@pytest.mark.parametrize("cache", [cache_by_hooks, cache_by_its_method])
def test_a_cache_is_known_of_before_and_two_calls_of_it_are_refused(cache):
    stages, plain = ToyStages("flux", 6, cache), ToyStages("flux", 6)
    assert "its transformer keeps what it computed" in stages.uneven
    assert not plain.uneven
    with pytest.raises(UnstageableError, match="cannot take turns"):
        stages.call(MAIN, None, 1)
    call, other = stages.call(MAIN, None, 0), plain.call(MAIN, None, 0)
    turns(call, other)
    assert is_equal(call.pictures, stages.draw(MAIN))
    assert is_equal(other.pictures, plain.draw(MAIN))


def test_parts_that_are_moved_between_devices_are_for_one_call_at_a_time():
    toy = Toy()
    toy.unet._hf_hook = object()
    assert "its unet is moved between devices" in open_stages(toy).alone
