"""Parts of any pipeline, compiled or replayed from CUDA graphs, and what shows that they are."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.parts import AUTOENCODER, find_parts, list_components, name_parts
from pytest_sdspeed.pipelines.unet_wrapper import UNetWrapper, wrap_compiled
from pytest_sdspeed.pipelines.watching import is_opaque, watch_calls, watch_method

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_REGION = "Torch-Compiled Region"
"""Beginning of what torch's profiler calls a run of compiled code."""


def compile_parts(pipeline: Any, parts: Sequence[str], compiler: Callable[[Any], Any]) -> None:
    """Compile parts of a pipeline: the decoding of an autoencoder, the calls of all others.

    Args:
        pipeline: a pipeline whose parts are its own.
        parts: names of components or groups.
        compiler: what compiles a callable.

    Raises:
        RegistrationError: the pipeline has no such part, or it is compiled already.
    """
    components = list_components(pipeline)
    autoencoders = find_parts(AUTOENCODER, components)
    for name in find_named(pipeline, parts):
        part = components[name]
        if name in autoencoders:
            part.decode = compiler(part.decode)
        elif isinstance(part, UNetWrapper) or is_plain_unet(part):
            setattr(pipeline, name, wrap_compiled(part, compiler))
        else:
            _check_untouched(name, part)
            part.forward = clone_results(compiler(part.forward))


def find_named(pipeline: Any, parts: Sequence[str]) -> list[str]:
    """Return the components that names of components and groups stand for, in a fixed order."""
    return sorted(name_parts(parts, list_components(pipeline)))


def is_plain_unet(part: Any) -> bool:
    """Tell whether a part is a UNet that takes a picture, a time and a text alone."""
    from diffusers import UNet2DConditionModel

    return (
        isinstance(part, UNet2DConditionModel)
        and getattr(part.config, "addition_embed_type", None) is None
    )


def _check_untouched(name: str, part: Any) -> None:
    if is_opaque(part):
        raise RegistrationError(
            f"{name} is compiled, traced or replayed already: list one of compile,"
            " compile_repeated_blocks, cuda_graphs and traced_unet"
        )


def clone_results(call: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a call so that it returns copies of its tensors.

    A CUDA graph overwrites its own results when it runs again.
    """

    def call_and_clone(*args: Any, **kwargs: Any) -> Any:
        return _pytree.tree_map_only(torch.Tensor, torch.clone, call(*args, **kwargs))

    return call_and_clone


def compile_blocks(part: Any, name: str, **options: Any) -> None:
    """Compile the repeated blocks of a denoiser, by diffusers' own call.

    Raises:
        RegistrationError: it names none, or this diffusers has no such call.
    """
    blocks = getattr(part, "_repeated_blocks", None)
    if not hasattr(part, "compile_repeated_blocks") or not blocks:
        raise RegistrationError(
            f"compile_repeated_blocks: {type(part).__name__} ({name}) names no repeated blocks in"
            " this version of diffusers: compile(...) compiles it as a whole"
        )
    _check_untouched(name, part)
    part.compile_repeated_blocks(**options)


@contextmanager
def prove_compiled(pipeline: Any, parts: Sequence[str]) -> Iterator[Callable[[], Finding]]:
    """Profile the first call of every part, for runs of compiled code.

    Args:
        pipeline: the finished pipeline.
        parts: names of components or groups that were compiled.
    """
    names, components = find_named(pipeline, parts), list_components(pipeline)
    regions: dict[str, int] = {}

    def look(name: str, call: Callable[[], Any]) -> Any:
        if name in regions:
            return call()
        regions[name] = 0  # a part may call another one
        result, regions[name] = _count_regions(call)
        return result

    autoencoders = find_parts(AUTOENCODER, components)
    with ExitStack() as held:
        for name in names:
            part = components[name]
            held.enter_context(
                watch_method(part, "decode", name, look)
                if name in autoencoders
                else watch_calls({name: part}, look)
            )
        yield lambda: _judge_regions(names, autoencoders, regions)


def _count_regions(call: Callable[[], Any]) -> tuple[Any, int]:
    """Call, and return the result with the number of times that compiled code ran."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        result = call()
    return result, sum(event.name.startswith(_REGION) for event in profile.events())


def _judge_regions(
    names: Sequence[str], autoencoders: Sequence[str], regions: dict[str, int]
) -> Finding:
    said = []
    for name in names:
        shown = f"{name}.decode" if name in autoencoders else name
        if name not in regions:
            said.append(f"{shown} was never called")
        elif not regions[name]:
            said.append(f"a call of {shown} ran no compiled code: torch fell back to eager")
        else:
            times = "once" if regions[name] == 1 else f"{regions[name]} times"
            said.append(f"a call of {shown} ran compiled code {times}")
    return Finding(bool(names) and all(regions.get(name) for name in names), "; ".join(said))
