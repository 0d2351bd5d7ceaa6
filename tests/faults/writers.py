"""What stages write, as one function a kind: each leaves `root/stage`, of some 700 kB, always the same bytes."""

from pathlib import Path

import numpy as np

from glimmer.files import write_json
from glimmer.kilt.chunking import write_passages
from glimmer.kilt.formats import Page
from glimmer.models.store import StorePlan, write_store
from glimmer.retrieval.retrieved import Retrieved, write_retrieved
from glimmer.retrieval.shards import ShardPlan, write_shards

ROWS = 3000
NUMBERS = np.random.default_rng(0).random((ROWS, 64), np.float32)


def passages(root: Path) -> None:
    pages = (Page(page_id=str(n), title=f"P{n}", paragraphs=[f"P{n}", f"words of page {n} " * 9]) for n in range(2500))
    write_passages(pages, root / "stage", max_words=50)


def embeddings(root: Path) -> None:
    plan = ShardPlan(model_digest="m", passages_digest="p", passages=ROWS, dimension=64, passages_per_shard=1000,
                     passage_tokens=5, dtype="float32")  # fmt: skip
    write_shards(root / "stage", plan, lambda start, end: NUMBERS[start:end])


def retrieved(root: Path) -> None:
    tables = dict.fromkeys(("scores", "confidence", "complete"), NUMBERS[:, :16])
    ids = {"passages": np.arange(ROWS * 16).reshape(ROWS, 16), "gold": np.zeros((ROWS, 1), np.int64)}
    (root / "stage").mkdir(parents=True, exist_ok=True)
    write_retrieved(root / "stage/nq-dev.npz", Retrieved(**tables, **ids, label=NUMBERS[:, 0]))


def memory(root: Path) -> None:
    values = NUMBERS.reshape(ROWS, 4, 16)
    plan = StorePlan.of(np.arange(ROWS), made_with={"run": "r"}, shape=(4, 16))
    write_store(root / "stage", plan, lambda block: block, lambda block: values[block])


def result(root: Path) -> None:
    write_json(root / "stage/run.json", {"scores": list(range(90_000))})


WRITERS = [passages, embeddings, retrieved, memory, result]
