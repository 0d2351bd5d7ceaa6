"""Answers that were given are not given again; what is another reader's, or cut short, is."""

import json

import pytest

from glimmer.evaluation.answering import Answer
from glimmer.preemption import Preempted
from glimmer.runs.answer_log import AnswerLog

BATCHES = [[Answer(row=2 * n + i, text=f"té \u2028 {n}", passages=[n, i]) for i in range(2)] for n in range(4)]
ALL = [answer for batch in BATCHES for answer in batch]


class Scripted:
    """Answers from BATCHES until it is asked to stop."""

    def __init__(self, stops_after=4):
        self.stops_after, self.given = stops_after, 0

    def batches(self, reader, task, store, answered):
        for batch in BATCHES[answered // 2 :]:
            if self.given == self.stops_after:
                raise Preempted
            self.given += 1
            yield batch


def answers(path, answerer, identity="a"):
    return AnswerLog(path, {"run": identity}).answers(answerer, None, None, None)


@pytest.fixture
def stopped(tmp_path):
    """The file of an evaluation that was stopped after three of four batches."""
    with pytest.raises(Preempted):
        answers(tmp_path / "nq.jsonl", Scripted(3))
    return tmp_path / "nq.jsonl"


def test_an_evaluation_that_was_stopped_goes_on_after_its_last_batch(stopped):
    answerer = Scripted()
    assert answers(stopped, answerer) == ALL and answerer.given == 1
    assert answers(stopped, answerer) == ALL and answerer.given == 1


def test_the_seconds_of_before_are_kept(stopped):
    lines = [json.loads(line) for line in stopped.read_text().split("\n")[1:-1]]
    log = AnswerLog(stopped, {"run": "a"})
    log.answers(Scripted(), None, None, None)
    assert log.seconds_before == sum(line["seconds"] for line in lines) > 0


def test_answers_of_something_else_are_dropped(stopped):
    answerer = Scripted()
    assert answers(stopped, answerer, "b") == ALL and answerer.given == 4


@pytest.mark.parametrize("end", ['{"seconds": 1.0, "answers": [{"row', "\0\0\0\n"], ids=["cut", "not written"])
def test_a_line_that_was_not_written_to_its_end_is_dropped(stopped, end):
    with stopped.open("a") as file:
        file.write(end)
    answerer = Scripted()
    assert answers(stopped, answerer) == ALL and answerer.given == 1
    assert answers(stopped, answerer) == ALL and answerer.given == 1
