"""Pictures that are broken or different in some slots only, kept by reference, or too many to keep: as users meet them."""

from __future__ import annotations

import gc
import json
import textwrap

import pytest
from failures import match_failures

UNFREEZE = gc.unfreeze

HEAD = """
import gc, itertools, weakref

def slot_by_slot(seconds, draw):
    calls = itertools.count()
    tick = engine(seconds)
    def drawing():
        tick()
        return draw(next(calls))
    return drawing

GOOD = picture()
BAD = picture(1)
STEADY = engine(1.5, GOOD)
"""
TEST = """
@pytest.mark.sd_latency(speedup=1.5, image={image})
def test_engine(sd_latency):
    {more}
    result = sd_latency(slot_by_slot(1.0, lambda call: {candidate}), baseline={baseline})
"""


def source(candidate, baseline="STEADY", image=None, more="pass"):
    return HEAD + TEST.format(candidate=candidate, baseline=baseline, image=image or {"psnr": 30}, more=more)


def stored(pytester):
    (benchmark,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    return benchmark["extra_info"]["sdspeed"]


BROKEN = {
    "every other not finite": ("GOOD if call % 2 else GOOD * np.nan", "*4 of 8 slots not finite, every other one;*"),
    "one in three black": ("GOOD if call % 3 != 1 else GOOD * 0", "*3 of 8 slots black, every third one;*"),
    "the first alone": ("GOOD if call else GOOD * np.inf", "*1 of 8 slots not finite, the first one;*"),
    "one in the middle constant": ("GOOD if call != 4 else GOOD * 0 + 0.5", "*1 of 8 slots constant;*"),
    "from one on": ("GOOD if call < 5 else GOOD * 0", "*3 of 8 slots black, from slot 6 on;*"),
    "a picture more": (
        "GOOD if call != 3 else np.concatenate([GOOD, GOOD])",
        "*1 of 8 slots of another size: pictures of shape 2x32x32, not *1x32x32*",
    ),
    "nothing": ("GOOD if call != 3 else None", "*1 of 8 slots returned nothing*"),
    "what cannot be converted": (
        "GOOD if call != 3 else object()",
        "*1 of 8 slots returned no picture; seed 0: returned an object of type object*",
    ),
    "a picture of something else": ("GOOD if call != 3 else BAD", "*PSNR * dB is under 30.*"),
}


# Rows of one run share its errors: some of them would have a block more.
EIGHT_SLOTS = ("--sd-max-blocks=3", "--sd-inconclusive=warn")


def one_of_many(name, candidate, baseline="STEADY", image=None, more="pass"):
    """A test that stands beside others below ``HEAD``."""
    test = TEST.format(candidate=candidate, baseline=baseline, image=image, more=textwrap.indent(more, "    ").strip())
    return test.replace("test_engine", f"test_{name.replace(' ', '_')}")


def test_a_slot_that_is_broken_fails_the_row_with_the_word_and_the_share(gated):
    kinds = {"gate": {"psnr": 30}, "no gate": None}
    planted = [(f"{fault}, {kind}".replace(",", ""), fault, image) for fault in BROKEN for kind, image in kinds.items()]
    text = HEAD + "".join(one_of_many(name, BROKEN[fault][0], image=image) for name, fault, image in planted)
    found = gated(text, *EIGHT_SLOTS)
    said = {f"test_{name.replace(' ', '_')}": BROKEN[fault][1] for name, fault, _ in planted}
    # No bound says how much it may differ: that it does is said.
    del said["test_a_picture_of_something_else_no_gate"]
    match_failures(found, said)
    found.assert_outcomes(passed=1, failed=17)
    notes = [
        line for line in found.outlines if line.startswith("note: ") and "does not draw the same each time: 1 of 8 slots differ" in line
    ]
    assert len(notes) == 2


def test_a_baseline_that_is_broken_in_a_slot_lets_no_row_pass(gated):
    text, said = HEAD, {}
    for fault in BROKEN.keys() - {"a picture of something else"}:
        baseline, words = BROKEN[fault]
        text += one_of_many(fault, "GOOD", baseline=f"slot_by_slot(1.5, lambda call: {baseline})", image={"psnr": 30})
        words = words.split(" slots ")[1].split(";")[0].split(":")[0].rstrip("*")
        said[f"test_{fault.replace(' ', '_')}"] = f"*the baseline: * of * slots {words.split(',')[0]}*"
    found = gated(text)
    match_failures(found, said)
    found.assert_outcomes(failed=8)


def test_a_broken_baseline_fails_a_row_that_draws_nothing_and_has_no_gate(gated):
    text = source("None", baseline="slot_by_slot(1.5, lambda call: GOOD * 0)").replace(", image={'psnr': 30}", "")
    found = gated(text)
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["*the baseline: * slots black*"])


def test_pictures_that_are_right_in_every_slot_pass(gated, pytester):
    found = gated(source("GOOD.copy()"), "--benchmark-json=out.json")
    found.assert_outcomes(passed=1)
    record = stored(pytester)
    assert record["self_difference"] == {"slots": 8, "differing": 0, "metrics": {}}
    assert record["baseline_self_difference"] == {"slots": 14, "differing": 0, "metrics": {}}
    assert record["image_ranges"]["psnr"] == {"low": 100, "high": 100, "count": 1}


def test_both_arms_that_draw_from_one_generator_are_told_so(gated, pytester):
    one = "slot_by_slot({}, lambda call: ONE.random((32, 32, 3)))"
    found = gated(
        source("ONE.random((32, 32, 3))", baseline=one.format(1.5), more="ONE = np.random.default_rng(0)").replace(
            "ONE =", "global ONE; ONE ="
        ),
        "--benchmark-json=out.json",
        "--sd-report=out.html",
    )
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["*PSNR 7.? dB is under 30; the baseline differs from itself by PSNR 7.? dB*"])
    record = stored(pytester)
    assert record["baseline_self_difference"]["differing"] == record["baseline_self_difference"]["slots"] - 1
    assert 7 < record["baseline_self_difference"]["metrics"]["psnr"] < 8
    assert record["image_ranges"]["psnr"]["low"] == record["image"]["psnr"] < record["image_ranges"]["psnr"]["high"]
    assert record["image_ranges"]["psnr"]["count"] == 4
    assert "over 4 cases and outputs" in (pytester.path / "out.html").read_text(encoding="utf-8")


def test_a_bound_inside_the_baselines_own_difference_is_a_coin_toss(gated):
    noisy = "np.clip(GOOD + 0.02 * np.random.default_rng(call).standard_normal(GOOD.shape), 0, 1)"
    found = gated(source("GOOD", baseline=f"slot_by_slot(1.5, lambda call: {noisy} if call else GOOD)", image={"psnr": 36}))
    found.assert_outcomes(passed=1)
    found.stdout.fnmatch_lines(["note: *the bound 36 is a coin toss: the baseline differs from itself by PSNR 3?.* dB"])


def test_a_baseline_that_draws_otherwise_once_the_candidate_ran_may_share_something_with_it(gated):
    found = gated(
        source(
            "PIPELINE.append('fused') or GOOD",
            baseline="slot_by_slot(1.5, lambda call: GOOD * 0.9 if PIPELINE else GOOD)",
            more="global PIPELINE; PIPELINE = []",
        )
    )
    found.stdout.fnmatch_lines(
        [
            "note: *the baseline does not draw the same each time: *",
            "note: *if baseline draws with a pipeline or modules that candidate uses as well, that may have changed them: build each its own",
        ]
    )


def test_a_bound_outside_of_it_is_not(gated):
    noisy = "np.clip(GOOD + 0.02 * np.random.default_rng(call).standard_normal(GOOD.shape), 0, 1)"
    found = gated(source("GOOD", baseline=f"slot_by_slot(1.5, lambda call: {noisy} if call else GOOD)", image={"psnr": 30}))
    found.assert_outcomes(passed=1)
    found.stdout.no_fnmatch_line("*coin toss*")


SHARED = {
    "one static buffer": ("fill(GOOD)", "fill(BAD)", "BUFFER = np.zeros_like(GOOD)\ndef fill(picture): BUFFER[:] = picture; return BUFFER"),
    "one image of PIL": (
        "paste(GOOD)",
        "paste(BAD)",
        (
            "from PIL import Image\nIMAGE = Image.new('RGB', (32, 32))\n"
            "def paste(picture): IMAGE.paste(Image.fromarray((picture[0] * 255).astype('uint8'))); return IMAGE"
        ),
    ),
    "one tensor": (
        "fill(GOOD)",
        "fill(BAD)",
        (
            "import torch\nTENSOR = torch.zeros((1, 3, 32, 32))\n"
            "def fill(picture): TENSOR.copy_(torch.from_numpy(picture).permute(0, 3, 1, 2)); return TENSOR"
        ),
    ),
    "one list": ("fill(GOOD)", "fill(BAD)", "SAME = [None]\ndef fill(picture): SAME[0] = picture[0]; return SAME"),
    "one mapped file": (
        "fill(GOOD)",
        "fill(BAD)",
        (
            "MAPPED = np.memmap('frames.bin', dtype='float32', mode='w+', shape=(1, 32, 32, 3))\n"
            "def fill(picture): MAPPED[:] = picture; return MAPPED"
        ),
    ),
}


def test_what_the_next_arm_overwrites_was_kept_by_value(gated):
    text = HEAD
    for shared, (good, bad, more) in SHARED.items():
        baseline = f"slot_by_slot(1.5, lambda call: {good})"
        for name, candidate in ((shared, bad), (f"{shared} that stays good", good)):
            text += one_of_many(name, candidate, baseline=baseline, image={"psnr": 30}, more=more)
    found = gated(text)
    match_failures(found, {f"test_{shared.replace(' ', '_')}": "*PSNR ?.? dB is under 30*" for shared in SHARED})
    found.assert_outcomes(passed=len(SHARED), failed=len(SHARED))


def test_pictures_are_given_back_when_their_test_ends(gated, monkeypatch):
    # As outside of these tests, where nothing stays out of the collections.
    monkeypatch.setattr(gc, "unfreeze", UNFREEZE)
    text = HEAD + textwrap.dedent(
        """
        REFERENCES = []
        @pytest.mark.parametrize("case", range(3))
        @pytest.mark.sd_latency(speedup=1.5, image={"psnr": 30})
        def test_engine(sd_latency, case):
            result = sd_latency(engine(1.0, BAD if case == 1 else GOOD), baseline=STEADY)
            assert result.images.shape == (1, 32, 32, 3)
            REFERENCES.append(weakref.ref(result.images))

        def test_afterwards():
            gc.collect()
            assert [reference() for reference in REFERENCES] == [None, None]
        """
    )
    gated(text, "--sd-report=out.html", "--benchmark-json=out.json").assert_outcomes(passed=3, failed=1)


MEMO = """
import functools

@functools.cache
def answer():
    engine(1.0)()
    return GOOD

def cached():
    sd_fake_time.spend({later})
    return answer()

@pytest.mark.sd_latency(speedup=1.5)
def test_engine(sd_latency):
    sd_latency(cached, baseline=STEADY)
"""


@pytest.mark.parametrize(("later", "said"), [(0.00025, "4000 times as long as the rest (1 s, then 250 us)"), (0.05, "")])
def test_a_candidate_that_answers_from_a_memo_is_told(gated, later, said):
    found = gated("from builtins import sd_fake_time\n" + HEAD + MEMO.format(later=later).replace("engine(1.0)()", "engine(1.0, cv=0)()"))
    found.assert_outcomes(passed=1)
    assert (f"its first call took {said}" in found.stdout.str()) == bool(said)
    assert ("its first call took" in found.stdout.str()) == bool(said)
