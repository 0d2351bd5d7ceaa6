"""Which files a published checkpoint is made of, in each of the forms that are read: nothing is read here but names.

| form | a folder has |
|---|---|
| safetensors | model.safetensors, or shards and model.safetensors.index.json |
| PyTorch | pytorch_model.bin (its zip form), or shards and pytorch_model.bin.index.json |
| Flax | flax_model.msgpack |
| T5X | `checkpoint` (Flax's msgpack) and one zarr array a large parameter, `target.*`; or one file that holds all |

Where a folder has several, the first in this order is read. A file of these forms may be named instead of its folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path, PurePosixPath
from typing import Literal

from glimmer.errors import InputError
from glimmer.files import canonical_json, existing, read_json, readable, sha256_file

SPIECE_FILES = ("spiece.model", "sentencepiece.model")
TOKENIZER_FILES = ("tokenizer.json", *SPIECE_FILES)
"""What a folder's vocabulary may lie in; the first that is there is read."""
_WHOLE = {"model.safetensors": "safetensors", "pytorch_model.bin": "pickle", "flax_model.msgpack": "msgpack"}
_T5X = "checkpoint"

Form = Literal["safetensors", "pickle", "msgpack"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightFiles:
    """The files of a checkpoint's weights: `parts` hold tensors; `index` says which shard holds which of them."""

    form: Form
    parts: tuple[Path, ...]
    index: Path | None = None
    arrays: tuple[Path, ...] = ()
    """Files of T5X's zarr arrays, the optimiser's left out."""

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file that decides what the parameters are."""
        return (*([self.index] if self.index else []), *self.parts, *self.arrays)


def weight_files(path: str | Path) -> WeightFiles:
    """The weights of a checkpoint's folder, or of a file of it.

    Raises InputError where there are none, where a shard is missing, and for a file that stands in for another one.
    """
    path = existing(path)
    files = _of_folder(path) if path.is_dir() else _of_file(path)
    for part in files.all:
        whole(part)
    return files


def config_file(path: str | Path) -> Path:
    """Where the dimensions of a checkpoint's folder, or of a file of it, stand if they do."""
    return folder_of(path) / "config.json"


def folder_of(path: str | Path) -> Path:
    """A checkpoint's folder, given it or a file of it."""
    path = existing(path)
    return path if path.is_dir() else path.parent


def is_t5x(path: str | Path) -> bool:
    """Whether a checkpoint's folder, or a file of it, is in T5X's own form."""
    path = existing(path)
    if path.is_dir():
        return _form_of(path) == _T5X
    return _of_file(path).form == "msgpack" and path.name != "flax_model.msgpack"


def tokenizer_file(path: str | Path) -> Path:
    """The file of a folder's vocabulary; a file is what it is. Raises InputError where a folder has none."""
    path = existing(path)
    if not path.is_dir():
        return whole(path)
    for name in TOKENIZER_FILES:
        if (path / name).exists():
            return whole(path / name)
    raise InputError("no vocabulary", where=path, expected=" or ".join(TOKENIZER_FILES), found=_names(path))


def checkpoint_files(directory: str | Path) -> dict[str, Path]:
    """Every file that decides what is read from a T5 or sentence-transformers folder, by its name below it.

    Settings and the vocabulary count wherever they lie, of weights those in the form that is read.
    """
    root, files = existing(directory), files_of_weights(directory)
    for path in root.rglob("*"):
        name = path.relative_to(root)
        hidden = any(part.startswith(".") for part in name.parts)  # what a download leaves in .cache
        if path.is_file() and not hidden and (path.suffix in (".safetensors", ".json") or path.name in SPIECE_FILES):
            files[name.as_posix()] = path
    return dict(sorted(files.items()))


def files_of_weights(directory: str | Path) -> dict[str, Path]:
    """The weights that are read from a folder and from those in it (a dense layer's), by their names below it."""
    root = existing(directory)
    folders = [root, *(child for child in root.iterdir() if child.is_dir())]
    files = [file for folder in folders if _form_of(folder) for file in weight_files(folder).all]
    return {file.relative_to(root).as_posix(): file for file in files}


def weights_sha256(path: str | Path) -> str:
    """One digest of a checkpoint's weights: that of their file, or of names and digests where there are several."""
    files = weight_files(path).all
    if len(files) == 1:
        return sha256_file(files[0])
    named = [[file.relative_to(folder_of(path)).as_posix(), sha256_file(file)] for file in files]
    return hashlib.sha256(canonical_json(named).encode()).hexdigest()


def whole(path: Path) -> Path:
    """`path`. Raises InputError if nothing is there, or only Git's pointer to the file."""
    return readable(path)


def _form_of(folder: Path) -> str | None:
    """The name of the first file of weights, or of their index, that a folder has."""
    for name in _WHOLE:
        for candidate in (f"{name}.index.json", name):
            if (folder / candidate).is_file():
                return candidate
    return _T5X if (folder / _T5X).is_file() else None


def _of_folder(folder: Path) -> WeightFiles:
    name = _form_of(folder)
    if name is None:
        known = ", ".join((*_WHOLE, f"{_T5X} (T5X)"))
        raise InputError("no weights that can be read", where=folder, expected=f"one of {known}", found=_names(folder))
    return _of_file(folder / name)


def _of_file(path: Path) -> WeightFiles:
    if path.name.endswith(".index.json"):
        form = _WHOLE.get(path.name.removesuffix(".index.json"))
        if form is None:
            raise InputError("an index of another form", where=path, expected=" or ".join(_WHOLE), found=path.name)
        return WeightFiles(form=form, index=path, parts=tuple(sorted(set(shards(path).values()))))
    by_ending = {".safetensors": "safetensors", ".bin": "pickle", ".pt": "pickle", ".pth": "pickle"}
    form = by_ending.get(path.suffix, "msgpack")
    arrays = ()
    if form == "msgpack" and path.name == _T5X:
        arrays = tuple(sorted(file for file in path.parent.glob("target.*/**/*") if file.is_file()))
    return WeightFiles(form=form, parts=(path,), arrays=arrays)


def shards(index: Path) -> dict[str, Path]:
    """Which file holds each tensor. Raises InputError for another kind of index, and for one that leads elsewhere."""
    listed = read_json(whole(index))
    weight_map = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError("not an index of shards", where=index, expected="weight_map", found=str(listed)[:80])
    for name, file in weight_map.items():
        if not isinstance(file, str) or PurePosixPath(file).name != file:
            raise InputError(
                "a shard outside its folder", where=index, expected="a file's name", found=f"{name}: {file}"
            )
    return {name: index.parent / file for name, file in weight_map.items()}


def _names(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    return ", ".join(names[:8]) + (f" and {len(names) - 8} others" if len(names) > 8 else "") if names else "nothing"
