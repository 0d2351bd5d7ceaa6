"""A vocabulary for a small study: every word of its texts as one piece, and smaller pieces for words not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import log
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from glimmer.errors import InputError
from glimmer.experiments.study import Study
from glimmer.files import atomic_write
from glimmer.kilt.formats import TASKS, read_examples, task_file
from glimmer.kilt.generate import name_words, sample_pages, sample_reading_examples
from glimmer.kilt.passages import PassageFile
from glimmer.models.tokenizer import END, PAD, UNKNOWN

_SPECIAL = (PAD, END, UNKNOWN)
_START_OF_WORD = "\u2581"
_MARGIN = 1.0  # nats between the rarest word and the most likely smaller piece
_SAMPLED = 4000  # pages, and exercises, of other worlds


def study_texts(study: Study, data: str | Path, passages: str | Path) -> Iterator[str]:
    """What the readers of `study` will read: passages, inputs and answers as they are spelled for a reader.

    A study that pretrains on generated worlds adds text of such worlds: its names are not all in the benchmark.
    """
    question, passage = study.templates["question"], study.templates["passage"]
    for row in PassageFile(passages):
        yield passage.format(title=row["title"], text=row["text"])
    for task in study.tasks:
        for split in ("train", "dev"):
            for example in read_examples(task_file(data, task, split)):
                yield question.format(question=example.input)
                yield from example.answers
    if study.initial["kind"] == "pretrain":
        rng = np.random.default_rng(study.initial["seed"])
        yield from name_words()
        yield from sample_pages(rng, _SAMPLED)
        for example in sample_reading_examples(rng, _SAMPLED, passages=2, tasks=TASKS):
            yield question.format(question=example.question)
            yield example.answer


def train_vocabulary(texts: Iterable[str], size: int, path: str | Path) -> int:
    """Writes a unigram `tokenizer.json` of at most `size` pieces in which frequent words are whole; returns their number.

    Words are what stands between spaces (text of the generated benchmark spells its punctuation apart). The library's
    unigram trainer takes its first candidates from each distinct word once, so a word that is part of no other never
    becomes a piece, however frequent: names are cut into letters. Here its pieces serve words that were not seen, and
    the most frequent words are added whole. Every smaller piece is less likely than the rarest word, so that a word
    of the vocabulary is never cut. Ids 0, 1, 2 are pad, end and unknown, as in T5's. Same texts, same file.

    Raises InputError where `size` has no room for the characters of the texts.
    """
    normalizer = normalizers.NFKC()
    counts = Counter(word for text in texts for word in normalizer.normalize_str(text).split())
    characters = sorted({character for word in counts for character in word})
    room = size - len(_SPECIAL) - len(characters) - 1
    if room < 0:
        raise InputError("vocabulary too small", expected=f"at least {size - room} pieces", found=size)
    words = [_START_OF_WORD + word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:room]]
    total = sum(counts.values())
    pieces = {word: log(counts[word[1:]] / total) for word in words}
    rarest = min(pieces.values(), default=0.0) - _MARGIN
    smaller = {piece: score for piece, score in _library_pieces(counts, size) if piece not in pieces}
    shift = rarest - max(smaller.values(), default=0.0)
    least = min(smaller.values(), default=0.0)
    for character in (_START_OF_WORD, *characters):
        pieces.setdefault(character, smaller.pop(character, least) + shift)
    for piece, score in sorted(smaller.items(), key=lambda item: (-item[1], item[0])):
        if len(pieces) + len(_SPECIAL) < size:
            pieces[piece] = score + shift
    vocabulary = [(token, 0.0) for token in _SPECIAL] + sorted(pieces.items(), key=lambda item: (-item[1], item[0]))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=_SPECIAL.index(UNKNOWN)))
    _as_in_t5(tokenizer)
    with atomic_write(path) as file:
        file.write(tokenizer.to_str(pretty=True))
    return tokenizer.get_vocab_size()


def _as_in_t5(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])


def _library_pieces(counts: Counter, size: int) -> list[tuple[str, float]]:
    """(piece, log probability) of the library's unigram model of the same words."""
    import json

    tokenizer = Tokenizer(models.Unigram())
    _as_in_t5(tokenizer)
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=list(_SPECIAL), unk_token=UNKNOWN, show_progress=False
    )
    tokenizer.train_from_iterator((f"{word} " * count for word, count in sorted(counts.items())), trainer)
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    return [(piece, score) for piece, score in vocabulary if piece not in _SPECIAL]
