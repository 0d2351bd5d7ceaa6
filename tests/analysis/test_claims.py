"""Claims: the statement language, the joint bootstrap, Holm's correction, and verdicts that follow the data."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from analysis import claims
from analysis.ledger import scale_factor as scaling
from analysis.ledger import verdicts
from analysis.ledger.bootstrap import JointBootstrap, NotPaired, Sample
from analysis.ledger.language import AliasedPoint, compile_statement
from glimmer import experiments
from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.evaluation.intervals import average_interval, difference_interval
from glimmer.experiments.documents import config_digest, repository_path
from glimmer.results import StudyResults, load_results
from tests.analysis import synthetic

ALIASES = {name: AliasedPoint(id=name, x=x, unit="percent") for name, x in (("a", 1), ("b", 2), ("c", 4), ("d", 8))}
VALUES = {"a": 10.0, "b": 14.0, "c": 16.0, "d": 15.0}


def verdict(expression, values=VALUES, rounding=0.0, factor=1.0):
    needed = compile_statement(expression, ALIASES, "test", factor)
    return verdicts.by_number(needed, values, dict.fromkeys(values, rounding))[0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"greater": ["c", "b", "a"]}, "supported"),
        ({"greater": ["a", "b"]}, "contradicted"),
        ({"greater": ["c", "d", "b"]}, "supported"),
        ({"increasing": ["a", "b", "c"]}, "supported"),
        ({"increasing": ["a", "b", "c", "d"]}, "contradicted"),
        ({"decreasing": ["d", "b", "a"]}, "supported"),
        ({"positive": [{"difference": ["b", "a"]}]}, "supported"),
        ({"positive": [{"difference": ["a", "b"]}]}, "contradicted"),
        ({"exceeds": {"of": {"difference": ["b", "a"]}, "by": 3.5}}, "supported"),
        ({"exceeds": {"of": {"difference": ["b", "a"]}, "by": 4.5}}, "contradicted"),
        ({"exceeds": {"of": {"difference": ["a", "b"]}, "by": -4.5}}, "supported"),
        ({"exceeds": {"of": "d", "by": 14}}, "supported"),
        ({"within": {"of": {"difference": ["c", "d"]}, "tolerance": 1}}, "supported"),
        ({"within": {"of": {"difference": ["d", "c"]}, "tolerance": 0.5}}, "contradicted"),
        ({"within": {"of": {"difference": ["c", "d"]}, "tolerance": 0.5}}, "contradicted"),
        ({"diminishing": ["a", "b", "c", "d"]}, "supported"),
        ({"diminishing": ["a", "b", "d"]}, "supported"),
        ({"best": {"point": "c", "of": ["a", "b", "d"]}}, "supported"),
        ({"best": {"point": "d", "of": ["a", "c"]}}, "contradicted"),
        ({"best_before": [["a", "b"], ["b", "c", "d"]]}, "supported"),
        ({"best_before": [["b", "c", "d"], ["a", "b"]]}, "contradicted"),
        ({"greater": [{"difference": ["b", "a"]}, {"difference": ["c", "b"]}]}, "supported"),
        ({"greater": [{"mean": ["a", "c"]}, "b"]}, "contradicted"),
        ({"greater": [{"sum": ["a", "b"]}, "c"]}, "supported"),
        ({"all": [{"greater": ["b", "a"]}, {"greater": ["d", "c"]}]}, "contradicted"),
    ],
)
def test_every_operator_says_what_it_means(expression, expected):
    assert verdict(expression) == expected


def test_a_difference_that_rounding_could_undo_is_undecided_in_both_directions():
    for pair in (["c", "d"], ["d", "c"]):
        assert verdict({"greater": pair}, rounding=0.5) == "undecided"
        assert verdict({"greater": pair}, rounding=0.4) != "undecided"
    assert verdict({"best_before": [["a", "b"], ["c", "d"]]}, {**VALUES, "d": 15.9}, rounding=0.05) == "supported"
    assert verdict({"best_before": [["a", "c"], ["c", "d"]]}, {**VALUES, "d": 15.95}, rounding=0.05) == "undecided"


def test_tolerances_are_carried_over_and_differences_are_not():
    near = {"within": {"of": {"difference": ["c", "d"]}, "tolerance": 0.5}}
    assert verdict(near) == verdict(near, factor=1.9) == "contradicted"
    assert verdict(near, factor=2.1) == "supported"
    assert verdict({"greater": ["d", "c"]}, factor=100) == "contradicted"


def test_a_bound_is_of_the_studys_own_points_and_what_is_shown_is_the_difference_itself():
    far = {"exceeds": {"of": {"difference": ["b", "a"]}, "by": 3}}
    assert verdict(far, factor=100) == verdict(far, factor=0.01) == "supported"
    assert verdict(far, rounding=0.4) == "supported" and verdict(far, rounding=0.6) == "undecided"
    (required,) = compile_statement(far, ALIASES, "test")
    _, (part,) = verdicts.by_number([required], VALUES, dict.fromkeys(VALUES, 0.25))
    assert (part.effect, part.shown, part.interval) == (1.0, 4.0, (3.5, 4.5))
    assert part.name == "(b - a) above 3" and part.unit == "points" and required.arms == (("b", "a"),)


def test_a_study_that_is_above_by_less_than_the_bound_contradicts_it():
    (required,) = compile_statement({"exceeds": {"of": {"difference": ["b", "a"]}, "by": 3}}, ALIASES, "test")
    for gain, p in ((4.0, "p_above"), (2.0, "p_below")):
        drawn = {"a": np.zeros(999), "b": np.linspace(gain - 0.5, gain + 0.5, 999)}
        sample = Sample(values={"a": 0.0, "b": gain}, replicates=drawn, n=1, seeds=(0,))
        (part,) = verdicts.by_sample([required], sample, [""])
        assert getattr(part, p) < 0.01 and part.shown == pytest.approx(gain)
        assert part.interval == pytest.approx((gain - 0.475, gain + 0.475), abs=0.01)


def test_gains_count_for_one_step_of_x():
    steep_then_long = {"a": 0.0, "b": 1.0, "d": 4.0}  # 1 a step, then 0.5 a step
    assert verdict({"diminishing": ["a", "b", "d"]}, steep_then_long) == "supported"


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ({"exec": ["a"]}, "not a statement"),
        ({"greater": ["a", "nobody"]}, "no such alias"),
        ({"greater": ["a", {"power": ["a", "b"]}]}, "not a term"),
        ({"diminishing": ["b", "a", "c"]}, "x does not rise"),
    ],
)
def test_a_statement_without_meaning_is_refused(expression, what):
    with pytest.raises(InputError, match=what):
        verdict(expression)


def test_units_do_not_mix_in_a_term():
    aliases = ALIASES | {"speed": AliasedPoint(id="speed", x=None, unit="1/TFLOP")}
    with pytest.raises(InputError, match="mixes units"):
        compile_statement({"greater": ["a", "speed"]}, aliases, "test")


def test_holm_agrees_with_the_textbook():
    # Holm's own rule by hand: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1, each at least the one before.
    assert verdicts.holm({"d": 0.04, "a": 0.01, "c": 0.03, "b": 0.02}) == pytest.approx(
        {"d": 0.06, "a": 0.04, "c": 0.06, "b": 0.06}
    )
    assert verdicts.holm({"one": 0.7, "two": 0.9}) == pytest.approx({"one": 1.0, "two": 1.0})


def test_holm_never_rejects_more_than_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = {str(i): float(value) for i, value in enumerate(rng.random(7) ** 3)}
        rejected, ranked = set(), sorted(p, key=p.get)
        for rank, name in enumerate(ranked):  # step down: stop at the first that fails
            if p[name] > 0.05 / (len(p) - rank):
                break
            rejected.add(name)
        assert {name for name, adjusted in verdicts.holm(p).items() if adjusted <= 0.05} == rejected


def bootstrap(results, study, **options):
    return JointBootstrap(results=load_results(study, results), **options)


def scores(boot, id):
    point = boot.results.planned[id]
    runs = [boot.results.runs.by_id[run] for run in point.run_ids]
    return {t: [run["tasks"][t]["per_example"]["metric"] for run in runs] for t in runs[0]["tasks"]}


def test_the_joint_bootstrap_gives_the_intervals_of_the_single_ones(tmp_path):
    synthetic.write_study(tmp_path, "kilt", keep=lambda run: "figure2" in str(run.points), n=60)
    boot = bootstrap(tmp_path, "kilt")
    one, other = "figure2/performance/GLIMMER", "figure2/performance/FiD"
    sample = boot.sample([one, other])
    alone = average_interval(scores(boot, one), resamples=4000)
    paired = difference_interval(scores(boot, one), scores(boot, other), resamples=4000)
    assert sample.values[one] == pytest.approx(100 * alone.mean)
    assert (sample.n, sample.seeds) == (alone.n, (0, 1, 2))
    for drawn, reference in (
        (sample.replicates[one], alone),
        (sample.replicates[one] - sample.replicates[other], paired),
    ):
        found = np.quantile(drawn, [0.025, 0.975]) / 100
        assert found == pytest.approx([reference.low, reference.high], abs=0.08 * (reference.high - reference.low))


def test_equal_answers_differ_by_exactly_nothing_in_every_replicate(results):
    boot = bootstrap(results, "smoke")
    one, other = "table1/GLIMMER (shared)", "table2/GLIMMER"  # one run
    drawn = boot.sample([one, other]).replicates
    assert np.array_equal(drawn[one], drawn[other])


def test_two_scores_of_one_run_are_drawn_over_the_same_examples(results):
    ids = ["order/r_precision/GLIMMER", "order/r_precision/retriever"]
    boot = bootstrap(results, "smoke")
    run = boot.results.runs.by_id[boot.results.planned[ids[0]].run_ids[0]]
    for task in run["tasks"].values():  # the retriever finds one page less, of the same questions
        kept = task["per_example"]
        kept["rprec"] = [1.0] * 30 + [0.0] * 10
        kept["retriever_rprec"] = [1.0] * 29 + [0.0] * 11
    drawn = boot.sample(ids)
    gained = drawn.replicates[ids[0]] - drawn.replicates[ids[1]]
    assert drawn.values[ids[0]] - drawn.values[ids[1]] == pytest.approx(2.5) and drawn.n == 240
    assert gained.min() >= 0 and gained.mean() == pytest.approx(2.5, abs=0.1), "never less: pairs stay together"
    assert gained.std() < drawn.replicates[ids[0]].std() / 2
    lists = {task: [found["per_example"]["rprec"]] for task, found in run["tasks"].items()}
    alone = average_interval(lists, resamples=4000)
    found = np.quantile(drawn.replicates[ids[0]], [0.025, 0.975]) / 100
    assert found == pytest.approx([alone.low, alone.high], abs=0.1 * (alone.high - alone.low))


def test_runs_that_answered_different_examples_are_not_paired(results):
    boot = bootstrap(results, "smoke")
    id = boot.results.planned["table2/Frozen memory"].run_ids[0]
    nq = boot.results.runs.by_id[id]["tasks"]["nq"]
    nq["n"] -= 1
    nq["per_example"]["metric"].pop()
    with pytest.raises(NotPaired, match="different numbers of examples"):
        boot.sample(["table2/GLIMMER", "table2/Frozen memory"])


def ledger(results, study="smoke"):
    assert main(["claims", "--study", study, "--results", str(results)]) == 0
    document = json.loads((results / study / "claims.json").read_text())
    return document, {row["id"]: row for row in document["claims"]}


def write_with(results, quality):
    """The smoke study with the share of right answers that `quality(reader)` says, the same examples easy for all."""
    study = experiments.load_study("smoke")
    for run in experiments.runs_for(study).values():
        write_run(results, study, run, quality(run.reader))


def write_run(results, study, run, right, shift=0):
    """A run file that answers the `right` share of 200 questions of each task, from number `shift` on."""
    file = synthetic.run_file(run, study.name, study.tasks, n=200)
    metric = [float((i - shift) % 200 < round(200 * right)) for i in range(200)]
    for task in file["tasks"].values():
        task |= {"score": sum(metric) / 200, "interval": [0.0, 1.0], "per_example": {"metric": metric}}
    file["average"] |= {"score": sum(metric) / 200, "interval": [0.0, 1.0]}
    synthetic.write_json(results / study.name / "runs" / f"{run.id}.json", file)


def test_a_verdict_flips_with_the_data(tmp_path):
    for glimmer, expected in ((0.7, "supported"), (0.3, "contradicted"), (0.5, "undecided")):
        shares = {"fid": 0.5, "lumen": 0.5, "glimmer": glimmer}
        write_with(tmp_path, lambda reader, of=shares: of[reader.name] if reader.trained else 0.1)
        row = ledger(tmp_path)[1]["glimmer-above-lumen"]
        assert row["verdict"] == expected
        assert row["effect"] == pytest.approx(100 * (glimmer - 0.5))
        assert row["interval"][0] <= row["effect"] <= row["interval"][1] and row["n"] == 1200


def figure3(results, of_lumen):
    """Three seeds of Figure 3; `of_lumen(k)` is the share of right answers of LUMEN, half of them for all others."""
    study = experiments.load_study("kilt")
    for run in experiments.runs_for(study).values():
        if any(point.startswith("figure3") for point in run.points):
            right, shift = (of_lumen(run.reader.k), 0) if run.reader.name == "lumen" else (0.5, 8 * run.reader.k)
            write_run(results, study, run, right, shift + run.seed)
    (results / "paper").mkdir()
    shutil.copy(repository_path("results/paper/points.csv"), results / "paper")
    return bootstrap(results, "kilt")


REPORTED = {scaling.MANY: 60.0, scaling.FEW: 55.0}


def test_the_scale_is_what_is_sure_of_the_gain_over_the_papers(tmp_path):
    boot = figure3(tmp_path, lambda k: 0.8 if k > 5 else 0.3)
    scale = scaling.scale_factor(boot, REPORTED)
    assert scale.gain.mean == pytest.approx(50) and scale.gain.low < 50 < scale.gain.high
    assert scale.factor == pytest.approx(scale.gain.low / 5) and 5 < scale.factor < 10


def test_without_a_gain_or_its_points_a_point_is_a_point(tmp_path):
    boot = figure3(tmp_path, lambda k: 0.3 if k > 5 else 0.3)
    assert scaling.scale_factor(boot, REPORTED).factor == 1.0
    assert scaling.scale_factor(boot, {}).factor == 1.0
    empty = JointBootstrap(results=StudyResults(study="kilt", artifacts=boot.results.artifacts))
    assert scaling.scale_factor(empty, REPORTED) == scaling.ScaleFactor()


def test_an_effect_of_nothing_excludes_the_papers_where_that_is_known(tmp_path):
    # GLIMMER answers other questions at every k, and as many: no gain from retrieving more
    figure3(tmp_path, lambda k: 0.8 if k > 5 else 0.3)
    document, rows = ledger(tmp_path, "kilt")
    row = rows["more-retrieved-helps"]
    assert row["verdict"] == "undecided" and row["excludes_paper_effect"] and claims.EXCLUDES in row["note"]
    assert document["undecided_without_paper_effect"] == sum(one["excludes_paper_effect"] for one in rows.values())
    assert all(one["carried_over"] > 0 for one in row["requirements"])
    (tmp_path / "paper" / "points.csv").unlink()  # without the paper's effects there is nothing to exclude
    assert not ledger(tmp_path, "kilt")[1]["more-retrieved-helps"]["excludes_paper_effect"]


def test_a_decided_claim_says_nothing_of_the_papers_effect(tmp_path):
    write_with(tmp_path, lambda reader: (0.7 if reader.name == "glimmer" else 0.5) if reader.trained else 0.1)
    synthetic.write_paper(tmp_path)
    rows = ledger(tmp_path)[1]
    assert rows["glimmer-above-lumen"]["verdict"] == "supported"
    excluded = {row["verdict"] for row in rows.values() if row["excludes_paper_effect"]}
    assert excluded <= {"undecided"}


def test_p_of_an_effect_as_large_as_the_papers_is_the_share_of_replicates():
    needed = compile_statement({"greater": ["b", "a"]}, ALIASES, "test")
    drawn = {"a": np.zeros(999), "b": np.arange(999) / 100.0}
    sample = Sample(values={"a": 0.0, "b": 5.0}, replicates=drawn, n=1, seeds=(0,))
    sizes = verdicts.carried_effects(needed, {"a": 10.0, "b": 13.0}, 3.0)
    assert [size for _, size in sizes] == [9.0]
    assert verdicts.p_as_large(sizes, sample) == pytest.approx(2 * (1 + 99) / 1000)  # 9.00 to 9.98
    assert verdicts.carried_effects(needed, {"a": 13.0, "b": 10.0}, 3.0) == [], "the paper reports no such effect"
    assert verdicts.p_as_large([], sample) is None


def rows_of(results, study="kilt"):
    ledger = claims.Ledger(claims=claims.load_claims(), results=load_results(study, results), reported={})
    return {row["id"]: row for row in ledger.rows()}


def test_only_primary_claims_are_corrected_and_given_strong_words(tmp_path):
    synthetic.write_study(tmp_path, "kilt", n=60)
    by_family = {"primary": set(), "secondary": set()}
    for row in rows_of(tmp_path).values():
        by_family[row["family"]].add(row["verdict"])
        assert ("p_holm" in row) == (row["family"] == "primary" and row["interval"] is not None)
    assert by_family["primary"] <= {"supported", "contradicted", "undecided", "not tested"}
    assert by_family["secondary"] <= {"in the paper's direction", "against it", "no difference seen", "not tested"}


def test_about_twelve_claims_are_primary_and_none_is_the_same_number_as_another(tmp_path):
    assert 10 <= sum(claim.family == "primary" for claim in claims.load_claims()) <= 14
    synthetic.write_study(tmp_path, "kilt", n=60)
    seen = {}
    points = {point.id: point for point in experiments.points(experiments.load_study("kilt"))}
    for claim in claims.load_claims():
        arms = [
            sorted((str(points[id].terms), weight) for id, weight in required.weights.items())
            for required in claim.requirements(points)
            if hasattr(required, "weights") and not required.closed
        ]
        key = str(sorted(map(str, arms)))
        assert not arms or seen.setdefault(key, claim.id) == claim.id


def as_replicates(results, effect):
    """Figure 2 of kilt, each seed with data of its own; GLIMMER is `effect(seed)` of 200 questions above LUMEN."""
    study = experiments.load_study("kilt")
    for run in experiments.runs_for(study).values():
        if any(point.startswith("figure2") for point in run.points):
            right = (100 + 10 * run.seed + effect(run.seed) * (run.reader.name == "glimmer")) / 200
            write_run(results, study, run, right, shift=run.seed)
    for path in (results / "kilt" / "runs").glob("*.json"):  # the ids of another study would do as well
        run = json.loads(path.read_text())
        run["settings"]["data"]["seed"] = run["seed"]
        path.write_text(json.dumps(run))


def test_the_unit_of_replicates_is_the_paired_difference_of_one(tmp_path, monkeypatch):
    effects = [8, 10, 15]
    as_replicates(tmp_path, effects.__getitem__)
    monkeypatch.setattr("glimmer.results.run_files.problems", lambda run, name: iter(()))
    row = rows_of(tmp_path)["glimmer-above-lumen"]
    differences = [effect / 2 for effect in effects]  # of 200 questions, in points
    assert row["effect"] == pytest.approx(np.mean(differences))
    expected = stats.t.interval(0.95, 2, loc=np.mean(differences), scale=stats.sem(differences))
    assert row["interval"] == pytest.approx(expected, abs=1e-5)
    ledger = claims.Ledger(claims=(), results=load_results("kilt", tmp_path), reported={})
    assert ledger.draws == {"replicated": True, "seeds": [0, 1, 2], "redrawn": ["data"]}


def test_seeds_of_one_world_are_no_replicates(tmp_path):
    synthetic.write_study(tmp_path, "kilt", keep=lambda run: "figure2" in str(run.points), n=20)
    ledger = claims.Ledger(claims=(), results=load_results("kilt", tmp_path), reported={})
    assert ledger.draws == {"replicated": False, "seeds": [0, 1, 2], "redrawn": []}


def test_an_effect_is_a_share_of_what_the_study_gains_from_passages(tmp_path):
    figure3(tmp_path, lambda k: 0.8 if k > 5 else 0.3)
    row = ledger(tmp_path, "kilt")[1]["few-kept-of-many-close-most-of-the-gap"]
    # GLIMMER 50, LUMEN-5 30, LUMEN-40 80: (50 - 30) - (80 - 50) = -10 of a gap of 50
    assert row["share"]["value"] == pytest.approx(-0.2) and row["share"]["paper"] == pytest.approx(0.90, abs=0.01)
    assert row["share"]["interval"][0] < -0.2 < row["share"]["interval"][1]
    write_with(tmp_path, lambda reader: 0.5)
    assert ledger(tmp_path)[1]["training-memory-matters"]["share"] is None, "smoke has no Figure 3"


def test_verdicts_under_other_factors_stand_beside_those_under_ours(tmp_path):
    figure3(tmp_path, lambda k: 0.8 if k > 5 else 0.3)
    document, rows = ledger(tmp_path, "kilt")
    factors = [row["factor"] for row in document["by_factor"]]
    assert factors == sorted(factors) and {1.0, 1.5, 4.0} <= set(factors) and len(factors) == 6
    ours = next(row for row in document["by_factor"] if row["of"].endswith("ours"))
    assert ours["factor"] == pytest.approx(document["method"]["scale"]["factor"], abs=1e-3) and not ours["changed"]
    assert all(sum(row["counts"].values()) == len(rows) for row in document["by_factor"])


def test_the_ledger_says_whether_claims_were_fixed_before_the_runs(results):
    def note():
        return ledger(results)[0]["frozen"]["note"]

    assert note().startswith("The claims changed since: ")
    for digest, start in ((config_digest("claims"), "The claims are as they were"), ("0" * 12, "The claims changed")):
        for path in (results / "smoke" / "runs").glob("*.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"claims": digest}))
        assert note().startswith(start)


def test_a_comment_changes_no_digest_and_a_word_does(tmp_path, monkeypatch):
    text = repository_path("config/claims.yaml").read_text()
    path = tmp_path / "claims.yaml"
    monkeypatch.setattr("glimmer.experiments.documents.repository_path", lambda name: path)
    path.write_text("# a word first\n" + text)
    same = config_digest("claims")
    path.write_text(text)
    assert config_digest("claims") == same
    path.write_text(text.replace("family: primary", "family: secondary", 1))
    assert config_digest("claims") != same
    path.unlink()
    assert config_digest("claims") is None


def test_a_missing_run_makes_its_claims_missing_and_no_other(results):
    frozen = load_results("smoke", results).of("table2")[1].point.run_ids[0]
    (results / "smoke" / "runs" / f"{frozen}.json").unlink()
    _, rows = ledger(results)
    row = rows["training-memory-matters"]
    assert row["verdict"] == "missing" and row["effect"] is None and "table2/Frozen memory" in row["note"]
    assert rows["more-retrieved-helps"]["note"].startswith("not part of this study")
    assert rows["separate-reranker-comparable"]["effect"] is not None


def test_without_scores_per_example_there_is_a_number_and_no_verdict(results):
    for path in (results / "smoke" / "runs").glob("*.json"):
        run = json.loads(path.read_text())
        for task in run["tasks"].values():
            del task["per_example"]
        path.write_text(json.dumps(run))
    row = ledger(results)[1]["training-memory-matters"]
    assert row["verdict"] == "undecided" and row["interval"] is None and "no interval" in row["note"]


def test_exact_counts_decide_a_claim_without_a_test(results):
    _, rows = ledger(results)
    row = rows["glimmer-faster-than-lumen-than-fid"]
    assert row["verdict"] in ("supported", "contradicted") and "p" not in row and "exact" in row["note"]


def test_a_study_says_whose_data_it_speaks_of_and_how_it_corrected(results):
    document, rows = ledger(results)
    assert "Holm" in document["method"]["correction"]
    for row in rows.values():
        assert row["verdict_text"].startswith(row["verdict"]) and "study smoke" in row["verdict_text"]
    tested = [row for row in rows.values() if "p" in row]
    assert tested and all(row["p"] <= row["p_holm"] <= 1 for row in tested)


def test_the_same_results_give_the_same_ledger(results):
    assert ledger(results)[0] == ledger(results)[0]


def test_seeds_that_all_points_share_are_the_ones_that_count(tmp_path):
    synthetic.write_study(
        tmp_path,
        "kilt",
        keep=lambda run: "table2" in str(run.points) and (run.seed != 2 or run.reader.memory == "trained"),
        n=20,
    )
    row = ledger(tmp_path, "kilt")[1]["training-memory-matters"]
    assert row["seeds"] == [0, 1] and row["n"] == 120


def test_every_claim_is_well_formed_and_there_are_enough():
    found = claims.load_claims()
    assert len(found) >= 25
    artifacts = {id.split("/")[0] for claim in found for id in claim.point_ids}
    assert artifacts == {f"figure{i}" for i in range(2, 8)} | {f"table{i}" for i in range(1, 4)}


def test_claims_keep_their_meaning_at_every_studys_scale():
    for name in experiments.study_names():
        points = {point.id: point for point in experiments.points(experiments.load_study(name))}
        for claim in claims.load_claims():
            if set(claim.point_ids) <= set(points):
                assert claim.requirements(points)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"points": {"x": "figure2/performance/GLIMMER", "y": "figure9/nothing"}}, "no such point"),
        ({"expression": {"greater": ["x", "z"]}}, "no such alias"),
        ({"expression": {"greater": "x"}}, "not valid"),
        ({"expression": {"python": "1"}}, "not valid"),
        ({"id": "Not An Id"}, "not valid"),
        ({"surprise": 1}, "not valid"),
        ({"family": "main"}, "not valid"),
        ({"sentence": "ours"}, "not valid"),
        ({"rests_on": {"basis": "luck", "because": "b"}}, "not valid"),
        ({"rests_on": {"basis": "measured"}}, "not valid"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, change, what):
    entry = {"id": "c", "statement": "s", "source": "t", "expression": {"greater": ["x", "y"]}}
    entry |= {"family": "primary", "sentence": "quoted", "rests_on": {"basis": "measured", "because": "b"}}
    entry["points"] = {"x": "figure2/performance/GLIMMER", "y": "figure2/performance/FiD"}
    path = tmp_path / "claims.yaml"
    path.write_text(json.dumps({"claims": [entry | change]}))
    with pytest.raises(InputError, match=what):
        claims.load_claims(path)


def test_the_papers_sentences_hold_on_its_numbers():
    reported = experiments.paper_values()
    rows = {row["id"]: row for row in claims.evaluate_paper(claims.load_claims(), reported)}
    assert {row["verdict"] for row in rows.values()} == {"supported"}
    assert all(row["interval"] is None and row["n"] is None for row in rows.values())


def test_a_changed_number_of_the_paper_changes_its_verdict():
    reported = experiments.paper_values()
    id = "table2/Frozen memory"
    for text, expected in (("69.0", "supported"), ("69.75", "undecided"), ("70.4", "contradicted")):
        changed = reported | {id: dataclasses.replace(reported[id], percent=text)}
        rows = {row["id"]: row for row in claims.evaluate_paper(claims.load_claims(), changed)}
        assert rows["training-memory-matters"]["verdict"] == expected


def test_the_report_shows_the_ledger(results):
    document, rows = ledger(results)
    assert main(["report", "--study", "smoke", "--results", str(results)]) == 0
    text = (results / "smoke" / "report.html").read_text()
    assert document["evaluated"] in text and all(id in text for id in rows)


def test_audit_and_claims_need_no_jax():
    code = "import sys, analysis.claims, analysis.audit; sys.exit(any(m in sys.modules for m in ('jax', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
