"""A CLIP tokenizer made on the spot: the byte-level alphabet, no merges, as many entries as the text encoder has rows."""

from __future__ import annotations

from typing import Any


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE, in CLIP's order (openai/CLIP, ``bytes_to_unicode``)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def clip_tokenizer(vocab_size: int) -> Any:
    """A ``CLIPTokenizer`` of ``vocab_size`` entries that reads any text, byte by byte.

    Entries between the alphabet and the two special tokens, which stand last as in CLIP, never occur in a text: they only give the
    text encoder its full-size embedding.
    """
    from transformers import CLIPTokenizer

    letters = byte_alphabet()
    entries = [*letters, *(f"{letter}</w>" for letter in letters)]
    entries += [f"<|unused{index}|>" for index in range(vocab_size - len(entries) - 2)]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={entry: index for index, entry in enumerate(entries)}, merges=[], model_max_length=77)
