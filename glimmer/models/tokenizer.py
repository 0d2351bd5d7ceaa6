"""Text to token ids and back, by T5's conventions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer as _Tokenizer

from glimmer.errors import InputError
from glimmer.models.forms import tokenizer_file
from glimmer.models.spiece import read_spiece

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


class Tokenizer:
    """T5's conventions over a vocabulary: pad 0, end 1, and an end token after every text.

    `path` is a `tokenizer.json`, a SentencePiece model (`spiece.model`), or a folder that has one of them.
    """

    def __init__(self, path: str | Path):
        self._tokenizer = _read(tokenizer_file(path))
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


def tokenizer_json(path: str | Path) -> bytes:
    """The `tokenizer.json` of a vocabulary: its bytes where it is one, else written from the SentencePiece model."""
    file = tokenizer_file(path)
    content = file.read_bytes()
    if _is_json(content):
        return content
    return read_spiece(file).to_str().encode()


def _read(file: Path) -> _Tokenizer:
    with open(file, "rb") as opened:
        start = opened.read(64)
    if not _is_json(start):
        return read_spiece(file)
    try:
        return _Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception for a file it cannot read
        raise InputError("not a tokenizer", where=file, expected="tokenizers' JSON", found=error) from None


def _is_json(start: bytes) -> bool:
    """No SentencePiece model begins so: the first byte of a list of pieces is a line feed, and its length follows."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"["))
