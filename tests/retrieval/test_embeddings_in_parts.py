"""Embeddings in parts: the shards of one job, to the byte, renamed into place, wherever somebody stopped it."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.experiments.sections import ContrastiveSettings
from glimmer.parts import all_parts, gathering, part_folder, parts_folder, stamp_file
from glimmer.retrieval.shards import ShardPlan, gather_shards, open_shards, require_part, shard_path, write_shards
from glimmer.retrieval.steps import embed_passages, gather_embeddings, train_retriever
from tests.test_parts import contents, in_another_process, killed_at_each_file_operation

PLAN = ShardPlan(model_digest="m", passages_digest="p", passages=10, dimension=2, passages_per_shard=4,
                 passage_tokens=8, dtype="float32")  # fmt: skip


def rows(start: int, end: int) -> np.ndarray:
    return np.arange(2 * start, 2 * end, dtype=np.float32).reshape(-1, 2)


def places(out: Path, of: int) -> dict:
    return {part: part_folder(out, part) for part in all_parts(of)}


def write_parts(out: Path, of: int, plan: ShardPlan = PLAN) -> None:
    for part, place in places(out, of).items():
        write_shards(place, plan, rows, part)


def gather(out: Path, of: int, plan: ShardPlan = PLAN) -> None:
    with gathering(out):
        for part, place in places(out, of).items():
            require_part(out, plan, part, place)
        gather_shards(out, plan, places(out, of))


@pytest.fixture
def one(tmp_path) -> dict[str, bytes]:
    write_shards(tmp_path / "one", PLAN, rows)
    return contents(tmp_path / "one")


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_gathered_shards_are_those_of_one_job_to_the_byte_and_are_moved(tmp_path, one, of):
    write_parts(tmp_path / "p", of)
    made = {path.name: path.stat().st_ino for path in parts_folder(tmp_path / "p").rglob("shard-*.npy")}
    gather(tmp_path / "p", of)
    assert contents(tmp_path / "p") == one and not contents(parts_folder(tmp_path / "p"))
    assert made == {path.name: path.stat().st_ino for path in (tmp_path / "p").glob("shard-*.npy")}
    np.testing.assert_array_equal(np.concatenate(open_shards(tmp_path / "p")), rows(0, 10))


def test_a_part_that_is_interrupted_goes_on_behind_its_last_whole_shard(tmp_path, one):
    def fails_at_the_second(start, end):
        if start == 4:
            raise KeyboardInterrupt
        return rows(start, end)

    (whole,) = all_parts(1)
    place = part_folder(tmp_path / "p", whole)
    with pytest.raises(KeyboardInterrupt):
        write_shards(place, PLAN, fails_at_the_second, whole)
    with pytest.raises(InputError, match="shard-00001.npy: a part is missing; expected what --part 1/1 makes"):
        gather(tmp_path / "p", 1)
    assert not (tmp_path / "p").exists()
    assert write_shards(place, PLAN, rows, whole) == [1, 2]
    gather(tmp_path / "p", 1)
    assert contents(tmp_path / "p") == one


@pytest.mark.parametrize("of", [None, 2])
def test_what_the_workflow_deletes_before_it_calls_again_costs_no_shard(tmp_path, one, of):
    """Snakemake removes a rule's output, here meta.json, when a job failed and before it runs it again."""
    out = tmp_path / "p"
    if of is None:
        write_shards(out, PLAN, rows)
        (out / "meta.json").unlink()
        assert write_shards(out, PLAN, rows) == []
    else:
        write_parts(out, of)
        gather(out, of)
        (out / "meta.json").unlink()
        gather(out, of)
    assert contents(out) == one


def test_shards_that_an_earlier_version_left_are_gone_on_from(tmp_path, one):
    write_shards(tmp_path / "p", PLAN, rows)
    (tmp_path / "p" / ".plan.json").unlink()
    assert write_shards(tmp_path / "p", PLAN, rows) == [] and contents(tmp_path / "p") == one


@pytest.mark.parametrize("key, value", [("model_digest", "n"), ("passages_digest", "q"), ("passages_per_shard", 5)])
def test_parts_by_another_tower_corpus_or_size_are_refused_by_what_differs(tmp_path, key, value):
    write_parts(tmp_path / "p", 2, dataclasses.replace(PLAN, **{key: value}))
    with pytest.raises(InputError, match=rf"1-of-2/\.plan\.json: a part of something else, by its {key}"):
        gather(tmp_path / "p", 2)
    assert not (tmp_path / "p").exists()


def test_parts_of_another_number_are_never_gathered(tmp_path, one):
    write_parts(tmp_path / "p", 2)
    with pytest.raises(InputError, match="1-of-3.*a part is missing"):
        gather(tmp_path / "p", 3)
    write_parts(tmp_path / "p", 3)
    gather(tmp_path / "p", 3)
    assert contents(tmp_path / "p") == one and not contents(parts_folder(tmp_path / "p"))


def test_embeddings_by_another_plan_go_before_new_ones_come(tmp_path, one):
    out, other = tmp_path / "p", dataclasses.replace(PLAN, model_digest="n", passages_per_shard=1)
    write_parts(out, 2, other)
    gather(out, 2, other)
    write_parts(out, 2)
    gather(out, 2)
    assert contents(out) == one


def gather_again_and_again(root: Path) -> None:
    """Kills a gathering of shards at each of its file operations, and looks at what it becomes."""
    out, one = root / "p", contents(root / "one")

    def prepare():
        for path in (out, parts_folder(out)):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(root / "kept", parts_folder(out))

    for stops in killed_at_each_file_operation(lambda: gather(out, 2), prepare):
        (out / "meta.json").unlink(missing_ok=True)  # as the workflow does
        gather(out, 2)
        whole = {name: content for name, content in contents(out).items() if name in one}
        assert whole == one, stops
        open_shards(out)
    assert stops > 10


@pytest.mark.slow
def test_a_gathering_of_shards_that_is_killed_anywhere_goes_on(tmp_path, one):
    write_parts(tmp_path / "p", 2)
    shutil.copytree(parts_folder(tmp_path / "p"), tmp_path / "kept")
    module = "tests.retrieval.test_embeddings_in_parts"
    done = in_another_process(f"{module}.gather_again_and_again({module}.Path({str(tmp_path)!r}))")
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def tower(small_world, tmp_path_factory):
    gtr = tmp_path_factory.mktemp("tower") / "gtr"
    settings = ContrastiveSettings(steps=0, batch_size=8, learning_rate=3e-3, seed=0)
    train_retriever(small_world / "init", small_world / "passages", small_world / "data", gtr, tasks=["nq"],
                    settings=settings, question_tokens=12, passage_tokens=24)  # fmt: skip
    return gtr


@pytest.mark.parametrize("towers", [1, 2])
def test_a_corpus_that_is_embedded_in_parts_is_the_same_to_the_byte(small_world, tower, tmp_path, towers):
    gtr = tower
    if towers == 2:
        gtr = tmp_path / "gtr"
        for half in (0, 1):
            shutil.copytree(tower, gtr / f"half-{half}")
    places, size = (gtr, small_world / "passages"), {"passages_per_shard": 10}
    embed_passages(*places, tmp_path / "one", **size)
    for part in all_parts(2):
        embed_passages(*places, tmp_path / "p", part=part, **size)
        assert stamp_file(tmp_path / "p", part).exists()
    gather_embeddings(*places, tmp_path / "p", 2, **size)
    assert contents(tmp_path / "p") == contents(tmp_path / "one")
    assert sorted(contents(parts_folder(tmp_path / "p"))) == ["1-of-2.json", "2-of-2.json"]


def test_the_command_embeds_parts_and_gathers_them_and_a_missing_one_loses_its_stamp(
    small_world, tower, tmp_path, capsys
):
    def embed(*options):
        places = ["--gtr", str(tower), "--passages", str(small_world / "passages"), "--out", str(tmp_path / "p")]
        return main(["embed", "--study", "smoke", *places, "--passages-per-shard", "10", *options])

    assert embed("--part", "1/2") == embed("--part", "2/2") == 0
    first, second = all_parts(2)
    shutil.rmtree(part_folder(tmp_path / "p", second))
    assert embed("--gather", "2") == 2
    assert "a part is missing; expected what --part 2/2 makes" in capsys.readouterr().err
    assert stamp_file(tmp_path / "p", first).exists() and not stamp_file(tmp_path / "p", second).exists()
    assert embed("--part", "2/2") == embed("--gather", "2") == 0
    assert [len(shard) for shard in open_shards(tmp_path / "p")] == [10, 10, 4]
    assert shard_path(tmp_path / "p", 2).exists()
