"""The parts of the miniature, untrained: small models of diffusers' and transformers' own classes.

The UNet has Stable Diffusion XL's layout (Podell et al. 2023): plain blocks at the finest scale,
cross-attention at the two below. The student is its teacher without the blocks that BK-SDM-small
removes (Kim et al. 2023): one residual block and attention of each level, and the mid block.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from miniature.places import SIDE
from miniature.scenes import vocabulary
from pytest_sdspeed.pipelines.architectures import SCHEDULER
from pytest_sdspeed.pipelines.tokenizer import list_byte_alphabet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LATENT = 16
"""Height and width of latents, which have four channels."""

_LEVELS = (32, 64, 64)
_TEXT = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Miniature:
    """The parts of the miniature: ``unet`` and ``student``, ``vae`` and ``tiny_vae``, and more."""

    vae: Any
    tiny_vae: Any
    text_encoder: Any
    unet: Any
    student: Any
    tokenizer: Any
    scheduler: Any


def untrained(seed: int, device: str) -> Miniature:
    """Make the parts with random weights, which depend on the seed only.

    Args:
        seed: seed of all parts.
        device: torch device of the modules.
    """

    def built(make: Callable[[], Any], number: int) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(seed + number)
            return make().to(device)

    tokenizer = word_tokenizer()
    return Miniature(
        vae=built(autoencoder, 1),
        tiny_vae=built(tiny_autoencoder, 2),
        text_encoder=built(lambda: text_encoder(tokenizer), 3),
        unet=built(teacher, 4),
        student=built(student, 5),
        tokenizer=tokenizer,
        scheduler=scheduler(),
    )


def autoencoder() -> Any:
    """Make an ``AutoencoderKL`` for 64x64 pictures and 4 x 16 x 16 latents."""
    return AutoencoderKL(
        block_out_channels=(24, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        sample_size=SIDE,
        norm_num_groups=8,
    )


def tiny_autoencoder() -> Any:
    """Make an ``AutoencoderTiny`` (Bohan 2023) for the same latents, as scaled for the UNet."""
    return AutoencoderTiny(
        encoder_block_out_channels=(24, 24, 24),
        decoder_block_out_channels=(24, 24, 24),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(2, 2, 1),
        upsampling_scaling_factor=2,
    )


def teacher() -> Any:
    """Make a ``UNet2DConditionModel`` with cross-attention at 8x8 and 4x4."""
    return _unet(layers_per_block=2)


def student() -> Any:
    """Make the teacher's architecture without the second block of each level and the mid block."""
    return _unet(layers_per_block=1, mid_block_type=None)


def _unet(**config: Any) -> Any:
    return UNet2DConditionModel(
        sample_size=LATENT,
        block_out_channels=_LEVELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=_TEXT,
        attention_head_dim=4,
        norm_num_groups=16,
        flip_sin_to_cos=True,
        freq_shift=0,
        **config,
    )


def text_encoder(tokenizer: Any) -> Any:
    """Make a ``CLIPTextModel`` of two layers for the tokenizer's vocabulary."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=_TEXT,
            intermediate_size=2 * _TEXT,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            hidden_act="quick_gelu",
            projection_dim=_TEXT,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def word_tokenizer() -> Any:
    """Make a ``CLIPTokenizer``: each word of a caption is one token, all other text is bytes."""
    letters = list_byte_alphabet()
    merges = _merges([[*word[:-1], f"{word[-1]}</w>"] for word in vocabulary()])
    entries = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(left + right for left, right in merges),
    ]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={entry: index for index, entry in enumerate(entries)},
        merges=merges,
        model_max_length=77,
    )


def _merges(words: list[list[str]]) -> list[tuple[str, str]]:
    """Merge pairs (byte-pair encoding, Sennrich et al. 2016) until every word is one token.

    Ties are broken by the alphabet. The tokenizers library breaks them by the order of a hash map,
    which differs from process to process.
    """
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for word in words for pair in pairwise(word)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        words = [_merged(word, best) for word in words]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for part in word:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def scheduler() -> Any:
    """Make the noise schedule of Stable Diffusion 1; DDIM is made from its configuration."""
    return PNDMScheduler.from_config(SCHEDULER)


def from_teacher(student: Any, weights: Mapping[str, torch.Tensor]) -> None:
    """Give the student the weights of the teacher's blocks that it keeps.

    In the up blocks it keeps the first and the last residual block and attention, as BK-SDM does:
    the last one takes the skip connection that the student has.

    Args:
        student: model made by ``student()``.
        weights: state of the teacher.
    """
    student.load_state_dict({name: weights[_in_teacher(name)] for name in student.state_dict()})


def _in_teacher(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "up_blocks" and parts[2] in ("resnets", "attentions") and parts[3] == "1":
        parts[3] = "2"
    return ".".join(parts)


def parameters(modules: Iterable[Any]) -> int:
    """Count the parameters of modules."""
    return sum(part.numel() for module in modules for part in module.parameters())
