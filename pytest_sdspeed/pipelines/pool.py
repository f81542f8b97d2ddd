"""Pipelines that share what they can: one module per distinct weights, however many setups use it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.flags import guarded
from pytest_sdspeed.device.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model import Recipe
    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.pipelines.sources import Source

# What a memory format is applied to: the parts with convolutions.
_CONVOLUTIONAL = ("unet", "vae")


class Pool:
    """Builds pipelines out of shared modules and keeps the modules until ``clear``.

    Args:
        source: where weights come from.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pipelines: dict[tuple[str, str], Any] = {}
        self._parts: dict[tuple[str, ...], Any] = {}

    def build(self, name: str, recipe: Recipe, stack: Sequence[Optimization]) -> Any:
        """A new pipeline for a setup.

        Its modules are those of every other setup with the same weights, dtype and memory format; a module whose structure the stack
        changes is a copy that shares the weights.

        Args:
            name: of the setup, for messages.
            recipe: model, scheduler and the models that replacements come from.
            stack: optimizations in order.

        Raises:
            ModelUnavailableError: weights cannot be had.
            LeakedFlagError: an optimization changed a process-global flag while building.
        """
        with quiet(), guarded(f"building setup {name!r}"):
            dtype = next((part.dtype for part in reversed(stack) if part.dtype), recipe.dtype)
            layout = next((part.memory_format for part in reversed(stack) if part.memory_format), "")
            base = self._pipeline(recipe.model, dtype)
            components = dict(base.components)
            for part in stack:
                for component, field in part.replaces.items():
                    components[component] = self._replacement(component, getattr(recipe, field), dtype)
            if layout:
                components |= {name: self._laid_out(components[name], layout) for name in _CONVOLUTIONAL}
            for component in {component for part in stack for component in part.changes}:
                components[component] = share_weights(components[component])
            components["scheduler"] = _scheduler(recipe.scheduler, base.scheduler.config)
            pipeline = type(base)(**components, **_without_checker(base))
            pipeline.set_progress_bar_config(disable=True)
            for part in stack:
                part.apply(pipeline, recipe)
            return pipeline

    def clear(self) -> None:
        """Let go of every module; pipelines already built keep theirs."""
        self._pipelines.clear()
        self._parts.clear()

    def _pipeline(self, model: str, dtype: str) -> Any:
        key = (model, dtype)
        if key not in self._pipelines:
            pipeline = self._source.pipeline(model, dtype)
            for part in pipeline.components.values():
                _settled(part)
            self._pipelines[key] = pipeline
        return self._pipelines[key]

    def _replacement(self, component: str, model: str, dtype: str) -> Any:
        key = (component, model, dtype)
        if key not in self._parts:
            self._parts[key] = _settled(getattr(self._source, component)(model, dtype))
        return self._parts[key]

    def _laid_out(self, module: Any, layout: str) -> Any:
        """The module's copy in another memory format; the parameters that the format leaves as they are stay shared."""
        import torch

        key = (str(id(module)), layout)
        if key not in self._parts:
            twin = share_weights(module, fresh_parameters=True)
            # The original is kept beside its twin: its id must not be given to another module.
            self._parts[key] = (module, twin.to(memory_format=getattr(torch, layout)))
        return self._parts[key][1]


def share_weights(module: Any, *, fresh_parameters: bool = False) -> Any:
    """A structural copy of a module whose parameters and buffers are the original's own tensors.

    Args:
        module: a ``torch.nn.Module``.
        fresh_parameters: new ``Parameter`` objects over the same storage, so that re-laying one out leaves the original's alone.
    """
    import torch

    tensors = [*module.parameters(), *module.buffers()]
    if not fresh_parameters:
        return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    fresh = {
        id(tensor): torch.nn.Parameter(tensor.data, requires_grad=tensor.requires_grad)
        if isinstance(tensor, torch.nn.Parameter)
        else tensor.detach()
        for tensor in tensors
    }
    # deepcopy keeps only the copies alive through the memo; the originals outlive the call through ``module``.
    return copy.deepcopy(module, fresh)


def _settled(part: Any) -> Any:
    """Inference only: no dropout. Parameters stay leaves that require gradients: autocast caches the casts of no others."""
    return part.eval() if hasattr(part, "eval") else part


def _scheduler(name: str, config: Any) -> Any:
    from diffusers import DDIMScheduler, PNDMScheduler

    return {"ddim": DDIMScheduler, "pndm": PNDMScheduler}[name].from_config(config)


def _without_checker(pipeline: Any) -> dict[str, Any]:
    return {"requires_safety_checker": False} if "requires_safety_checker" in pipeline.config else {}
