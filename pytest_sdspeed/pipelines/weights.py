"""Where the weights of a pipeline are, and how many bytes they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.pipelines.parts import list_components

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_weights(pipeline: Any, kind: str) -> dict[int, int]:
    """Find the distinct weights of a pipeline on a device: address -> bytes.

    Quantized weights count as the tensors that they are made of, with the scales beside them.

    Args:
        pipeline: a pipeline of diffusers, or anything that has ``components``.
        kind: kind of the device, such as ``cuda``.
    """
    modules = [part for part in list_components(pipeline).values() if hasattr(part, "parameters")]
    return {
        tensor.data_ptr(): tensor.nbytes
        for module in modules
        for weight in (*module.parameters(), *module.buffers())
        for tensor in _list_tensors(weight)
        if tensor.device.type == kind
    }


def _list_tensors(weight: Any) -> Iterator[Any]:
    """Yield the tensors with memory of their own that a parameter or buffer is made of."""
    if hasattr(weight, "__tensor_flatten__"):
        for name in weight.__tensor_flatten__()[0]:
            yield from _list_tensors(getattr(weight, name))
        return
    yield weight
    # bitsandbytes keeps the scales of four bits beside the weight.
    state = getattr(weight, "quant_state", None)
    for beside in (state, getattr(state, "state2", None)):
        scales = getattr(beside, "absmax", None)
        if scales is not None:
            yield scales
