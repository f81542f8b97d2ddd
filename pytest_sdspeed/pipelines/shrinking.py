"""Toy sizes of architectures: the same classes and blocks, with few and narrow layers.

A rule makes them from the configuration at full size, so that every architecture has one, those of
users too. Widths that are equal at full size are equal, so that the parts fit each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.pipelines.architectures import INDEX

if TYPE_CHECKING:
    from pytest_sdspeed.pipelines.architectures import Architecture, Config

_UNIT = 8
"""What every width is a multiple of, and heads and groups are a divisor of."""
_FULL_WIDTH = 160
"""Width at full size that becomes one unit; what is narrower does, too."""
_WIDTHS = frozenset(
    {
        # convolutions
        "addition_time_embed_dim",
        "base_dim",
        "block_out_channels",
        "cross_attention_dim",
        "decoder_base_dim",
        "decoder_block_out_channels",
        "encoder_block_out_channels",
        # text encoders
        "d_ff",
        "d_kv",
        "d_model",
        "head_dim",
        "hidden_size",
        "intermediate_size",
        "out_hidden_size",
        "projection_dim",
        # transformers that denoise
        "cap_feat_dim",
        "caption_channels",
        "caption_projection_dim",
        "ffn_dim",
        "joint_attention_dim",
        "pooled_projection_dim",
        "text_dim",
        "text_embed_dim",
        "time_embed_dim",
    }
)
_HEADS = frozenset({"attention_head_dim", "num_attention_heads", "num_heads"})
"""Numbers of heads; a UNet's ``attention_head_dim`` is one, whatever its name says."""
_DEPTHS = {
    "decoder_layers_per_block": 1,
    "depth": 2,
    "layers_per_block": 1,
    "n_layers": 2,
    "n_refiner_layers": 1,
    "num_decoder_blocks": 1,
    "num_encoder_blocks": 1,
    "num_hidden_layers": 2,
    "num_layers": 2,
    "num_refiner_layers": 1,
    "num_res_blocks": 1,
    "num_single_layers": 2,
    "transformer_layers_per_block": 1,
}
"""What counts layers -> the most of them."""
_GROUPS = 32
"""Groups of a normalization, if a configuration does not say: the default of diffusers' models."""
_LETTERS = 514
"""The bytes, each inside a word and at its end, and two special tokens: any text can be read."""
_WORDS = 4096
"""Entries of a vocabulary that has words."""
_TRANSFORMER_HEADS = (("num_attention_heads", "attention_head_dim"), ("n_heads", "dim"))
"""What says how many heads a transformer has, and how wide they are, each or together."""
_CROSS_HEADS = ("num_cross_attention_heads", "cross_attention_head_dim")
_TOY_HEADS, _TOY_HEAD = 2, 16
_AXES = ("axes_dims", "axes_dims_rope", "rope_axes_dim")
"""Parts of a head that turn with the positions of each axis."""
_TILE = 32
"""Side from which an autoencoder works in tiles, if it is told to."""
_POSITIONS = 96
"""Positions on a side for which a table is made."""
_NUMBERS = 6
"""Sizes and crops of a picture that SDXL embeds beside its prompt."""


def shrink_architecture(full: Architecture) -> Architecture:
    """Return the toy size of an architecture; its schedulers stay.

    Its folder is left: a vocabulary that is saved there is larger than that of the toy.
    """
    return replace(
        full,
        folder=None,
        parameters={},
        files={
            path: config if path == INDEX or "scheduler" in path else shrink_config(config)
            for path, config in full.files.items()
        },
    )


def shrink_config(config: Config) -> dict[str, Any]:
    """Return the toy size of a part.

    Of a UNet's blocks of one type in a row one stays, so that its input is halved less often; an
    autoencoder makes as small latents as at full size. What a configuration leaves to its class has
    that class's size.

    Args:
        config: configuration at full size.
    """
    fewer = config if "latent_channels" in config else _drop_repeated(config)
    shrunk = {name: _shrink_value(name, value) for name, value in fewer.items()}
    if "block_out_channels" in config:
        shrunk["norm_num_groups"] = min(_UNIT, config.get("norm_num_groups") or _GROUPS)
    else:
        shrunk |= _shrink_heads(config)
    if "num_key_value_heads" in config:
        shrunk |= _shrink_language_heads(config, shrunk)
    if "latent_channels" in config:
        shrunk |= _shrink_tiles(config)
    shrunk |= _shrink_embeddings(config)
    return shrunk | _shrink_vocabulary(config)


def _drop_repeated(config: Config) -> dict[str, Any]:
    """Leave out blocks that repeat the one before, and what is said of each of them."""
    blocks = config.get("down_block_types", ())
    kept = [at for at, kind in enumerate(blocks) if not at or kind != blocks[at - 1]]

    def select(name: str, value: Any) -> Any:
        if not blocks or not isinstance(value, list | tuple) or len(value) != len(blocks):
            return value
        # On the way up the blocks stand in reverse order.
        ordered = value[::-1] if name.startswith("up_") else value
        left = [ordered[at] for at in kept]
        return type(value)(left[::-1] if name.startswith("up_") else left)

    return {name: select(name, value) for name, value in config.items()}


def _shrink_value(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return shrink_config(value)
    if isinstance(value, list | tuple):
        return type(value)(_shrink_value(name, one) for one in value)
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if name in _WIDTHS:
        return _shrink_width(value)
    if name in _HEADS:
        return next(heads for heads in (8, 4, 2, 1) if heads <= value)
    return min(value, _DEPTHS.get(name, value))


def _shrink_width(value: int) -> int:
    return _UNIT * -(-value // _FULL_WIDTH)


def _shrink_heads(config: Config) -> dict[str, Any]:
    """Return the heads of a transformer that denoises, and what is as wide as all of them."""
    found = next((pair for pair in _TRANSFORMER_HEADS if config.keys() >= set(pair)), None)
    if found is None:
        return {}
    number, width = found
    together = config[width] if width == "dim" else config[number] * config[width]
    toy = _TOY_HEADS * _TOY_HEAD
    shrunk: dict[str, Any] = {number: _TOY_HEADS, width: toy if width == "dim" else _TOY_HEAD}
    if config.keys() >= set(_CROSS_HEADS):
        shrunk |= dict(zip(_CROSS_HEADS, (_TOY_HEADS, _TOY_HEAD), strict=True))
    if "n_kv_heads" in config:
        shrunk["n_kv_heads"] = _TOY_HEADS
    as_wide = ("caption_projection_dim", "cross_attention_dim")
    shrunk |= {name: toy for name in as_wide if config.get(name) == together}
    for name in _AXES:
        if name in config:
            halves = _apportion(_TOY_HEAD // 2, config[name])
            shrunk[name] = tuple(2 * half for half in halves)
    if layers := config.get("dual_attention_layers"):
        deep, few = config["num_layers"], _DEPTHS["num_layers"]
        shrunk["dual_attention_layers"] = tuple(
            at for at in range(few) if (at + 1) * deep // few - 1 in layers
        )
    return shrunk


def _shrink_language_heads(config: Config, shrunk: Mapping[str, Any]) -> dict[str, Any]:
    """Return the heads of a language model, whose widths are even since pairs of values turn."""
    full = config["num_attention_heads"]
    head = shrunk.get("head_dim")
    heads = next(
        heads
        for heads in (8, 4, 2, 1)
        if heads <= full and (head or not shrunk["hidden_size"] % (2 * heads))
    )
    few = {
        "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads * config["num_key_value_heads"] // full),
    }
    for name in ("rope_scaling", "rope_parameters"):
        scaling = config.get(name) or {}
        if "mrope_section" in scaling:
            pairs = (head or shrunk["hidden_size"] // heads) // 2
            few[name] = {**scaling, "mrope_section": _apportion(pairs, scaling["mrope_section"])}
    return few


def _apportion(total: int, shares: Any) -> list[int]:
    """Divide a number among shares, at least one for each; the last get what is left."""
    parts = [max(1, total * share // sum(shares)) for share in shares]
    for at in range(len(parts) - 1, -1, -1):
        if sum(parts) < total:
            parts[at] += 1
    parts[-1] += total - sum(parts)
    return parts


def _shrink_tiles(config: Config) -> dict[str, Any]:
    """Return the sides from which an autoencoder may work in tiles."""
    sides = {"sample_size": _TILE, "sample_height": 2 * _TILE, "sample_width": 2 * _TILE}
    return {
        name: min(side, config[name])
        for name, side in sides.items()
        if config.get(name) is not None
    }


def _shrink_embeddings(config: Config) -> dict[str, Any]:
    """Return how wide embeddings are that are put together, and how many positions there are."""
    shrunk: dict[str, Any] = {}
    together = config.get("projection_class_embeddings_input_dim")
    time = config.get("addition_time_embed_dim")
    if together and time and config.get("addition_embed_type") == "text_time":
        # The embedding of the prompt beside those of the numbers.
        pooled = _shrink_width(together - _NUMBERS * time)
        shrunk["projection_class_embeddings_input_dim"] = pooled + _NUMBERS * _shrink_width(time)
    if config.get("pos_embed_max_size"):
        shrunk["pos_embed_max_size"] = min(_POSITIONS, config["pos_embed_max_size"])
    return shrunk


def _shrink_vocabulary(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the size of the vocabulary; special tokens at its end stay at its end.

    A model that has several parts says its special tokens beside the part that has the vocabulary.
    """
    full = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if not full:
        return {}
    letters = str(config.get("model_type", "clip")).startswith("clip")
    size = min(full, _LETTERS if letters else _WORDS)
    special = {
        name: token - (full - size) if token >= size else token
        for name, token in config.items()
        if name.endswith("_token_id") and isinstance(token, int)
    }
    return special | ({"vocab_size": size} if "vocab_size" in config else {})
