"""From stage files to token arrays: which passages, which answer, which side is padded."""

import copy
import json
import resource
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from glimmer.errors import InputError
from glimmer.experiments.sections import Lengths
from glimmer.kilt.chunking import write_passages
from glimmer.kilt.formats import Example, Page
from glimmer.models.tokenizer import Tokenizer
from glimmer.training.examples import (
    AnswerChoice,
    Batcher,
    Corpus,
    PackedExamples,
    TaskExamples,
    evenly,
    tokenize_passages,
)

WORDS = [
    "<pad>",
    "</s>",
    "<unk>",
    "q0",
    "q1",
    "q2",
    "one",
    "two",
    "three",
    "four",
    "five",
    "ask",
    ":",
    "T0",
    "T1",
    "T2",
    "T3",
]
TEXTS = ["one two", "two three four five", "four", "five"]


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """A corpus of four passages and a task of three questions in the files that the stages write."""
    root = tmp_path_factory.mktemp("stages")
    backend = Backend(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens(["<pad>", "</s>"])
    backend.save(str(root / "tokenizer.json"))
    pages = [Page(page_id=str(i), title=f"T{i}", paragraphs=[f"T{i}", text]) for i, text in enumerate(TEXTS)]
    write_passages(pages, root / "passages", 10)
    (root / "data").mkdir(), (root / "retrieved").mkdir()
    answers = [["three", "four five"], ["nowhere"], ["missing", "four"]]
    lines = [
        {"id": str(i), "input": f"q{i}", "output": [{"answer": a} for a in found]} for i, found in enumerate(answers)
    ]
    (root / "data/nq-train-kilt.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    passages = np.array([[2, 1, 0], [3, -1, -1], [0, 2, 1]])
    np.savez(root / "retrieved/nq-train.npz", passages=passages)
    tokenizer = Tokenizer(root / "tokenizer.json")
    from glimmer.kilt.passages import PassageFile

    tokenize_passages(tokenizer, PassageFile(root / "passages"), 5, "{title} : {text}", root / "tokens/passages.npy")
    corpus = Corpus(root / "tokens/passages.npy", root / "passages")
    choice = AnswerChoice(tokenizer, corpus.file, 3)
    task = TaskExamples("nq", root / "data", "train", root / "retrieved", choice=choice)
    return SimpleNamespace(root=root, tokenizer=tokenizer, corpus=corpus, task=task)


def words(ids):
    return " ".join(WORDS[i] for i in ids)


def batcher(stages, k):
    return Batcher(stages.tokenizer, stages.corpus, Lengths(question=3, passage=5, target=3), k, "ask {question}")


def test_a_batch_holds_the_first_k_passages_questions_padded_left_answers_right(stages):
    batch = batcher(stages, 2).batch([(stages.task, 0), (stages.task, 1)])
    assert [words(row) for row in batch.question] == ["<pad> ask q0", "<pad> ask q1"]
    assert [words(row) for row in batch.passages[0]] == ["T2 : four </s> <pad>", "T1 : two three </s>"]
    assert words(batch.passages[1, 0]) == "T3 : five </s> <pad>" and not batch.passages[1, 1].any()
    assert [words(row) for row in batch.answer] == ["three </s> <pad>", "<unk> </s> <pad>"]


def test_a_cut_question_keeps_its_end(stages):
    narrow = Batcher(stages.tokenizer, stages.corpus, Lengths(question=1, passage=5, target=3), 1, "ask {question}")
    assert words(narrow.batch([(stages.task, 1)]).question[0]) == "q1"


def choice(stages, length=3):
    return AnswerChoice(stages.tokenizer, stages.corpus.file, length)


def test_an_example_is_trained_on_an_alias_of_the_first_passage_whose_title_or_text_has_one(stages):
    chosen = choice(stages)
    assert chosen(["three", "four five"], np.array([2, 1])) == "three"
    assert chosen(["missing", "four"], np.array([0, -1, 2])) == "four"
    assert chosen(["missing", "t3"], np.array([0, 3])) == "t3"
    assert chosen(["missing", "absent"], np.array([0, 1])) == "missing"
    assert chosen(["missing", "five"], np.array([0, 0, 0, 0, 0, 3])) == "missing", "as deep for every reader"


def test_an_answer_that_does_not_fit_the_target_gives_way_to_one_that_does(stages):
    passages = np.array([1])
    assert choice(stages, 4)(["three four five", "four five"], passages) == "three four five"
    assert choice(stages, 3)(["three four five", "four five"], passages) == "four five", "two tokens and the end"
    assert choice(stages, 3)(["three four five", "one"], passages) == "one", "fits, though another stands there"
    assert choice(stages, 2)(["one two", "three four five"], passages) == "three four five", "none fits"


def test_the_answer_is_chosen_once_for_the_example_and_its_part(stages):
    task = TaskExamples("nq", stages.root / "data", "train", stages.root / "retrieved", choice=choice(stages))
    first = task.first(2).answer(0)
    task.passages = np.full_like(task.passages, -1)  # whatever were retrieved now
    assert first == task.answer(0) == "three"


def test_dev_rows_have_no_answer_to_train_on(stages, tmp_path):
    (tmp_path / "data").mkdir(), (tmp_path / "retrieved").mkdir()
    lines = [{"id": str(i), "input": f"q{i}", "output": [{"answer": "five"}]} for i in range(3)]
    (tmp_path / "data/nq-dev-kilt.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.savez(tmp_path / "retrieved/nq-dev.npz", passages=np.array([[3], [3], [3]]))
    dev = TaskExamples("nq", tmp_path / "data", "dev", tmp_path / "retrieved")
    shared = batcher(stages, 1)  # as the training loop shares it with the evaluation between its steps
    before, train = shared.batch([(dev.first(1), 0)]), shared.batch([(stages.task, 0)])
    assert (words(before.answer[0]), words(train.answer[0])) == ("</s> <pad> <pad>", "three </s> <pad>")
    assert words(shared.batch([(dev, 0)]).answer[0]) == "</s> <pad> <pad>"


def with_gold(stages, path, gold, rows=None):
    """The task with these gold passages beside what was retrieved."""
    with np.load(stages.root / "retrieved/nq-train.npz") as found:
        np.savez(path / "nq-train.npz", passages=found["passages"], **({} if gold is None else {"gold": gold}))
    return TaskExamples("nq", stages.root / "data", "train", path, rows, choice(stages))


def test_gold_passages_are_moved_or_put_before_what_was_retrieved(stages, tmp_path):
    task = with_gold(stages, tmp_path, np.array([[0, -1], [1, 0], [2, 3]]))
    first = task.with_evidence_first()
    assert first.passages.tolist() == [[0, 2, 1], [1, 0, 3], [2, 3, 0]], "moved; put in; one moved and one put in"
    assert task.passages.tolist() == [[2, 1, 0], [3, -1, -1], [0, 2, 1]], "the task itself stays"
    assert batcher(stages, 2).passage_ids(first, 1).tolist() == [1, 0]
    assert batcher(stages, 1).passage_ids(first, 2).tolist() == [2], "as many as before"


def test_without_gold_passages_nothing_changes_and_a_passage_twice_stands_once(stages, tmp_path):
    task = with_gold(stages, tmp_path, np.array([[-1, -1], [3, 3], [-1, 1]]))
    assert task.with_evidence_first().passages.tolist() == [[2, 1, 0], [3, -1, -1], [1, 0, 2]]


def test_the_answer_is_chosen_in_what_the_reader_is_given(stages, tmp_path):
    task = with_gold(stages, tmp_path, np.array([[-1], [-1], [3]]))
    task.examples = [Example(id=str(n), input="?", answers=["two", "five"]) for n in range(3)]
    assert task.answer(2) == "two" and task.with_evidence_first().answer(2) == "five"


def test_what_was_retrieved_without_naming_gold_passages_says_retrieve_again(stages, tmp_path):
    task = with_gold(stages, tmp_path, None)
    with pytest.raises(InputError, match="retrieve again"):
        task.with_evidence_first()


@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_shuffled_answers_are_the_tasks_own_and_never_the_rows(stages, count):
    task = copy.copy(stages.task)
    task.rows = np.arange(count) * 3 + 1
    shuffled, again, other = (task.with_shuffled_answers(seed) for seed in (7, 7, 8))
    source = [shuffled._answered_by[row] for row in task.rows.tolist()]
    assert sorted(source) == task.rows.tolist() and all(source != task.rows)
    assert again._answered_by == shuffled._answered_by
    assert count < 10 or other._answered_by != shuffled._answered_by
    assert task._answered_by == {}


def test_a_shuffled_row_is_trained_on_the_answer_that_another_row_would_be(stages):
    shuffled = stages.task.with_shuffled_answers(0)
    given = {row: stages.task.answer(row) for row in range(3)}
    assert sorted(shuffled.answer(row) for row in range(3)) == sorted(given.values())
    assert all(shuffled.answer(row) != answer for row, answer in given.items())
    assert shuffled.examples is stages.task.examples and shuffled.passages is stages.task.passages


@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_passages_of_another_question_are_the_tasks_own_and_never_the_rows(stages, count):
    task = copy.copy(stages.task)
    task.passages = np.arange(count)[:, None] * 10 + np.array([1, 2, 3])  # no two rows are equal
    task.rows = np.arange(0, count, 2)
    kept = task.passages.copy()
    moved, again, other = (task.with_passages_of_another(seed) for seed in (7, 7, 8))
    source = (moved.passages[:, 0] - 1) // 10
    assert np.array_equal(moved.passages, kept[source]) and sorted(source) == list(range(count)), "whole rows, all used"
    place, cycle = 0, []
    while place not in cycle:
        cycle.append(place)
        place = int(source[place])
    assert len(cycle) == count, "one cycle: nobody keeps what is theirs, and no two merely swap"
    assert np.array_equal(again.passages, moved.passages)
    assert count < 10 or not np.array_equal(other.passages, moved.passages)
    assert np.array_equal(task.passages, kept) and moved.rows.tolist() == task.rows.tolist()


def test_with_equal_passages_everywhere_another_questions_are_ones_own(stages):
    task = copy.copy(stages.task)
    task.passages = np.full((5, 2), 3)
    assert np.array_equal(task.with_passages_of_another(0).passages, task.passages)


def test_a_row_without_passages_gives_its_lack_of_them_away(stages):
    task = copy.copy(stages.task)
    task.passages = np.array([[0, 1], [-1, -1], [2, -1]])
    moved = task.with_passages_of_another(3)
    assert sorted(moved.passages.tolist()) == sorted(task.passages.tolist()) and moved.passages[1].tolist() != [-1, -1]


def test_a_part_is_given_what_the_whole_is_and_a_question_keeps_its_answers(stages):
    moved = stages.task.with_passages_of_another(0)
    assert np.array_equal(stages.task.first(2).with_passages_of_another(0).passages, moved.passages)
    assert moved.examples is stages.task.examples
    assert moved.passages.tolist() != stages.task.passages.tolist()


def test_gold_passages_are_not_put_first_among_those_of_another(stages, tmp_path):
    moved = with_gold(stages, tmp_path, np.array([[0], [1], [2]])).with_passages_of_another(0)
    with pytest.raises(InputError):
        moved.with_evidence_first()


def test_the_only_question_of_a_task_has_no_other(stages):
    task = copy.copy(stages.task)
    task.passages = task.passages[:1]
    with pytest.raises(InputError, match="no other question.*two questions or more"):
        task.with_passages_of_another(0)


@pytest.mark.parametrize("n, count", [(1, 1), (5, 1), (5, 2), (5, 5), (100, 7)])
def test_places_spread_evenly_rise_from_the_first_to_the_last(n, count):
    places = evenly(n, count)
    assert len(set(places.tolist())) == count and places[0] == 0 and (count == 1 or places[-1] == n - 1)
    gaps = np.diff(places)
    assert gaps.size == 0 or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)


def test_fewer_passages_than_k_are_padded_and_a_closed_book_has_one_that_is_empty(stages):
    assert batcher(stages, 5).passage_ids(stages.task, 0).tolist() == [2, 1, 0, -1, -1]
    assert batcher(stages, 0).passage_ids(stages.task, 0).tolist() == [-1]
    batch = batcher(stages, 0).batch([(stages.task, 0)])
    assert batch.passages.shape == (1, 1, 1) and not batch.passages.any() and batch.present.all()


def test_a_part_of_a_task_is_spread_over_its_rows(stages):
    assert stages.task.first(2).rows.tolist() == [0, 2] and stages.task.first(None) is stages.task
    kept = TaskExamples("nq", stages.root / "data", "train", stages.root / "retrieved", np.array([1, 2]))
    assert len(kept) == 2 and kept.first(1).rows.tolist() == [1]


def test_files_that_do_not_belong_together_are_input_errors(stages, tmp_path):
    np.save(tmp_path / "tokens.npy", np.zeros((3, 5), np.int32))
    with pytest.raises(InputError, match="tokens of another corpus.*4 passages.*3"):
        Corpus(tmp_path / "tokens.npy", stages.root / "passages")
    np.savez(tmp_path / "nq-train.npz", passages=np.zeros((2, 3), int))
    with pytest.raises(InputError, match="retrieved for another file.*3.*2"):
        TaskExamples("nq", stages.root / "data", "train", tmp_path)


@given(st.lists(st.tuples(st.text(), st.text(), st.lists(st.text()))))
def test_packed_examples_are_those_that_were_packed_without_their_evidence(rows):
    examples = [Example(id=i, input=question, answers=answers) for i, question, answers in rows]
    packed = PackedExamples(examples)
    assert list(packed) == examples and len(packed) == len(examples)
    assert [packed[-1 - n] for n in range(len(examples))] == examples[::-1]
    with pytest.raises(IndexError):
        packed[len(examples)]


def test_tokens_of_all_passages_are_one_array_and_a_full_disk_is_an_error(stages, tmp_path):
    corpus, tokenizer = stages.corpus.file, stages.tokenizer
    tokenize_passages(tokenizer, corpus, 5, "{title} : {text}", tmp_path / "tokens.npy")
    array = np.load(tmp_path / "tokens.npy", mmap_mode="r", allow_pickle=False)
    rows = [tokenizer.encode_array([f"{row['title']} : {row['text']}"], 5, end=True)[0] for row in corpus]
    assert array.dtype == np.int32 and np.array_equal(array, np.stack(rows))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limit[1]))
    try:
        with pytest.raises(OSError):
            tokenize_passages(tokenizer, corpus, 5, "{title} : {text}", tmp_path / "full" / "tokens.npy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list((tmp_path / "full").iterdir())


def test_evidence_is_in_view_where_all_of_it_is_among_the_passages_and_unknown_where_they_were_moved(stages, tmp_path):
    found = np.load(stages.root / "retrieved/nq-train.npz")["passages"]
    whole = np.zeros(found.shape, np.float32)
    whole[1, 1:] = 0.25  # from the second passage on
    for with_it in (True, False):
        path = tmp_path / str(with_it)
        path.mkdir()
        kept = {"complete": whole, "gold": np.full((len(found), 1), -1)} if with_it else {}
        np.savez(path / "nq-train.npz", passages=found, **kept)
        task = TaskExamples("nq", stages.root / "data", "train", path, None, choice(stages))
        seen = [task.evidence_in_view(row, k) for row, k in ((0, 2), (1, 1), (1, 2))]
        assert seen == ([False, False, True] if with_it else [None] * 3)
        assert task.evidence_in_view(1, 0) is None
        assert task.with_passages_of_another(0).evidence_in_view(1, 2) is None
        if with_it:
            assert task.with_evidence_first().evidence_in_view(1, 2) is None
