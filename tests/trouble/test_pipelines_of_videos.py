"""Videos from the draw to the page, and the stages of pipelines with other parts than Stable Diffusion's."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest
from tiny_pipelines import BY_REQUEST, tiny_recipe

from pytest_sdspeed.model import Case, Machine
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import PretrainedSource
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.setups.setup import Setup

# Schedulers hand tensors to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
VIDEOS = textwrap.indent(
    """
from types import SimpleNamespace

def video(fault):
    made = np.kron(np.random.default_rng(0).random((1, 12, 4, 4, 3)), np.ones((1, 1, 8, 8, 1))).astype(np.float32)
    if fault == "black":
        made[0, -1] = 0
    elif fault == "frozen":
        made[:] = made[:, :1]
    elif fault == "flicker":
        made[0, 5] = 1 - made[0, 5]
    return SimpleNamespace(frames=list(made))
""",
    " " * 12,
)
TEST = """
from conftest import video

@pytest.mark.sd_latency(speedup=1.5, image={{"psnr": 20, "temporal": 0.5}})
def test_video(sd_latency):
    result = sd_latency(engine(1.0, video({fault!r})), baseline=engine(1.5, video("")))
    assert result.images.shape == (12, 32, 32, 3)
"""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("black", "*black: no value exceeds*(video 0, frame 11)*"),
        ("frozen", "*frames stand still: 11 of 11*the first is video 0, frame 1*"),
        ("flicker", "*error of motion*"),
    ],
)
def test_a_video_that_is_broken_in_one_frame_fails_by_its_number(gated, fault, said):
    result = gated(TEST.format(fault=fault), conftest=VIDEOS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([said])


def test_a_sound_video_passes_and_is_kept_and_shown_as_frames(gated, pytester):
    result = gated(TEST.format(fault=""), "--benchmark-autosave", "--sd-report=report.html", conftest=VIDEOS)
    result.assert_outcomes(passed=1)
    (stored,) = pytester.path.glob(".benchmarks/*/*.json")
    (bench,) = json.loads(stored.read_text())["benchmarks"]
    (picture,) = bench["extra_info"]["sdspeed"]["pictures"]
    assert (picture["frames"], len(picture["strip"])) == (12, 9)
    assert all((stored.parent / file["path"]).is_file() for file in picture["files"].values())
    page = (pytester.path / "report.html").read_text()
    assert page.count(">last frame</span>") == 2
    assert "frames 0, 1, 3, 4, 6, 7, 8, 10, 11, 0 marked" in page


# Setups


def make_setup(name, folder, *names):
    recipe = tiny_recipe(name, folder)
    stack = Registry().stack(names, "test", recipe)
    machine = Machine(kind="cpu", device="test CPU", versions={})
    return Setup(name, recipe, stack, machine=machine, pool=Pool(PretrainedSource("cpu")), resolved=None)


def count_directly(setup):
    """Count the FLOPs of one generation while it runs, with attention as products: torch does not count its CPU kernel."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        setup.generate(0)
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("wan", ["text_encoder", "denoising", "decoding"]),
        pytest.param("flux", ["text_encoder", "denoising", "decoding"], marks=pytest.mark.slow),
        pytest.param("ltx", ["text_encoder", "denoising", "decoding"], marks=[pytest.mark.slow, BY_REQUEST]),
        pytest.param("img2img", ["text_encoder", "image_encoding", "denoising", "decoding"], marks=pytest.mark.slow),
        pytest.param("sdxl", ["text_encoder", "denoising", "decoding"], marks=[pytest.mark.slow, BY_REQUEST]),
    ],
)
def test_a_setup_of_any_pipeline_has_its_stages_and_its_flops(name, stages, tmp_path):
    setup = make_setup(name, tmp_path)
    expected = setup.generate(0)
    profile = setup.profile(Case(0))
    assert list(profile.stages_s or profile.notes) == stages
    assert profile.flops == count_directly(setup) > 0
    assert profile.notes == ()
    assert np.array_equal(setup.generate(0), expected)


def test_videos_of_a_setup_are_shown_as_videos(tmp_path):
    from pytest_sdspeed.judge.pictures.exhibits import Drawn
    from pytest_sdspeed.judge.pictures.gate import judge_images
    from pytest_sdspeed.model import ImageGate

    setup, case = make_setup("wan", tmp_path), Case(0)
    setup.build()
    drawn = {case: setup.generate(0)}
    broken = {case: drawn[case].copy()}
    broken[case][0, -1] = 0
    found = judge_images(broken, drawn, ImageGate(psnr=20.0), "same_weights")
    assert "(video 0, frame 8)" in " ".join(found.reasons)
    (exhibit,) = Drawn(candidate=broken, baseline=drawn, reference=None, prompt="").exhibits(found)
    assert (exhibit.place, exhibit.frames) == ((0, 8), 9)
