"""Campaigns on a fake clock: arms that raise, the memory they take, and whoever watches."""

from __future__ import annotations

import weakref
from dataclasses import replace

import campaigns
import pytest
from campaigns import tell, undecidable
from fakes import Bench

from pytest_sdspeed.errors import GenerationError, LeakedFlagError, OutOfMemoryError, explain
from pytest_sdspeed.judge.pictures.slots import ArmPictures
from pytest_sdspeed.measure.campaign_data import Limits
from pytest_sdspeed.model import CONTROL, Case, UnknownTelemetry

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


# Arms that raise


def failing(bench, name, when, error=None, floor=0.5):
    """An arm that raises where ``when()`` holds."""

    def generate(_seed):
        bench.clock.spend(1.0)
        if when():
            raise error or ValueError("boom")
        return campaigns.picture(name)

    return bench.calling(name, generate, floor=floor)


def test_an_arm_that_raises_in_warm_up_leaves_and_the_others_go_on(bench):
    record = bench.run(bench.arm("base", 1.0), failing(bench, "broken", lambda: True), bench.arm("good", 1.0, floor=0.5))
    assert set(record.errors) == {"broken"}
    assert record.samples_s["broken"] == []
    assert record.pictures["broken"] == ArmPictures()
    assert set(record.decisions) == {"good"}
    assert record.decisions["good"].verdict == "pass"
    assert [progress.phase for progress in bench.progress if progress.arm == "broken"] == ["build", "warm-up"]


def test_an_arm_that_raises_at_its_second_seed_leaves_before_anything_is_timed(bench):
    calls = iter([False, True])
    record = bench.run(bench.arm("base", 1.0), failing(bench, "broken", lambda: next(calls)), seed=3)
    assert isinstance(record.errors["broken"], GenerationError)
    assert [look.case for look in record.pictures["broken"].looks] == [Case(4)]
    assert tell(record.pictures["broken"], "broken") == {Case(4): "broken"}
    assert record.block_s == 4.0


def test_an_arm_that_raises_in_a_block_keeps_its_whole_blocks_and_loses_the_part(bench):
    broken = failing(bench, "broken", lambda: bench.block == 3, floor=None)
    record = bench.run(bench.arm("base", 1.0), broken, undecidable(bench))
    assert len(record.samples_s["broken"]) == 2
    assert len(record.samples_s["row"]) == len(record.samples_s["base"]) == 20
    # What its whole blocks say is kept beside its error.
    assert set(record.errors) == {"broken"}
    assert record.decisions["broken"].blocks == 2
    assert [slot.block for slot in record.slots if slot.arm == "broken"] == [1, 1, 2, 2]


def test_an_arm_that_raised_is_not_called_again(bench):
    calls = []

    def generate(_seed):
        calls.append(bench.block)
        bench.clock.spend(1.0)
        if bench.block:
            raise ValueError

    bench.run(bench.arm("base", 1.0), bench.calling("broken", generate, floor=0.5), undecidable(bench))
    assert calls == [0, 0, 1]


def test_an_arm_that_raises_only_in_its_second_slot_adds_no_half_sample(bench):
    calls = []
    broken = failing(bench, "broken", lambda: bench.block == 2 and calls.append(0) is None and len(calls) == 2)
    record = bench.run(bench.arm("base", 1.0), broken, undecidable(bench))
    assert [len(pair) for pair in record.samples_s["broken"]] == [2]
    assert [slot.block for slot in record.slots if slot.arm == "broken"] == [1, 1, 2]
    assert isinstance(record.errors["broken"], GenerationError)


def test_when_every_row_has_raised_the_campaign_ends(bench):
    record = bench.run(bench.arm("base", 1.0), failing(bench, "broken", lambda: bench.block == 2))
    assert len(record.samples_s["base"]) == 2
    assert record.decisions == {}


def test_when_every_row_raises_in_warm_up_the_baseline_is_measured_all_the_same(bench):
    record = bench.run(bench.arm("base", 1.0), failing(bench, "broken", lambda: True))
    assert len(record.samples_s["base"]) == 3


def test_the_error_names_arm_type_first_line_and_the_place_it_was_raised_at(bench):
    def deep():
        raise ValueError("boom\nsecond line " + "x" * 1000)

    error = bench.run(bench.arm("base", 1.0), bench.calling("broken", lambda _seed: deep(), floor=0.5)).errors["broken"]
    assert type(error) is GenerationError
    assert str(error) == f"broken raised ValueError: boom ({__file__}:{deep.__code__.co_firstlineno + 1})"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no message"),
        ("\n\n", "no message"),
        ("x" * 1000, "x" * 300),
        ("  a\r\nb", "a"),
        (
            "backend='inductor' raised:\n\nRuntimeError: no triton\n\nSet TORCHDYNAMO_VERBOSE",
            "backend='inductor' raised: RuntimeError: no triton",
        ),
        ("it ends there:", "it ends there:"),
    ],
)
def test_an_error_that_was_never_raised_has_no_place(text, said):
    assert str(explain("arm", RuntimeError(text))) == f"arm raised RuntimeError: {said}"


class TorchOutOfMemoryError(RuntimeError):
    """As torch's: no MemoryError."""


TorchOutOfMemoryError.__name__ = "OutOfMemoryError"


@pytest.mark.parametrize("error", [MemoryError("tried 3 GiB"), TorchOutOfMemoryError("tried 3 GiB\nof 2")])
def test_out_of_memory_is_told_apart(bench, error):
    found = bench.run(bench.arm("base", 1.0), failing(bench, "big", lambda: True, error)).errors["big"]
    assert type(found) is OutOfMemoryError
    assert str(found).startswith(f"big ran out of memory: tried 3 GiB ({__file__}:")


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory\nCUDA kernel errors",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when",
    ],
)
def test_memory_that_libraries_lack_is_out_of_memory_too(text):
    assert type(explain("arm", RuntimeError(text))) is OutOfMemoryError


@pytest.mark.parametrize("when", [0, 3])
def test_an_arm_that_does_not_fit_says_what_there_is_and_the_others_go_on(bench, when):
    class Small(Meter):
        def shortage(self):
            return "; 79.00 GiB were allocated"

    big = failing(bench, "big", lambda: bench.block == when, MemoryError("tried 3 GiB"))
    record = bench.run(bench.arm("base", 1.0), big, undecidable(bench), memory=Small())
    assert type(record.errors["big"]) is OutOfMemoryError
    assert str(record.errors["big"]).endswith("; 79.00 GiB were allocated")
    assert set(record.errors) == {"big"}
    assert len(record.samples_s["row"]) == 20
    assert record.unusable is None


def test_other_errors_are_not_taken_for_out_of_memory():
    assert type(explain("arm", RuntimeError("out of memory"))) is GenerationError


@pytest.mark.parametrize("kind", [LeakedFlagError, MemoryError, ValueError])
def test_an_error_lets_go_of_what_the_arm_had_allocated(bench, kind):
    class Weights:
        pass

    held = []

    def generate(_seed):
        weights = Weights()
        held.append(weakref.ref(weights))
        raise kind("what went wrong")

    record = bench.run(bench.arm("base", 1.0), bench.calling("big", generate, floor=0.5))
    assert "big" in record.errors
    assert [reference() for reference in held] == [None]


@pytest.mark.parametrize("when", [0, 2])
def test_a_leaked_flag_passes_unchanged_and_its_slot_is_no_sample(bench, when):
    leak = LeakedFlagError("setup 'leaky' left process-global flags behind")

    class Leaky:
        def __enter__(self):
            pass

        def __exit__(self, *_error):
            if bench.block == when:
                raise leak

    arm = type(bench.arm("x", 1.0))(name="leaky", generate=lambda _seed: bench.clock.spend(1.0), slot=Leaky, floor=0.5)
    record = bench.run(bench.arm("base", 1.0), arm, undecidable(bench))
    assert record.errors == {"leaky": leak}
    assert record.errors["leaky"] is leak
    assert len(record.samples_s["leaky"]) == max(0, when - 1)
    assert record.decisions["row"].blocks == 20


def test_an_arm_that_takes_no_time_is_an_error_and_not_the_end(bench):
    record = bench.run(bench.arm("base", 1.0), bench.calling("instant", lambda _seed: None, floor=0.5), bench.arm("good", 1.0, floor=0.5))
    assert "took no time" in str(record.errors["instant"])
    assert record.decisions["good"].verdict == "pass"


def test_a_baseline_that_raises_in_warm_up_ends_the_campaign_before_the_rows(bench):
    record = bench.run(failing(bench, "base", lambda: True, floor=None), bench.arm("row", 1.0, floor=0.5))
    assert type(record.errors["base"]) is GenerationError
    assert record.errors["row"] is record.errors["base"]
    assert (record.looks, record.slots, record.control, record.timed_s) == ((), (), None, 0.0)
    assert not any(progress.arm == "row" for progress in bench.progress if progress.phase != "build")


def test_a_baseline_that_cannot_be_built_leaves_a_campaign_without_figures(bench):
    def broken():
        raise RuntimeError("no weights")

    record = bench.run(replace(bench.arm("base", 1.0), prepare=broken), bench.arm("row", 0.5, floor=1.5))
    assert set(record.errors) == {"base", "row"}
    assert [event for event in bench.events if event.startswith("generate")] == []
    assert (record.warm_up_s, record.peak_bytes, set(record.pictures)) == ({}, {}, {"base", "row"})
    assert (record.canary_s, record.canary_errors, record.profiles, record.control) == ({}, {}, {}, None)
    assert (record.planned_blocks, record.repeats, record.looks, record.timed_s, record.slots) == (0, 1, (), 0.0, ())


def test_why_a_device_tells_nothing_is_told(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("row", 0.5, floor=1.5), telemetry=UnknownTelemetry("no driver"), slot_s=2.0)
    assert (record.telemetry_note, record.repeats) == ("no driver", 4)


def test_every_arm_is_prepared_before_the_first_warm_up_and_one_that_cannot_be_leaves(bench):
    built = []

    def broken():
        raise OSError("no weights here")

    arms = [
        replace(bench.arm("base", 1.0, floor=None), prepare=lambda: built.append("base")),
        replace(bench.arm("broken", 1.0, floor=0.5), prepare=broken),
        replace(
            bench.arm("row", 1.0, floor=0.5),
            prepare=lambda: built.append([event for event in bench.events if event.startswith("generate")]),
        ),
    ]
    record = bench.run(*arms)
    assert built == ["base", []]
    assert str(record.errors["broken"]).startswith("broken raised OSError: no weights here")
    assert record.samples_s["broken"] == []
    assert record.decisions["row"].verdict == "pass"


def test_peak_memory_adds_what_the_arm_holds(bench):
    class Meter:
        def start(self):
            pass

        def peak_bytes(self):
            return 5

    base, row = bench.arm("base", 1.0, floor=None), replace(bench.arm("row", 1.0, floor=0.5), held_bytes=lambda: 100)
    assert bench.run(base, row, memory=Meter()).peak_bytes == {"base": 5, "row": 105}


def test_a_baseline_that_raises_in_a_block_leaves_what_was_decided_and_measured(bench):
    base = failing(bench, "base", lambda: bench.block == 7, floor=None)
    record = bench.run(base, bench.arm("quick", 0.5, floor=1.0), bench.arm("row", 1.0, floor=1.0))
    assert {name: (decision.verdict, decision.blocks) for name, decision in record.decisions.items()} == {
        "quick": ("pass", 3),
        "row": ("inconclusive", 6),
    }
    assert record.errors == {"base": record.errors["base"], "row": record.errors["base"]}
    assert [len(record.samples_s[label]) for label in ("base", CONTROL, "row", "quick")] == [6, 6, 6, 3]
    assert record.control is not None


def test_a_row_that_raised_is_compared_with_the_baseline_of_its_own_blocks(bench):
    slower = lambda: 1.0 if bench.block < 4 else 2.0  # noqa: E731
    row = bench.arm("row", 1.0, floor=1.0, effect=lambda: 1 / (bench.block < 4))
    record = bench.run(bench.arm("base", 1.0, effect=slower), row, bench.arm("other", 1.0, floor=1.0, effect=slower))
    assert record.decisions["row"].blocks == 3
    assert record.decisions["row"].interval.speedup == pytest.approx(1.0)


def test_a_row_that_raised_before_its_baseline_keeps_its_own_error(bench):
    base, row = (failing(bench, name, lambda block=block: bench.block == block, floor=None) for name, block in (("base", 3), ("row", 2)))
    record = bench.run(base, row, bench.arm("other", 1.0, floor=1.0))
    assert str(record.errors["row"]).startswith("row raised")
    assert str(record.errors["base"]).startswith("base raised")


@pytest.mark.parametrize("names", [("base", "base"), ("base", "row", "row"), ("base", CONTROL), (CONTROL, "row")])
def test_arms_need_names_of_their_own(bench, names):
    with pytest.raises(ValueError, match="distinct names other than 'control'"):
        bench.run(*(bench.arm(name, 1.0) for name in names))
    assert bench.events == []


# Memory


class Meter:
    def __init__(self):
        self.calls, self.peak = [], 0

    def start(self):
        self.calls.append("start")
        self.peak = 0

    def peak_bytes(self):
        self.calls.append("peak")
        return self.peak


def test_peak_memory_is_that_of_a_warm_up_generation(bench):
    meter = Meter()

    def using(size):
        def generate(_seed):
            bench.clock.spend(1.0)
            meter.peak = max(meter.peak, size)

        return generate

    record = bench.run(bench.calling("base", using(70)), bench.calling("row", using(30), floor=0.5), memory=meter)
    assert record.peak_bytes == {"base": 70, "row": 30}
    assert meter.calls == ["start", "peak"] * 4


def test_peak_memory_is_unknown_without_a_meter(bench):
    assert bench.run(bench.arm("base", 1.0)).peak_bytes == {"base": None}


# Whoever watches


def test_progress_names_phase_arm_and_block_and_counts_down(bench):
    record = bench.run(bench.arm("base", 1.0), undecidable(bench))
    blocks = [progress for progress in bench.progress if progress.phase == "block"]
    assert [progress.phase for progress in bench.progress[:6]] == ["build"] * 2 + ["warm-up"] * 4
    assert all((progress.block, progress.blocks, progress.left_s) == (0, 0, None) for progress in bench.progress[:6])
    assert [progress.block for progress in blocks] == [slot.block for slot in record.slots]
    assert [progress.arm for progress in blocks] == ["base" if slot.arm == CONTROL else slot.arm for slot in record.slots]
    assert {progress.blocks for progress in blocks} == {20}
    # Nothing is decided and nothing is noisy: the plan is exactly what happens.
    assert [progress.left_s for progress in blocks] == pytest.approx([record.timed_s - slot.start_s for slot in record.slots])


def test_no_more_time_is_left_than_the_budget_has_and_never_less_than_none(bench):
    slower = lambda: 1.0 if bench.block < 3 else 5.0  # noqa: E731
    record = bench.run(bench.arm("base", 1.0, effect=slower), undecidable(bench, effect=slower), budget_s=60.0)
    left = [progress.left_s for progress in bench.progress if progress.phase == "block"]
    assert record.timed_s > 60.0
    assert all(0 <= seconds <= 60.0 - slot.start_s or seconds == 0 for seconds, slot in zip(left, record.slots, strict=True))
    assert left[-1] == 0


def test_watching_takes_no_time_from_any_sample():
    # Whole 1/1024 s, so that sums are exact whatever stands before them.
    def run(watching_s):
        bench = Bench()

        def watch(progress):
            assert not bench.inside
            bench.watch(progress)
            bench.clock.spend(watching_s)

        def generate(_seed):
            bench.clock.spend(bench.noise.randrange(1000, 1100) / 1024)

        return bench.run(bench.calling("base", generate), bench.calling("row", generate, floor=1.0), watch=watch)

    quiet, watched = run(0.0), run(0.5)
    assert watched.samples_s == quiet.samples_s
    assert watched.decisions == quiet.decisions
    assert watched.timed_s == quiet.timed_s + 0.5 * len(quiet.slots)
    assert watched.overhead > 0 == quiet.overhead


def test_limits_give_two_seeds_of_pictures():
    assert Limits(seed=9).cases == (Case(10), Case(9))
    assert Limits(seed=9, prompts=("a", "b")).cases == (Case(10), Case(9, "a"), Case(9, "b"), Case(9))
