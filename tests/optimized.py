"""Toy pipelines of one pool, one with an optimization and one without: what they draw, and what the optimization's proof finds."""

from __future__ import annotations

import torch
from toy_pipelines import PIPELINES

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.model import Machine, Recipe
from pytest_sdspeed.pipelines.pool import Pool, check_parts
from pytest_sdspeed.pipelines.proving import prove_stack
from pytest_sdspeed.pipelines.shared_part import ATTRIBUTES
from pytest_sdspeed.setups.registry import Registry

CPU = Machine(kind="cpu", device="test CPU", versions={})
GPU = Machine(kind="cuda", device="NVIDIA Test", versions={}, capability=(9, 0))
OLD_GPU = Machine(kind="cuda", device="NVIDIA Old", versions={}, capability=(7, 5))


class ToySource:
    """Gives the same toy pipeline whatever is asked for.

    Attributes:
        call: what the pipeline is called with.
    """

    def __init__(self, name, change=lambda _pipeline: None):
        self.name, self.call, self._change = name, {}, change

    def load_pipeline(self, _model, _dtype, _kind=None):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            pipeline, self.call = PIPELINES[self.name]()
        self._change(pipeline)
        return pipeline


class Arms:
    """A setup with a stack, and one without, which share their modules.

    Args:
        name: name of the toy pipeline.
        labels: the stack.
        change: called with the toy pipeline before anything is shared.
        call: further arguments of the pipeline's call.
        recipe: fields of the recipe.
    """

    def __init__(self, name, *labels, change=lambda _pipeline: None, call=None, **recipe):
        source = ToySource(name, change)
        self.recipe = Recipe(**({"model": name, "prompt": "", "height": 16, "width": 16, "steps": 4, "scheduler": None} | recipe))
        self.stack = Registry().stack(labels, "a test", self.recipe)
        self._pool = Pool(source)
        self.base = self._pool.build("baseline", self.recipe, ())
        self.call = source.call | (call or {})
        self._before = self.draw_base()
        for part in self.base.parts:
            part.verify(ATTRIBUTES)  # what a call leaves in a library's own attributes is let pass
        # So that the bytes of the weights are looked at too, as for code of others.
        for part in self.base.parts:
            part.expose()
        self.built = self._pool.build("tested", self.recipe, self.stack)

    @property
    def pipeline(self):
        return self.built.pipeline

    def draw(self, pipeline=None, **call):
        """Draw pictures, or latents."""
        pipeline = pipeline or self.pipeline
        generator = torch.Generator("cpu").manual_seed(0)
        steps = {"num_inference_steps": self.recipe.steps}
        with quiet():
            output = pipeline(**self.call | steps | call, generator=generator)
        return torch.as_tensor(next(value for key, value in output.items() if key in {"images", "frames"}))

    def draw_base(self):
        return self.draw(self.base.pipeline)

    def find(self):
        """Return what the proof of the last optimization finds."""
        with quiet():
            return prove_stack(self.stack, self.pipeline, self.draw)[-1].finding

    def check_the_other(self):
        """Check that the setup without optimizations draws what it did, bit by bit, from parts that nothing changed."""
        check_parts("the optimization", self.base.parts, ATTRIBUTES, thorough=True)
        assert torch.equal(self.draw_base(), self._before)
