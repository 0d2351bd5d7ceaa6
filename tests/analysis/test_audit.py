"""The audit: planted discrepancies are found, a consistent grid has none, the paper's are found by the rules."""

import csv
import dataclasses
import json
import shutil
import zlib
from fractions import Fraction

import pytest

from analysis.audits import agreement, counts, curves, precision, truncation
from analysis.audits.finding import Number, reported_numbers
from analysis.audits.identity import run_key
from glimmer import experiments
from glimmer.cli import main
from glimmer.compute import SIZES, Workload, operation_counts, samples_per_tflop
from glimmer.files import read_json, write_json
from glimmer.results import load_results
from tests.analysis import synthetic

REGISTRY = experiments.load_registry()
POINTS = {point.id: point for point in REGISTRY.points()}
PAPER = experiments.paper_values()


def numbers(**changed):
    """The paper's numbers, some of them spelled anew."""
    reported = dict(PAPER)
    for id, text in changed.items():
        key = "samples_per_tflop" if reported[id].samples_per_tflop else "percent"
        reported[id] = dataclasses.replace(reported[id], **{key: text})
    return reported_numbers(reported, POINTS.values())


def consistent(decimals=3):
    """Every point of the registry from one smooth function of its reader, spelled with so many decimals."""
    made = []
    for point in POINTS.values():
        value = sum(term.weight * _quality(point, term) for term in point.terms)
        if point.measure.kind == "speed":
            reader = point.reader
            work = Workload(alpha=reader.alpha, beta=reader.beta, k=reader.k, m=reader.m, tokens=352, target_tokens=64)
            value, digits = samples_per_tflop(SIZES[point.size.lower()](), work), 12
        else:
            value, digits = round(value, decimals), decimals
        made.append(
            Number(point=point, value=value, rounding=0.5 * 10**-digits, decimals=digits, text=f"{value:.{digits}f}")
        )
    return made


def _quality(point, term):
    _, reader = run_key(point, term)  # resolved: alpha = 1 is FiD
    base = 40 + 8 * (1 - 1 / (1 + reader.k)) + 7 * (1 - 1 / (1 + reader.m)) + 9 * float(reader.alpha)
    base += 5 * float(reader.beta) if reader.beta is not None else 6
    base += 0.31 * reader.lambda_ - 0.17 * reader.tau + 0.7 * len(reader.train_tasks)
    choices = (reader.memory, reader.reranker, reader.question_encoder, reader.scorer, point.size)
    return base + zlib.crc32("".join(choices).encode()) % 997 / 500


def test_a_consistent_grid_has_no_finding():
    grid = consistent()
    assert list(agreement.same_run(grid)) == []
    assert list(agreement.sums(grid)) == []
    assert list(agreement.equal_values(grid)) == []
    assert list(curves.monotone(grid)) == []
    assert list(counts.token_counts(grid))[1:] == [], "the widths that made the speeds fit at the stated tokens"
    assert list(precision.granular([n for n in grid if n.point.measure.kind != "task"])) == []


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("id", "kind", "partner"),
    [
        ("table1/GLIMMER (shared)", "table-and-figure", "figure4/beta/GLIMMER/beta=1/4"),
        ("figure3/retrieved/GLIMMER/k=40", "same-run", "figure5/selected/2 rerank layers/m=5"),
        ("figure6/NQ only/FiD", "same-run", "figure7/alpha/NQ-only/alpha=1"),
        ("figure6/Multi-task gain/L1/3", "gain-and-parts", "figure7/alpha/KILT/alpha=1/3"),
        ("figure6/Multi-task gain/L1/3", "stack-and-whole", "figure6/NQ only/L1/3"),
    ],
)
def test_a_planted_disagreement_is_found_in_both_directions(id, kind, partner, sign):
    grid = [dataclasses.replace(n, value=n.value + sign * 0.4) if n.id == id else n for n in consistent()]
    findings = [*agreement.same_run(grid), *agreement.sums(grid)]
    about = [f for f in findings if f.kind == kind]
    assert [(id in f.points and partner in f.points, f.severity) for f in about] == [(True, "discrepancy")]
    assert abs(about[0].difference) == pytest.approx(0.4, abs=0.01) and abs(about[0].difference) > about[0].tolerance
    assert {f.kind for f in findings} <= {kind, "gain-and-parts", "stack-and-whole"}


def test_what_rounding_explains_is_no_finding():
    grid = consistent()
    id = "table1/GLIMMER (shared)"
    coarse = [dataclasses.replace(n, value=round(n.value, 1), rounding=0.05) if n.id == id else n for n in grid]
    assert list(agreement.same_run(coarse)) == []


def test_a_number_that_appears_under_another_configuration_is_worth_a_look():
    grid = consistent()
    source = next(n for n in grid if n.id == "table2/Frozen memory")
    id = "table3/Mean pool"
    copied = [dataclasses.replace(source, point=n.point) if n.id == id else n for n in grid]
    (finding,) = agreement.equal_values(copied)
    assert set(finding.points) == {id, source.id} and finding.severity == "note"


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    results = tmp_path_factory.mktemp("audited")
    synthetic.write_paper(results)
    file = results / "paper" / "points.csv"
    rows = [[p.point, p.percent, p.samples_per_tflop, p.source] for p in PAPER.values()]
    with open(file, "w", newline="") as out:
        csv.writer(out).writerows([["point", "percent", "samples_per_tflop", "source"], *rows])
    assert main(["audit", "--paper", "--results", str(results)]) == 0, "findings are results, not failures"
    return read_json(results / "paper" / "audit.json")


def findings(document, kind):
    return [one for one in document["findings"] if one["kind"] == kind]


def test_every_finding_has_all_its_fields_and_a_name_of_its_own(paper):
    fields = {"id", "kind", "severity", "points", "expected", "found", "difference", "tolerance", "explanation"}
    assert all(set(one) == fields for one in paper["findings"])
    ids = [one["id"] for one in paper["findings"]]
    assert len(set(ids)) == len(ids)


def test_the_papers_figures_6_and_7_disagree_on_the_runs_they_share(paper):
    pairs = {tuple(one["points"]): one for one in findings(paper, "same-run")}
    one = pairs["figure6/NQ only/FiD", "figure7/alpha/NQ-only/alpha=1"]
    assert (one["expected"], one["found"]) == (59.11, 55.6) and one["difference"] == pytest.approx(-3.51)
    assert len([p for p in pairs if "figure6" in p[0]]) == 3
    totals = [one["found"] for one in findings(paper, "stack-and-whole")]
    assert totals == pytest.approx([51.18 + 6.8, 58.34 + 2.68, 59.11 + 1.69])
    gains = {one["found"]: one["expected"] for one in findings(paper, "gain-and-parts")}
    assert gains == pytest.approx({6.8: 6.2, 2.68: 2.4, 1.69: 2.2})


def test_the_papers_figures_3_and_5_disagree_on_glimmer_with_forty_passages(paper):
    ids = ["figure3/retrieved/GLIMMER/k=40", "figure5/selected/2 rerank layers/m=5"]
    (one,) = [f for f in findings(paper, "same-run") if f["points"] == ids]
    assert (one["expected"], one["found"]) == (70.71, 70.540702)


def test_the_papers_tables_agree_with_its_figures(paper):
    assert findings(paper, "table-and-figure") == []


def test_the_speeds_of_figure_2_are_those_of_384_and_64_tokens(paper):
    fit = {one["convention"]: one for one in paper["fitted_tokens"]}
    assert fit["figure2"]["tokens"] == pytest.approx(384, abs=1e-4)
    assert fit["figure2"]["target_tokens"] == pytest.approx(64, abs=1e-3)
    assert fit["figure2"]["largest_relative_error"] < 1e-9 < fit["printed"]["largest_relative_error"]
    (one,) = [f for f in findings(paper, "token-count") if f["severity"] == "discrepancy"]
    assert (one["expected"], one["found"], one["difference"]) == (352, 384, 32)
    assert len(findings(paper, "operation-count")) == 6, "three readers, two formulas, at the stated tokens"


def test_the_printed_coefficients_are_compared_with_the_models_widths(paper):
    assert sorted((one["expected"], one["found"]) for one in findings(paper, "formula")) == [(11.5, 12), (13.5, 14)]


def test_digits_that_no_dev_set_supports_are_named_and_those_of_a_mean_explained(paper):
    by_artifact = {one["points"][0].split("/")[0]: one for one in findings(paper, "precision")}
    assert set(by_artifact) == {"figure2", "figure5"}
    assert "division" in by_artifact["figure2"]["explanation"], "415.29 / 6 and 425.89 / 6"
    assert by_artifact["figure5"]["found"] == 6
    (one,) = findings(paper, "mixed-precision")
    assert set(one["points"]) == {"figure5/selected/2 rerank layers/m=20", "figure5/selected/4 rerank layers/m=10"}


def test_shares_are_possible_on_kilts_dev_set_and_an_impossible_one_is_found(paper):
    assert findings(paper, "granularity") == [] and paper["granularity_tested"] == 5
    (one,) = precision.granular(numbers(**{"figure6/NQ only/FiD": "59.13"}))  # 1677 and 1678 of 2837: 59.11, 59.15
    assert one.points == ("figure6/NQ only/FiD",)


def test_curves_that_fall_are_named_with_the_fall(paper):
    falls = {tuple(one["points"]): one["difference"] for one in findings(paper, "monotone")}
    assert falls["figure7/alpha/NQ-only/alpha=1/2", "figure7/alpha/NQ-only/alpha=1"] == pytest.approx(-0.5)
    assert not any("figure7/alpha/KILT" in id for ids in falls for id in ids), "57.5 after 57.6 is within rounding"


@pytest.mark.parametrize("line", ["figure9/nothing,50.0,,vector", "table2/GLIMMER,nan,,printed"])
def test_a_line_of_the_papers_points_that_cannot_be_used_fails_the_audit(results, line, capsys):
    file = results / "paper" / "points.csv"
    id = line.split(",")[0]
    kept = [row for row in file.read_text().splitlines() if not row.startswith(f"{id},")]
    file.write_text("\n".join([*kept, line]) + "\n")
    assert main(["audit", "--paper", "--results", str(results)]) == 1
    (one,) = findings(read_json(results / "paper" / "audit.json"), "reported")
    assert one["points"] == [id] and one["severity"] == "failure"


# Studies


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The smoke study with true operation counts, sealed and drawn. Not to be changed."""
    directory = tmp_path_factory.mktemp("sound")
    study = experiments.load_study("smoke")
    for run in experiments.runs_for(study).values():
        file = synthetic.run_file(run, "smoke", study.tasks, n=120)
        file["operation_counts"] = operation_counts(run.dimensions, run.workload)
        write_json(directory / "smoke" / "runs" / f"{run.id}.json", file)
    assert main(["audit", "--study", "smoke", "--results", str(directory), "--seal"]) == 0
    assert main(["figures", "--study", "smoke", "--results", str(directory)]) == 0
    return directory


@pytest.fixture
def study(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "results")


def audited(results, expected=0, name="smoke"):
    assert main(["audit", "--study", name, "--results", str(results)]) == expected
    return read_json(results / name / "audit.json")


def edit(path, change):
    run = json.loads(path.read_text())
    change(run)
    path.write_text(json.dumps(run))


def runs_of(results):
    return sorted((results / "smoke" / "runs").glob("*.json"))


def test_a_sound_study_has_no_finding(study):
    document = audited(study)
    assert document["findings"] == [] and document["integrity"] == "sound"


def test_every_point_is_traced_to_files_digests_and_code(study):
    document = audited(study)
    for point in experiments.points(experiments.load_study("smoke")):
        assert document["trace"]["points"][point.id] == list(point.run_ids)
    for id, run in document["trace"]["runs"].items():
        assert len(run["sha256"]) == 64 and run["code_version"] and run["digests"] and run["file"] == f"runs/{id}.json"


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run["wall_seconds"].update(train=31.5),  # consistent with everything else in the file
        lambda run: run.update(code_version="0.1.0+g0123abd"),
        lambda run: run["tasks"]["nq"]["per_example"]["rprec"].reverse(),
    ],
)
def test_one_changed_byte_is_found_even_where_the_file_agrees_with_itself(study, change):
    edit(runs_of(study)[0], change)
    document = audited(study, expected=1)
    (one,) = findings(document, "changed-file")
    assert one["severity"] == "failure" and one["points"]


def test_a_refused_run_file_is_a_failure_with_its_reason_and_its_points(study):
    path = runs_of(study)[0]
    edit(path, lambda run: run["tasks"]["nq"].update(score=0.0123))
    document = audited(study, expected=1)
    (one,) = findings(document, "run-file")
    assert "per-example scores average" in one["found"] and one["points"]
    assert findings(document, "missing"), "its points are missing, not 0"


def test_recording_never_fails_and_the_check_of_what_was_recorded_does(study, capsys):
    arguments = ["--study", "smoke", "--results", str(study)]
    assert main(["audit", *arguments, "--record"]) == main(["audit", *arguments, "--check"]) == 0
    edit(runs_of(study)[0], lambda run: run["wall_seconds"].update(train=1))
    assert main(["audit", *arguments, "--check"]) == 1 and "changed since" in capsys.readouterr().err
    assert main(["audit", *arguments, "--record"]) == 0
    assert main(["audit", *arguments, "--check"]) == 1, "the recorded audit says that the integrity failed"


def test_a_removed_run_file_is_found_and_an_added_one_named(study):
    first, second = runs_of(study)[:2]
    first.rename(first.with_suffix(".bak"))
    assert findings(audited(study, expected=1), "changed-file")[0]["found"] == "no such file"
    first.with_suffix(".bak").rename(first)
    lines = (study / "smoke" / "runs" / "SHA256SUMS").read_text().splitlines()
    (study / "smoke" / "runs" / "SHA256SUMS").write_text("\n".join(line for line in lines if second.name not in line))
    assert [one["severity"] for one in findings(audited(study), "unsealed")] == ["note"]


def test_a_study_without_a_seal_says_so(study):
    (study / "smoke" / "runs" / "SHA256SUMS").unlink()
    assert [one["kind"] for one in audited(study)["findings"]] == ["unsealed"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("operation-count", lambda run: run["operation_counts"].update(printed=1.0)),
        ("untraced", lambda run: run.pop("digests")),
        ("code-version", lambda run: run.update(code_version="another")),
        ("inputs", lambda run: run["digests"]["data"].update({"nq-dev-kilt.jsonl": "00" * 32})),
        ("kilt-package", lambda run: run.update(kilt_package_check={"status": "differs", "detail": "nq"})),
    ],
)
def test_what_is_wrong_with_one_run_is_named(study, kind, change):
    edit(runs_of(study)[0], change)
    main(["audit", "--study", "smoke", "--results", str(study), "--seal"])
    assert {one["kind"] for one in audited(study)["findings"]} - {"drawing"} == {kind}


def test_a_run_copied_under_another_id_is_worth_a_look(study):
    first, second = (json.loads(path.read_text()) for path in runs_of(study)[:2])
    copied = second | {"tasks": first["tasks"], "average": first["average"]}
    runs_of(study)[1].write_text(json.dumps(copied))
    main(["audit", "--study", "smoke", "--results", str(study), "--seal"])
    (one,) = findings(audited(study), "equal-answers")
    assert first["id"] in one["explanation"] and second["id"] in one["explanation"]


def ranked(n, in_first_two):
    """A split whose n questions with evidence have this many with some at ranks 1 and 2; as many have no evidence."""
    return {"n": 2 * n, "n_with_evidence": n, "evidence_rank": {"counts": [0, in_first_two, 5], "none": 0}}


def audited_splits(study, train, dev):
    write_json(study / "smoke" / "retrieval.json", {"nq": {"train": train, "dev": dev}, "trex": {"dev": dev}})
    return audited(study)


@pytest.mark.parametrize("sign", [1, -1])
def test_train_questions_that_meet_more_or_less_evidence_than_dev_are_found(study, sign):
    many, few = ranked(2000, 1200), ranked(1000, 560)
    pair = (many, few) if sign == 1 else (few, many)
    document = audited_splits(study, *pair)
    (one,) = document["findings"]
    assert (one["kind"], one["severity"], one["tolerance"]) == ("train-and-dev", "discrepancy", 3.0)
    assert one["difference"] == pytest.approx(4 * sign) and {one["expected"], one["found"]} == {60, 56}
    error = (0.6 * 0.4 / 2000 + 0.56 * 0.44 / 1000) ** 0.5
    assert "nq:" in one["explanation"] and "first 2 passages" in one["explanation"], (
        "the fewest that smoke's readers read"
    )
    assert f"standard error of {100 * error:.1f}" in one["explanation"]
    assert set(document["trace"]["files"]) == {"retrieval.json"}


def test_a_difference_that_few_dev_questions_cannot_tell_from_none_is_a_note(study):
    (one,) = audited_splits(study, ranked(400, 240), ranked(32, 16))["findings"]
    assert one["severity"] == "note" and one["difference"] == pytest.approx(10)


@pytest.mark.parametrize("dev", [ranked(1000, 570), ranked(1000, 630), ranked(0, 0)])
def test_three_points_are_allowed_and_a_split_without_evidence_says_nothing(study, dev):
    assert audited_splits(study, ranked(1000, 600), dev)["findings"] == []


def test_a_picture_of_other_results_is_found(study):
    path = study / "smoke" / "figures" / "figure2.csv"
    point = load_results("smoke", study).of("figure2", "performance")[0]
    text = f"{point.value:.10g}"
    lines = path.read_text().splitlines(keepends=True)
    assert sum(point.id in line and text in line for line in lines) == 1
    path.write_text("".join(line.replace(text, "99.9") if point.id in line else line for line in lines))
    (one,) = findings(audited(study), "drawing")
    assert one["points"] == [point.id] and one["found"] == 99.9


def test_a_study_without_results_is_audited_all_the_same(tmp_path):
    document = audited(tmp_path)
    assert {one["kind"] for one in document["findings"]} == {"missing"} and document["integrity"] == "sound"


def write_shapes(results, quality, name="kilt"):
    """Run files of the kilt study's seed 0, with the share of right answers that `quality(reader)` says."""
    loaded = experiments.load_study(name)
    for run in experiments.runs_for(loaded).values():
        if run.seed:
            continue
        file = synthetic.run_file(run, name, loaded.tasks, n=400)
        for task in file["tasks"].values():
            metric = [float(i < 400 * quality(run.reader)) for i in range(400)]
            task |= {"score": sum(metric) / 400, "interval": [0.0, 1.0], "per_example": {"metric": metric}}
        score = sum(task["score"] for task in file["tasks"].values()) / len(file["tasks"])
        file["average"] |= {"score": score, "interval": [0.0, 1.0]}
        file["operation_counts"] = operation_counts(run.dimensions, run.workload)
        write_json(results / name / "runs" / f"{run.id}.json", file)


def shapes(results):
    found = audited(results, name="kilt")["findings"]
    return {(one["kind"], one["points"][0].split("/")[0]): one for one in found if one["kind"].startswith("shape")}


def test_a_study_is_compared_with_the_paper_on_shape_and_never_on_level(tmp_path):
    shutil.copytree(experiments.documents.repository_path("results/paper"), tmp_path / "paper")

    def quality(reader):  # far below the paper; monotone in everything, GLIMMER the worst of three
        base = {"fid": 0.2, "lumen": 0.25, "glimmer": 0.05}[reader.name] + 0.002 * reader.k + 0.001 * reader.m
        return base + 0.05 * float(reader.alpha) - (0.04 if len(reader.train_tasks) > 1 else 0)

    write_shapes(tmp_path, quality)
    found = shapes(tmp_path)
    order = found["shape-order", "figure2"]
    assert order["severity"] == "discrepancy" and order["expected"] == "GLIMMER > LUMEN > FiD"
    assert order["found"].endswith("GLIMMER")
    assert found["shape-sign", "figure6"]["expected"] == "above 0" and found["shape-sign", "figure6"]["found"] < 0
    optimum = found["shape-optimum", "figure5"]
    assert (optimum["expected"], optimum["found"]) in {("m = 20", "m = 40"), ("m = 10", "m = 40")}
    assert optimum["difference"] > 0 and "shape-steps" in {kind for kind, _ in found}
    assert not any(kind == "shape-level" for kind, _ in found)


def test_the_papers_own_shape_at_another_level_has_no_finding(tmp_path):
    shutil.copytree(experiments.documents.repository_path("results/paper"), tmp_path / "paper")
    values = {n.id: n for n in numbers()}
    by_run = {}
    loaded = experiments.load_study("kilt")
    for point in sorted(experiments.points(loaded), key=lambda p: p.artifact == "figure6"):
        if point.id in values and len(point.terms) == 1 and point.measure.kind != "speed":
            by_run.setdefault(point.run_ids[0], values[point.id].value)
    for run in experiments.runs_for(loaded).values():
        if run.id in by_run:
            file = synthetic.run_file(run, "kilt", loaded.tasks)
            for task in file["tasks"].values():
                task |= {"score": by_run[run.id] / 250, "interval": [0.0, 1.0], "per_example": None}
            file["average"] |= {"score": by_run[run.id] / 250, "interval": [0.0, 1.0]}
            file["operation_counts"] = operation_counts(run.dimensions, run.workload)
            write_json(tmp_path / "kilt" / "runs" / f"{run.id}.json", file)
    found = shapes(tmp_path)
    # One run cannot be both of the paper's numbers for it: only where figures 5 and 6 contradict 3 and 7.
    assert {artifact for _, artifact in found} <= {"figure5", "figure6"}, found


def test_the_report_shows_every_finding(study):
    edit(runs_of(study)[0], lambda run: run["tasks"]["nq"].update(score=0.0123))
    document = audited(study, expected=1)
    assert main(["report", "--study", "smoke", "--results", str(study)]) == 0
    text = (study / "smoke" / "report.html").read_text()
    assert all(one["id"] in text for one in document["findings"])


def test_fits_solve_for_the_tokens_that_made_the_speeds():
    made = []
    for number in consistent():
        if number.point.measure.kind == "speed":
            reader = number.point.reader
            work = Workload(alpha=reader.alpha, beta=reader.beta, k=reader.k, m=reader.m, tokens=100, target_tokens=7)
            made.append(dataclasses.replace(number, value=samples_per_tflop(SIZES["xxl"](), work, "printed")))
    printed, own = counts.fits(made)
    assert printed.lengths == pytest.approx({"tokens": 100, "target_tokens": 7})
    assert own.largest_relative_error > 1e-4 and Fraction(1, 3) == made[1].point.reader.alpha


def test_every_share_that_the_lengths_cut_above_5_percent_is_a_finding_and_no_other(tmp_path):
    assert list(truncation.cuts(tmp_path)) == [], "a study of before has no lengths.json"
    document = synthetic.lengths_file(("nq", "trex"))
    write_json(tmp_path / "lengths.json", document)
    assert list(truncation.cuts(tmp_path)) == []
    counted = json.loads(json.dumps(document))
    counted["passages"] |= {"share_cut": 0.114, "share_tokens_lost": 0.05}  # the second is not above
    counted["tasks"]["nq"]["dev"]["questions"] |= {"share_cut": 0.3, "share_own_words_cut": 0.2}
    counted["tasks"]["trex"]["train"]["evidence"]["share_lost"] = 0.06
    write_json(tmp_path / "lengths.json", counted)
    by_about = {finding.about: finding for finding in truncation.cuts(tmp_path)}
    assert {about: finding.found for about, finding in by_about.items()} == {
        "passages share_cut": 0.114,
        "nq dev questions share_cut": 0.3,
        "nq dev questions share_own_words_cut": 0.2,
        "trex train evidence share_lost": 0.06,
    }
    assert "11.4 percent" in by_about["passages share_cut"].explanation and len({f.id for f in by_about.values()}) == 4
