"""Rot: a byte flipped, a file cut, two files swapped: found before use, named. (docs/reliability.md: what is not.)"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from glimmer import files
from glimmer.errors import InputError
from glimmer.experiments import load_study, runs_for
from glimmer.files import SEAL, add_to_seal, check_seal, sealed_directory, write_json
from glimmer.kilt.chunking import write_passages
from glimmer.kilt.formats import Page
from glimmer.kilt.passages import PassageFile
from glimmer.models.store import MemoryStore, StorePlan, write_store
from glimmer.retrieval.retrieved import Retrieved, read_retrieved, write_retrieved
from glimmer.retrieval.shards import ShardPlan, open_shards, write_shards
from glimmer.runs.materials import Materials
from glimmer.runs.train import _write
from glimmer.training.checkpoints import RunCheckpoints


def flipped(content: bytes, at: int) -> bytes:
    """The content with the lowest bit of one byte changed."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def damages(content: bytes, flips: int):
    """(what was done, damaged content): about so many flips over the whole length, and cuts."""
    for at in sorted({*range(0, len(content), max(1, len(content) // flips)), len(content) - 1}):
        yield f"byte {at} of {len(content)} flipped", flipped(content, at)
    for end in (0, len(content) // 2, len(content) - 2):  # without its last line end JSON is whole
        yield f"cut after {end} of {len(content)}", content[:end]


def found_in_all(paths, use, flips: int = 40) -> int:
    """Damages each file in every way, one at a time; raises where `use` does not name the file or its folder."""
    count = 0
    for path in paths:
        whole = path.read_bytes()
        for what, content in damages(whole, flips):
            path.write_bytes(content)
            try:
                use()
            except InputError as error:
                assert path.name in str(error) or str(path.parent) in str(error), (what, str(error))
            else:
                raise AssertionError(f"{path.name}: {what}, and nobody saw it")
            count += 1
        path.write_bytes(whole)
    use()
    return count


def swap(first: Path, second: Path) -> None:
    """Each gets the other's content."""
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


# -- the seal ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def sealed(tmp_path) -> Path:
    with sealed_directory(tmp_path / "stage") as root:
        (root / "sub").mkdir()
        for name in ("a.bin", "b.bin", "sub/c.bin"):
            (root / name).write_bytes(name.encode() * 20)
    return tmp_path / "stage"


def test_every_flip_and_cut_of_a_sealed_directory_is_named(sealed):
    assert found_in_all([path for path in sealed.rglob("*") if path.is_file()], lambda: check_seal(sealed)) > 160


def test_two_swapped_files_of_a_sealed_directory_are_named(sealed):
    swap(sealed / "a.bin", sealed / "b.bin")
    with pytest.raises(InputError, match=r"[ab]\.bin: not the bytes that were written; make it again"):
        check_seal(sealed)


def test_a_file_that_is_gone_is_named_and_what_lies_beside_is_not_asked_for(sealed):
    (sealed / "beside").write_text("x")
    check_seal(sealed)
    (sealed / "sub/c.bin").unlink()
    with pytest.raises(InputError, match=r"c\.bin: no such file"):
        check_seal(sealed)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_a_seal_speaks_of_its_own_directory_only(sealed, name):
    (sealed / SEAL).unlink()
    outside = {name: "0" * 64}
    write_json(sealed / SEAL, {"files": outside, "sha256": files._digest_of(outside)})
    with pytest.raises(InputError, match="a seal of files elsewhere"):
        check_seal(sealed)


def test_a_file_written_anew_is_sealed_anew_and_no_seal_is_no_fault(sealed):
    (sealed / "a.bin").write_bytes(b"new")
    add_to_seal(sealed, [sealed / "a.bin"])
    check_seal(sealed)
    (sealed / SEAL).unlink()
    (sealed / "a.bin").write_bytes(b"other")
    check_seal(sealed)


# -- what stages leave ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def passages(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("rot")
    pages = [Page(page_id=str(n), title=f"P{n}", paragraphs=[f"P{n}", f"words of page {n}"]) for n in range(6)]
    write_passages(pages, root / "passages", max_words=20)
    return root / "passages"


def test_rot_in_passages_is_found_when_they_are_opened(passages, tmp_path):
    copy = Path(shutil.copytree(passages, tmp_path / "passages"))
    whole = [copy / name for name in ("passages.jsonl", "offsets.npy", "meta.json", SEAL)]
    assert found_in_all(whole, lambda: PassageFile(copy).close()) > 100


def test_rot_in_embeddings_is_found_when_they_are_opened(tmp_path):
    plan = ShardPlan(
        model_digest="m",
        passages_digest="p",
        passages=6,
        dimension=4,
        passages_per_shard=3,
        passage_tokens=5,
        dtype="float32",
    )
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    assert write_shards(tmp_path, plan, lambda start, end: rows[start:end]) == [0, 1]
    shards = sorted(tmp_path.glob("shard-*.npy"))
    assert found_in_all([*shards, tmp_path / SEAL], lambda: open_shards(tmp_path)) > 100
    swap(*shards)
    with pytest.raises(InputError, match=r"shard-0000[01]\.npy: not the bytes that were written"):
        open_shards(tmp_path)


def test_a_shard_that_is_damaged_is_not_gone_on_from(tmp_path):
    plan = ShardPlan(
        model_digest="m",
        passages_digest="p",
        passages=4,
        dimension=2,
        passages_per_shard=2,
        passage_tokens=5,
        dtype="float32",
    )
    write_shards(tmp_path, plan, lambda start, end: np.ones((end - start, 2)))
    path = tmp_path / "shard-00001.npy"
    path.write_bytes(flipped(path.read_bytes(), len(path.read_bytes()) - 3))
    assert write_shards(tmp_path, plan, lambda start, end: np.ones((end - start, 2))) == [1]
    np.testing.assert_array_equal(np.concatenate(open_shards(tmp_path)), np.ones((4, 2)))


def test_rot_in_retrieved_passages_is_found_when_they_are_read(tmp_path):
    numbers = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    path = tmp_path / "nq-dev.npz"
    tables = dict.fromkeys(("scores", "confidence", "complete"), numbers)
    ids = {"passages": np.arange(12).reshape(3, 4), "gold": np.zeros((3, 1), np.int64)}
    write_retrieved(path, Retrieved(**tables, **ids, label=numbers[:, 0]))
    whole, unseen = read_retrieved(path), 0
    content = path.read_bytes()
    for at in range(0, len(content), 3):
        path.write_bytes(flipped(content, at))
        try:
            found = read_retrieved(path)
        except InputError as error:
            assert path.name in str(error)
            continue
        unseen += 1  # of the archive's own fields (times, versions): the numbers are what they were
        assert all(np.array_equal(getattr(found, name), value) for name, value in vars(whole).items())
    assert unseen < len(content) / 6


MEMORY = np.random.default_rng(0).normal(size=(130, 2, 3)).astype(np.float32)


def remembered(root: Path, dtype: str, count: list[int] | None = None) -> MemoryStore:
    """A store of MEMORY in three blocks; `count` gets the first passage of each block that is computed."""

    def remember(block):
        if count is not None:
            count.append(int(block[0]))
        return MEMORY[block]

    plan = StorePlan.of(np.arange(130), made_with={"run": "r"}, shape=(2, 3), dtype=dtype)
    return write_store(root, plan, lambda block: block, remember)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_rot_in_the_memory_store_is_found_when_it_is_read(tmp_path, dtype):
    ids, store = np.arange(130)[None], tmp_path / "memory"
    before = remembered(store, dtype).read(ids)
    blocks = sorted(store.glob("block-*.bin"))
    assert len(blocks) == 3

    def use():
        np.testing.assert_array_equal(MemoryStore(store).read(ids), before)

    assert found_in_all([*blocks, store / "meta.json", store / "ids.npy"], use) > 200
    swap(*blocks[:2])
    with pytest.raises(InputError, match="block-0000000-.*: not a whole memory store.*other bytes for passage 0"):
        use()
    swap(*blocks[:2])
    blocks[1].unlink()
    with pytest.raises(InputError, match="block-0000001-.*: not a whole memory store.*found nothing"):
        use()


def test_a_block_of_memory_that_is_damaged_is_made_again_and_no_other(tmp_path):
    store = tmp_path / "memory"
    remembered(store, "int8")
    block = sorted(store.glob("block-*.bin"))[1]
    whole = block.read_bytes()
    for what, content in [*damages(whole, 12), ("a byte more", whole + b"\0")]:
        block.write_bytes(content)
        made: list[int] = []
        remembered(store, "int8", made)
        assert made == [64] and block.read_bytes() == whole, what


def test_passages_of_memory_that_change_places_in_a_block_are_named(tmp_path):
    remembered(tmp_path / "memory", "bfloat16")
    block = sorted((tmp_path / "memory").glob("block-*.bin"))[0]
    content, size = block.read_bytes(), len(block.read_bytes()) // 64
    block.write_bytes(content[size : 2 * size] + content[:size] + content[2 * size :])
    with pytest.raises(InputError, match="other bytes for passage 0"):
        MemoryStore(tmp_path / "memory").read(np.array([[0]]))


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_memory_of_zeros_is_stored_like_any_other(tmp_path, dtype):
    plan = StorePlan.of(np.arange(70), made_with={}, shape=(1, 2), dtype=dtype)
    store = write_store(tmp_path / "m", plan, lambda block: block, lambda block: np.zeros((len(block), 1, 2)))
    np.testing.assert_array_equal(store.read(np.array([[3, 69, -1]])), np.zeros((1, 3, 1, 2)))


def test_rot_in_the_checkpoints_of_a_run_is_found_before_they_are_used(tmp_path):
    """Orbax itself sees a part of it, and restores other numbers from the rest without a word."""
    state = {"a": np.arange(600, dtype=np.float32).reshape(20, 30), "b": np.ones(7, np.float32)}
    progress = {"identity": {"run": "r"}, "curve": [{"step": 3, "dev_average": 0.5}]}
    checkpoints = RunCheckpoints(tmp_path / "c")
    for step in (2, 3):
        checkpoints.save_latest(step, state, progress)
        checkpoints.save_best(step, state)
    checkpoints.save_last(3, state)

    def use():
        check_seal(tmp_path / "c", "last/")
        assert checkpoints.restore_latest(state, {"run": "r"}) is not None

    saved = [path for path in (tmp_path / "c").rglob("*") if path.is_file() and path.stat().st_size > 4]
    assert len(saved) > 20 and found_in_all(saved, use, flips=8) > 200
    checkpoints.forget()
    assert checkpoints.restore_latest(state, {"run": "r"}) is None
    checkpoints.close()


def test_a_save_that_was_killed_before_its_seal_does_not_stop_a_run(tmp_path, monkeypatch):
    """What Orbax wrote whole is used; the seal then speaks of the step before, which is gone."""
    state = {"a": np.ones(3, np.float32)}
    checkpoints = RunCheckpoints(tmp_path / "c")
    progress = {"identity": {}, "curve": [{"step": 1, "dev_average": 0.5}]}
    checkpoints.save_latest(1, state, progress)
    checkpoints.save_best(1, state)
    monkeypatch.setattr(RunCheckpoints, "_seal", lambda *_: None)
    checkpoints.save_latest(2, state, {"identity": {}, "curve": [{"step": 2, "dev_average": 0.6}]})
    checkpoints.save_best(2, state)
    assert checkpoints.restore_latest(state, {}) is not None
    checkpoints.close()
    out = tmp_path / "trained"
    _write(out, {"curve": []}, tmp_path / "c")
    check_seal(out)
    assert (out / "best/2").is_dir()


def test_rot_in_a_pretrained_checkpoint_or_its_vocabulary_is_found_when_a_run_is_put_together(tmp_path):
    study = load_study("smoke")
    run, init, vocabulary = next(iter(runs_for(study))), tmp_path / "init", tmp_path / "work/tokenizer/tokenizer.json"
    for name in ("tokens", "retrieved", "filtered", "tokenizer"):
        (tmp_path / "work" / name).mkdir(parents=True)
    vocabulary.write_text('{"model": "unigram", "pieces": 512}')
    with sealed_directory(init) as temporary:
        (temporary / "model.safetensors").write_bytes(bytes(range(256)))
        (temporary / "tokenizer.json").write_bytes(vocabulary.read_bytes())

    def put_together():
        Materials.of(study, run, work=tmp_path / "work", data=tmp_path, initial=init)

    put_together()
    whole = [init / "model.safetensors", init / "tokenizer.json", init / SEAL, vocabulary]
    assert found_in_all(whole, put_together) > 100
