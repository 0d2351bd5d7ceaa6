"""`glimmer tokenizer`: the vocabulary of a study, the checkpoint's own or one trained on its texts."""

from __future__ import annotations

from pathlib import Path

from glimmer.commands.runs import add_study_arguments

HELP = "write the study's tokenizer.json: the checkpoint's, or a unigram model of the study's texts"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--checkpoint", metavar="DIR", help="checkpoint whose vocabulary to take")
    parser.add_argument("--data", required=True, metavar="DIR", help="task files in KILT's formats")
    parser.add_argument("--passages", required=True, metavar="DIR", help="passages of the corpus")
    parser.add_argument("--out", required=True, metavar="FILE", help="tokenizer.json to write")


def run(args) -> int:
    """Writes the tokenizer and prints its size."""
    from glimmer.errors import InputError
    from glimmer.experiments import load_study, parse_overrides
    from glimmer.files import atomic_write, existing
    from glimmer.models.tokenizer import Tokenizer

    study = load_study(args.study, parse_overrides(args.overrides))
    if study.tokenizer["kind"] == "checkpoint":
        if args.checkpoint is None:
            raise InputError("no checkpoint given", where="tokenizer", expected="--checkpoint DIR", found="nothing")
        source = existing(Path(args.checkpoint) / "tokenizer.json")
        with atomic_write(args.out, "wb") as file:
            file.write(source.read_bytes())
    else:
        from glimmer.training.vocabulary import train_vocabulary

        train_vocabulary(_texts(study, args.data, args.passages), study.tokenizer["vocabulary_size"], args.out)
    print(f"{len(Tokenizer(args.out))} pieces")
    return 0


def _texts(study, data: str, passages: str):
    """Every text of the corpus and of the tasks; of a generated study also pages of other worlds, as in pretraining."""
    import numpy as np

    from glimmer.kilt.formats import read_examples, task_file
    from glimmer.kilt.generate import sample_pages
    from glimmer.kilt.passages import PassageFile

    for passage in PassageFile(passages):
        yield study.templates["passage"].format(title=passage["title"], text=passage["text"])
    for task in study.tasks:
        for split in ("train", "dev"):
            for example in read_examples(task_file(data, task, split)):
                yield study.templates["question"].format(question=example.input)
                yield from example.answers
    if study.data["kind"] == "generated":
        yield from sample_pages(np.random.default_rng(study.data["seed"]), 2000)
