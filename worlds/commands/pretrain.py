"""`glimmer pretrain`: the initial checkpoint of a study that makes its own."""

from __future__ import annotations

import sys
from pathlib import Path

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, beside, show
from glimmer.commands.runtime import add_runtime_arguments, prepare
from glimmer.errors import InputError
from glimmer.files import read_json_object

HELP = "pretrain the small T5 that all readers of a study start from, on generated worlds of its own"
PURPOSE = "stages"


def add_arguments(parser) -> None:
    """Declares the command line."""
    add_study_arguments(parser)
    parser.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json of the study")
    parser.add_argument("--out", required=True, metavar="DIR", help="Hugging Face T5 directory to write")
    parser.add_argument("--log", metavar="FILE", help="add the learning curve to this file as JSON lines")
    parser.add_argument(
        "--published", metavar="DIR", help="copy the checkpoint that lies here, if it is the one asked for"
    )
    add_runtime_arguments(parser)
    add_json_argument(parser)


def run(args) -> int:
    """Pretrains, examines, writes the directory, and prints exact match by alpha, passages and task; and its gate.

    A call that was stopped goes on behind its last finished stage. With `--published`, a checkpoint of the same recipe
    and vocabulary is copied instead.
    """
    prepare(args)
    from glimmer.experiments.sections import PretrainedInitial
    from glimmer.experiments.strict import record
    from glimmer.models.config import T5Config
    from worlds.exercises import TextForms
    from worlds.kept import READING, copy_checkpoint, holds, origin
    from worlds.pretrain import write_initial_checkpoint
    from worlds.recipe import Recipe

    study = study_of(args, "pretrain")
    if not isinstance(study.initial, PretrainedInitial):
        kind = study.initial.kind
        raise InputError("this study does not pretrain", where="initial.kind", expected="pretrain", found=kind)
    recipe = Recipe.from_section(record(study.initial))
    config = T5Config(**vars(study.dimensions()))
    wanted = recipe, config, args.tokenizer, TextForms(**vars(study.templates))
    if args.published and holds(args.published, origin(*wanted)):
        copy_checkpoint(args.published, args.out)
        reading = read_json_object(Path(args.out) / READING)
        print(f"copied {args.published}: of the same recipe and vocabulary", file=sys.stderr)
    else:
        with _CurveFile(args.log) as curve:
            reading = write_initial_checkpoint(*wanted, args.out, curve)
    show(reading if args.format == "json" else _by_task(reading["exact_match"]), args.format)
    gate = {name: value for name, value in reading.items() if isinstance(value, float)}
    if gate:
        beside([gate], args.format)
    return 0


def _by_task(rows: list[dict]) -> list[dict]:
    """One row for each alpha and number of passages, one column a task."""
    table: dict[tuple, dict] = {}
    for row in rows:
        key = {"alpha": row["alpha"], "passages": row["passages"]}
        table.setdefault(tuple(key.values()), key)[row["task"]] = row["exact_match"]
    return list(table.values())


class _CurveFile:
    """Writes rows of the learning curve to a file as they come, and shows the last one on a terminal.

    Rows are appended at once, not renamed into place at the end: an interrupted pretraining is when one wants them, and
    its next call adds those of the stages that were left.
    """

    def __init__(self, path: str | None):
        self.path = path

    def __enter__(self):
        from tqdm import tqdm

        self.file = open(self.path, "a", encoding="utf-8") if self.path else None  # noqa: SIM115
        self.bar = tqdm(desc="pretraining", unit=" rows", disable=None, leave=False)
        return self

    def __call__(self, row: dict) -> None:
        import json

        if self.file is not None:
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()
        self.bar.set_postfix_str(", ".join(f"{key} {value}" for key, value in row.items()))
        self.bar.update()

    def __exit__(self, *_) -> None:
        self.bar.close()
        if self.file is not None:
            self.file.close()
