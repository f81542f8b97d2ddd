"""Pipelines that share their modules: one for each distinct weights, for all setups together."""

from __future__ import annotations

import copy
import inspect
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.flags import collect, guard, ignore_default_device
from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.device.switches import ATTENTION_BACKEND
from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.pipelines.optimizations import has_own_code
from pytest_sdspeed.pipelines.parts import AUTOENCODER, DENOISERS, find_parts, name_parts
from pytest_sdspeed.pipelines.schedulers import make_scheduler
from pytest_sdspeed.pipelines.shared_code import guard_code
from pytest_sdspeed.pipelines.shared_part import (
    CACHES,
    STRICT,
    SharedPart,
    describe_changes,
    list_tensors,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_sdspeed.model import Recipe
    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.pipelines.sources import Source

_LAID_OUT = {4: "", 5: "_3d"}
"""Axes of a convolution's weights -> the end of the name of their memory format."""


@dataclass(frozen=True, slots=True)
class Built:
    """A pipeline of a setup.

    Attributes:
        pipeline: the diffusers pipeline.
        parts: what it shares with other setups, changed or not.
        held: flags that ``apply`` set by a documented call, for the setup's slots: name -> value.
        own_code: whether code that is not this project's runs in it.
    """

    pipeline: Any
    parts: tuple[SharedPart, ...]
    held: Mapping[str, Any]
    own_code: bool


class Pool:
    """Shared modules and what builds pipelines out of them; ``clear`` drops the modules.

    Args:
        source: where weights come from.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pipelines: dict[tuple[str, str, str | None], Any] = {}
        self._parts: dict[tuple[str, ...], Any] = {}
        self._shared: dict[int, SharedPart] = {}

    def build(self, name: str, recipe: Recipe, stack: Sequence[Optimization]) -> Built:
        """Build a new pipeline for a setup.

        It shares its modules with every other setup of the same weights, dtype and memory format. A
        module whose structure the stack changes is a copy that shares the weights; one whose
        weights it rewrites has its own.

        Args:
            name: name of the setup, for messages.
            recipe: model, scheduler and the models that replacements come from.
            stack: optimizations in order.

        Raises:
            ModelUnavailableError: weights are unavailable.
            LeakedFlagError: an optimization changed a process-global flag while building.
            ChangedPartError: an optimization changed what setups share.
            RegistrationError: an optimization names a component that the pipeline does not have.
        """
        with quiet(), ignore_default_device(), guard(f"building setup {name!r}"):
            dtype = next((part.dtype for part in reversed(stack) if part.dtype), recipe.dtype)
            layout = next(
                (part.memory_format for part in reversed(stack) if part.memory_format), ""
            )
            base = self._load_pipeline(recipe.model, dtype, recipe.pipeline)
            components = dict(base.components)
            for part in stack:
                for component, role in part.replaces.items():
                    components[component] = self._load_replacement(
                        component, recipe.part(role), dtype, components.get(component)
                    )
            parts = self._find_parts(components)
            if layout:
                laid_out = {
                    name: self._lay_out(name, components[name], layout)
                    for name in _find_convolutional(components)
                }
                components |= laid_out
                parts += self._find_parts(laid_out)
            check_parts(f"before setup {name!r} was built, something", parts, CACHES)
            own_code = has_own_code(stack)
            components |= _copy_components(components, stack, own_code=own_code)
            components |= _copy_upcast(base, components, dtype)
            components |= _copy_schedulers(base.components, recipe.scheduler)
            pipeline = type(base)(**components, **_read_settings(base))
            pipeline.set_progress_bar_config(disable=True)
            if own_code:
                for shared in parts:
                    shared.expose()
            building = f"building setup {name!r}"
            with (
                guard_parts(building, parts),
                guard_code(building, pipeline) if own_code else nullcontext(),
                collect(ATTENTION_BACKEND) as held,
            ):
                for part in stack:
                    part.apply(pipeline, recipe, **part.options)
            return Built(pipeline, parts, held, own_code)

    def clear(self) -> None:
        """Drop every module; pipelines that were built keep theirs."""
        self._pipelines.clear()
        self._parts.clear()
        self._shared.clear()

    def _find_parts(self, components: Mapping[str, Any]) -> tuple[SharedPart, ...]:
        """Return the components that setups share, those that have weights."""
        distinct = dict.fromkeys(map(id, components.values()))
        return tuple(self._shared[one] for one in distinct if one in self._shared)

    def _share(
        self, name: str, module: Any, reload: Callable[[], Any], original: object = None
    ) -> None:
        """Note what a module is like before any setup gets it.

        Args:
            name: name of the component.
            module: the module, or a component without weights.
            reload: loads the module again.
            original: the module whose weights it shares, if it does.
        """
        if hasattr(module, "named_parameters"):

            def reload_tensors() -> dict[str, Any]:
                with quiet(), ignore_default_device():
                    return list_tensors(reload())

            self._shared[id(module)] = SharedPart(
                name, module, reload_tensors, self._shared.get(id(original))
            )

    def _load_pipeline(self, model: str, dtype: str, kind: str | None) -> Any:
        key = (model, dtype, kind)
        if key not in self._pipelines:
            pipeline = self._source.load_pipeline(*key)
            for part in pipeline.components.values():
                _set_to_inference(part)
            for name, part in pipeline.components.items():
                self._share(name, part, partial(self._reload_component, key, name))
            self._pipelines[key] = pipeline
        return self._pipelines[key]

    def _load_replacement(self, component: str, model: Any, dtype: str, like: Any) -> Any:
        key = (component, model, dtype)
        if key not in self._parts:
            load = partial(self._source.load_part, component, model, dtype, type(like))
            self._parts[key] = _set_to_inference(load())
            self._share(component, self._parts[key], load)
        return self._parts[key]

    def _reload_component(self, key: tuple[str, str, str | None], name: str) -> Any:
        return self._source.load_pipeline(*key).components[name]

    def _lay_out(self, name: str, module: Any, layout: str) -> Any:
        """Return a module's copy in another memory format.

        Parameters that the format does not change stay shared.
        """
        key = (str(id(module)), layout)
        if key not in self._parts:
            twin = _lay_out_tensors(share_weights(module), layout)
            # The original is kept beside its twin: its id must not be given to another module.
            self._parts[key] = (module, twin)
            self._share(f"{name} ({layout})", twin, lambda: module, module)
        return self._parts[key][1]


def share_weights(module: Any) -> Any:
    """Copy the structure of a module; its weights are the original's own memory.

    Its parameters and buffers are new objects, so that another dtype, device or memory format of
    the copy does not change the original.

    Args:
        module: a ``torch.nn.Module``; of anything else all is copied.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        return copy.deepcopy(module)
    # Detached tensors count changes together with the original.
    fresh = {
        id(tensor): (
            torch.nn.Parameter(tensor.detach(), requires_grad=tensor.requires_grad)
            if isinstance(tensor, torch.nn.Parameter)
            else tensor.detach()
        )
        for tensor in (*module.parameters(), *module.buffers())
    }
    # The memo of deepcopy keeps only the copies alive; ``module`` keeps the originals alive.
    return copy.deepcopy(module, fresh)


def _copy_components(
    components: Mapping[str, Any], stack: Sequence[Optimization], *, own_code: bool
) -> dict[str, Any]:
    """Return copies of what a stack changes; its own code gets what has no weights as a copy, too.

    Raises:
        RegistrationError: the pipeline has no such component.
    """
    changed = {*name_parts((name for part in stack for name in part.changes), components)}
    rewritten = name_parts((name for part in stack for name in part.rewrites), components)
    if own_code:
        changed |= {name for name, one in components.items() if not hasattr(one, "parameters")}
    copies = {
        id(components[name]): copy.deepcopy(components[name])
        if name in rewritten
        else share_weights(components[name])
        for name in sorted(changed | rewritten, key=lambda name: name in rewritten)
    }
    # What a pipeline has under two names stays one object.
    return {name: copies[id(one)] for name, one in components.items() if id(one) in copies}


def _copy_upcast(base: Any, components: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """Return copies of autoencoders that the pipeline itself casts to float32 in every call.

    They are cast back after it, into other memory, which no setup may do to what it shares.
    """
    if dtype == "float32" or not hasattr(type(base), "upcast_vae"):
        return {}
    return {
        name: copy.deepcopy(components[name])
        for name in find_parts(AUTOENCODER, components)
        if getattr(components[name].config, "force_upcast", False)
    }


def _find_convolutional(components: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of denoisers and autoencoders with convolutions over pictures or videos."""
    return tuple(
        name
        for group in (DENOISERS, AUTOENCODER)
        for name in find_parts(group, components)
        if any(tensor.dim() in _LAID_OUT for tensor in components[name].parameters())
    )


def _lay_out_tensors(module: Any, layout: str) -> Any:
    """Store the weights of convolutions in a memory format, or in its twin for three dimensions."""
    import torch

    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dim() in _LAID_OUT:
            chosen = getattr(torch, layout + _LAID_OUT[tensor.dim()])
            tensor.data = tensor.data.to(memory_format=chosen)
    return module


@contextmanager
def guard_parts(
    owner: str,
    parts: Sequence[SharedPart],
    allowed: frozenset[str] = STRICT,
    *,
    thorough: bool = True,
) -> Iterator[None]:
    """Check that shared parts are after the block what they were before, and put them back.

    Args:
        owner: what the message blames, such as "building setup 'fused'".
        parts: the parts.
        allowed: kinds of changes that are let pass.
        thorough: whether to read the bytes of their weights, too.

    Raises:
        ChangedPartError: a part was changed. It is put back first. An exception from inside the
            block takes precedence.
    """
    try:
        yield
    except BaseException:
        for part in parts:
            part.verify(allowed, thorough=thorough)
        raise
    check_parts(owner, parts, allowed, thorough=thorough)


def check_parts(
    owner: str, parts: Sequence[SharedPart], allowed: frozenset[str], *, thorough: bool = False
) -> None:
    """Raise what changed of shared parts, once it is put back; see ``guard_parts``."""
    found = {part: part.verify(allowed, thorough=thorough) for part in parts}
    texts = [text for changes in found.values() for text in changes]
    if texts:
        first = next(part.name.split(" ")[0] for part, changes in found.items() if changes)
        raise describe_changes(owner, texts, first)


def _set_to_inference(part: Any) -> Any:
    """Set a part to inference, which turns dropout off.

    Parameters still require gradients, since autocast caches the casts of no others.
    """
    return part.eval() if hasattr(part, "eval") else part


def _copy_schedulers(components: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """Make schedulers of a setup's own: they keep what they are at.

    Args:
        components: components of the pipeline.
        name: what the recipe says of the one called ``scheduler``; see ``make_scheduler``.

    Raises:
        RegistrationError: the recipe names one, and the pipeline has none; or it does not fit.
    """
    own = {
        part: one
        for part, one in components.items()
        if part.endswith("scheduler") and hasattr(one, "config")
    }
    if name is not None and "scheduler" not in own:
        raise RegistrationError(
            f"recipe: scheduler {name!r}: the pipeline has no component of that name to replace;"
            f" valid: no scheduler, for its own ({', '.join(own) or 'none'})"
        )
    return {
        part: make_scheduler(name if part == "scheduler" else None, one)
        for part, one in own.items()
    }


def _read_settings(pipeline: Any) -> dict[str, Any]:
    """Return what a pipeline was made with beside its components."""
    taken = inspect.signature(type(pipeline).__init__).parameters
    return {
        name: pipeline.config[name]
        for name in taken
        if name in pipeline.config and name not in pipeline.components
    }
