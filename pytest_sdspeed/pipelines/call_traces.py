"""What a call leaves in the modules that it calls, whoever calls them."""

from __future__ import annotations

from typing import Any

_ATTRIBUTES = frozenset(
    {
        # A hook in it acts by the module's forward only, which is looked at by itself.
        "_diffusers_hook",
        "_output_capturing_hooks_installed",
        *("_conv_num", "_conv_idx", "_feat_map"),
        *("_enc_conv_num", "_enc_conv_idx", "_enc_feat_map"),
    }
)
"""Attributes that modules of diffusers and transformers give themselves when they are called."""
_HOOKS = "transformers.utils.output_capturing"
"""Module of the hooks that a text encoder gets when its hidden states are first asked for; they do
nothing unless they are asked for."""


def is_left_by_call(name: object, value: Any) -> bool:
    """Tell whether an attribute, or an entry of one, is what a call may leave for the next.

    That is tensors, and what the libraries themselves keep; nothing that acts.

    Args:
        name: name of the attribute, or key of the entry.
        value: what it is now.
    """
    return (
        name in _ATTRIBUTES or getattr(value, "__module__", "") == _HOOKS or _holds_tensors(value)
    )


def _holds_tensors(value: Any) -> bool:
    import torch

    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_holds_tensors, value))
    return isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter)
