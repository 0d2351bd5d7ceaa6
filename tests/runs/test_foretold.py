"""The plan beside what was measured: a machine of known rates is found again, and errors are told as they are."""

import shutil

import pytest

from glimmer.errors import InputError
from glimmer.experiments import load_study, runs_for
from glimmer.runs import foretold
from glimmer.runs.bill import by_stage, jobs_of, total

HEAD = "s\th:m:s\tcpu_time\n"
IN_FOLDERS = ("train", "evaluate")


def study_in(tmp_path, name="smoke", **changes):
    """The study with work and results of its own, which are empty at first."""
    places = {"work": str(tmp_path / "work"), "results": str(tmp_path / "results")}
    return load_study(name, places | {key.replace("__", "."): value for key, value in changes.items()})


def write(study, place, seconds, cpu="1.5"):
    """A benchmark as Snakemake leaves it."""
    path = study.work_directory / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:01\t{cpu}\n")


def write_all(study, seconds):
    """A benchmark of every job of a study without replicates and parts, of so many seconds as `seconds(job)`."""
    for job in jobs_of(study):
        name = {"filter_by_relevance": "filter"}.get(job.stage, job.stage.replace("_", "-"))
        write(study, f"benchmarks/{name}/{job.run}.tsv" if job.run else f"benchmarks/{name}.tsv", seconds(job))


def invented(job):
    return 7.0 + 3e-9 * job.amount


def row_of(rows, stage):
    return next(row for row in rows if row["stage"] == stage)


def test_a_machine_of_known_rates_is_found_again(tmp_path):
    study = study_in(tmp_path)
    write_all(study, invented)
    timed = foretold.timed_jobs(study)
    assert len(timed) == len(jobs_of(study))
    for left_out in ("job", "reader"):
        rows = foretold.compare(study, timed, foretold.from_others(timed, left_out))
        for stage in IN_FOLDERS:
            assert row_of(rows, stage)["error_percent"] == pytest.approx(0, abs=0.1)
            assert row_of(rows, stage)["foretold"] == row_of(rows, stage)["measured"] == row_of(rows, stage)["jobs"]
        alone = row_of(rows, "pretrain")
        assert (alone["measured"], alone["foretold"], alone["error_percent"]) == (1, 0, None)
        assert "no other job" in alone["says"]


def test_jobs_that_foretell_each_other_do_not_cancel(tmp_path):
    """Of 10, 10 and 20 seconds each is foretold by the mean of the other two: 15, 15 and 10, which is 40 again."""
    study = study_in(tmp_path, "embedded", seeds=[1, 2, 3], artifacts=["figure2"])
    for seed, seconds in ((1, 10), (2, 10), (3, 20)):
        write(study, f"replicate-{seed}/benchmarks/chunk.tsv", seconds)
    timed = foretold.timed_jobs(study)
    row = row_of(foretold.compare(study, timed, foretold.from_others(timed, "replicate")), "chunk")
    assert row["foretold_seconds"] == pytest.approx(row["seconds"]) and row["seconds"] == 40
    assert row["error_percent"] == pytest.approx(50)
    assert row["largest_error_percent"] == pytest.approx(50) and row["median_error_percent"] == pytest.approx(50)
    assert foretold.whole([row])["error_percent"] == row["error_percent"]


def test_an_error_is_as_large_above_as_below(tmp_path):
    study = study_in(tmp_path)
    write_all(study, invented)
    timed = foretold.timed_jobs(study)
    for factor in (0.8, 1.2):
        rows = foretold.compare(study, timed, lambda one, factor=factor: factor * one.seconds)
        assert foretold.whole(rows)["error_percent"] == pytest.approx(20)


def test_what_has_no_measurement_says_so(tmp_path):
    study = study_in(tmp_path)
    for run in runs_for(study):
        write(study, f"benchmarks/evaluate/{run}.tsv", 3)
    timed = foretold.timed_jobs(study)
    rows = foretold.compare(study, timed, foretold.from_others(timed, "job"))
    silent = {row["stage"] for row in rows if row["says"] == "no measurement"}
    assert silent == {job.stage for job in jobs_of(study)} - {"evaluate"}
    assert set(foretold.whole(rows)["without_measurement"].split()) == silent
    nothing = foretold.compare(study, [], foretold.from_others([], "job"))
    with pytest.raises(InputError, match="nothing to compare.*found 0 measured jobs"):
        foretold.whole(nothing)


def test_a_benchmark_comes_before_a_run_file_and_is_foretold_by_benchmarks_alone(tmp_path):
    study = study_in(tmp_path, "sample")
    shutil.copytree("results/sample/runs", study.results_directory / "runs")
    assert {one.of for one in foretold.timed_jobs(study)} == {"run file"}
    run = next(id for id, run in runs_for(study).items() if run.reader.is_trained_by_its_run)
    write(study, f"benchmarks/train/{run}.tsv", 1234)
    timed = foretold.timed_jobs(study)
    first = next(one for one in timed if one.of == "benchmark")
    assert first.seconds == 1234 and [one.job.run for one in timed if one.job.stage == "train"].count(run) == 1
    assert foretold.from_others(timed, "job")(first) is None, "no other benchmark"
    assert foretold.rates(timed)["train"].seconds(first.job.amount) == pytest.approx(1234)


def test_another_study_foretells_one_that_was_never_run_here(tmp_path):
    known, new = study_in(tmp_path), study_in(tmp_path, "pilot", seeds=[1])
    write_all(known, invented)
    write(new, "replicate-1/benchmarks/chunk.tsv", 20)
    timed = foretold.timed_jobs(known) + foretold.timed_jobs(new)
    rows = foretold.compare(new, timed, foretold.from_others(timed, "study"))
    asked, given = (next(job for job in jobs_of(study) if job.stage == "chunk") for study in (new, known))
    foreseen = invented(given) * asked.amount / given.amount  # one point: a line through the origin
    assert row_of(rows, "chunk")["foretold_seconds"] == pytest.approx(foreseen)


def test_benchmarks_of_another_number_of_parts_are_left_out(tmp_path):
    study = study_in(tmp_path)
    write(study, "benchmarks/chunk.tsv", 9)
    write(study, "benchmarks/chunk/1.tsv", 4)
    write(study, "benchmarks/chunk/2.tsv", 5)
    split = study_in(tmp_path, parts={"chunk": 2})
    for one, seconds in ((study, [9]), (split, [4, 5])):
        timed = foretold.timed_jobs(one)
        assert sorted(job.seconds for job in timed if job.job.stage == "chunk") == seconds
    assert split.parts.chunk * foretold.timed_jobs(split)[0].job.amount == foretold.timed_jobs(study)[0].job.amount


def test_cpu_seconds_are_those_of_benchmarks_where_they_have_some(tmp_path):
    study = study_in(tmp_path)
    write(study, "benchmarks/chunk.tsv", 9, cpu="2.5")
    write(study, "benchmarks/filter.tsv", 0.1, cpu="NA")
    (timed,) = foretold.timed_jobs(study, clock="cpu")
    assert (timed.job.stage, timed.seconds) == ("chunk", 2.5)


@pytest.mark.parametrize("text", ["", "s\n", "other\n1\n", HEAD + "soon\t0\t0\n"])
def test_a_file_that_is_no_benchmark_is_named(tmp_path, text):
    study = study_in(tmp_path)
    write(study, "benchmarks/chunk.tsv", 1)
    (study.work_directory / "benchmarks/chunk.tsv").write_text(text)
    with pytest.raises(InputError, match=r"chunk\.tsv: not a benchmark"):
        foretold.timed_jobs(study)


def test_a_machine_without_a_peak_plans_what_it_has_done_and_says_nothing_of_the_rest(tmp_path):
    study = study_in(tmp_path)
    write_all(study, invented)
    (study.work_directory / "benchmarks/chunk.tsv").unlink()
    machine = foretold.MeasuredMachine(rates=foretold.rates(foretold.timed_jobs(study)))
    rows = by_stage(jobs_of(study), machine)
    assert [row["stage"] for row in rows if row["hours"] is None] == ["chunk"]
    outcome = sum(invented(job) for job in jobs_of(study) if job.stage != "chunk")
    assert total(rows)["hours"] == pytest.approx(outcome / 3600, rel=0.01)


def test_both_answers_are_in_a_benchmark_and_the_kept_ones_alone_in_a_run_file(tmp_path):
    study = study_in(tmp_path, "sample", evaluation__both=True)
    shutil.copytree("results/sample/runs", study.results_directory / "runs")
    planned = {job.run: job.amount for job in jobs_of(study) if job.stage == "evaluate"}
    for one in foretold.timed_jobs(study):
        if one.job.stage == "evaluate":
            times = 2 if runs_for(study)[one.job.run].reader.is_trained_by_its_run else 1
            assert planned[one.job.run] == pytest.approx(times * one.job.amount)
