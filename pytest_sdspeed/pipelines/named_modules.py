"""Which modules of a pipeline an optimization is for, and whether something compiled them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError, read_first_line
from pytest_sdspeed.pipelines.parts import GROUPS, find_parts, list_components, name_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_sdspeed.model import Finding


def find_modules(owner: str, names: Sequence[str], pipeline: Any) -> dict[str, Any]:
    """Return modules of a pipeline by name, those of a group in the place of its name.

    Args:
        owner: name of the optimization that asks, for messages.
        names: names of components or of groups.
        pipeline: the pipeline.

    Raises:
        RegistrationError: a name is neither a component's nor a group's, or nothing is named.
    """
    components = list_components(pipeline)
    valid = [name for name, one in components.items() if hasattr(one, "parameters")]
    found: dict[str, Any] = {}
    for name in names:
        if name not in valid and name not in GROUPS:
            raise RegistrationError(
                f"{owner}: {type(pipeline).__name__} has no {name!r}; valid in parts:"
                f" {', '.join((*valid, *GROUPS))}"
            )
        chosen = find_parts(name, components) if name in GROUPS else (name,)
        found |= {one: components[one] for one in chosen}
    if not found:
        raise RegistrationError(
            f"{owner}: {type(pipeline).__name__} has no {' or '.join(names)}; its parts:"
            f" {', '.join(valid)}"
        )
    return found


def judge_each(
    names: Sequence[str], modules: Mapping[str, Any], judge: Callable[[dict[str, Any]], Finding]
) -> Finding:
    """Judge the parts that an optimization is for: each that is named has to have got it.

    Args:
        names: names of components or of groups.
        modules: the modules that they stand for, by name.
        judge: says of some of the modules whether it acted.

    Returns:
        What is found of all, or of the first named part in which it did not act.
    """
    for name in names:
        chosen = name_parts([name], modules)
        found = judge({one: module for one, module in modules.items() if one in chosen})
        if chosen and not found.acted:
            return found
    return judge(dict(modules))


def is_compiled(module: Any) -> bool:
    """Tell whether a module, or one inside of it, is compiled or captured: hooks are not called."""
    if hasattr(module, "original_class"):
        return True
    if any(_is_compiled_call(vars(module).get(name)) for name in ("forward", "decode")):
        return True
    return any(_calls_compiled(one) for one in module.modules())


def _calls_compiled(module: Any) -> bool:
    way = vars(module).get("_compiled_call_impl")
    return type(module).__name__ == "OptimizedModule" or _is_compiled_call(way)


def _is_compiled_call(call: Any) -> bool:
    """Tell whether a function is compiled code, or hands its call to compiled code."""
    inside = (cell.cell_contents for cell in getattr(call, "__closure__", None) or ())
    return any(hasattr(one, "_torchdynamo_orig_callable") for one in (call, *inside))


def explain(owner: str, what: str, error: Exception) -> RegistrationError:
    """Make the error of an optimization that a library refuses to apply to a part.

    Args:
        owner: name of the optimization.
        what: what it was to be applied to.
        error: what the library raised.
    """
    said = read_first_line(error, type(error).__name__)
    return RegistrationError(f"{owner} cannot be applied to {what}: {said}")


def count_bytes(tensors: Iterable[Any]) -> int:
    """Count the bytes of tensors, those that quantized tensors are made of in their place."""
    return sum(_count_one(tensor) for tensor in tensors)


def _count_one(tensor: Any) -> int:
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        return int(tensor.numel() * tensor.element_size())
    names, _ = flatten()
    return count_bytes(getattr(tensor, name) for name in names)
