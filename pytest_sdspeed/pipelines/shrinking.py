"""Toy sizes of architectures: the same classes and blocks, with few and narrow layers.

A rule makes them from the configuration at full size, so that every architecture has one.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.pipelines.architectures import Architecture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.pipelines.architectures import Config

_UNIT = 8
"""What every width is a multiple of, and heads and groups are a divisor of."""
_FULL_WIDTH = 160
"""Width at full size that becomes one unit; what is narrower does, too."""
_WIDTHS = frozenset(
    {
        "block_out_channels",
        "encoder_block_out_channels",
        "decoder_block_out_channels",
        "cross_attention_dim",
        "hidden_size",
        "intermediate_size",
        "projection_dim",
    }
)
_HEADS = frozenset({"attention_head_dim", "num_attention_heads"})
"""Numbers of heads; a UNet's ``attention_head_dim`` is one, whatever its name says."""
_DEPTHS = {"num_hidden_layers": 2, "layers_per_block": 1}
"""What counts layers -> the most of them."""
_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
_GROUPS = 32
"""Groups of a normalization, if a configuration does not say: the default of diffusers' models."""
_VOCABULARY = 514
"""The bytes, each inside a word and at its end, and two special tokens: any text can be read."""


def shrink_architecture(full: Architecture) -> Architecture:
    """Return the toy size of an architecture; its noise schedule stays.

    Widths that are equal at full size are equal, so that the parts fit each other.
    """
    return replace(
        full,
        **{
            part.name: shrink_config(config)
            for part in fields(Architecture)
            if part.name != "scheduler" and (config := getattr(full, part.name)) is not None
        },
    )


def shrink_config(config: Config) -> dict[str, Any]:
    """Return the toy size of a part.

    Of blocks of one type in a row one stays, so that a picture is halved less often. What a
    configuration leaves to its class has that class's size.

    Args:
        config: configuration at full size.
    """
    fewer = _drop_repeated(config)
    shrunk = {name: _shrink_value(name, value) for name, value in fewer.items()}
    if "block_out_channels" in config:
        shrunk["norm_num_groups"] = min(_UNIT, config.get("norm_num_groups") or _GROUPS)
    if "vocab_size" in config:
        shrunk |= _shrink_vocabulary(config)
    return shrunk


def _drop_repeated(config: Config) -> dict[str, Any]:
    """Leave out blocks that repeat the one before, and what is said of each of them."""
    blocks = config.get("down_block_types", ())
    kept = [at for at, kind in enumerate(blocks) if not at or kind != blocks[at - 1]]

    def select(name: str, value: Any) -> Any:
        if not blocks or not isinstance(value, list | tuple) or len(value) != len(blocks):
            return value
        # On the way up the blocks stand in reverse order.
        ordered = value[::-1] if name.startswith("up_") else value
        left = tuple(ordered[at] for at in kept)
        return left[::-1] if name.startswith("up_") else left

    return {name: select(name, value) for name, value in config.items()}


def _shrink_value(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_shrink_value(name, one) for one in value)
    if not isinstance(value, int):
        return value
    if name in _WIDTHS:
        return _UNIT * -(-value // _FULL_WIDTH)
    if name in _HEADS:
        return next(heads for heads in (8, 4, 2, 1) if heads <= value)
    return min(value, _DEPTHS.get(name, value))


def _shrink_vocabulary(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the size of the vocabulary; special tokens at its end stay at its end."""
    size = min(config["vocab_size"], _VOCABULARY)
    gone = config["vocab_size"] - size
    special = {name: config[name] for name in _TOKENS if config.get(name) is not None}
    return {"vocab_size": size} | {
        name: token - gone if token >= size else token for name, token in special.items()
    }
