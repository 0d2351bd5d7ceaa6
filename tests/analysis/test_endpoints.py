"""A study's endpoints: read strictly, tested together, and never more than their runs say."""

import copy
import json

import pytest
import yaml

from analysis.ledger import endpoints as ledger
from analysis.ledger import verdicts
from analysis.ledger.bootstrap import JointBootstrap
from analysis.ledger.endpoints import Endpoint, endpoints_document, evaluate_endpoints, load_endpoints
from analysis.ledger.frozen import frozen
from glimmer.errors import InputError
from glimmer.experiments import load_study, points
from glimmer.experiments.documents import config_digest, repository_path
from glimmer.results import load_results

TEXT = repository_path("config/endpoints.yaml").read_text()
STUDIES = sorted({name for entry in yaml.safe_load(TEXT)["endpoints"] for name in entry["in"]})
FID, UNTRAINED, LUMEN = "figure2/performance/FiD", "baselines/untrained/FiD", "figure2/performance/LUMEN"


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_has_every_point_that_its_endpoints_are_about(study):
    found, planned = load_endpoints(study), {point.id: point for point in points(load_study(study))}
    assert found
    for endpoint in found:
        assert set(endpoint.points.values()) <= set(planned), endpoint.id
        used = {id for required in endpoint.requirements(planned) for id in required.points}
        assert used == set(endpoint.points.values()), f"{endpoint.id}: an alias that the expression does not use"


def test_a_study_that_is_not_named_has_none(results):
    assert load_endpoints("smoke") == ()
    assert endpoints_document(load_results("smoke", results), None) is None


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda e: e.append(copy.deepcopy(e[0])), "endpoint given twice.*training-teaches"),
        (lambda e: e[0]["points"].update(FiD="figure2/performance/BERT"), "training-teaches.*no such point.*BERT"),
        (lambda e: e[0]["points"].pop("FiD"), "training-teaches.*no such alias.*FiD"),
        (lambda e: e[0].update({"in": ["sampel"]}), "no such study.*sampel"),
        (lambda e: e[0].update(expression={"beats": ["FiD", "LUMEN"]}), "endpoints.*0"),
        (lambda e: e[0]["expression"]["all"][0]["exceeds"].pop("by"), "endpoints.*0"),
        (lambda e: e[0].update(verdict="supported"), "verdict"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, change, message):
    document = yaml.safe_load(TEXT)
    change(document["endpoints"])
    path = tmp_path / "endpoints.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(InputError, match=message) as caught:
        load_endpoints("kilt", path)
    assert "\n" not in str(caught.value)


def answered(results, shares):
    """The smoke study of whose readers (point -> share) answer so many of 40 questions a task, the easiest first."""
    for id, share in shares.items():
        run_id = load_results("smoke", results).planned[id].run_ids[0]
        path = results / "smoke" / "runs" / f"{run_id}.json"
        run = json.loads(path.read_text())
        right = [float(place < round(40 * share)) for place in range(40)]
        for task in run["tasks"].values():
            task |= {"score": share, "interval": [0.0, 1.0]}
            task["per_example"]["metric"] = right
        run["average"] |= {"score": share, "interval": [0.0, 1.0]}
        path.write_text(json.dumps(run))
    return JointBootstrap(results=load_results("smoke", results), resamples=999)


def above(id, first, second, by=None):
    """The endpoint that one point is above another, by more than `by` points where that is given."""
    exceeds = {"exceeds": {"of": {"difference": ["a", "b"]}, "by": by}}
    return Endpoint(id=id, statement=f"{id}.", studies=("smoke",), points={"a": first, "b": second},
                    expression={"greater": ["a", "b"]} if by is None else exceeds)  # fmt: skip


def rows_of(boot, *endpoints):
    return {row["id"]: row for row in evaluate_endpoints(boot.results, boot, endpoints)}


def test_a_verdict_follows_the_data_and_the_effect_shown_is_the_difference(results):
    boot = answered(results, {FID: 0.75, UNTRAINED: 0.1, LUMEN: 0.75})
    rows = rows_of(
        boot,
        above("far", FID, UNTRAINED, by=25),
        above("too far", FID, UNTRAINED, by=90),
        above("just", FID, UNTRAINED, by=65),
        above("equal", FID, LUMEN),
        above("reversed", UNTRAINED, FID),
    )
    assert {id: row["verdict"] for id, row in rows.items()} == {
        "far": "supported",
        "too far": "contradicted",
        "just": "undecided",
        "equal": "undecided",
        "reversed": "contradicted",
    }
    for id in ("far", "too far", "just"):
        (part,) = rows[id]["requirements"]
        assert part["effect"] == pytest.approx(65.0) and part["interval"][0] < 65 < part["interval"][1]
        assert part["unit"] == "points" and rows[id]["n"] == 240
    assert rows["far"]["requirements"][0]["interval"] == rows["too far"]["requirements"][0]["interval"]


def test_an_endpoint_of_several_parts_needs_them_all(results):
    boot = answered(results, {FID: 0.75, UNTRAINED: 0.1, LUMEN: 0.1})
    both = Endpoint(
        id="both",
        statement="Both.",
        studies=("smoke",),
        points={"f": FID, "l": LUMEN, "u": UNTRAINED},
        expression={"all": [{"greater": ["f", "u"]}, {"exceeds": {"of": {"difference": ["l", "u"]}, "by": 10}}]},
    )
    row = rows_of(boot, both)["both"]
    assert row["verdict"] == "contradicted" and len(row["requirements"]) == 2


def test_endpoints_are_corrected_together_and_those_without_a_result_are_missing(results):
    boot = answered(results, {FID: 0.5, UNTRAINED: 0.4, LUMEN: 0.45})
    three = above("one", FID, UNTRAINED), above("two", FID, LUMEN), above("three", LUMEN, UNTRAINED)
    rows = rows_of(boot, *three)
    alone = {one.id: rows_of(boot, one)[one.id]["p_holm"] for one in three}
    assert {id: row["p_holm"] for id, row in rows.items()} == verdicts.holm(alone)
    run_id = boot.results.planned[LUMEN].run_ids[0]
    (results / "smoke" / "runs" / f"{run_id}.json").unlink()
    boot = JointBootstrap(results=load_results("smoke", results), resamples=999)
    rows = rows_of(boot, *three, above("elsewhere", FID, "figure4/beta/GLIMMER/beta=0"))
    assert rows["one"]["p_holm"] == alone["one"], "alone with a result"
    for id, absent in (("two", LUMEN), ("three", LUMEN), ("elsewhere", "figure4/beta/GLIMMER/beta=0")):
        row = rows[id]
        assert (row["verdict"], row["p_holm"], row["requirements"], row["n"]) == ("missing", None, [], None)
        assert row["note"] == f"no result: {absent}"


def test_runs_that_cannot_be_paired_leave_an_endpoint_undecided(results):
    boot = answered(results, {FID: 0.75, UNTRAINED: 0.1})
    for task in boot.results.runs.by_id[boot.results.planned[UNTRAINED].run_ids[0]]["tasks"].values():
        del task["per_example"]
    row = rows_of(boot, above("one", FID, UNTRAINED))["one"]
    assert row["verdict"] == "undecided" and row["note"].startswith("no interval: ") and row["p_holm"] is None


def test_the_document_says_whether_endpoints_stood_before_the_runs(results, monkeypatch):
    boot = answered(results, {FID: 0.75, UNTRAINED: 0.1})
    monkeypatch.setattr(ledger, "load_endpoints", lambda study: (above("one", FID, UNTRAINED),))
    runs, now = boot.results.runs.by_id.values(), config_digest("endpoints")
    assert now != config_digest("claims")
    for digest, start in ((None, "The endpoints changed since: "), (now, "The endpoints are as they were"),
                          (config_digest("claims"), "The endpoints changed since: ")):  # fmt: skip
        for run in runs:
            run |= {"endpoints": digest, "claims": config_digest("claims")}
        document = endpoints_document(boot.results, boot)
        assert [row["id"] for row in document["endpoints"]] == ["one"]
        assert document["frozen"]["note"].startswith(start) and document["frozen"]["digest"] == now
    assert frozen(boot.results)["note"].startswith("The claims are as they were"), "claims have a digest of their own"
