"""No question is served by a tower that was trained on it, and the two halves are nothing but two trainings."""

import json

import numpy as np
import pytest

from glimmer.errors import InputError
from glimmer.experiments.sections import ContrastiveSettings
from glimmer.files import read_json
from glimmer.kilt.formats import read_examples, task_file
from glimmer.retrieval.retrieved import read_retrieved, retrieved_path
from glimmer.retrieval.steps import embed_passages, retrieve_tasks, train_retriever
from glimmer.retrieval.towers import half_of, served_by, towers_in

SETTINGS = ContrastiveSettings(steps=6, batch_size=4, learning_rate=3e-3, seed=0, temperature=0.05)
LENGTHS = {"question_tokens": 12, "passage_tokens": 24}


def test_ids_alone_decide_halves_of_about_equal_size():
    ids = [f"example {number}" for number in range(2000)]
    halves = [half_of(id) for id in ids]
    assert halves == [half_of(id) for id in ids] and abs(sum(halves) - 1000) < 100
    # sha256("a") ends in 0xbb, sha256("abc") in 0xad, sha256("") in 0x55, sha256("b") in 0x9d, sha256("c") in 0xc6.
    assert [half_of(id) for id in ("a", "abc", "", "b", "c")] == [1, 1, 1, 1, 0]


def test_a_tower_that_memorises_its_rows_serves_none_of_them_and_every_row_has_one():
    ids = [f"example {number}" for number in range(50)]
    served = [served_by(ids, tower, 2).tolist() for tower in (0, 1)]
    for tower, rows in enumerate(served):
        memorised = {id for id in ids if half_of(id) == tower}
        assert not memorised & {ids[row] for row in rows}
    assert sorted(served[0] + served[1]) == list(range(50))
    assert served_by(ids, 0, 1).tolist() == list(range(50)), "one tower serves all"


@pytest.fixture(scope="module")
def halves(small_world, tmp_path_factory):
    """The small world's data with both towers (gtr/), the corpus embedded with each, and what they retrieve."""
    out = tmp_path_factory.mktemp("halves")
    root = small_world
    data = (root / "init", root / "passages", root / "data")
    summary = train_retriever(*data, out / "gtr", tasks=["nq"], settings=SETTINGS, cross_fit=True, **LENGTHS)
    embedded = embed_passages(out / "gtr", root / "passages", out / "embeddings", passages_per_shard=10)
    where = {"tasks": ["nq"], "depth": 4, "question_tokens": 12}
    places = {"gtr": out / "gtr", "embeddings": out / "embeddings"}
    retrieve_tasks(root / "data", root / "passages", out / "retrieved", **where, **places)
    for half in (0, 1):
        places = {"gtr": out / f"gtr/half-{half}", "embeddings": out / f"embeddings/half-{half}"}
        retrieve_tasks(root / "data", root / "passages", out / f"alone-{half}", **where, **places)
    return out, summary, embedded


def test_each_tower_is_the_one_that_its_half_alone_makes(small_world, halves, tmp_path):
    out, summary, _ = halves
    lines = (small_world / "data/nq-train-kilt.jsonl").read_text().splitlines(keepends=True)
    for half in (0, 1):
        own = [line for line in lines if half_of(json.loads(line)["id"]) == half]
        (tmp_path / f"data-{half}").mkdir()
        (tmp_path / f"data-{half}/nq-train-kilt.jsonl").write_text("".join(own))
        places = (small_world / "init", small_world / "passages", tmp_path / f"data-{half}", tmp_path / f"gtr-{half}")
        train_retriever(*places, tasks=["nq"], settings=SETTINGS, **LENGTHS)
        for name in ("model.safetensors", "2_Dense/model.safetensors"):
            assert (out / f"gtr/half-{half}" / name).read_bytes() == (tmp_path / f"gtr-{half}" / name).read_bytes()
        assert read_json(out / f"gtr/half-{half}/training.json")["half"] == half
        assert summary[f"half-{half}"]["pairs"] == {"nq": len(own)} and 4 <= len(own) < len(lines)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_every_question_gets_what_the_tower_of_the_other_half_retrieves(small_world, halves, split):
    out, _, embedded = halves
    assert {name: found["computed_now"] for name, found in embedded.items()} == {"half-0": 3, "half-1": 3}
    both, *alone = (
        read_retrieved(retrieved_path(out / name, "nq", split)) for name in ("retrieved", "alone-0", "alone-1")
    )
    assert (alone[0].scores != alone[1].scores).any(), "the towers differ"
    for row, example in enumerate(read_examples(task_file(small_world / "data", "nq", split))):
        other = alone[1 - half_of(example.id)]
        np.testing.assert_array_equal(both.passages[row], other.passages[row])
        # To rounding: a question is embedded among others.
        np.testing.assert_allclose(both.scores[row], other.scores[row], rtol=1e-5)


def test_zero_steps_make_one_tower_whatever_is_asked(small_world, tmp_path):
    settings = ContrastiveSettings(steps=0, batch_size=4, learning_rate=3e-3, seed=0)
    places = (small_world / "init", small_world / "passages", small_world / "data", tmp_path / "gtr")
    train_retriever(*places, tasks=["nq"], settings=settings, cross_fit=True, **LENGTHS)
    assert towers_in(tmp_path / "gtr") == (tmp_path / "gtr",)


def test_embeddings_of_one_half_are_not_taken_for_the_other_s(small_world, halves, tmp_path):
    out, _, _ = halves
    (tmp_path / "swapped").mkdir()
    for half in (0, 1):
        (tmp_path / f"swapped/half-{half}").symlink_to(out / f"embeddings/half-{1 - half}")
    with pytest.raises(InputError, match="embeddings of another tower"):
        retrieve_tasks(small_world / "data", small_world / "passages", tmp_path / "out", tasks=["nq"], depth=3,
                       gtr=out / "gtr", embeddings=tmp_path / "swapped")  # fmt: skip
