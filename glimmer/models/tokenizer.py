"""Text to token ids and back, by T5's conventions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer as _Tokenizer

from glimmer.errors import InputError
from glimmer.files import existing

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


class Tokenizer:
    """T5's conventions over a `tokenizer.json`: pad 0, end 1, and an end token after every text."""

    def __init__(self, path: str | Path):
        try:
            self._tokenizer = _Tokenizer.from_file(str(existing(path)))
        except InputError:
            raise
        except Exception as error:  # the library raises bare Exception for a file it cannot read
            raise InputError("not a tokenizer", where=path, expected="tokenizers' JSON", found=error) from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        for token, number in ((PAD, 0), (END, 1)):
            if self._tokenizer.token_to_id(token) != number:
                found = self._tokenizer.token_to_id(token)
                raise InputError(f"{token} has another id", where=path, expected=number, found=found)

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, without an end token."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_array(
        self, texts: Sequence[str], length: int, *, pad_left: bool = False, end: bool = False
    ) -> Int[np.ndarray, "n length"]:
        """Ids of each text cut to `length` tokens and padded with 0; with `end`, the last one kept is the end token."""
        out = np.zeros((len(texts), length), np.int32)
        room = length - 1 if end else length
        for row, encoding in zip(out, self._tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
            ids = encoding.ids[: max(room, 0)] + ([1] if end and length else [])
            if ids:
                row[slice(-len(ids), None) if pad_left else slice(len(ids))] = ids
        return out

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids up to the first end token, special tokens dropped."""
        kept = []
        for number in ids:
            if number == 1:
                break
            kept.append(int(number))
        return self._tokenizer.decode(kept, skip_special_tokens=True).strip()
