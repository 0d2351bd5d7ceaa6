"""Scores of an order of passages, beside the retriever's order, and the questions that are kept to look at."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from glimmer.evaluation.answering import Answer
from glimmer.evaluation.kilt_scores import score_files
from glimmer.files import write_json_lines
from glimmer.kilt.chunking import write_passages
from glimmer.kilt.formats import Example, Guess, Page, write_guesses
from glimmer.kilt.passages import PassageFile
from glimmer.runs.order import holds, order_scores, places
from glimmer.runs.shown import SHOWN_TASK, shown_questions

PAGES = {
    "Paris": "Paris is the capital of France",
    "Nemo": "Captain Nemo says no to everyone",
    "Verne": "he wrote of Nemo and the Nautilus (1870)",
    "Nautilus": "a submarine boat",
}
RETRIEVED = np.array([[3, 1, 2, 0], [2, -1, 0, -1], [-1, -1, -1, -1], [1, 0, 3, 2]])
GOLD_PAGES = ["Paris", "Verne", "Nemo", "Paris"]
ANSWERS = [["France", "the Republic"], ["1870"], ["captain nemo"], ["yes"]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """One passage a page, in the order of PAGES; ids of pages are their titles in capitals."""
    place = tmp_path_factory.mktemp("order") / "passages"
    pages = [Page(page_id=title.upper(), title=title, paragraphs=[title, text]) for title, text in PAGES.items()]
    write_passages(pages, place, 50)
    return PassageFile(place)


def _unknown(row, k):
    return None


@pytest.fixture
def asked(corpus, tmp_path):
    """(task, batcher of k, gold file, the reader's answers in an order of places) over the four questions."""

    def make(k=4, order=None, name="nq", accepted=ANSWERS, rows=(0, 1, 2, 3), whole=None):
        examples = [Example(id=f"q{i}", input=f"question {i}?", answers=list(a)) for i, a in enumerate(accepted)]
        task = SimpleNamespace(task=name, examples=examples, rows=np.array(rows), evidence_in_view=whole or _unknown)

        def passage_ids(task, row):
            return RETRIEVED[row][:k] if k else np.array([-1])

        batcher = SimpleNamespace(k=k, corpus=SimpleNamespace(file=corpus), passage_ids=passage_ids)
        answers = []
        for row in rows:
            ids = passage_ids(task, row)
            ranked = [int(ids[place]) for place in (order or range(len(ids))) if place < len(ids) and ids[place] >= 0]
            answers.append(Answer(row=row, text=f"answer {row}", passages=ranked))
        gold = tmp_path / "gold.jsonl"
        write_json_lines(
            gold,
            [
                {"id": f"q{row}", "input": "?", "output": [{"answer": a} for a in accepted[row] or ["nothing"]]
                 + [{"provenance": [{"wikipedia_id": GOLD_PAGES[row].upper()}]}]}
                for row in rows
            ],
        )  # fmt: skip
        return task, batcher, gold, answers

    return make


def scores(asked, kept, **options):
    task, batcher, gold, answers = asked(**options)
    return order_scores(task, answers, batcher, kept, gold)


def test_an_answer_among_the_kept_counts_once_and_where_it_stands(asked):
    # in the retriever's order: France only in the fourth passage of question 0; 1870 in the first of question 1
    for kept, expected in ((1, [0, 1, 0, 0]), (2, [0, 1, 0, 0]), (3, [0, 1, 0, 0]), (4, [1, 1, 0, 0])):
        assert scores(asked, kept)["answer_at_m"] == expected
    assert scores(asked, 1, order=[3, 2, 1, 0])["answer_at_m"] == [1, 0, 0, 0], "Paris first: France, and no 1870"


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_reader_that_keeps_the_retrievers_order_scores_as_the_retriever(asked, tmp_path, corpus, kept):
    task, batcher, gold, answers = asked()
    found = order_scores(task, answers, batcher, kept, gold)
    assert found["retriever_answer_at_m"] == found["answer_at_m"]
    guesses = [
        Guess(id=task.examples[a.row].id, answer=a.text, provenance=[corpus.provenance(p) for p in a.passages])
        for a in answers
    ]
    write_guesses(tmp_path / "guesses.jsonl", guesses)
    assert found["retriever_rprec"] == list(score_files(gold, tmp_path / "guesses.jsonl").per_example["Rprec"])


def test_the_retrievers_scores_are_of_its_order_whatever_the_readers(asked):
    one, other = (scores(asked, 1, order=order) for order in ([0, 1, 2, 3], [3, 2, 1, 0]))
    assert one["retriever_answer_at_m"] == other["retriever_answer_at_m"] == [0, 1, 0, 0]
    assert one["retriever_rprec"] == other["retriever_rprec"] == [0, 1, 0, 0]  # first pages: Nautilus, Verne, -, Nemo
    assert one["answer_at_m"] != other["answer_at_m"]


def test_a_reader_that_keeps_all_has_no_other_order_and_a_closed_book_none(asked):
    assert set(scores(asked, 4)) == {"answer_at_m"}
    assert scores(asked, 0, k=0) == {}


def test_the_answers_of_fever_are_looked_for_nowhere_and_its_pages_are(asked):
    assert set(scores(asked, 2, name="fever")) == {"retriever_rprec"}
    assert scores(asked, 4, name="fever") == {}


def test_what_is_in_view_is_known_of_all_or_not_kept(asked):
    found = scores(asked, 4, k=3, rows=(0, 3), whole=lambda row, k: row < k)
    assert found["in_view"] == [1.0, 0.0]
    assert "in_view" not in scores(asked, 4, whole=lambda row, k: None if row == 2 else True)


def test_scores_are_of_the_rows_that_were_answered(asked):
    whole, part = scores(asked, 2), scores(asked, 2, rows=(1, 3))
    assert part == {name: [values[1], values[3]] for name, values in whole.items()}


def test_yes_and_no_stand_nowhere_and_what_is_accepted_beside_them_does(corpus):
    nemo = list(PAGES).index("Nemo")
    assert not holds(corpus, nemo, ["no"]) and not holds(corpus, nemo, [" No ", "YES"])
    assert holds(corpus, nemo, ["no", "Captain"]) and not holds(corpus, nemo, [])


@pytest.mark.parametrize(
    "answer, stands", [("captain NEMO", True), ("Nemo says", True), ("Capt", False), ("Verne", False), ("nemo.", False)]
)
def test_an_answer_stands_as_whole_words_in_title_or_text(corpus, answer, stands):
    assert holds(corpus, list(PAGES).index("Nemo"), [answer]) == stands
    assert holds(corpus, list(PAGES).index("Verne"), ["Verne"]), "in the title alone"


def test_ranks_are_places_in_what_was_retrieved():
    retrieved = np.array([5, 3, -1, 9])
    assert places([9, 5, 3], retrieved) == [4, 1, 2] and places([], retrieved) == []


def shown(asked, kept, **options):
    task, batcher, _, answers = asked(**options)
    return shown_questions(task, answers, batcher, kept)


def test_questions_are_chosen_by_the_digest_of_their_ids_whatever_else_is(asked):
    many = [["x"]] * 30
    by_digest = sorted((f"q{i}" for i in range(30)), key=lambda id: hashlib.sha256(id.encode()).hexdigest())
    task, batcher, _, _ = asked(k=0, accepted=many[:4])
    task.examples = [Example(id=f"q{i}", input="?", answers=["x"]) for i in range(30)]
    answers = [Answer(row=row, text="", passages=[]) for row in range(30)]
    for order in (answers, answers[::-1]):
        found = shown_questions(task, order, batcher, 0)
        assert [question["id"] for question in found] == by_digest[:SHOWN_TASK]
    assert len(shown(asked, 2, rows=(2,))) == 1, "a task of one question shows that one"


def test_passages_stand_in_the_readers_order_with_the_retrievers_rank_and_words_only_of_the_kept(asked):
    (question,) = shown(asked, 2, order=[3, 2, 1, 0], rows=(0,))
    found = question["passages"]
    assert [passage["title"] for passage in found] == ["Paris", "Verne", "Nemo", "Nautilus"]
    assert [passage["rank"] for passage in found] == [4, 3, 2, 1]
    assert [passage["kept"] for passage in found] == [True, True, False, False]
    assert ["words" in passage for passage in found] == [True, True, False, False]
    assert [passage["holds_answer"] for passage in found] == [True, False, False, False]
    assert "France" in found[0]["words"] and question["question"] == "question 0?"
    json.dumps(question)  # numbers as JSON has them, none of numpy's


def test_without_passages_a_question_has_none(asked):
    assert all(question["passages"] == [] for question in shown(asked, 0, k=0))
    (question,) = shown(asked, 2, rows=(2,))
    assert question["passages"] == [], "nothing was retrieved"


def test_an_answer_is_right_where_any_of_all_accepted_ones_is_it(asked):
    names = [["a", "b", "c", "d", "e", "f", "The Answer 0"], ["answer"], ["x"], ["answer, 3"]]
    found = {question["id"]: question for question in shown(asked, 1, accepted=names)}
    assert {id: question["right"] for id, question in found.items()} == {
        "q0": True, "q1": False, "q2": False, "q3": True,
    }  # fmt: skip
    assert found["q0"]["accepted"] == list("abcde"), "the first are enough to look at"


@pytest.mark.parametrize("place", [0, 1, 20, 59, 60])
def test_the_words_shown_are_those_around_the_answer(tmp_path, asked, place):
    text = " ".join(["word"] * place + ["(Zanzibar),"] + ["word"] * (60 - place))
    write_passages([Page(page_id="1", title="T", paragraphs=["T", text])], tmp_path / "long", 100)
    task, batcher, _, _ = asked(accepted=[["zanzibar"]] * 4, rows=(0,))
    batcher.corpus.file, batcher.passage_ids = PassageFile(tmp_path / "long"), lambda task, row: np.array([0])
    (question,) = shown_questions(task, [Answer(row=0, text="", passages=[0])], batcher, 1)
    words = question["passages"][0]["words"]
    assert "Zanzibar" in words and len(words.replace("…", "").split()) == 14
    assert (words.startswith("… "), words.endswith(" …")) == (place > 7, place < 53)


def test_words_around_a_yes_or_no_are_not_looked_for(asked, corpus, tmp_path):
    text = " ".join(["word"] * 30 + ["no"] + ["word"] * 10)
    write_passages([Page(page_id="1", title="T", paragraphs=["T", text])], tmp_path / "no", 100)
    task, batcher, _, _ = asked(accepted=[["no"]] * 4, rows=(0,))
    batcher.corpus.file, batcher.passage_ids = PassageFile(tmp_path / "no"), lambda task, row: np.array([0])
    (question,) = shown_questions(task, [Answer(row=0, text="no", passages=[0])], batcher, 1)
    assert question["passages"][0]["words"].startswith("word") and not question["passages"][0]["holds_answer"]
