"""Denoisers of any pipeline whose calls are replayed from CUDA graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.pipelines.compiled import is_plain_unet
from pytest_sdspeed.pipelines.unet_wrapper import (
    CudaGraphCall,
    UNetWrapper,
    capture_graph,
    wrap_graphed,
)
from pytest_sdspeed.pipelines.watching import find_denoisers, is_opaque

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.pipelines.unet_wrapper import Capture

_MOST_GRAPHS = 8
"""Graphs of one denoiser: guidance may have two; each keeps the memory of all that it computes."""


class GraphedForward:
    """A module's forward that is captured at its first call of a kind, and then replayed.

    Calls are of one kind if they differ in the values of their tensors alone. Tensors that are not
    on the device, as some pipelines' times, are moved there: a graph would keep their first value.

    Args:
        name: name of the denoiser, for messages.
        forward: what is captured.
        capture: what captures it, as ``unet_wrapper.capture_graph`` does.
    """

    def __init__(self, name: str, forward: Callable[..., Any], capture: Capture) -> None:
        self._name, self._forward, self._capture = name, forward, capture
        self._graphs: dict[Any, tuple[CudaGraphCall, Any]] = {}

    @property
    def replays(self) -> int:
        """Return how many calls were replayed so far."""
        return sum(graph.replays for graph, _ in self._graphs.values())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module returns, as new tensors.

        Raises:
            RegistrationError: its calls are of too many kinds, or autocast is on.
        """
        leaves, spec = _pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        fixed = tuple(None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves)
        key = (str(spec), repr(fixed), tuple((one.shape, one.dtype) for one in tensors))
        if key not in self._graphs:
            if len(self._graphs) == _MOST_GRAPHS:
                raise RegistrationError(
                    f"cuda_graphs: {self._name} is called in more than {_MOST_GRAPHS} ways, that"
                    " differ in more than the values of tensors: compile(...) may help"
                )
            self._graphs[key] = self._make(leaves, spec)
        graph, returned = self._graphs[key]
        device = next((one.device for one in tensors if one.device.type != "cpu"), None)
        results = graph(*(one if device is None else one.to(device) for one in tensors))
        return _pytree.tree_unflatten(list(results), returned[0])

    def _make(self, leaves: list[Any], spec: Any) -> tuple[CudaGraphCall, list[Any]]:
        """Make a pass of tensors alone, and where the structure of what it returns is put."""
        returned: list[Any] = []

        def run(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            left = iter(tensors)
            filled = [next(left) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
            args, kwargs = _pytree.tree_unflatten(filled, spec)
            results, structure = _pytree.tree_flatten(self._forward(*args, **kwargs))
            returned[:] = [structure]
            return tuple(results)

        return CudaGraphCall(run, self._capture), returned


def graph_denoisers(pipeline: Any, capture: Capture = capture_graph) -> None:
    """Have the calls of every denoiser replayed from graphs.

    Raises:
        RegistrationError: one is compiled, traced or replayed already.
    """
    for name, part in find_denoisers(pipeline).items():
        if isinstance(part, UNetWrapper) or is_plain_unet(part) or hasattr(part, "traced"):
            setattr(pipeline, name, wrap_graphed(part, capture))
        elif is_opaque(part):
            raise RegistrationError(
                "compile and cuda_graphs exclude each other, since compile captures CUDA graphs"
                " itself: list one of them"
            )
        else:
            part.forward = GraphedForward(name, part.forward, capture)


def count_replays(pipeline: Any) -> int:
    """Return how many calls of the denoisers were replayed so far."""
    found = 0
    for part in find_denoisers(pipeline).values():
        graphs = (*getattr(part, "passes", ()), vars(part).get("forward"))
        found += sum(getattr(graph, "replays", 0) for graph in graphs)
    return found
