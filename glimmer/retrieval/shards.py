"""Embedding shards on disk: `shard-00000.npy` float32 [n, d] ..., and a `meta.json` that says what made them.

What will make them stands in a hidden `.plan.json` before the first of them is there, and `meta.json` is written last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from glimmer.errors import InputError
from glimmer.files import (
    SEAL,
    add_to_seal,
    atomic_write,
    check_seal,
    existing,
    is_sealed,
    move_sealed,
    read_json,
    require_space,
    sealed_names,
    write_json,
)
from glimmer.parts import MissingPart, StagePart, require_same

_PLAN, _META = ".plan.json", "meta.json"


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """What decides the bytes of a corpus's shards; shards made under another plan are never reused."""

    model_digest: str
    passages_digest: str
    passages: int
    dimension: int
    passages_per_shard: int
    passage_tokens: int
    dtype: str

    def __post_init__(self):
        if self.passages_per_shard < 1:
            raise InputError(
                "shards must hold something", expected="passages_per_shard >= 1", found=self.passages_per_shard
            )

    def shards(self) -> list[tuple[int, int]]:
        """First and one-past-last passage id of each shard."""
        step = self.passages_per_shard
        return [(start, min(start + step, self.passages)) for start in range(0, self.passages, step)]


def shard_path(directory: str | Path, number: int) -> Path:
    """`shard-00007.npy` for number 7."""
    return Path(directory) / f"shard-{number:05d}.npy"


def write_shards(
    directory: str | Path,
    plan: ShardPlan,
    embed: Callable[[int, int], np.ndarray],
    part: StagePart | None = None,
) -> list[int]:
    """Writes every shard that is not there yet; `embed(start, end)` gives float32 [end - start, d].

    If another plan was begun there, all its shards are removed before any work. A shard is whole or absent (it is
    renamed into place, and sealed), so an interrupted run goes on where it stopped; one whose bytes changed since is
    made again. `meta.json` is written last, and not where only one `part` of the shards is made.
    Returns the numbers of the shards that were computed now.
    """
    directory = Path(directory)
    _begin(directory, plan)
    computed = []
    missing = [number for number in _share(plan, part) if not is_sealed(shard_path(directory, number))]
    rows_missing = sum(end - start for start, end in (plan.shards()[number] for number in missing))
    require_space(directory, 4 * rows_missing * plan.dimension, "embeddings")
    for number in missing:
        path, (start, end) = shard_path(directory, number), plan.shards()[number]
        rows = np.asarray(embed(start, end), dtype=np.float32)
        if rows.shape != (end - start, plan.dimension):
            raise InputError(
                "embeddings of the wrong shape", where=path, expected=(end - start, plan.dimension), found=rows.shape
            )
        with atomic_write(path, "wb") as file:
            np.save(file, rows, allow_pickle=False)
        add_to_seal(directory, [path])
        computed.append(number)
    if part is None:
        write_json(directory / _META, asdict(plan))
    return computed


def require_part(directory: str | Path, plan: ShardPlan, part: StagePart, place: str | Path) -> None:
    """Raises InputError unless `place` has a part's shards by this plan; `directory` may have some of them already."""
    directory, place = Path(directory), Path(place)
    begun = _plan_of(directory) == asdict(plan)
    if (found := _plan_of(place)) is not None:
        require_same(place / _PLAN, asdict(plan), found)
    waiting, gathered = sealed_names(place), sealed_names(directory) if begun else set()
    for number in _share(plan, part):
        here, there = shard_path(place, number), shard_path(directory, number)
        is_gathered = begun and there.exists() and there.name in waiting | gathered
        if not (is_gathered or (here.exists() and here.name in waiting)):
            raise MissingPart(part, here)


def gather_shards(directory: str | Path, plan: ShardPlan, places: Mapping[StagePart, Path]) -> None:
    """Moves the shards of all parts into `directory`, which is then as `write_shards` makes it; nothing is copied.

    Each place must have passed `require_part`. May be called again after an interruption.
    """
    directory = Path(directory)
    _begin(directory, plan)
    (directory / _META).unlink(missing_ok=True)
    for part, place in places.items():
        waiting, names = sealed_names(place), (shard_path(place, number).name for number in _share(plan, part))
        move_sealed(place, directory, [name for name in names if name in waiting])
    write_json(directory / _META, asdict(plan))


def _share(plan: ShardPlan, part: StagePart | None) -> range:
    """The numbers of the shards of a part; None: of all."""
    count = len(plan.shards())
    return range(count) if part is None else range(*part.share(count))


def _begin(directory: Path, plan: ShardPlan) -> None:
    """Removes what another plan has left, and says by which plan shards are made from now on."""
    directory.mkdir(parents=True, exist_ok=True)
    if _plan_of(directory) != asdict(plan):
        for stale in directory.glob("shard-*.npy"):
            stale.unlink()
        (directory / SEAL).unlink(missing_ok=True)
        (directory / _META).unlink(missing_ok=True)
    write_json(directory / _PLAN, asdict(plan))


def _plan_of(directory: Path) -> dict | None:
    """By which plan the shards of a directory were begun; earlier versions said so in `meta.json` alone."""
    known = next((path for path in (directory / _PLAN, directory / _META) if path.exists()), None)
    return None if known is None else _read_meta(known)


def open_shards(directory: str | Path) -> list[np.ndarray]:
    """All shards of a directory, memory-mapped, in order of passage id.

    Raises InputError if one is missing, is not float32 [n, d], is not what was written, or the rows do not add up to
    what `meta.json` says.
    """
    check_seal(directory)
    meta_path = existing(existing(directory) / _META)
    plan = ShardPlan(**_read_meta(meta_path))
    return [
        _open_shard(shard_path(directory, number), (end - start, plan.dimension))
        for number, (start, end) in enumerate(plan.shards())
    ]


def read_plan(directory: str | Path) -> ShardPlan:
    """The plan in a shard directory's `meta.json`."""
    return ShardPlan(**_read_meta(existing(directory) / _META))


def blocks(shards: Iterable[np.ndarray], rows: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first passage id, float32 [<= rows, d] view) over all shards in order; nothing is copied."""
    first = 0
    for shard in shards:
        for start in range(0, len(shard), rows):
            yield first + start, shard[start : start + rows]
        first += len(shard)


def rows_of(shards: Sequence[np.ndarray], ids: np.ndarray) -> np.ndarray:
    """The embeddings float32 [n, d] of passages by id, int [n], in any order; copies."""
    ends = np.cumsum([len(shard) for shard in shards])
    owner = np.searchsorted(ends, ids, side="right")
    gathered = np.empty((len(ids), shards[0].shape[1]), np.float32)
    for number in np.unique(owner):
        mine = owner == number
        start = ends[number] - len(shards[number])
        gathered[mine] = shards[number][ids[mine] - start]
    return gathered


def _read_meta(path: Path) -> dict:
    meta = read_json(path)
    keys = set(ShardPlan.__dataclass_fields__)
    if not isinstance(meta, dict) or set(meta) != keys:
        found = sorted(meta) if isinstance(meta, dict) else type(meta).__name__
        raise InputError("not the description of embedding shards", where=path, expected=sorted(keys), found=found)
    return meta


def _open_shard(path: Path, shape: tuple[int, int]) -> np.ndarray:
    try:
        array = np.load(existing(path), mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError("not an embedding shard", where=path, expected="a whole .npy file", found=str(error)) from None
    if array.dtype != np.float32 or array.shape != shape:
        raise InputError(
            "embedding shard of the wrong kind",
            where=path,
            expected=f"float32 {shape}",
            found=f"{array.dtype} {array.shape}",
        )
    return array
