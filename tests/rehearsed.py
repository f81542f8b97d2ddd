"""What tests of rehearsals share: a table of rows that are right, and optimizations that are wrong on purpose."""

from diffusers import DDIMScheduler, StableDiffusionPipeline

STAYS = DDIMScheduler, StableDiffusionPipeline
"""Imported here: pytester forgets what a run inside imports, and what diffusers loads with them cannot be loaded twice."""

HEAD = """
schema = 2
name = "night"
title = "A night on a GPU"
source = "here"
device = "NVIDIA A100"

[recipe]
model = "CompVis/stable-diffusion-v1-4"
prompt = "a photo of an astronaut riding a horse on mars"
height = 512
width = 512
steps = 4
images = 2
scheduler = "ddim"
student = "nota-ai/bk-sdm-small"
"""

CONFTEST = """
import functools

import torch

from pytest_sdspeed import Optimization


def calling(change):
    def apply(pipeline, recipe):
        kind = type(pipeline)

        @functools.wraps(kind.__call__)
        def call(self, *args, **kwargs):
            return change(functools.partial(kind.__call__, self), *args, **kwargs)

        pipeline.__class__ = type(kind.__name__, (kind,), {"__call__": call})

    return apply


def another_seed(draw, *args, **kwargs):
    kwargs["generator"] = torch.Generator().manual_seed(99)
    return draw(*args, **kwargs)


def one_seed(draw, *args, **kwargs):
    kwargs["generator"] = torch.Generator().manual_seed(0)
    return draw(*args, **kwargs)


def another_prompt(draw, *args, **kwargs):
    return draw(*args, **{**kwargs, "prompt": "a bowl of soup"})


def half_the_steps(draw, *args, **kwargs):
    return draw(*args, **{**kwargs, "num_inference_steps": kwargs["num_inference_steps"] // 2})


def no_guidance(draw, *args, **kwargs):
    return draw(*args, **{**kwargs, "guidance_scale": 1.0})


def drawn(change):
    def call(draw, *args, **kwargs):
        output = draw(*args, **kwargs)
        name = "images" if "images" in output else "frames"
        setattr(output, name, change(getattr(output, name)))
        return output

    return call


def with_nan(images):
    images[0, 0, 0] = float("nan")
    return images


TIMES = []


def stale(draw, *args, **kwargs):
    TIMES.append(1)
    return draw(*args, **kwargs) if len(TIMES) != 5 else another_seed(draw, *args, **kwargs)


PLANTED = {
    "another_seed": another_seed,
    "another_prompt": another_prompt,
    "half_the_steps": half_the_steps,
    "no_guidance": no_guidance,
    "black": drawn(lambda images: 0 * images),
    "with_nan": drawn(with_nan),
    "one_dropped": drawn(lambda images: images[:1]),
    "two_swapped": drawn(lambda images: images[::-1]),
    "channels_swapped": drawn(lambda images: images[..., ::-1]),
    "upside_down": drawn(lambda images: images[:, ::-1]),
    "one_seed": one_seed,
    "stale": stale,
    "nothing": lambda draw, *args, **kwargs: draw(*args, **kwargs),
    "noisy": drawn(lambda images: (images + 0.001 * torch.randn(images.shape).numpy()).clip(0, 1)),
}


def pytest_sdspeed_register(registry):
    for name, change in PLANTED.items():
        for relation in ("same_weights", "approximation", "other_weights"):
            registry.add_optimization(
                Optimization(name=f"{name}_{relation}", summary="planted", apply=calling(change), relation=relation)
            )
"""


def write_table(pytester, rows, head=HEAD, name="night.toml"):
    """Write a table: name of a row -> its stack as TOML."""
    text = head + "".join(
        f"\n[[rows]]\nsetup = {setup!r}\noptimizations = [{stack}]\nspeedup = {1 if setup == 'baseline' else 9}\n"
        for setup, stack in rows.items()
    )
    path = pytester.path / name
    path.write_text(text)
    return path


def rehearse(pytester, monkeypatch, *arguments, conftest=CONFTEST):
    """Run pytest inside with this plugin and pytest-benchmark alone, as a rehearsal."""
    pytester.makeconftest(conftest)
    with monkeypatch.context() as patched:
        patched.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        own = ("-p", "benchmark", "-p", "sdspeed", "-p", "no:randomly", "-W", "default", "-rs")
        return pytester.runpytest_inprocess(*own, "--sd-weights=tiny", *arguments)


def verdicts(result):
    """Return row -> verdict of the tables of a run's summary, and the other cells between."""
    lines = result.outlines
    start = next(at for at, line in enumerate(lines) if line.startswith("sd rehearsal: "))
    end = next(at for at, line in enumerate(lines) if at > start and line.startswith(("note: ", "=")))
    rows = (line.split() for line in lines[start + 2 : end])
    return {cells[0]: cells[-1] for cells in rows if len(cells) > 2 and cells[-1] in ("-", "pass", "fail", "invalid")}
