"""Weights stored in a smaller type than they compute in."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.named_modules import explain, find_modules, judge_each
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.parts import AUTOENCODER, DENOISERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.model import Recipe

_NAME = "layerwise_casting"


def find_dtype(owner: str, option: str, name: str) -> Any:
    """Return a floating-point type of torch by its name.

    Args:
        owner: name of the optimization, for messages.
        option: name of the option, for messages.
        name: name of the type.

    Raises:
        RegistrationError: torch has no such type.
    """
    import torch

    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise RegistrationError(
            f"{owner}: option {option!r} is {name!r}; valid: a floating-point type of torch, such"
            " as 'float8_e4m3fn', 'float8_e5m2', 'bfloat16'"
        )
    return dtype


def _apply(
    pipeline: Any,
    _recipe: Recipe,
    *,
    storage_dtype: str,
    compute_dtype: str | None,
    parts: list[str],
    non_blocking: bool,
) -> None:
    storage = find_dtype(_NAME, "storage_dtype", storage_dtype)
    for name, module in find_modules(_NAME, parts, pipeline).items():
        if not hasattr(module, "enable_layerwise_casting"):
            raise RegistrationError(
                f"{_NAME} is for models of diffusers: {name} is of {type(module).__name__}"
            )
        compute = (
            find_dtype(_NAME, "compute_dtype", compute_dtype) if compute_dtype else module.dtype
        )
        try:
            module.enable_layerwise_casting(
                storage_dtype=storage, compute_dtype=compute, non_blocking=non_blocking
            )
        except (ValueError, NotImplementedError) as error:
            raise explain(_NAME, f"{name}, of {type(module).__name__}", error) from error


@contextmanager
def _prove(
    pipeline: Any, *, storage_dtype: str, parts: list[str], **_others: Any
) -> Iterator[Callable[[], Finding]]:
    """Look at the type that the weights are stored in after a generation."""
    storage = find_dtype(_NAME, "storage_dtype", storage_dtype)
    modules = find_modules(_NAME, parts, pipeline)
    yield lambda: judge_each(parts, modules, lambda chosen: _judge(chosen, storage))


def _judge(modules: dict[str, Any], storage: Any) -> Finding:
    """Look at the weights after a generation: each is back in the type it is stored in."""
    short = str(storage).removeprefix("torch.")
    computes = {
        str(hook.compute_dtype).removeprefix("torch.")
        for module in modules.values()
        for hook in _find_hooks(module)
    }
    if computes == {short}:
        return Finding(
            acted=False,
            text=f"weights are stored in {short} and computed with in {short}: nothing is cast",
        )
    weights = [one for module in modules.values() for one in module.parameters()]
    stored = [one for one in weights if one.dtype == storage]
    names = ", ".join(modules)
    if not stored or not computes:
        return Finding(
            acted=False, text=f"none of {len(weights)} weights of {names} is stored in {short}"
        )
    return Finding(
        acted=True,
        text=f"{len(stored)} of {len(weights)} weights are stored in {short} and computed with in"
        f" {', '.join(sorted(computes))}",
    )


def _find_hooks(module: Any) -> Iterator[Any]:
    for one in module.modules():
        registry = vars(one).get("_diffusers_hook")
        for hook in registry.hooks.values() if registry else ():
            if hasattr(hook, "storage_dtype"):
                yield hook


OPTIMIZATIONS = (
    Optimization(
        name=_NAME,
        summary="weights stored in 8 bits and cast for each layer when it computes",
        options={
            "storage_dtype": "float8_e4m3fn",
            "compute_dtype": None,
            "parts": [DENOISERS],
            "non_blocking": False,
        },
        changes=frozenset({DENOISERS, AUTOENCODER}),
        apply=_apply,
        prove=_prove,
        relation="approximation",
    ),
)
