"""Text to token ids and back, by T5's conventions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int
from tokenizers import Encoding
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
        self._path = tokenizer_file(path)
        self._tokenizer = _read(self._path)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        for token, number in ((PAD, 0), (END, 1)):
            if self._tokenizer.token_to_id(token) != number:
                found = self._tokenizer.token_to_id(token)
                raise InputError(f"{token} has another id", where=path, expected=number, found=found)

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def _encodings(self, texts: Iterable[str]) -> list[Encoding]:
        """Raises InputError where the vocabulary's file is such that the library cannot encode with it."""
        with _named(self._path):
            return self._tokenizer.encode_batch(list(texts), add_special_tokens=False)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, without an end token."""
        return self._encodings([text])[0].ids

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, without an end token."""
        return [len(encoding) for encoding in self._encodings(texts)]

    def kept_characters(self, texts: Sequence[str], length: int) -> list[tuple[int, int | None]]:
        """Of each text how many tokens it has, and how many characters its first `length` tokens reach; None if all."""
        found = []
        for encoding in self._encodings(texts):
            reach = (encoding.offsets[length - 1][1] if length else 0) if len(encoding) > length else None
            found.append((len(encoding), reach))
        return found

    def encode_array(
        self,
        texts: Sequence[str],
        length: int,
        *,
        keep: Literal["first", "last"] = "first",
        pad_left: bool = False,
        end: bool = False,
    ) -> Int[np.ndarray, "n length"]:
        """Ids of each text, its first or last `length` tokens, padded with 0.

        With `end` the end token is the last of them, of a text that is cut too.
        """
        ids = [encoding.ids for encoding in self._encodings(texts)]
        return self._rows(ids, length, keep, pad_left, end)

    def encode_questions(self, questions: Sequence[str], template: str, length: int) -> Int[np.ndarray, "n length"]:
        """Ids of each question as readers see it: within `template`, padded with 0 on the left.

        One that does not fit loses the template, all of it, and then its own first tokens; never its last, which often
        say what is asked.
        """
        texts = [template.format(question=question) for question in questions]
        encodings = self._encodings(texts)
        ids = [
            encoding.ids if len(encoding) <= length else self.encode(question)
            for encoding, question in zip(encodings, questions, strict=True)
        ]
        return self._rows(ids, length, "last", pad_left=True, end=False)

    @staticmethod
    def _rows(
        ids: Sequence[Sequence[int]], length: int, keep: str, pad_left: bool, end: bool
    ) -> Int[np.ndarray, "n length"]:
        out = np.zeros((len(ids), length), np.int32)
        room = max(length - 1 if end else length, 0)
        for row, whole in zip(out, ids, strict=True):
            kept = whole[:room] if keep == "first" else whole[max(len(whole) - room, 0) :]
            kept = [*kept, 1] if end and length else kept
            if kept:
                row[slice(-len(kept), None) if pad_left else slice(len(kept))] = kept
        return out

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids up to the first end token, special tokens dropped."""
        kept = []
        for number in ids:
            if number == 1:
                break
            kept.append(int(number))
        with _named(self._path):
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
    with _named(file):
        return _Tokenizer.from_file(str(file))


@contextlib.contextmanager
def _named(file: Path) -> Iterator[None]:
    """Makes an InputError that names the file of whatever the library raises for it: bare Exception, or a panic."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, InputError):
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        raise InputError("not a tokenizer", where=file, expected="a vocabulary", found=error) from None


def _is_json(start: bytes) -> bool:
    """No SentencePiece model begins so: the first byte of a list of pieces is a line feed, and its length follows."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"["))
