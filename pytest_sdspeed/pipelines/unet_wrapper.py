"""What takes a UNet's place in a pipeline, and how its passes are compiled or captured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.errors import RegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable

    Pass = Callable[..., tuple[torch.Tensor, ...]]
    Replay = Callable[[], object]
    Capture = Callable[
        [Callable[[], tuple[torch.Tensor, ...]]], tuple[tuple[torch.Tensor, ...], Replay]
    ]


class UNetWrapper(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """A UNet that is called through something else.

    Args:
        unet: the UNet whose weights it holds, and whose ``config``, ``dtype`` and ``device`` the
            pipeline reads.
        passes: the functions that compute; each call of the pipeline is one call of one of them.
            This class has one, which takes what a UNet takes.
    """

    def __init__(self, unet: Any, *passes: Pass) -> None:
        super().__init__()
        self.unet, self.passes = unet, passes
        self.config, self.dtype, self.device = unet.config, unet.dtype, unet.device
        self.original_class = type(unet)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        **others: Any,
    ) -> Any:
        """Predict the noise in ``sample`` (N, C, H, W)."""
        return self.passes[0](sample, timestep, encoder_hidden_states, **others)


def clone_call(call: Pass) -> Pass:
    """Wrap a call so that it returns copies of its results.

    A CUDA graph overwrites its own results when it runs again.
    """

    def call_and_clone(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        return tuple(result.clone() for result in call(*args, **kwargs))

    return call_and_clone


def capture_graph(
    work: Callable[[], tuple[torch.Tensor, ...]],
) -> tuple[tuple[torch.Tensor, ...], Replay]:
    """Capture work in a CUDA graph.

    Args:
        work: what is captured; it reads and writes the same memory each time.

    Returns:
        The results of the work, which every replay overwrites, and the replay.
    """
    # Libraries initialize themselves at their first calls, which must be outside the capture, and
    # outside the default stream.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Another thread of this process may use the device during the capture.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        results = work()
    return results, graph.replay


class CudaGraphCall:
    """A pass that is captured at its first call with tensors of some shapes, and then replayed.

    The capture is part of the first call and not of the building, because the flags that a setup
    holds in its slots decide which kernels run.

    Args:
        call: the pass; it takes tensors only.
        capture: what captures it, as ``capture_graph`` does.

    Attributes:
        replays: how many calls were replayed so far.
    """

    def __init__(self, call: Pass, capture: Capture) -> None:
        self._call, self._capture = call, capture
        self.replays = 0
        self._graphs: dict[tuple[Any, ...], tuple[Any, Any, Replay]] = {}

    def __call__(self, *tensors: torch.Tensor, **_ignored: Any) -> tuple[torch.Tensor, ...]:
        """Return what the pass returns for these tensors, as new tensors.

        Raises:
            RegistrationError: autocast is on; a graph would outlive its cached casts of the
                weights.
        """
        key = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        if key not in self._graphs:
            if torch.is_autocast_enabled("cuda"):
                raise RegistrationError(
                    "cuda_graphs and autocast exclude each other: a graph would outlive the casts"
                    " of the weights"
                )
            held = tuple(tensor.clone() for tensor in tensors)
            self._graphs[key] = (held, *self._capture(lambda: self._call(*held)))
        held, results, replay = self._graphs[key]
        for ours, given in zip(held, tensors, strict=True):
            ours.copy_(given)
        replay()
        self.replays += 1
        return tuple(result.clone() for result in results)


def wrap_compiled(unet: Any, compiler: Callable[[Any], Pass]) -> UNetWrapper:
    """Wrap a UNet, unless it is wrapped already, and compile every pass by itself."""
    wrapper = unet if isinstance(unet, UNetWrapper) else UNetWrapper(unet, unet)
    _check_untouched(wrapper)
    wrapper.passes = tuple(clone_call(compiler(call)) for call in wrapper.passes)
    return wrapper


def wrap_graphed(unet: Any, capture: Capture = capture_graph) -> UNetWrapper:
    """Wrap a UNet, unless it is wrapped already, and replay every pass from a CUDA graph.

    Each pass has a graph of its own, which is captured at its first call.
    """
    from pytest_sdspeed.pipelines.traced import TensorsOnly

    wrapper = unet if isinstance(unet, UNetWrapper) else UNetWrapper(unet, TensorsOnly(unet))
    _check_untouched(wrapper)
    wrapper.passes = tuple(CudaGraphCall(call, capture) for call in wrapper.passes)
    return wrapper


def _check_untouched(wrapper: UNetWrapper) -> None:
    if not all(isinstance(call, torch.nn.Module) for call in wrapper.passes):
        raise RegistrationError(
            "compile and cuda_graphs exclude each other, since compile captures CUDA graphs itself:"
            " list one of them"
        )
