"""The memory store of a run: whose it is, who may write it, and the bytes that plans state."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from glimmer.commands.plan import cost
from glimmer.experiments import load_study, runs_for
from glimmer.experiments.sections import Devices
from glimmer.experiments.settings import fid, lumen
from glimmer.models.store import DIGEST_BYTES, StorePlan, write_store
from glimmer.parts import StagePart, all_parts
from glimmer.runs import memory
from glimmer.runs.bill import memory_bytes_per_passage
from glimmer.runs.memory import write_memory, write_part
from tests.models.tiny import PASSAGE, ragged, tiny_reader

TOKENS = ragged(np.random.default_rng(0), 200, PASSAGE)
RETRIEVED = {"nq": np.arange(140).reshape(35, 4), "fever": np.full((2, 4), -1)}


def materials(retrieved=RETRIEVED, dtype="bfloat16", tokens="t"):
    """Of a run, what its memory is made of."""
    batcher = SimpleNamespace(
        passage_ids=lambda task, row: retrieved[task.task][row],
        corpus=SimpleNamespace(gather=lambda ids, length: TOKENS[ids][..., :length]),  # 140 of them: three blocks
        lengths=SimpleNamespace(passage=PASSAGE),
    )
    evaluated = [SimpleNamespace(task=task, rows=np.arange(len(rows))) for task, rows in retrieved.items()]
    study = SimpleNamespace(evaluation=SimpleNamespace(memory_dtype=dtype), devices=Devices())
    return SimpleNamespace(
        batcher=batcher, evaluated=evaluated, study=study, run=SimpleNamespace(id="r"), digests={"tokens": tokens}
    )


@pytest.fixture(scope="module")
def reader():
    return tiny_reader(lumen(alpha="1/2", k=4))


@pytest.fixture
def computed(monkeypatch):
    """The numbers of the blocks that are computed, call by call."""
    calls, real = [], memory.write_blocks
    monkeypatch.setattr("glimmer.models.store.write_blocks", lambda *a: calls.append(real(*a)) or calls[-1])
    return calls


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_jobs_write_what_the_evaluation_reads_and_it_makes_what_they_left_out(reader, computed, tmp_path, dtype):
    made = materials(dtype=dtype)
    assert write_part(reader, made, tmp_path / "shared", StagePart(number=3, of=3)) == [2]
    store = write_memory(reader, made, tmp_path / "shared")
    assert computed == [[0, 1]]
    alone = write_memory(reader, made, tmp_path / "alone")
    assert computed[1:] == [[0, 1, 2]] and files(tmp_path / "shared") == files(tmp_path / "alone")
    ids = RETRIEVED["nq"][:2]
    exact = np.asarray(reader.remember_passages(TOKENS[ids]))
    assert np.abs(store.read(ids).astype(np.float32) - exact).max() <= np.abs(exact).max() / 127
    np.testing.assert_array_equal(store.read(ids), alone.read(ids))


@pytest.mark.parametrize("of", [2, 4])
def test_the_parts_of_a_study_leave_the_bytes_that_one_job_leaves_in_any_order(reader, computed, tmp_path, of):
    """Of three blocks: more parts than that have one with nothing to do. The evaluation then computes none."""
    jobs = list(all_parts(load_study("smoke", {"parts.remember": of}).parts.remember))
    made = materials()
    written = [write_part(reader, made, tmp_path / "parts", part) for part in reversed(jobs)]
    assert len(written) == of and sorted(block for blocks in written for block in blocks) == [0, 1, 2]
    assert write_part(reader, made, tmp_path / "alone") == [0, 1, 2]
    assert files(tmp_path / "parts") == files(tmp_path / "alone")
    write_memory(reader, made, tmp_path / "parts")
    assert computed[-1] == [] and files(tmp_path / "parts") == files(tmp_path / "alone")


def test_memory_of_other_parameters_tokens_or_code_is_made_anew(reader, computed, tmp_path, monkeypatch):
    write_memory(reader, materials(), tmp_path)
    write_memory(reader, materials(), tmp_path)
    assert computed == [[0, 1, 2], []]
    for changed in ("embedding", "memory"):
        other = tiny_reader(lumen(alpha="1/2", k=4))
        setattr(other, changed, jax.tree.map(lambda leaf: leaf + 1, getattr(other, changed)))
        write_memory(other, materials(), tmp_path)
        assert computed.pop() == [0, 1, 2], changed
    write_memory(reader, materials(), tmp_path)
    write_memory(reader, materials(tokens="u"), tmp_path)
    monkeypatch.setattr(memory, "code_version", lambda: "another")
    write_memory(reader, materials(), tmp_path)
    assert computed[2:] == 3 * [[0, 1, 2]]


def test_what_is_not_remembered_does_not_make_memory_another(reader, computed, tmp_path):
    write_memory(reader, materials(), tmp_path)
    other = tiny_reader(lumen(alpha="1/2", k=4))
    other.decoder = jax.tree.map(lambda leaf: leaf + 1, other.decoder)
    write_memory(other, materials(), tmp_path)
    assert computed == [[0, 1, 2], []]


def test_nothing_is_stored_where_every_layer_is_live_or_there_is_no_passage(reader, tmp_path):
    nowhere = materials({"nq": np.full((2, 4), -1)})
    for one, made in ((tiny_reader(fid(k=4)), materials()), (reader, nowhere)):
        assert write_memory(one, made, tmp_path / "memory") is None
        assert write_part(one, made, tmp_path / "memory") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_store_takes_the_bytes_that_the_plan_of_a_study_says_and_a_digest_a_passage(tmp_path, dtype):
    study = load_study("smoke", {"evaluation.memory_dtype": dtype})
    run = next(run for run in runs_for(study).values() if run.reader.name == "glimmer")
    shape, passages = (study.lengths.passage, run.dimensions.d_model), np.arange(7)
    plan = StorePlan.of(passages, made_with={}, shape=shape, dtype=study.evaluation.memory_dtype, rows_per_block=3)
    store = write_store(tmp_path / "memory", plan, lambda ids: ids, lambda block: np.ones((len(block), *shape)))
    stated = cost(study, run)["memory_bytes_per_passage"]
    assert stated == store.bytes_per_passage == memory_bytes_per_passage(study, run)
    sizes = [path.stat().st_size for path in sorted(store.directory.glob("block-*.bin"))]
    assert sizes == [rows * (stated + DIGEST_BYTES) for rows in (3, 3, 1)]
