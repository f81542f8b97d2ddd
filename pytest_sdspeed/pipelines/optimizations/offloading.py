"""Weights that rest in the memory of the host, and come to the device when they are needed."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.named_modules import (
    count_bytes,
    explain,
    find_modules,
    is_compiled,
)
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import advise, require_package
from pytest_sdspeed.pipelines.parts import AUTOENCODER, DENOISERS, MODULES, TEXT_ENCODERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_sdspeed.model import Machine, Recipe

_GROUP = "group_offload"
_MODEL = "model_offload"
_SEQUENTIAL = "sequential_offload"
_TYPES = ("block_level", "leaf_level")
_EXTRA = "'pytest-sdspeed[offload]'"
_MB = 1e6


def _check_group(
    machine: Machine, *, offload_type: str, use_stream: bool, record_stream: bool, **_others: Any
) -> str | None:
    if offload_type not in _TYPES:
        raise RegistrationError(
            f"{_GROUP}: option 'offload_type' is {offload_type!r}; valid: {', '.join(_TYPES)}"
        )
    if record_stream and not use_stream:
        raise RegistrationError(f"{_GROUP}: record_stream needs use_stream")
    if use_stream and machine.kind not in ("cuda", "xpu"):
        return f"{_GROUP} with use_stream needs a CUDA GPU: {advise(machine)}"
    return require_package("accelerate", install=_EXTRA)  # the hooks of diffusers call it


def _apply_group(
    pipeline: Any,
    _recipe: Recipe,
    *,
    parts: list[str],
    offload_type: str,
    num_blocks_per_group: int,
    **options: Any,
) -> None:
    import torch
    from diffusers.hooks import apply_group_offloading

    # Asked before any part is offloaded: then the device is that of the hooks.
    device = pipeline._execution_device  # noqa: SLF001 - it has no public name
    for name, module in find_modules(_GROUP, parts, pipeline).items():
        if not getattr(module, "_supports_group_offloading", True):
            raise RegistrationError(f"{_GROUP}: {type(module).__name__} ({name}) does not take it")
        try:
            apply_group_offloading(
                module,
                onload_device=device,
                offload_device=torch.device("cpu"),
                offload_type=offload_type,
                num_blocks_per_group=num_blocks_per_group,
                **options,
            )
        except (ValueError, NotImplementedError) as error:
            raise explain(_GROUP, f"{name}, of {type(module).__name__}", error) from error


def find_groups(module: Any) -> list[Any]:
    """Return the groups of a module's layers that are offloaded together, each once."""
    hooks = (
        hook
        for one in module.modules()
        for hook in getattr(vars(one).get("_diffusers_hook"), "hooks", {}).values()
    )
    groups = (getattr(hook, "group", None) for hook in hooks)
    return list({id(group): group for group in groups if group is not None}.values())


@contextmanager
def _prove_group(
    pipeline: Any, *, parts: list[str], **_options: Any
) -> Iterator[Callable[[], Finding]]:
    """Look at what rests outside of the device; on a CPU, count how often groups are loaded."""
    modules = find_modules(_GROUP, parts, pipeline)
    groups = [group for module in modules.values() for group in find_groups(module)]
    device = pipeline._execution_device  # noqa: SLF001 - it has no public name
    loads: list[Any] = []
    watched = [] if any(map(is_compiled, modules.values())) else groups
    for group in watched:
        group.onload_ = partial(_note, loads, group.onload_)
    try:
        yield lambda: _judge_group(modules, groups, device, len(loads) if watched else None)
    finally:
        for group in watched:
            vars(group).pop("onload_", None)


def _note(loads: list[Any], call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    loads.append(call)
    return call(*args, **kwargs)


def _judge_group(
    modules: Mapping[str, Any], groups: list[Any], device: Any, loads: int | None
) -> Finding:
    if not groups:
        return Finding(acted=False, text=f"nothing of {', '.join(modules)} is offloaded")
    if device.type == "cpu":
        if loads is None:
            return Finding(acted=None, text="loads are not counted in compiled code")
        return Finding(
            acted=loads > 0,
            text=f"{len(groups)} groups of layers were loaded {loads} times (on a CPU no weight"
            " moves)",
        )
    return _judge_resting(modules, f"between the calls of their {len(groups)} groups")


def _judge_resting(modules: Mapping[str, Any], when: str) -> Finding:
    """Look at the weights after a generation: they rest outside of the device."""
    tensors = [one for module in modules.values() for one in module.parameters()]
    resting = [one for one in tensors if one.device.type in ("cpu", "meta")]
    whole, part = count_bytes(tensors) / _MB, count_bytes(resting) / _MB
    return Finding(
        acted=bool(resting),
        text=f"{part:.1f} of {whole:.1f} MB of weights rest outside of the device {when}",
    )


def _check_accelerate(name: str, machine: Machine) -> str | None:
    reason = require_package("accelerate", install=_EXTRA)
    if reason:
        return reason
    if machine.kind == "cpu":
        return (
            f"{name} needs a GPU, or another device with memory of its own: {advise(machine)}."
            " group_offload runs on a CPU, too"
        )
    return None


def _apply_accelerate(name: str, method: str, pipeline: Any, _recipe: Recipe) -> None:
    device = pipeline._execution_device  # noqa: SLF001 - it has no public name
    try:
        getattr(pipeline, method)(device=device)
    except (ValueError, NotImplementedError) as error:
        raise explain(name, type(pipeline).__name__, error) from error


@contextmanager
def _prove_accelerate(name: str, pipeline: Any) -> Iterator[Callable[[], Finding]]:
    """Look at what rests outside of the device after a generation."""
    yield lambda: _judge_accelerate(name, pipeline)


def _judge_accelerate(name: str, pipeline: Any) -> Finding:
    modules = {
        part: module
        for part, module in find_modules(name, [MODULES], pipeline).items()
        if hasattr(module, "_hf_hook")
    }
    if not modules:
        return Finding(acted=False, text="no component has the hooks of accelerate")
    resting = {one.device.type for part in modules.values() for one in part.parameters()}
    device = pipeline._execution_device.type  # noqa: SLF001 - as above
    if resting == {device}:
        return Finding(acted=False, text=f"the weights rest on the device that computes, {device}")
    return _judge_resting(modules, f"between the calls of {', '.join(modules)}")


def _make_accelerate(name: str, method: str, summary: str) -> Optimization:
    return Optimization(
        name=name,
        summary=summary,
        supported=partial(_check_accelerate, name),
        changes=frozenset({MODULES}),
        apply=partial(_apply_accelerate, name, method),
        prove=partial(_prove_accelerate, name),
    )


OPTIMIZATIONS = (
    Optimization(
        name=_GROUP,
        summary="groups of layers come to the device when they compute",
        options={
            "parts": [DENOISERS],
            "offload_type": "leaf_level",
            "num_blocks_per_group": 1,
            "use_stream": False,
            "record_stream": False,
            "non_blocking": False,
            "low_cpu_mem_usage": False,
        },
        supported=_check_group,
        changes=frozenset({DENOISERS, TEXT_ENCODERS, AUTOENCODER}),
        apply=_apply_group,
        prove=_prove_group,
    ),
    _make_accelerate(
        _MODEL, "enable_model_cpu_offload", "each component comes to the device when it computes"
    ),
    _make_accelerate(
        _SEQUENTIAL,
        "enable_sequential_cpu_offload",
        "each layer comes to the device when it computes, by accelerate",
    ),
)
