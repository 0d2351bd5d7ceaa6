"""The retrieval stages from directory to directory: train the tower, embed the corpus, retrieve."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

from glimmer.errors import InputError
from glimmer.experiments.sections import ContrastiveSettings
from glimmer.files import check_seal, read_json, sealed_directory, sha256_directory, sha256_file, write_json
from glimmer.kilt.formats import Example, read_examples, task_file
from glimmer.kilt.passages import PassageFile
from glimmer.kilt.provenance import PageIndex
from glimmer.models.forms import tokenizer_file
from glimmer.models.tokenizer import Tokenizer
from glimmer.parts import StagePart, all_parts, gathering, part_folder, require_parts, write_stamp
from glimmer.retrieval.bm25 import build_bm25, search_bm25
from glimmer.retrieval.contrastive import train_gtr
from glimmer.retrieval.device_search import device_search
from glimmer.retrieval.embed import Embedder, embed_corpus, passage_text
from glimmer.retrieval.evidence import evidence_metrics, judged, pages_of
from glimmer.retrieval.gtr import GTR, gtr_from_t5, is_gtr, load_gtr, save_gtr, tokenizer_path
from glimmer.retrieval.pairs import gold_pairs, hard_negatives, training_pairs
from glimmer.retrieval.retrieved import Retrieved, retrieved_path, write_retrieved
from glimmer.retrieval.search import search
from glimmer.retrieval.shards import ShardPlan, gather_shards, open_shards, read_plan, require_part
from glimmer.retrieval.towers import HALVES, half_directory, half_of, served_by, towers_in

_Find = Callable[[Sequence[Example]], tuple[np.ndarray, np.ndarray]]
"""Examples -> (ids, scores), [examples, depth] each."""
SPLITS = ("train", "dev")


def train_retriever(
    init: str | Path,
    passages: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    tasks: Sequence[str],
    settings: ContrastiveSettings,
    question_tokens: int,
    passage_tokens: int,
    dimension: int | None = None,
    hard_negatives_per_question: int = 0,
    pairs_per_task: int | None = None,
    cross_fit: bool = False,
) -> dict[str, Any]:
    """Trains a GTR tower on the tasks' train questions and writes a sentence-transformers directory to `out`.

    `init` is a T5 checkpoint, or a published GTR, which zero steps pass on as it is. `training.json` beside
    the tower has settings, counts of pairs and every step's loss. `cross_fit` trains two towers instead, each from
    `init` on one half of the questions, and writes them to `out/half-0` and `out/half-1` (`glimmer.retrieval.towers`);
    with zero steps there is nothing to fit. Returns a summary.
    """
    start, tokenizer_file = _initial(Path(init), dimension, settings.seed)
    described = {name: value for name, value in vars(settings).items() if name != "directory"} | {
        "question_tokens": question_tokens,
        "passage_tokens": passage_tokens,
        "hard_negatives": hard_negatives_per_question,
        "pairs_per_task": pairs_per_task,
    }
    trained: dict[int | None, tuple[GTR, dict[str, Any]]] = {None: (start, {"pairs": {}, "log": []})}
    if settings.steps:
        tokenizer, corpus = Tokenizer(tokenizer_file), PassageFile(passages)
        index, bm25 = PageIndex(corpus), build_bm25(_texts(corpus)) if hard_negatives_per_question else None
        examples = {task: list(read_examples(task_file(data, task, "train"))) for task in tasks}

        def train(half: int | None) -> tuple[GTR, dict[str, Any]]:
            seen = {task: [row for row in rows if half in (None, half_of(row.id))] for task, rows in examples.items()}
            pairs = gold_pairs(seen, index, per_task=pairs_per_task, seed=settings.seed)
            negatives = None if bm25 is None else hard_negatives(pairs, corpus, bm25, hard_negatives_per_question)
            lengths = {"question_tokens": question_tokens, "passage_tokens": passage_tokens}
            gtr, log = train_gtr(start, training_pairs(pairs, negatives, corpus, tokenizer, **lengths), settings)
            return gtr, {"pairs": {task: sum(pair.task == task for pair in pairs) for task in tasks}, "log": log}

        trained = {half: train(half) for half in (HALVES if cross_fit else (None,))}
    with sealed_directory(out) as root:
        for half, (gtr, record) in trained.items():
            place = root if half is None else half_directory(root, half)
            save_gtr(gtr, root / "model", tokenizer_file, tokens=passage_tokens)
            place.mkdir(exist_ok=True)
            for path in sorted((root / "model").iterdir()):
                path.rename(place / path.name)
            (root / "model").rmdir()
            write_json(place / "training.json", {"settings": described, "half": half} | record)
    return _by_tower({half: _summary(gtr, record) for half, (gtr, record) in trained.items()})


def _summary(gtr: GTR, record: Mapping[str, Any]) -> dict[str, Any]:
    log = record["log"]
    last = log[-10:]
    mean = {key: float(np.mean([row[key] for row in last])) for key in ("loss", "accuracy")} if last else {}
    return {"steps": len(log), "dimension": gtr.dimension, "pairs": record["pairs"], "last_10_steps": mean}


def _by_tower(summaries: Mapping[int | None, dict[str, Any]]) -> dict[str, Any]:
    """The summary of the one tower, or those of both by the names of their directories."""
    if set(summaries) == {None}:
        return summaries[None]
    return {f"half-{half}": summary for half, summary in summaries.items()}


def embed_passages(
    gtr: str | Path,
    passages: str | Path,
    out: str | Path,
    *,
    passage_tokens: int | None = None,
    dtype: str = "float32",
    passages_per_shard: int = 8192,
    tokens_per_batch: int | None = None,
    part: StagePart | None = None,
) -> dict[str, Any]:
    """Embeds every passage with the tower in `gtr`; goes on where an interrupted run stopped.

    Of two towers each has its own embeddings, in `out/half-0` and `out/half-1`. `passage_tokens` defaults to what the
    tower's directory says it was trained with. With `part` only its share of the shards is made, for
    `gather_embeddings`, in the part's folder beside `out`. Returns a summary.
    """
    corpus = PassageFile(passages)
    check_seal(gtr)

    def read(start: int, end: int) -> list[str]:
        rows = (corpus[number] for number in range(start, end))
        return [passage_text(row["title"], row["text"]) for row in rows]

    summaries, plans = {}, {}
    for half, tower, place in _places(gtr, out if part is None else part_folder(out, part)):
        model, plan = _plan(tower, corpus, passage_tokens, dtype, passages_per_shard)
        embedder = Embedder(model, Tokenizer(tokenizer_path(tower)), tokens_per_batch=tokens_per_batch)
        computed = embed_corpus(embedder, read, place, plan=plan, part=part)
        summaries[half], plans[half] = _of_shards(plan, len(computed)), plan
    if part is not None:
        write_stamp(out, part, _by_tower({half: asdict(plan) for half, plan in plans.items()}))
    return _by_tower(summaries)


def gather_embeddings(
    gtr: str | Path,
    passages: str | Path,
    out: str | Path,
    of: int,
    *,
    passage_tokens: int | None = None,
    dtype: str = "float32",
    passages_per_shard: int = 8192,
) -> dict[str, Any]:
    """Makes `out` of the parts that `embed_passages` has left beside it, by renaming their shards.

    Raises InputError, before any work, for a part that is missing or not whole, or is of another tower, corpus or
    length, and where another process is at it.
    """
    corpus, summaries, work = PassageFile(passages), {}, []
    check_seal(gtr)
    with gathering(out):
        for half, tower, place in _places(gtr, out):
            plan = _plan(tower, corpus, passage_tokens, dtype, passages_per_shard)[1]
            places = {part: dict(_halves(gtr, part_folder(out, part)))[half] for part in all_parts(of)}
            require_parts(out, places, functools.partial(_require_shards, place, plan, places))
            work.append((place, plan, places))
            summaries[half] = _of_shards(plan, 0)
        for place, plan, places in work:
            gather_shards(place, plan, places)
    return _by_tower(summaries)


def _require_shards(place: Path, plan: ShardPlan, places: Mapping[StagePart, Path], part: StagePart) -> None:
    require_part(place, plan, part, places[part])


def _of_shards(plan: ShardPlan, computed: int) -> dict[str, int]:
    counts = {"passages": plan.passages, "dimension": plan.dimension, "shards": len(plan.shards())}
    return counts | {"computed_now": computed}


def _halves(gtr: str | Path, embeddings: str | Path) -> list[tuple[int | None, Path]]:
    return [(half, place) for half, _, place in _places(gtr, embeddings)]


def _places(gtr: str | Path, embeddings: str | Path) -> list[tuple[int | None, Path, Path]]:
    """(half, tower, its embeddings) of the one tower, whose half is None, or of both."""
    towers = towers_in(gtr)
    if len(towers) == 1:
        return [(None, towers[0], Path(embeddings))]
    return [(half, tower, half_directory(embeddings, half)) for half, tower in enumerate(towers)]


def retrieve_tasks(
    data: str | Path,
    passages: str | Path,
    out: str | Path,
    *,
    tasks: Sequence[str],
    depth: int,
    kind: str = "gtr",
    gtr: str | Path | None = None,
    embeddings: str | Path | None = None,
    question_tokens: int = 48,
    dtype: str = "float32",
    splits: Sequence[str] = SPLITS,
) -> dict[str, Any]:
    """Retrieves `depth` passages for every example of the tasks; writes <task>-<split>.npz and metrics.json.

    `kind` "gtr" needs the tower and its embeddings, "bm25" neither. Of two towers each serves those questions, of train
    and dev, that belong to the half which it was not trained on. Returns {task: {split: metrics}}. Raises InputError
    before any work if depth exceeds the corpus, or the embeddings are of another tower or corpus.
    """
    corpus = PassageFile(passages)
    if gtr is not None:
        check_seal(gtr)
    if not 1 <= depth <= len(corpus):
        raise InputError(
            "cannot retrieve that many passages",
            where=passages,
            expected=f"1 <= depth <= {len(corpus)} (the corpus)",
            found=depth,
        )
    files = {(task, split): task_file(data, task, split) for task in tasks for split in splits}
    if kind == "bm25":
        find = _by_words(corpus, depth)
    elif kind == "gtr":
        if gtr is None or embeddings is None:
            raise InputError(
                "dense retrieval needs a tower", expected="--gtr DIR and --embeddings DIR", found="not both"
            )
        find = _by_towers(_checked_shards(gtr, embeddings, corpus), depth, question_tokens, dtype)
    else:
        raise InputError("unknown kind of retriever", expected="gtr or bm25", found=kind)
    pages = PageIndex(corpus)
    metrics: dict[str, Any] = {}
    with sealed_directory(out) as root:
        for (task, split), file in files.items():
            examples = list(read_examples(file))
            retrieved = _retrieve(find, examples, pages, depth)
            write_retrieved(retrieved_path(root, task, split), retrieved)
            of_pages = pages_of(retrieved.passages, corpus)
            metrics.setdefault(task, {})[split] = evidence_metrics(retrieved, examples, of_pages)
        write_json(root / "metrics.json", metrics)
    return metrics


def _by_words(corpus: PassageFile, depth: int) -> _Find:
    index = build_bm25(_texts(corpus))
    return lambda examples: search_bm25(index, [example.input for example in examples], depth)


def _by_towers(
    towers_and_shards: Sequence[tuple[Path, list[np.ndarray]]], depth: int, question_tokens: int, dtype: str
) -> _Find:
    """Each tower, with its embeddings, finds for the questions that it serves."""
    towers = [
        (Embedder(load_gtr(tower, dtype=dtype), Tokenizer(tokenizer_path(tower))), shards)
        for tower, shards in towers_and_shards
    ]
    look_up = search if jax.default_backend() == "cpu" else device_search  # the same answer, to the bit

    def find(examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        ids, scores = np.zeros((len(examples), depth), np.int64), np.zeros((len(examples), depth), np.float32)
        for number, (embedder, shards) in enumerate(towers):
            rows = served_by([example.id for example in examples], number, len(towers))
            if len(rows):
                questions = [examples[row].input for row in rows]
                embedded = embedder.texts(questions, question_tokens, keep="last", progress="embed questions")
                ids[rows], scores[rows] = look_up(embedded, shards, depth)
        return ids, scores

    return find


def _initial(init: Path, dimension: int | None, seed: int) -> tuple[GTR, Path]:
    """The tower to start from and its vocabulary, of a T5 checkpoint or of a published GTR."""
    if not is_gtr(init):
        return gtr_from_t5(init, dimension=dimension, seed=seed), tokenizer_file(init)
    gtr = load_gtr(init)
    if dimension not in (None, gtr.dimension):
        raise InputError("the tower has another width", where=init, expected=dimension, found=gtr.dimension)
    return gtr, tokenizer_path(init)


def _plan(
    gtr: str | Path, corpus: PassageFile, passage_tokens: int | None, dtype: str, passages_per_shard: int
) -> tuple[GTR, ShardPlan]:
    model = load_gtr(gtr, dtype=dtype)
    if passage_tokens is None:
        passage_tokens = int(read_json(Path(gtr) / "sentence_bert_config.json")["max_seq_length"])
    return model, ShardPlan(
        model_digest=sha256_directory(gtr),
        passages_digest=_digest(corpus),
        passages=len(corpus),
        dimension=model.dimension,
        passages_per_shard=passages_per_shard,
        passage_tokens=passage_tokens,
        dtype=dtype,
    )


def _checked_shards(
    gtr: str | Path, embeddings: str | Path, corpus: PassageFile
) -> list[tuple[Path, list[np.ndarray]]]:
    """(tower, the corpus embedded with it) of every tower; all are checked before any is loaded."""
    checked, digest = [], _digest(corpus)
    for _, tower, place in _places(gtr, embeddings):
        plan = read_plan(place)
        for what, expected, shards_digest in (
            ("tower", sha256_directory(tower), plan.model_digest),
            ("corpus", digest, plan.passages_digest),
        ):
            if expected != shards_digest:
                raise InputError(
                    f"embeddings of another {what}", where=place, expected=expected[:12], found=shards_digest[:12]
                )
        checked.append((tower, open_shards(place)))
    return checked


def _digest(corpus: PassageFile) -> str:
    return sha256_file(corpus.directory / "passages.jsonl")


def _texts(corpus: PassageFile):
    return (passage_text(row["title"], row["text"]) for row in corpus)


def _retrieve(find: _Find, examples: Sequence[Example], pages: PageIndex, depth: int) -> Retrieved:
    ids, scores = np.zeros((0, depth), np.int64), np.zeros((0, depth), np.float32)
    if examples:
        ids, scores = find(examples)
    return judged(ids, scores, examples, pages)
