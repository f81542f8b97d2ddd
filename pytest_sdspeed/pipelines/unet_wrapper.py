"""What stands in a UNet's place in a pipeline, and how its passes are compiled or captured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.errors import RegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable

    Pass = Callable[..., tuple[torch.Tensor, ...]]
    Replay = Callable[[], object]
    Capture = Callable[[Callable[[], tuple[torch.Tensor, ...]]], tuple[tuple[torch.Tensor, ...], Replay]]


class StandIn(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """A UNet that is called through something else.

    Args:
        unet: whose weights it holds, and whose ``config``, ``dtype`` and ``device`` the pipeline reads.
        passes: what computes: one call of the pipeline is one call of one of them. This class has one, which takes what a UNet takes.
    """

    def __init__(self, unet: Any, *passes: Pass) -> None:
        super().__init__()
        self.unet, self.passes = unet, passes
        self.config, self.dtype, self.device = unet.config, unet.dtype, unet.device
        self.original_class = type(unet)

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor, **others: Any) -> Any:
        """Predict the noise in ``sample`` (N, C, H, W)."""
        return self.passes[0](sample, timestep, encoder_hidden_states, **others)


def cloned(call: Pass) -> Pass:
    """The same call, whose results are its caller's to keep: those of a CUDA graph are overwritten when it runs again."""

    def kept(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        return tuple(result.clone() for result in call(*args, **kwargs))

    return kept


def captured(work: Callable[[], tuple[torch.Tensor, ...]]) -> tuple[tuple[torch.Tensor, ...], Replay]:
    """Capture work in a CUDA graph.

    Args:
        work: reads and writes the same memory each time.

    Returns:
        Its results, which every replay overwrites, and the replay.
    """
    # Libraries set themselves up at their first calls, which no capture may hold, and outside the default stream.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Another thread of this process may ask the device something meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        results = work()
    return results, graph.replay


class Graphed:
    """A pass that is captured at its first call with tensors of some shapes, and replayed from then on.

    The capture is part of the first call and not of the building, since the flags that the setup holds in its slots choose kernels.

    Args:
        call: the pass; takes tensors only.
        capture: ``captured``.
    """

    def __init__(self, call: Pass, capture: Capture) -> None:
        self._call, self._capture = call, capture
        self._graphs: dict[tuple[Any, ...], tuple[Any, Any, Replay]] = {}

    def __call__(self, *tensors: torch.Tensor, **_ignored: Any) -> tuple[torch.Tensor, ...]:
        """What the pass returns for these tensors; new tensors.

        Raises:
            RegistrationError: under autocast, whose cached casts of the weights a graph would outlive.
        """
        key = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        if key not in self._graphs:
            if torch.is_autocast_enabled("cuda"):
                raise RegistrationError("cuda_graphs and autocast exclude each other: a graph would outlive the casts of the weights")
            held = tuple(tensor.clone() for tensor in tensors)
            self._graphs[key] = (held, *self._capture(lambda: self._call(*held)))
        held, results, replay = self._graphs[key]
        for ours, given in zip(held, tensors, strict=True):
            ours.copy_(given)
        replay()
        return tuple(result.clone() for result in results)


def compiled(unet: Any, compiler: Callable[[Any], Pass]) -> StandIn:
    """A UNet, or what stands in its place, with every pass compiled by itself."""
    standing = unet if isinstance(unet, StandIn) else StandIn(unet, unet)
    _check_untouched(standing)
    standing.passes = tuple(cloned(compiler(call)) for call in standing.passes)
    return standing


def graphed(unet: Any, capture: Capture = captured) -> StandIn:
    """A UNet, or what stands in its place, with every pass captured in a CUDA graph of its own at its first call."""
    from pytest_sdspeed.pipelines.traced import TensorsOnly

    standing = unet if isinstance(unet, StandIn) else StandIn(unet, TensorsOnly(unet))
    _check_untouched(standing)
    standing.passes = tuple(Graphed(call, capture) for call in standing.passes)
    return standing


def _check_untouched(standing: StandIn) -> None:
    if not all(isinstance(call, torch.nn.Module) for call in standing.passes):
        raise RegistrationError("compile and cuda_graphs exclude each other, since compile captures CUDA graphs itself: list one of them")
