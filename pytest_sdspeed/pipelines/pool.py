"""Pipelines that share their modules: one for each distinct weights, for all setups together."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.flags import guard
from pytest_sdspeed.device.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model import Recipe
    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.pipelines.sources import Source

_CONVOLUTIONAL = ("unet", "vae")
"""Parts with convolutions, to which a memory format is applied."""


class Pool:
    """Shared modules and what builds pipelines out of them; ``clear`` drops the modules.

    Args:
        source: where weights come from.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pipelines: dict[tuple[str, str], Any] = {}
        self._parts: dict[tuple[str, ...], Any] = {}

    def build(self, name: str, recipe: Recipe, stack: Sequence[Optimization]) -> Any:
        """Build a new pipeline for a setup.

        It shares its modules with every other setup of the same weights, dtype and memory format. A
        module whose structure the stack changes is a copy that shares the weights.

        Args:
            name: name of the setup, for messages.
            recipe: model, scheduler and the models that replacements come from.
            stack: optimizations in order.

        Raises:
            ModelUnavailableError: weights are unavailable.
            LeakedFlagError: an optimization changed a process-global flag while building.
        """
        with quiet(), guard(f"building setup {name!r}"):
            dtype = next((part.dtype for part in reversed(stack) if part.dtype), recipe.dtype)
            layout = next(
                (part.memory_format for part in reversed(stack) if part.memory_format), ""
            )
            base = self._load_pipeline(recipe.model, dtype)
            components = dict(base.components)
            for part in stack:
                for component, field in part.replaces.items():
                    components[component] = self._load_replacement(
                        component, getattr(recipe, field), dtype
                    )
            if layout:
                components |= {
                    name: self._lay_out(components[name], layout) for name in _CONVOLUTIONAL
                }
            for component in {component for part in stack for component in part.changes}:
                components[component] = share_weights(components[component])
            components["scheduler"] = _make_scheduler(recipe.scheduler, base.scheduler.config)
            pipeline = type(base)(**components, **_disable_checker(base))
            pipeline.set_progress_bar_config(disable=True)
            for part in stack:
                part.apply(pipeline, recipe)
            return pipeline

    def clear(self) -> None:
        """Drop every module; pipelines that were built keep theirs."""
        self._pipelines.clear()
        self._parts.clear()

    def _load_pipeline(self, model: str, dtype: str) -> Any:
        key = (model, dtype)
        if key not in self._pipelines:
            pipeline = self._source.load_pipeline(model, dtype)
            for part in pipeline.components.values():
                _set_to_inference(part)
            self._pipelines[key] = pipeline
        return self._pipelines[key]

    def _load_replacement(self, component: str, model: str, dtype: str) -> Any:
        key = (component, model, dtype)
        if key not in self._parts:
            self._parts[key] = _set_to_inference(
                getattr(self._source, f"load_{component}")(model, dtype)
            )
        return self._parts[key]

    def _lay_out(self, module: Any, layout: str) -> Any:
        """Return a module's copy in another memory format.

        Parameters that the format does not change stay shared.
        """
        import torch

        key = (str(id(module)), layout)
        if key not in self._parts:
            twin = share_weights(module, fresh_parameters=True)
            # The original is kept beside its twin: its id must not be given to another module.
            self._parts[key] = (module, twin.to(memory_format=getattr(torch, layout)))
        return self._parts[key][1]


def share_weights(module: Any, *, fresh_parameters: bool = False) -> Any:
    """Copy the structure of a module; parameters and buffers are the original's own tensors.

    Args:
        module: a ``torch.nn.Module``.
        fresh_parameters: whether the copy has new ``Parameter`` objects over the same storage, so
            that another memory format of the copy does not change the original.
    """
    import torch

    tensors = [*module.parameters(), *module.buffers()]
    if not fresh_parameters:
        return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    fresh = {
        id(tensor): (
            torch.nn.Parameter(tensor.data, requires_grad=tensor.requires_grad)
            if isinstance(tensor, torch.nn.Parameter)
            else tensor.detach()
        )
        for tensor in tensors
    }
    # The memo of deepcopy keeps only the copies alive; ``module`` keeps the originals alive.
    return copy.deepcopy(module, fresh)


def _set_to_inference(part: Any) -> Any:
    """Set a part to inference, which turns dropout off.

    Parameters still require gradients, since autocast caches the casts of no others.
    """
    return part.eval() if hasattr(part, "eval") else part


def _make_scheduler(name: str, config: Any) -> Any:
    from diffusers import DDIMScheduler, PNDMScheduler

    return {"ddim": DDIMScheduler, "pndm": PNDMScheduler}[name].from_config(config)


def _disable_checker(pipeline: Any) -> dict[str, Any]:
    return (
        {"requires_safety_checker": False} if "requires_safety_checker" in pipeline.config else {}
    )
