"""The picture rules, each with the fault it is there for planted."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from scenes import disturbed, scene

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge import images
from pytest_sdspeed.model import ImageGate

GATE = ImageGate(psnr=30.0, ssim=0.85)
BASELINE = {0: scene(0), 1: scene(1)}


def judge(candidate, baseline=BASELINE, gate=GATE, relation="same_weights"):
    return images.judge_images(candidate, baseline, gate, relation)


# conversions


class FakePil:
    """What a PIL image shows of itself here: ``convert``, and an array once converted."""

    def __init__(self, array):
        self.array = array

    def convert(self, mode):
        assert mode == "RGB"
        return self.array


BYTES = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
FLOATS = BYTES.astype(np.float64) / 255


@pytest.mark.parametrize(
    "value",
    [
        BYTES,
        FLOATS,
        FLOATS.astype(np.float32),
        list(BYTES),
        tuple(FLOATS),
        [BYTES[:1], BYTES[1:]],
        [FakePil(picture) for picture in BYTES],
        SimpleNamespace(images=[FakePil(picture) for picture in BYTES]),
        SimpleNamespace(images=FLOATS),
        [FakePil(BYTES[0]), FLOATS[1]],
    ],
)
def test_every_kind_becomes_the_same_pictures(value):
    found = images.as_pictures(value)
    assert found.dtype == np.float32
    assert found.shape == (2, 4, 5, 3)
    np.testing.assert_allclose(found, FLOATS, atol=1e-7)


@pytest.mark.parametrize("value", [BYTES[0], FLOATS[0], FakePil(BYTES[0]), [FakePil(BYTES[0])]])
def test_one_picture_is_a_batch_of_one(value):
    assert images.as_pictures(value).shape == (1, 4, 5, 3)


def test_a_real_pil_image_in_another_mode():
    pil = pytest.importorskip("PIL.Image")
    found = images.as_pictures([pil.new("L", (5, 4), 255), pil.new("RGBA", (5, 4), (255, 255, 255, 0))])
    assert found.shape == (2, 4, 5, 3)
    assert found.min() == 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "no picture"),
        (3.0, "type float"),
        ("a.png", "type str"),
        ([1, 2], "type int"),
        ([], "empty list"),
        ((), "empty tuple"),
        (SimpleNamespace(images=None), "no picture"),
        (np.zeros((0, 4, 4, 3)), "empty array"),
        (np.zeros((4, 4)), r"shape \(4, 4\)"),
        (np.zeros((3, 4, 5)), r"shape \(3, 4, 5\)"),
        (np.zeros((1, 1, 4, 4, 3)), r"shape \(1, 1, 4, 4, 3\)"),
        (np.zeros((4, 4, 4)), r"shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), dtype=np.int64), "int64"),
        (np.zeros((4, 4, 3), dtype=bool), "bool"),
        (np.full((4, 4, 3), 255.0), r"\[255, 255\]"),
        (np.full((4, 4, 3), -1.0), r"\[-1, -1\]"),
        (np.full((4, 4, 3), 1.01), r"1\.01"),
        (np.full((4, 4, 3), 1e300), r"1e\+300"),
        ([np.zeros((4, 4, 3)), np.zeros((4, 5, 3))], r"differing sizes \(4, 4, 3\), \(4, 5, 3\)"),
    ],
)
def test_what_is_no_picture_is_named(value, says):
    with pytest.raises(PictureError, match=says):
        images.as_pictures(value)


def test_rounding_beyond_the_range_is_clipped():
    found = images.as_pictures(np.array([1.0005, -0.0005, 0.5]).reshape(1, 1, 3))
    assert found.ravel().tolist() == [1.0, 0.0, 0.5]


def test_what_is_not_finite_passes_unchanged():
    found = images.as_pictures(np.array([np.nan, np.inf, -np.inf]).reshape(1, 1, 3))
    np.testing.assert_array_equal(found.ravel(), [np.nan, np.inf, -np.inf])


def test_the_caller_keeps_its_array():
    mine = scene(0)
    images.as_pictures(mine)[:] = 0
    assert mine.any()


# defects


def test_healthy_pictures_have_none():
    assert images.defects(scene(0, batch=3)) == ()


def planted(kind):
    picture = scene(0)
    if kind == "nan":
        picture[0, :2, :2] = np.nan
    elif kind == "inf":
        picture[0, 0, 0, 0] = np.inf
    elif kind == "black":
        picture[:] = 0
    elif kind == "one level above black":
        picture[:, ::2] = 0
        picture[:, 1::2] = 1 / 255
    elif kind == "grey":
        picture[:] = 0.5
    elif kind == "red":
        picture[:] = [0.9, 0.1, 0.2]
    elif kind == "white":
        picture[:] = 1
    elif kind == "rounded":
        picture[:] = 0.5
        picture[:, ::2] += 1 / 255
    return picture


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("nan", "not finite: 12 of 3072 values"),
        ("inf", "not finite: 1 of 3072 values"),
        ("black", "black:"),
        ("one level above black", "black:"),
        ("grey", "constant:"),
        ("red", "constant:"),
        ("white", "constant:"),
        ("rounded", "constant:"),
    ],
)
def test_a_planted_defect_is_named_with_its_place(kind, word):
    (found,) = images.defects(np.concatenate([scene(5), planted(kind)]))
    assert found.startswith(word)
    assert found.endswith("(picture 1)")


def test_dim_and_flat_but_real_pictures_are_no_defect():
    assert images.defects(scene(0) * 0.02) == ()
    assert images.defects(0.5 + 0.02 * scene(0)) == ()


# judgement


def test_close_pictures_pass_and_carry_their_control():
    found = judge({seed: disturbed(picture, 0.01) for seed, picture in BASELINE.items()})
    assert (found.verdict, found.reasons) == ("pass", ())
    assert set(found.metrics) == {"psnr", "ssim", "mae", "control_psnr", "control_ssim", "control_mae"}
    assert found.metrics["control_psnr"] < GATE.psnr < found.metrics["psnr"]
    assert all(type(value) is float for value in found.metrics.values())


def test_a_judgement_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        judge(BASELINE).verdict = "fail"


def test_the_worst_seed_counts():
    found = judge({0: BASELINE[0], 1: disturbed(BASELINE[1], 0.4)})
    assert found.verdict == "fail"
    assert found.metrics["psnr"] == images.metrics(disturbed(BASELINE[1], 0.4), BASELINE[1])["psnr"]


def test_pictures_of_another_seed_fail():
    found = judge({0: BASELINE[1], 1: BASELINE[0]})
    assert found.verdict == "fail"
    assert any(reason.startswith("PSNR ") for reason in found.reasons)


@pytest.mark.parametrize(("kind", "word"), [("nan", "not finite"), ("black", "black"), ("grey", "constant")])
@pytest.mark.parametrize("relation", ["same_weights", "other_weights", "other_autoencoder"])
@pytest.mark.parametrize("gate", [GATE, None])
def test_a_defective_candidate_fails_with_the_word(kind, word, relation, gate):
    found = judge({0: planted(kind), 1: disturbed(BASELINE[1], 0.01)}, gate=gate, relation=relation)
    assert (found.verdict, len(found.reasons)) == ("fail", 1)
    assert f"seed 0: {word}" in found.reasons[0]


def test_a_defective_baseline_fails_as_such():
    found = judge({0: scene(0)}, {0: planted("black")})
    assert found.verdict == "fail"
    assert "the baseline's picture is black" in found.reasons[0]


def test_equal_blackness_is_no_agreement():
    found = judge({0: planted("black")}, {0: planted("black")})
    assert found.verdict == "fail"
    assert len(found.reasons) == 2


def test_another_size_fails():
    found = judge({0: scene(0, side=16)}, {0: scene(0)})
    assert (found.verdict, found.metrics) == ("fail", {})
    assert "pictures of another size" in found.reasons[0]


def test_what_is_no_picture_fails_without_raising():
    assert judge({0: "a.png"}, {0: scene(0)}).reasons[0].startswith("seed 0: returned an object of type str")
    assert judge({0: scene(0)}, {0: 1.0}).reasons[0].startswith("seed 0: the baseline returned an object of type float")
    assert "returned no picture" in judge({0: None}, {0: scene(0)}).reasons[0]


@pytest.mark.parametrize("candidate", [{}, {7: scene(7)}])
def test_no_common_seed_fails(candidate):
    assert judge(candidate) == images.ImageJudgement("fail", {}, ("returned no picture",))


@pytest.mark.parametrize("relation", ["other_weights", "other_autoencoder"])
def test_a_lost_optimization_is_noticed(relation):
    found = judge(BASELINE, gate=None, relation=relation)
    assert found.verdict == "fail"
    assert "identical to the baseline" in found.reasons[0]


def test_other_weights_may_look_otherwise():
    assert judge({0: scene(5), 1: scene(6)}, gate=None, relation="other_weights").verdict == "pass"


def test_the_same_weights_may_agree_to_the_bit():
    assert judge(BASELINE).verdict == "pass"


@pytest.mark.parametrize("gate", [ImageGate(psnr=1.0), ImageGate(mae=0.9), ImageGate(psnr=2.0, ssim=-1.0)])
def test_a_gate_that_another_seed_passes_is_powerless(gate):
    found = judge({seed: disturbed(picture, 0.01) for seed, picture in BASELINE.items()}, gate=gate)
    assert found.verdict == "powerless"
    assert found.reasons[0].startswith("gate has no power: the baseline of seed 1 passes it against seed 0")


def test_a_baseline_that_ignores_its_seed_leaves_the_gate_powerless():
    found = judge({0: scene(0), 1: scene(0)}, {0: scene(0), 1: scene(0)})
    assert found.verdict == "powerless"
    assert found.metrics["control_psnr"] == images.PSNR_CAP


def test_one_powerless_pair_of_seeds_is_enough():
    three = {0: scene(0), 1: scene(1), 2: disturbed(scene(1), 0.01)}
    found = judge(three, three)
    assert found.verdict == "powerless"
    assert "seed 2 passes it against seed 1" in found.reasons[0]


def test_failing_outweighs_powerless():
    found = judge({0: planted("nan")}, gate=ImageGate(psnr=1.0))
    assert found.verdict == "fail"
    assert not any("no power" in reason for reason in found.reasons)


@pytest.mark.parametrize("gate", [None, ImageGate()])
def test_without_bounds_there_is_no_control(gate):
    found = judge(BASELINE, gate=gate)
    assert (found.verdict, set(found.metrics)) == ("pass", {"psnr", "ssim", "mae"})


def test_a_single_seed_has_no_control():
    found = judge({0: scene(0)}, {0: scene(0)})
    assert (found.verdict, set(found.metrics), found.reasons) == ("pass", {"psnr", "ssim", "mae"}, ())


def test_the_control_takes_every_seed_of_the_baseline():
    assert "control_psnr" in judge({0: scene(0)}).metrics


def test_seeds_of_differing_sizes_form_no_control():
    mixed = {0: scene(0), 1: scene(1, side=16)}
    assert set(judge(mixed, mixed).metrics) == {"psnr", "ssim", "mae"}


def test_bytes_and_floats_are_judged_alike():
    floats = {0: scene(0), 1: scene(1)}
    as_bytes = {seed: np.round(picture * 255).astype(np.uint8) for seed, picture in floats.items()}
    found = judge(as_bytes, floats)
    assert found.verdict == "pass"
    assert found.metrics["psnr"] > 50
