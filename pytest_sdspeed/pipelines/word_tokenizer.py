"""A tokenizer of words for random weights; imported only when one is made."""

from __future__ import annotations

import re
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from transformers import AddedToken, PreTrainedTokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS = re.compile(
    r"<\|[^|<>]*\|>|[^\S\n]?[^\W\d_]+|\d|[^\S\n]?(?:(?!<\|)[^\w\s])+|<|_|\n+|[^\S\n]+"
)
"""Words with the blank before them, digits, marks and line breaks: about what a language model's
vocabulary has entries for."""


class WordTokenizer(PreTrainedTokenizer):  # type: ignore[misc] # transformers is not followed
    """Gives every word an entry by its letters, so that texts of any language are told apart.

    Two words rarely have the same entry, which only a longer vocabulary avoids.

    Args:
        size: entries of the vocabulary.
        special: special token -> its entry.
        begins: whether a text begins with the token for that.
        ends: whether it ends with the token for that.
        options: arguments of every tokenizer of transformers.
    """

    model_input_names = ("input_ids", "attention_mask")

    def __init__(
        self,
        size: int,
        special: Mapping[str, int],
        *,
        begins: bool = False,
        ends: bool = False,
        **options: Any,
    ) -> None:
        self._size, self._special = size, dict(special)
        self._begins, self._ends = begins, ends
        taken = sorted({-1, size, *special.values()})
        gaps = [(after - before - 1, before + 1) for before, after in pairwise(taken)]
        self._many, self._first = max(gaps)
        options["added_tokens_decoder"] = {
            entry: AddedToken(token, special=True, normalized=False)
            for token, entry in special.items()
        }
        super().__init__(size=size, special=self._special, begins=begins, ends=ends, **options)

    @property
    def vocab_size(self) -> int:
        """Number of entries."""
        return self._size

    def get_vocab(self) -> dict[str, int]:
        """Return a name for every entry; words are not listed, since any word has one."""
        taken = set(self._special.values())
        words = {f"<{entry}>": entry for entry in range(self._size) if entry not in taken}
        return words | self._special

    def build_inputs_with_special_tokens(
        self,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
    ) -> list[int]:
        """Return a text's entries with those for its beginning and its end."""
        first = [self.bos_token_id] if self._begins else []
        last = [self.eos_token_id] if self._ends else []
        return [*first, *token_ids_0, *(token_ids_1 or ()), *last]

    def _tokenize(self, text: str, **_options: Any) -> list[str]:
        return _WORDS.findall(text)

    def _convert_token_to_id(self, token: str) -> int:
        if token in self._special:
            return self._special[token]
        if (entry := re.fullmatch(r"<(\d+)>", token)) and int(entry[1]) < self._size:
            return int(entry[1])
        return self._first + zlib.crc32(token.encode()) % self._many

    def _convert_id_to_token(self, index: int) -> str:
        return next((token for token, at in self._special.items() if at == index), f"<{index}>")

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Return the names of entries as one text, for messages."""
        return " ".join(tokens)

    def save_vocabulary(
        self,
        save_directory: str,  # noqa: ARG002
        filename_prefix: str | None = None,  # noqa: ARG002
    ) -> tuple[str, ...]:
        """Save nothing: a vocabulary of any word is a rule."""
        return ()
