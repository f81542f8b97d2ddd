"""Digests of tensors: whether bytes changed although torch counts no change."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Digest = tuple[int, ...] | None
"""What a tensor's bytes come to; None if they cannot be read."""

_SMALL = 2**20
_ROW = 1024


def digest_all(tensors: Sequence[Any]) -> list[Digest]:
    """Return a digest of each tensor; those on an accelerator are waited for once.

    Any change of a value is seen, and so is an exchange of two. It reads each byte twice at the
    memory's speed, except for small tensors on the CPU, and is no protection against an attacker.
    """
    import torch

    with torch.no_grad():
        found: list[Any] = [_digest(tensor) if _has_bytes(tensor) else None for tensor in tensors]
        places = [place for place, one in enumerate(found) if isinstance(one, torch.Tensor)]
        for device in {found[place].device for place in places}:
            here = [place for place in places if found[place].device == device]
            told = torch.stack([found[place] for place in here]).tolist()
            for place, numbers in zip(here, told, strict=True):
                found[place] = tuple(numbers)
    return found


def _has_bytes(tensor: Any) -> bool:
    """Tell whether a tensor has memory of its own: not on "meta", not sparse, not quantized."""
    import torch

    return (
        type(tensor.data) is torch.Tensor
        and tensor.layout is torch.strided
        and tensor.device.type != "meta"
        and not tensor.is_quantized
    )


def _digest(tensor: Any) -> Any:
    """Return the digest, or a tensor of its numbers, on the tensor's device."""
    import torch

    flat = _flatten(tensor.detach())
    if flat.device.type == "cpu" and flat.nbytes < _SMALL:
        return (zlib.crc32(flat.numpy()),)
    whole = flat.numel() // (8 * _ROW) * (8 * _ROW)
    head, tail = flat[:whole], flat[whole:]
    if head.storage_offset() % 8:
        head = head.clone()
    rows = head.view(torch.int64).view(-1, _ROW)
    # Integer sums are exact and wrap around: the order of summing does not matter.
    return torch.stack([_weigh(rows.sum(0)), _weigh(rows.sum(1)), _weigh(tail.to(torch.int64))])


def _flatten(tensor: Any) -> Any:
    """Return a tensor's bytes, in whatever order they lie."""
    import torch

    if tensor.is_contiguous():
        flat = tensor.reshape(-1)
    elif torch.ops.aten.is_non_overlapping_and_dense(tensor):
        flat = tensor.as_strided((tensor.numel(),), (1,))
    else:
        flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8)


def _weigh(numbers: Any) -> Any:
    import torch

    weights = torch.arange(len(numbers), dtype=torch.int64, device=numbers.device)
    return (numbers * (2 * weights + 1)).sum()
