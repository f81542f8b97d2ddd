"""Tokenizers for random weights, which read any text and have as many entries as a text encoder.

Nothing is downloaded: CLIP's has the byte-level alphabet and no merges, the others have words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed import compatibility

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLIP = 49408
_SPECIAL = {"bos": "<|bos|>", "eos": "<|eos|>", "pad": "<|pad|>"}
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""How Qwen writes a conversation."""


def list_byte_alphabet() -> list[str]:
    """Return the 256 printable characters that stand for bytes in byte-level BPE.

    They are in CLIP's order (openai/CLIP, ``bytes_to_unicode``).
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def make_clip_tokenizer(vocab_size: int) -> Any:
    """Make a ``CLIPTokenizer`` of ``vocab_size`` entries that reads any text, byte by byte.

    The two special tokens come last, as in CLIP. The entries between the alphabet and them never
    occur in a text: they only give the text encoder its full-size embedding.
    """
    from transformers import CLIPTokenizer

    letters = list_byte_alphabet()
    entries = [*letters, *(f"{letter}</w>" for letter in letters)]
    entries += [f"<|unused{index}|>" for index in range(vocab_size - len(entries) - 2)]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    return compatibility.make_tokenizer(
        CLIPTokenizer, {entry: index for index, entry in enumerate(entries)}, 77
    )


def make_tokenizer(kind: str, encoder: Mapping[str, Any]) -> Any:
    """Make a tokenizer for a text encoder.

    Args:
        kind: name of the class that the model's own tokenizer has.
        encoder: configuration of the text encoder that reads its tokens.
    """
    text = {**encoder, **encoder.get("text_config", {})}
    size = text.get("vocab_size") or _CLIP
    if kind.startswith("CLIP"):
        return make_clip_tokenizer(size)
    from pytest_sdspeed.pipelines.word_tokenizer import WordTokenizer

    special = {
        name: text[f"{name}_token_id"]
        for name in _SPECIAL
        if isinstance(text.get(f"{name}_token_id"), int)
    }
    return WordTokenizer(
        size,
        {_SPECIAL[name]: token for name, token in special.items()},
        begins=kind.startswith(("Llama", "Gemma", "PreTrained")) and "bos" in special,
        ends=kind.startswith("T5") and "eos" in special,
        chat_template=_CHAT,
        pad_token=_SPECIAL["pad" if "pad" in special else "eos"],
        **{f"{name}_token": _SPECIAL[name] for name in special if name != "pad"},
    )
