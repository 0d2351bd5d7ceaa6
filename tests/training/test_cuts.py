"""What lengths cut off, counted: questions, passages, evidence in them, answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from glimmer.errors import InputError
from glimmer.experiments.sections import Lengths, Templates
from glimmer.kilt.chunking import PassageFile, write_passages
from glimmer.kilt.formats import Page
from glimmer.models.tokenizer import Tokenizer
from glimmer.training.cuts import _needs, count_cuts

# Two passages: "a b c. d e f." (two paragraphs) and "g h".
PAGES = [
    Page(page_id="1", title="T", paragraphs=["T", "a b c.", " d e f."]),
    Page(page_id="2", title="U", paragraphs=["U", "g h"]),
]
TEMPLATES = Templates(question="ask {question}", passage="{title} : {text} !")


def span(page, start, end):
    """A provenance over (paragraph, character) to (paragraph, character)."""
    names = ("start_paragraph_id", "start_character", "end_paragraph_id", "end_character")
    return {"wikipedia_id": page} | dict(zip(names, (*start, *end), strict=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tokenizer by whitespace, two passages, and a count of what given lengths cut of given outputs."""
    root = tmp_path_factory.mktemp("cuts")
    backend = Backend(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.save(str(root / "tokenizer.json"))
    write_passages(PAGES, root / "passages", 6)
    with open(root / "knowledge_source.jsonl", "w") as file:
        for page in PAGES:
            print(json.dumps({"wikipedia_id": page.page_id, "text": page.paragraphs}), file=file)

    def count(outputs=(), *, question="why is it", lengths=(9, 9, 9)):
        line = json.dumps({"id": "1", "input": question, "output": list(outputs)}) + "\n"
        for split in ("train", "dev"):
            (root / f"nq-{split}-kilt.jsonl").write_text(line)
        limits = Lengths(**dict(zip(("question", "passage", "target"), lengths, strict=True)))
        tokenizer, passages = Tokenizer(root / "tokenizer.json"), PassageFile(root / "passages")
        return count_cuts(root, passages, tokenizer, tasks=["nq"], lengths=limits, templates=TEMPLATES)

    count.root = root
    return count


@pytest.mark.parametrize(("length", "cut", "own"), [(4, 0, 0), (3, 1, 0), (2, 1, 1)])
def test_a_question_is_cut_where_it_does_not_fit_within_its_template(made, length, cut, own):
    counted = made(lengths=(length, 9, 9))["tasks"]["nq"]["dev"]["questions"]
    assert (counted["cut"], counted["own_words_cut"], counted["needed"]["longest"]) == (cut, own, 4)
    assert counted["share_cut"] == cut


def test_passages_are_counted_with_title_and_end_token(made):
    counted = made(lengths=(9, 8, 9))["passages"]  # the first needs 10 tokens of the 16, the second 6
    assert (counted["n"], counted["cut"], counted["tokens"], counted["tokens_lost"]) == (2, 1, 16, 2)
    assert counted["needed"] == {"p95": 10, "p99": 10, "longest": 10}
    assert made(lengths=(9, 10, 9))["passages"]["cut"] == 0


FIRST, SECOND, BOTH = ((1, 0), (1, 6)), ((2, 1), (2, 7)), ((1, 0), (2, 7))


@pytest.mark.parametrize(
    ("length", "evidence", "expected"),
    [
        (9, SECOND, (1, 0, 0)),  # T : a b c. d e f. and the end token: only the template's last word is lost
        (6, FIRST, (1, 0, 0)),  # T : a b c.
        (6, SECOND, (1, 1, 1)),
        (6, BOTH, (1, 1, 0)),
        (5, FIRST, (1, 1, 0)),  # c. is lost
        (7, SECOND, (1, 1, 0)),  # d is kept
        (3, FIRST, (1, 1, 1)),  # nothing but the title
        (1, FIRST, (1, 1, 1)),
        (6, ((0, 0), (0, 1)), (0, 0, 0)),  # in the title paragraph: in no passage
    ],
)
def test_evidence_is_cut_by_the_tail_of_its_passage_and_lost_where_nothing_else_holds_it(
    made, length, evidence, expected
):
    outputs = [{"answer": "x", "provenance": [span("1", *evidence), {"wikipedia_id": "1"}]}]
    counted = made([*outputs, *outputs], lengths=(9, length, 9))["tasks"]["nq"]["train"]["evidence"]
    assert (counted["n"], counted["cut"], counted["lost"]) == expected, "once a span, none for a whole page"


def test_of_the_answers_the_shortest_has_to_fit_with_its_end_token(made):
    outputs = [{"answer": "a long one"}, {"answer": "two words"}]
    for target, cut in ((3, 0), (2, 1)):
        counted = made(outputs, lengths=(9, 9, target))["tasks"]["nq"]["dev"]["answers"]
        assert (counted["n"], counted["cut"], counted["needed"]["p95"]) == (1, cut, 3)
    assert made()["tasks"]["nq"]["dev"]["answers"]["n"] == 0


@given(st.dictionaries(st.integers(1, 30), st.integers(1, 50), min_size=1))
def test_the_length_for_95_percent_is_the_least_that_cuts_no_more_than_5(needed):
    p95 = _needs(needed, 1)["needed"]["p95"]
    assert _needs(needed, p95)["share_cut"] <= 0.05 < _needs(needed, p95 - 1)["share_cut"]


def test_passages_of_other_data_are_an_input_error(made, tmp_path):
    root = made.root
    other = [Page(page_id="9", title="V", paragraphs=["V", "a b c d e f"])]
    write_passages(other, tmp_path / "passages", 6)
    with pytest.raises(InputError, match="passages of other data.*page 9"):
        count_cuts(
            root,
            PassageFile(tmp_path / "passages"),
            Tokenizer(root / "tokenizer.json"),
            tasks=["nq"],
            lengths=Lengths(question=9, passage=3, target=9),
            templates=TEMPLATES,
        )
