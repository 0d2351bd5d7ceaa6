"""Controls through the whole ledger, on invented results whose truth is known.

Shuffled labels: readers learn nothing, so nothing may be decided. Gold first: the evidence stands first whatever k
is, so no claim on k may be. A planted error, answers swapped between questions: tests/analysis/test_reproduced.py.
"""

import pytest

from analysis.claims import Ledger, load_claims
from glimmer.results import load_results
from tests.analysis import synthetic

ON_K = {
    "lumen-above-fid",
    "more-retrieved-helps",
    "few-kept-of-many-close-most-of-the-gap",
    "retrieval-is-the-bottleneck",
}
SPEAKS = {"supported", "contradicted", "in the paper's direction", "against it"}
EXACT = "glimmer-faster-than-lumen-than-fid"


@pytest.fixture
def verdicts(tmp_path):
    """Id of a claim -> its verdict on a whole study whose readers are as good as `quality(reader)`."""

    def of(quality):
        synthetic.write_study(tmp_path, "kilt", n=100, quality=quality)
        ledger = Ledger(claims=load_claims(), results=load_results("kilt", tmp_path), reported={})
        return {row["id"]: row["verdict"] for row in ledger.rows()}

    return of


def learnt(reader):
    return 0.6 if reader.trained and reader.k else 0.1


def test_shuffled_labels_decide_nothing(verdicts):
    found = verdicts(lambda reader: 0.1)
    del found[EXACT]  # operations are counted, whatever was learnt
    assert SPEAKS.isdisjoint(found.values())
    assert list(found.values()).count("not tested") > len(found) / 3


def test_gold_first_leaves_nothing_to_say_about_k(verdicts):
    found = verdicts(learnt)
    assert SPEAKS.isdisjoint(found[id] for id in ON_K)


def test_the_controls_can_fail(verdicts):
    found = verdicts(lambda reader: learnt(reader) + (0.02 * min(reader.k, 15) if reader.trained else 0))
    assert {found["lumen-above-fid"], found["more-retrieved-helps"]} == {"supported"}
