"""Networks with random weights, of any size: each weight is drawn by its own name.

The libraries draw with one generator in the order in which they build, all in float32. Here a
weight is the same whatever was drawn before, and only one at a time is held in float32.
"""

from __future__ import annotations

import math
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.device.seeds import hold_torch_generators
from pytest_sdspeed.pipelines.weight_types import cast_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SCALES = frozenset({"weight", "gamma"})
"""Names of a vector that scales what was normalized: one at first, as the libraries have it."""

_PROMPT_VALUES = ("attn2.to_v", "add_v_proj")
"""What makes of the prompt the values that attention reads, in the models of diffusers."""
_PROMPT_GAIN = 4.0
_SHORT_WAVE = 300
"""Length of a wave, in times, from which on it has its full weight; there are a thousand times."""


def draw_network(name: str, build: Callable[[], Any], dtype: str, device: str) -> Any:
    """Build a network with random weights.

    A weight in float16 is the rounded one in float32. Matrices are drawn so that what they are
    applied to keeps its size, the last ones of a branch too, which some models start at zero: a
    picture depends on every layer, on the prompt and on the noise.

    Args:
        name: name of the network, which with that of a weight is its seed.
        build: calls the constructor of the network.
        dtype: type of the weights, except those that the libraries keep in float32 when they load.
        device: torch device that they are drawn on.
    """
    import torch

    with quiet(), hold_torch_generators():
        with _leave_out_weights():
            network = build().eval()
        cast_weights(network, getattr(torch, dtype))
        _draw_all(network, name, device)
        return network


def lay_out_network(build: Callable[[], Any], dtype: str, device: str) -> Any:
    """Build a network whose tensors have shapes, and no numbers.

    Args:
        build: calls the constructor of the network.
        dtype: type of the weights, except those that the libraries keep in float32 when they load.
        device: torch device that the tensors say they are on, in a dry run.
    """
    import torch

    with quiet(), hold_torch_generators():
        with torch.device("meta"):
            network = build().eval()
        return cast_weights(network, getattr(torch, dtype)).to(device)


@contextmanager
def _leave_out_weights() -> Iterator[None]:
    """Have constructors make weights that have shapes only; buffers get their numbers."""
    import torch

    plain = torch.nn.Module.register_parameter

    def register(module: Any, name: str, parameter: Any) -> None:
        plain(module, name, parameter)
        if parameter is not None and parameter.device.type != "meta":
            empty = parameter.detach().to("meta")
            plain(module, name, torch.nn.Parameter(empty, requires_grad=parameter.requires_grad))

    torch.nn.Module.register_parameter = register
    try:
        yield
    finally:
        torch.nn.Module.register_parameter = plain


def _draw_all(network: Any, name: str, device: str) -> None:
    """Give every weight its numbers; weights that are tied stay tied."""
    import torch

    gains = _find_gains(network)
    drawn: dict[int, tuple[Any, Any]] = {}
    for path, empty in [*network.named_parameters(remove_duplicate=False)]:
        within, _, key = path.rpartition(".")
        owner = network.get_submodule(within)
        if id(empty) not in drawn:
            numbers = _draw(owner, key, empty, f"{name}.{path}", device)
            if id(empty) in gains:
                numbers *= torch.as_tensor(gains[id(empty)], device=device)
            made = torch.nn.Parameter(numbers.to(empty.dtype), requires_grad=empty.requires_grad)
            # What was empty is kept: its id must not be given to another one.
            drawn[id(empty)] = (empty, made)
        owner.register_parameter(key, drawn[id(empty)][1])
    for path, buffer in [*network.named_buffers(remove_duplicate=False)]:
        within, _, key = path.rpartition(".")
        setattr(network.get_submodule(within), key, buffer.to(device))


def _draw(owner: Any, key: str, empty: Any, path: str, device: str) -> Any:
    """Draw one weight in float32."""
    import torch

    shape = empty.shape
    if key.endswith("bias") and len(shape) == 1:
        return torch.zeros(shape, device=device)
    if key in _SCALES and math.prod(shape) == (shape[0] if shape else 1):
        return torch.ones(shape, device=device)
    spread = 1.0 if isinstance(owner, torch.nn.Embedding) else math.prod(shape[1:]) ** -0.5
    generator = torch.Generator(device).manual_seed(zlib.crc32(path.encode()))
    # A uniform distribution of that standard deviation, which costs less than a normal one.
    limit = spread * 3**0.5
    return torch.empty(shape, device=device).uniform_(-limit, limit, generator=generator)


def _find_gains(network: Any) -> dict[int, Any]:
    """Return by what some weights are multiplied, by their ids.

    T5 does not divide the scores of its attention by the root of a head's width: its queries do.
    Times and guidance are embedded by waves. Short ones tell apart what half precision rounds to
    one number, and trained models hardly listen to them: neither do these. What attention reads of
    the prompt is a mean over all of its tokens, which random scores hardly tell apart; so that a
    word makes a difference, it is drawn larger.
    """
    import torch

    gains: dict[int, Any] = {}
    for path, part in network.named_modules():
        if hasattr(part, "key_value_proj_dim"):
            gains[id(part.q.weight)] = part.key_value_proj_dim**-0.5
        if path.endswith(_PROMPT_VALUES):
            gains[id(part.weight)] = _PROMPT_GAIN
        last = path.rpartition(".")[2]
        if type(part).__name__ == "TimestepEmbedding" and last.startswith(("time", "guidance")):
            waves = part.linear_1.in_features // 2
            lengths = 10_000 ** (torch.arange(2 * waves) % waves / waves)
            gains[id(part.linear_1.weight)] = (lengths / _SHORT_WAVE).clamp(max=1)
    return gains
