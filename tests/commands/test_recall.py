"""Recall of pages as KILT counts it, of retrieved passages; and public numbers beside it."""

import json

import numpy as np
import pytest

from analysis.reference import beside_public, public_scores
from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.evaluation.kilt_scores import score_files
from glimmer.experiments import load_study
from glimmer.files import read_json, write_json, write_json_lines
from glimmer.kilt.chunking import write_passages
from glimmer.kilt.download import PUBLISHED
from glimmer.kilt.formats import Page
from glimmer.kilt.passages import PassageFile
from glimmer.retrieval.evidence import judged
from glimmer.retrieval.retrieved import retrieved_path, write_retrieved

QUESTIONS = {
    "one page": [["3"]],
    "two pages": [["1", "4"]],
    "either of two sets": [["2"], ["5", "0"]],
    "a page that is not there": [["99"]],
    "no evidence": [],
}


@pytest.fixture
def retrieved(tmp_path):
    """A folder: data of one task, passages (two a page), what was retrieved, and a guess file that says the same."""
    from glimmer.kilt.formats import read_examples
    from glimmer.kilt.provenance import PageIndex

    pages = [Page(page_id=str(i), title=f"p{i}", paragraphs=[f"p{i}", "One two.", "Three four."]) for i in range(6)]
    write_passages(pages, tmp_path / "passages", max_words=2)
    gold = [
        {"id": name, "input": "?", "output": [{"answer": "x", **_provenance(pages)} for pages in sets or [None]]}
        for name, sets in QUESTIONS.items()
    ]
    write_json_lines(tmp_path / "data" / "nq-dev-kilt.jsonl", gold)
    corpus = PassageFile(tmp_path / "passages")
    passages = np.array([np.random.default_rng(n).permutation(len(corpus))[:8] for n in range(len(gold))], np.int64)
    examples = list(read_examples(tmp_path / "data" / "nq-dev-kilt.jsonl"))
    found = judged(passages, np.zeros(passages.shape, np.float32), examples, PageIndex(corpus))
    write_retrieved(retrieved_path(tmp_path / "retrieved", "nq", "dev"), found)
    guesses = [
        {"id": row["id"], "output": [{"answer": "x", "provenance": [corpus.provenance(int(n)) for n in numbers]}]}
        for row, numbers in zip(gold, passages, strict=True)
    ]
    write_json_lines(tmp_path / "guess.jsonl", guesses)
    return tmp_path


def _provenance(pages):
    return {} if pages is None else {"provenance": [{"wikipedia_id": page} for page in pages]}


def recall(folder, *options):
    places = [item for name in ("data", "passages", "retrieved") for item in (f"--{name}", str(folder / name))]
    return main(["recall", *places, *options])


def test_it_is_what_kilts_retrieval_evaluator_says_of_the_same_list(retrieved):
    assert recall(retrieved, "--ks", "1,2,5", "--out", str(retrieved / "recall.json")) == 0
    ours = read_json(retrieved / "recall.json")["tasks"]["nq"]
    scores = score_files(retrieved / "data/nq-dev-kilt.jsonl", retrieved / "guess.jsonl", ks=(1, 2, 5))
    theirs = scores.ranking["wikipedia_id"]
    assert {name: ours[name] for name in ("Rprec", "recall@2", "recall@5")} == pytest.approx(
        {name: theirs[name] for name in ("Rprec", "recall@2", "recall@5")}
    )
    assert ours["n"] == len(QUESTIONS) and 0 < ours["recall@5"] < 1 and 4 <= ours["fewest_pages"] <= 6


@pytest.mark.parametrize("ks", ["0", "1,x", ""])
def test_wrong_depths_and_nothing_retrieved_are_bad_usage(ks, retrieved, capsys):
    assert recall(retrieved, "--ks", ks) == 2
    assert recall(retrieved, "--split", "test") == 2
    assert "nothing was retrieved" in capsys.readouterr().err


def measured(pages, sizes):
    tasks = {task: {"n": n, "Rprec": 0.25, "recall@100": 0.75} for task, n in sizes.items()}
    return {"pages": pages, "passages": 9, "split": "dev", "tasks": tasks}


KILT_PAGES = next(file.lines for file in PUBLISHED if file.task is None)
KILT_DEV = {file.task: file.lines for file in PUBLISHED if "-dev" in file.name}


def test_on_kilts_release_scores_are_compared_with_public_ones(tmp_path):
    write_json(tmp_path / "recall.json", measured(KILT_PAGES, KILT_DEV))
    document = beside_public(tmp_path / "recall.json")
    assert document["is_kilt"] and document["differs"] == []
    rows = {(row["task"], row["measure"]): row for row in document["rows"]}
    assert rows["nq", "Rprec"]["ours"] == 25 and rows["nq", "Rprec"]["difference"] == pytest.approx(25 - 24.64)
    assert rows["nq", "recall@1000"]["ours"] is None, "what was not measured is no number"


@pytest.mark.parametrize(("pages", "sizes", "named"), [
    (51_694, KILT_DEV, "51694 of 5903530 pages"),
    (KILT_PAGES, KILT_DEV | {"nq": 602}, "nq: 602 dev examples of 2837"),
])  # fmt: skip
def test_other_data_are_called_so_and_not_compared(pages, sizes, named, tmp_path, capsys):
    write_json(tmp_path / "recall.json", measured(pages, sizes))
    document = beside_public(tmp_path / "recall.json")
    assert document["differs"] == [named] and not any("difference" in row for row in document["rows"])
    assert main(["reference", str(tmp_path / "recall.json")]) == 0
    assert capsys.readouterr().out.startswith("NOT KILT's release")


def test_a_file_of_another_kind_is_refused(tmp_path):
    for document in ({}, [], {"pages": 1, "split": "dev", "tasks": {"nq": 3}}):
        write_json(tmp_path / "x.json", document)
        with pytest.raises(InputError, match="not what `glimmer recall --out` writes"):
            beside_public(tmp_path / "x.json")


def test_every_task_has_every_public_number_and_percent_they_are():
    scores = public_scores()
    measures = ("Rprec", "recall@100", "recall@1000")
    assert set(scores) == {(task, measure) for task in load_study("kilt").tasks for measure in measures}
    for task in load_study("kilt").tasks:
        for system in ("drqa", "bm25 pages", "bm25 passages"):
            low, middle, high = (scores[task, measure][system] for measure in measures)
            assert 0 < low < middle < high < 100


def test_another_retriever_than_the_studys_and_one_split_alone(retrieved, capsys):
    for task in load_study("smoke").tasks:
        (retrieved / "data" / f"{task}-dev-kilt.jsonl").write_bytes((retrieved / "data/nq-dev-kilt.jsonl").read_bytes())
    places = [
        "--data",
        str(retrieved / "data"),
        "--passages",
        str(retrieved / "passages"),
        "--out",
        str(retrieved / "r"),
    ]
    assert (
        main(["retrieve", "--study", "smoke", "--kind", "bm25", "--splits", "dev", "--depth", "3", *places, "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert all(list(splits) == ["dev"] for splits in found.values())
    assert np.load(retrieved_path(retrieved / "r", "nq", "dev"))["passages"].shape == (len(QUESTIONS), 3)
