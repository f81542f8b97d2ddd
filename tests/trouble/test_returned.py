"""What users' callables return: every form of diffusers is judged, and a fault in any of them is found."""

from __future__ import annotations

import json
import textwrap

import pytest

# The conftest that it is added to is indented.
FORMS = textwrap.indent(
    """
from collections import OrderedDict
from types import SimpleNamespace
import torch
from PIL import Image

def scene(seed, count=1):
    return np.kron(np.random.default_rng(seed).random((count, 4, 4, 3)), np.ones((1, 8, 8, 1))).astype(np.float32)

def pil(array):
    return [Image.fromarray((one * 255).astype(np.uint8)) for one in array]

def video(array):
    return torch.from_numpy(array).permute(0, 3, 1, 2)[None]

def latents(array):
    return torch.from_numpy(array).permute(0, 3, 1, 2).repeat(1, 2, 1, 1)[:, :4] * 6 - 3

FORMS = {
    "object": lambda made: SimpleNamespace(images=pil(made), nsfw_content_detected=[False]),
    "tuple": lambda made: (pil(made), None),
    "pt": lambda made: OrderedDict(images=torch.from_numpy(made).permute(0, 3, 1, 2)),
    "bfloat16": lambda made: torch.from_numpy(made).permute(0, 3, 1, 2).bfloat16(),
    "frames": lambda made: SimpleNamespace(frames=[pil(made)]),
    "video": lambda made: SimpleNamespace(frames=video(made)),
    "video, other axes": lambda made: video(made).permute(0, 2, 1, 3, 4),
    "grey": lambda made: made[0, ..., 0],
    "16 bits": lambda made: Image.fromarray((made[0, ..., 0] * 9999).astype(np.uint16)),
    "metres": lambda made: Image.fromarray(made[0, ..., 0] * 80),
    "layers": lambda made: [one.convert("RGBA") for one in pil(made)],
}
ARRAYS = {
    "latents": latents,
    "latents of an output": lambda made: SimpleNamespace(images=latents(made)),
    "a transformer's tuple": lambda made: (torch.from_numpy(made).reshape(1, -1, 96) * 6 - 3,),
}
""",
    " " * 12,
)
TEST = """
from conftest import ARRAYS, FORMS, scene

@pytest.mark.parametrize("form", FORMS)
@pytest.mark.sd_latency(speedup=1.5, image={{"psnr": 30}})
def test_pictures(sd_latency, form):
    sd_latency(engine(1.0, FORMS[form]({candidate})), baseline=engine(1.5, FORMS[form](scene(0, 3))))

@pytest.mark.parametrize("form", ARRAYS)
@pytest.mark.sd_latency(speedup=1.5, image={{"max_abs": 0.5, "mean_abs": 0.1, "cosine": 0.99}})
def test_arrays(sd_latency, form):
    sd_latency(engine(1.0, ARRAYS[form]({candidate})), baseline=engine(1.5, ARRAYS[form](scene(0, 3))))
"""


def stored(pytester):
    return [bench["extra_info"]["sdspeed"] for bench in json.loads((pytester.path / "out.json").read_text())["benchmarks"]]


def test_every_form_that_pipelines_return_is_taken_judged_and_stored(gated, pytester):
    source = TEST.format(candidate="np.clip(scene(0, 3) + 0.004, 0, 1)")
    gated(source, "--benchmark-json=out.json", conftest=FORMS).assert_outcomes(passed=14)
    records = stored(pytester)
    assert all(record["image"]["psnr"] > 30 for record in records[:11])
    assert all(set(record["image"]) == {"max_abs", "mean_abs", "cosine"} for record in records[11:])
    assert {bool("temporal" in record["image"]) for record in records[4:7]} == {True}


def test_another_picture_fails_in_every_form(gated):
    result = gated(TEST.format(candidate="scene(1, 3)"), conftest=FORMS)
    result.assert_outcomes(failed=14)
    assert result.stdout.str().count("is under 30") >= 11
    assert result.stdout.str().count("greatest difference") >= 3


def one(candidate, baseline, image):
    return f"""
from conftest import *
from types import SimpleNamespace

@pytest.mark.sd_latency(speedup=1.5, image={image})
def test_it(sd_latency):
    made = scene(0, 6)
    sd_latency(engine(1.0, {candidate}), baseline=engine(1.5, {baseline}))
"""


@pytest.mark.parametrize(
    ("candidate", "baseline", "image", "says"),
    [
        ("latents(made)", "latents(made)", {"psnr": 30}, "*bounds on psnr are for pictures*bound it by max_abs, mean_abs, cosine*"),
        ("pil(made)", "pil(made)", {"cosine": 0.9}, "*bounds on cosine are for arrays*bound it by psnr, ssim*"),
        ("latents(made) * float('nan')", "latents(made)", {"cosine": 0.9}, "*not finite*"),
        ("SimpleNamespace(frames=[pil(made)[:5]])", "SimpleNamespace(frames=[pil(made)])", {"psnr": 30}, "*another number of them*"),
        ("[pil(made)[0]] * 6", "pil(made)", {"psnr": 1}, "*pictures repeat each other: 5 of 5*"),
        ("[p.putalpha(90) or p for p in [q.convert('RGBA') for q in pil(made)]]", "pil(made)", {"psnr": 20}, "*PSNR * is under 20*"),
        ("'out.png'", "pil(made)", {"psnr": 30}, "*return the picture itself, not its path*"),
        ("made * 2 - 1", "made", {"psnr": 30}, "*returned an array of shape (6, 32, 32, 3) (values in [[]-*the baseline 6 pictures*"),
        ("None", "pil(made)", None, "*returned no picture*"),
        ("pil(made)", "None", {"psnr": 30}, "*the baseline returned no picture*"),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value)[:40],
)
def test_a_fault_says_what_it_is_and_what_to_do(gated, candidate, baseline, image, says):
    result = gated(one(candidate, baseline, image), conftest=FORMS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([says])


def test_arrays_without_a_bound_pass_with_a_note_on_what_could_be_bounded(gated):
    result = gated(one("latents(made)", "latents(made)", None), conftest=FORMS)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["candidate*max 0  cosine 1.0000*pass", "note: candidate*: the baseline returned an array*max_abs, mean_abs, cosine"]
    )


def test_a_result_has_the_frames_of_a_video_as_pictures_and_none_of_an_array(gated):
    source = """
    from conftest import *
    from types import SimpleNamespace

    @pytest.mark.sd_latency(speedup=1.5)
    def test_it(sd_latency):
        made = scene(0, 6)
        result = sd_latency(engine(1.0, SimpleNamespace(frames=video(made))), baseline=engine(1.5, SimpleNamespace(frames=video(made))))
        assert (result.images.shape, result.images.dtype) == ((6, 32, 32, 3), np.float32)
        np.testing.assert_array_equal(result.images, made)
    """
    gated(textwrap.dedent(source), conftest=FORMS).assert_outcomes(passed=1)
    source = source.replace("SimpleNamespace(frames=video(made))", "latents(made)")
    source = source[: source.index("assert (")] + "assert result.images is None\n"
    gated(textwrap.dedent(source), conftest=FORMS).assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_real_pipeline_is_judged_whatever_it_is_asked_to_return(gated, tmp_path):
    from small import save_small_models

    base = save_small_models(tmp_path)["model"]
    source = f"""
import torch
from conftest import engine
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging

logging.disable_progress_bar()
PIPE = StableDiffusionPipeline.from_pretrained({base!r}, safety_checker=None)
PIPE.set_progress_bar_config(disable=True)

@pytest.mark.parametrize("more", [{{}}, {{"return_dict": False}}, {{"output_type": "np"}}, {{"output_type": "pt"}}, {{"output_type": "latent"}}])
@pytest.mark.sd_latency(speedup=1.5)
def test_returned(sd_latency, more):
    def draw():
        generator = torch.Generator().manual_seed(0)
        return PIPE("a cat", height=32, width=32, num_inference_steps=1, generator=generator, **more)

    def call(seconds):
        spend = engine(seconds)
        return lambda: spend() or draw()

    found = sd_latency(call(1.0), baseline=call(1.5)).image
    assert found.get("psnr") == 100 or found["max_abs"] == 0
"""
    gated(source).assert_outcomes(passed=5)
