"""A vocabulary for a small study: every word of its texts as one piece, and characters for words not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import log
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from glimmer.errors import InputError
from glimmer.experiments.sections import PretrainedInitial
from glimmer.experiments.settings import TASKS
from glimmer.experiments.study import Study
from glimmer.files import atomic_write
from glimmer.kilt.formats import read_examples, task_file
from glimmer.kilt.passages import PassageFile
from glimmer.models.tokenizer import END, PAD, UNKNOWN
from worlds.generate import GAPPED, name_words, sample_pages, sample_reading_examples

_SPECIAL = (PAD, END, UNKNOWN)
_START_OF_WORD = "\u2581"
_MARGIN = 1.0  # nats between the rarest word and a character
_SAMPLED = 4000  # pages, and exercises, of other worlds


def study_texts(study: Study, data: str | Path, passages: str | Path) -> Iterator[str]:
    """What the readers of `study` are trained on: passages, and train inputs and answers as spelled for a reader.

    Dev sets stay out, so that a study with more dev questions has the same vocabulary, and with it the same checkpoint.
    A study that pretrains on generated worlds adds text of such worlds: its names are not all in the benchmark.
    """
    question, passage = study.templates.question, study.templates.passage
    for row in PassageFile(passages):
        yield passage.format(title=row["title"], text=row["text"])
    for task in study.tasks:
        for example in read_examples(task_file(data, task, "train")):
            yield question.format(question=example.input)
            yield from example.answers
    if isinstance(study.initial, PretrainedInitial):
        rng = np.random.default_rng(study.initial.seed)
        yield from name_words()
        yield from sample_pages(rng, _SAMPLED)
        for example in sample_reading_examples(rng, _SAMPLED, passages=2, tasks=TASKS):
            yield question.format(question=example.question)
            yield example.answer
        for example in sample_reading_examples(rng, _SAMPLED, passages=2, tasks=GAPPED):
            yield example.question
            yield example.answer


def train_vocabulary(texts: Iterable[str], size: int, path: str | Path) -> int:
    """Writes a unigram `tokenizer.json` of at most `size` pieces, frequent words and characters; returns how many.

    Words are what stands between spaces (text of the generated benchmark spells its punctuation apart). The library's
    unigram trainer takes its first candidates from each distinct word once, so a word that is part of no other never
    becomes a piece, however frequent: names are cut into letters. Here the most frequent words are added whole, with
    the logarithm of their share as score, and characters spell the others. A character is less likely than the rarest
    word, so that no word of the vocabulary is spelled. Ids 0, 1, 2 are pad, end and unknown, as in T5's. Same texts,
    same file. Raises InputError where `size` has no room for the characters of the texts.
    """
    normalizer = normalizers.NFKC()
    counts = Counter(word for text in texts for word in normalizer.normalize_str(text).split())
    characters = [_START_OF_WORD, *sorted({character for word in counts for character in word})]
    room = size - len(_SPECIAL) - len(characters)
    if room < 0:
        raise InputError("vocabulary too small", expected=f"at least {size - room} pieces", found=size)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:room]
    total = sum(counts.values())
    words = [(_START_OF_WORD + word, log(count / total)) for word, count in ordered]
    rarest = min((score for _, score in words), default=0.0)
    spelled = [(character, rarest - _MARGIN) for character in characters]
    vocabulary = [(token, 0.0) for token in _SPECIAL] + words + spelled
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=_SPECIAL.index(UNKNOWN)))
    # As in T5's own tokenizer.json: words are what stands between spaces, and carry the mark of their beginning.
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    with atomic_write(path) as file:
        file.write(tokenizer.to_str(pretty=True))
    return tokenizer.get_vocab_size()
