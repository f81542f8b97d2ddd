"""A LoRA: a small addition to the weights, beside them or fused into them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import ModelUnavailableError, RegistrationError, read_first_line
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.named_modules import explain, find_modules
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import require_package
from pytest_sdspeed.pipelines.parts import DENOISERS, MODULES, TEXT_ENCODERS, list_components

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.model import Machine, Recipe

_NAME = "lora"
_ADAPTER = "gated"
"""Name of the adapter in peft, which allows no other characters than those of a module's name."""


def _check(_machine: Machine, **_options: Any) -> str | None:
    return require_package("peft", install="'pytest-sdspeed[lora]'")


def _apply(
    pipeline: Any,
    recipe: Recipe,
    *,
    scale: float,
    fused: bool,
    hotswap: bool,
    target_rank: int,
    weight_name: str,
) -> None:
    if not hasattr(pipeline, "load_lora_weights"):
        raise RegistrationError(f"{_NAME}: {type(pipeline).__name__} loads no LoRA")
    if fused and hotswap:
        raise RegistrationError(f"{_NAME}: what is fused cannot be swapped: give one of them")
    source = str(recipe.part(_NAME))
    if hotswap:
        pipeline.enable_lora_hotswap(target_rank=target_rank)
    _load(pipeline, source, weight_name)
    if hotswap:
        _load(pipeline, source, weight_name, hotswap=True)
    if fused:
        pipeline.fused_lora_layers = _fuse(pipeline, scale)
    else:
        pipeline.set_adapters(_ADAPTER, scale)


def _load(pipeline: Any, source: str, weight_name: str, **options: Any) -> None:
    """Load it from a file, a folder or the hub; only safetensors.

    Raises:
        ModelUnavailableError: there is no such file, it cannot be downloaded, or it holds no LoRA
            of this pipeline.
    """
    path = Path(source)
    if path.is_file():
        source, weight_name = str(path.parent), path.name
    named = {"weight_name": weight_name} if weight_name else {}
    try:
        pipeline.load_lora_weights(
            source, adapter_name=_ADAPTER, use_safetensors=True, **named, **options
        )
    except Exception as error:
        said = read_first_line(error, type(error).__name__)
        raise ModelUnavailableError(
            f"{_NAME} {_locate(source, weight_name)} cannot be loaded into"
            f" {type(pipeline).__name__}: {said}"
        ) from error
    if not _find_layers(pipeline):
        raise ModelUnavailableError(
            f"{_NAME} {_locate(source, weight_name)} has no weights for any layer of"
            f" {type(pipeline).__name__}"
        )


def _locate(source: str, weight_name: str) -> str:
    """Say where a LoRA is."""
    return f"{source}/{weight_name}" if weight_name else source


def _find_layers(pipeline: Any) -> list[Any]:
    """Return the layers that the LoRA adds something to."""
    return [
        layer
        for module in find_modules(_NAME, [MODULES], pipeline).values()
        for layer in module.modules()
        if _ADAPTER in getattr(layer, "scaling", {}) and hasattr(layer, "base_layer")
    ]


def _fuse(pipeline: Any, scale: float) -> tuple[int, int]:
    """Add the LoRA to the weights; return how many layers it changed, and how many it has."""
    bases = [layer.base_layer for layer in _find_layers(pipeline)]
    before = [base.weight.data for base in bases]
    for base in bases:
        # The copy that is fused shares the weights of the original: these get memory of their own.
        base.weight.data = base.weight.data.clone()
    fusible = [
        name
        for name in pipeline._lora_loadable_modules  # noqa: SLF001 - it has no public name
        if any(hasattr(one, "base_layer") for one in _list_modules(pipeline, name))
    ]
    try:
        pipeline.fuse_lora(components=fusible, lora_scale=scale, adapter_names=[_ADAPTER])
    except (ValueError, TypeError) as error:
        raise explain(_NAME, f"{type(pipeline).__name__} (fused)", error) from error
    changed = sum(
        not bool((base.weight.data == old).all()) for base, old in zip(bases, before, strict=True)
    )
    pipeline.unload_lora_weights()
    return changed, len(bases)


def _list_modules(pipeline: Any, name: str) -> list[Any]:
    part = list_components(pipeline).get(name)
    return [*part.modules()] if part is not None and hasattr(part, "modules") else []


@contextmanager
def _prove(pipeline: Any, *, fused: bool, **_others: Any) -> Iterator[Callable[[], Finding]]:
    """Look at the layers that it adds something to, or at the weights that it was fused into."""
    yield lambda: _judge_fused(*pipeline.fused_lora_layers) if fused else _judge(pipeline)


def _judge_fused(changed: int, count: int) -> Finding:
    if changed:
        return Finding(acted=True, text=f"changed the weights of {changed} of {count} layers")
    return Finding(
        acted=False,
        text=f"fused into {count} layers, it changed no weight: scale or its own weights are zero",
    )


def _judge(pipeline: Any) -> Finding:
    layers = _find_layers(pipeline)
    active = [
        layer
        for layer in layers
        if _ADAPTER in layer.active_adapters and not layer.disable_adapters and not layer.merged
    ]
    acting = [layer for layer in active if bool(layer.get_delta_weight(_ADAPTER).any())]
    if acting:
        scales = sorted({layer.scaling[_ADAPTER] for layer in acting})
        shown = " to ".join(dict.fromkeys(f"{scale:g}" for scale in (scales[0], scales[-1])))
        return Finding(
            acted=True,
            text=f"added to {len(acting)} of {len(layers)} layers, scaled by {shown}",
        )
    why = "scale or its own weights are zero" if active else "its adapter is not active"
    return Finding(acted=False, text=f"added nothing to {len(layers)} layers: {why}")


OPTIMIZATIONS = (
    Optimization(
        name=_NAME,
        summary="a LoRA beside the weights, or fused into them",
        options={
            "scale": 1.0,
            "fused": False,
            "hotswap": False,
            "target_rank": 128,
            "weight_name": "",
        },
        supported=_check,
        needs=frozenset({_NAME}),
        changes=frozenset({DENOISERS, TEXT_ENCODERS}),
        apply=_apply,
        prove=_prove,
        relation="other_weights",
    ),
)
