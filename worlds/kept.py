"""Checkpoints that pretraining leaves: after each stage, to go on from, and the last one, to be given to others.

Each is a Hugging Face directory with `pretrained.json`, which states all that decides its weights. A checkpoint is
taken for another only where these statements are equal and its bytes are those that were written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments.settings import SCIENCE_VERSION
from glimmer.experiments.strict import record
from glimmer.files import check_seal, read_json_object, remove_directory, sealed_directory, sha256_file, write_json
from glimmer.models.checkpoint import load_t5, save_t5
from glimmer.models.config import T5Config, to_hugging_face
from glimmer.models.t5 import T5
from worlds.exercises import TextForms
from worlds.recipe import Recipe

ORIGIN = "pretrained.json"
READING = "reading.json"
Origin = Mapping[str, Any]


def origin(
    recipe: Recipe, config: T5Config, tokenizer: str | Path, forms: TextForms, stages: int | None = None
) -> dict[str, Any]:
    """All that decides the weights after the first `stages` of a recipe, or the whole checkpoint: plain data.

    The whole one has its examination too. SCIENCE_VERSION stands for the code, the sha256 of `tokenizer` for its
    vocabulary.
    """
    decides = {
        "science_version": SCIENCE_VERSION,
        "seed": recipe.seed,
        "stages": [record(stage) for stage in recipe.stages[:stages]],
        "model": to_hugging_face(config),
        "templates": vars(forms),
        "tokenizer_sha256": sha256_file(tokenizer),
    }
    return decides if stages is not None else decides | {"examination": record(recipe.examination)}


def holds(directory: str | Path, wanted: Origin) -> bool:
    """Whether `directory` holds the checkpoint of this origin.

    Raises InputError where it says so and its files are not those that were written.
    """
    root = Path(directory)
    if not (root / ORIGIN).exists() or read_json_object(root / ORIGIN) != wanted:
        return False
    check_seal(root)
    return True


def save_checkpoint(
    model: T5, out: str | Path, tokenizer: str | Path, made_of: Origin, reading: Mapping[str, Any] | None = None
) -> None:
    """Writes a Hugging Face directory with its vocabulary, its origin, and reading.json where it was examined."""
    with sealed_directory(out) as temporary:
        save_t5(model, temporary, tokenizer)
        write_json(temporary / ORIGIN, made_of)
        if reading is not None:
            write_json(temporary / READING, reading)


def copy_checkpoint(source: str | Path, out: str | Path) -> None:
    """Copies a whole checkpoint, all of it or nothing."""
    with sealed_directory(out) as temporary:
        for file in sorted(Path(source).glob("[!.]*")):
            shutil.copyfile(file, temporary / file.name)


class KeptStages:
    """The checkpoint after the last finished stage of one pretraining, in a directory of its own."""

    def __init__(self, directory: str | Path, tokenizer: str | Path, origin_after: Callable[[int], Origin]):
        """`origin_after` gives the origin of the weights after so many stages."""
        self._directory, self._tokenizer, self._origin_after = Path(directory), tokenizer, origin_after
        self.resumed_after = 0
        """Stages that an earlier call had finished."""

    def latest(self, stages: int, config: T5Config) -> tuple[int, T5] | None:
        """(stages done, model) of the furthest checkpoint of at most `stages` that this pretraining would have made.

        What another recipe left, or a file that is not as it was written, is passed over. `config` is that of the
        model, and what of it is no shape decides how it goes on.
        """
        for done in range(stages, 0, -1):
            try:
                if holds(self._place(done), self._origin_after(done)):
                    behaviour = {name: getattr(config, name) for name in ("dtype", "dropout", "rematerialise")}
                    model = load_t5(self._place(done), **behaviour)
                    self.resumed_after = done
                    return done, model
            except InputError:
                continue
        return None

    def keep(self, model: T5, done: int) -> None:
        """Writes the checkpoint after `done` stages, then removes the one before it."""
        save_checkpoint(model, self._place(done), self._tokenizer, self._origin_after(done))
        for place in set(self._directory.glob("[0-9][0-9]")) - {self._place(done)}:
            remove_directory(place)

    def forget(self) -> None:
        """Removes the directory: the pretraining is over."""
        if self._directory.exists():
            remove_directory(self._directory)

    def _place(self, done: int) -> Path:
        return self._directory / f"{done:02}"
