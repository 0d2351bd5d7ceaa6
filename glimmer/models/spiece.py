"""SentencePiece's `spiece.model` as a tokenizer of the tokenizers library: the tokens of T5's published tokenizer.json.

The file is one protobuf message (google/sentencepiece, sentencepiece_model.proto). The few fields needed are read here:
pieces with scores, the kind of model, the unknown piece, and the normaliser's compiled table of characters.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from glimmer.errors import InputError

EXTRA_IDS = 100
"""Sentinels behind the pieces, the last one first, as T5's span corruption counts them."""
_EXTRA = re.compile(r"▁?(<extra_id_\d+>)")
_SPACE = "▁"
_UNIGRAM = 1
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
# Numbers of fields in sentencepiece_model.proto.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_PIECE, _SCORE, _TYPE = 1, 2, 3
_MODEL_TYPE, _UNK_ID = 3, 40
_CHARSMAP = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentencePieceModel:
    """What of a file decides its tokens: (piece, score, type) in order of ids."""

    pieces: tuple[tuple[str, float, int], ...]
    unknown: int
    charsmap: bytes


def read_spiece(path: Path) -> Tokenizer:
    """The tokenizer of a SentencePiece unigram model, with T5's 100 extra ids. Raises InputError for another file."""
    try:
        return _tokenizer(parse_model(path.read_bytes()))
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # the library raises bare Exception for what it does not take, or panics
        raise InputError("not a tokenizer", where=path, expected="a SentencePiece unigram model", found=error) from None


def _tokenizer(model: SentencePieceModel) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(_vocabulary(model), unk_id=model.unknown, byte_fallback=False))
    if model.charsmap:
        tokenizer.normalizer = normalizers.Precompiled(model.charsmap)
    # As transformers converts it: words are what stands between spaces, and carry the mark of their beginning.
    space = {"replacement": _SPACE, "prepend_scheme": "always", "split": True}
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(**space)]
    )
    tokenizer.decoder = decoders.Metaspace(**space)
    special = [name for name, _, kind in model.pieces if kind in (_UNKNOWN, _CONTROL)]
    extra = [name for name, _ in _vocabulary(model) if _EXTRA.fullmatch(name)]
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in special + extra])
    end = tokenizer.token_to_id("</s>")
    if end is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", end)]
        )
    return tokenizer


def parse_model(content: bytes) -> SentencePieceModel:
    """The fields of a file that are needed. Raises ValueError for what is no unigram model."""
    pieces, unknown, charsmap, kind = [], 0, b"", _UNIGRAM
    for number, value in _fields(content):
        if number == _PIECES:
            fields = dict(_fields(_message(value)))
            (score,) = struct.unpack("<f", fields.get(_SCORE, bytes(4)))
            pieces.append((_message(fields[_PIECE]).decode(), score, fields.get(_TYPE, _NORMAL)))
        elif number == _TRAINER:
            fields = dict(_fields(_message(value)))
            unknown, kind = fields.get(_UNK_ID, 0), fields.get(_MODEL_TYPE, _UNIGRAM)
        elif number == _NORMALIZER:
            charsmap = _message(dict(_fields(_message(value))).get(_CHARSMAP, b""))
    if kind != _UNIGRAM:
        raise ValueError(f"a model of type {kind}")
    if not 0 <= unknown < len(pieces):
        raise ValueError(f"{len(pieces)} pieces, of which number {unknown} should be the unknown one")
    return SentencePieceModel(pieces=tuple(pieces), unknown=unknown, charsmap=charsmap)


def _vocabulary(model: SentencePieceModel) -> list[tuple[str, float]]:
    """Pieces with scores, extra ids behind them. Some of T5X's files have these already, as words."""
    named = [(_EXTRA.sub(r"\1", name), score) for name, score, _ in model.pieces]
    if not any(_EXTRA.fullmatch(name) for name, _ in named):
        named += [(f"<extra_id_{i}>", 0.0) for i in reversed(range(EXTRA_IDS))]
    return named


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of every field: a number for a varint, else its bytes (protobuf's wire format)."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if key < 8:
            raise ValueError(f"no protobuf message: a field without a number before byte {at}")
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"no protobuf message: a field of wire type {kind} at byte {at}")
        if at + size > len(message):
            raise ValueError(f"no whole protobuf message: it ends at byte {len(message)}, before byte {at + size}")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it: seven bits a byte, the lowest first."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError(f"no whole protobuf message: it ends at byte {at}")
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError(f"no protobuf message: a number of more than ten bytes before byte {at}")


def _message(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"no SentencePiece model: {value} where bytes should be")
    return value
