"""A CLIP tokenizer for random weights.

It has the byte-level alphabet, no merges, and as many entries as the text encoder has rows.
"""

from __future__ import annotations

from typing import Any

from pytest_sdspeed.compatibility import make_tokenizer


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
    return make_tokenizer(CLIPTokenizer, {entry: index for index, entry in enumerate(entries)}, 77)
