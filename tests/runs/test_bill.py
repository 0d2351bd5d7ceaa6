"""The bill of a study on accelerators: its operations are the run's, its hours follow the machine."""

import dataclasses
from collections import Counter
from fractions import Fraction

import pytest

from glimmer.compute import SIZES, Workload, training_macs
from glimmer.errors import InputError
from glimmer.experiments import load_study, runs_for
from glimmer.experiments.hours import operations
from glimmer.experiments.sections import Parts
from glimmer.runs import bill

# Values of all parameters, as their model cards and papers count them.
PUBLISHED_PARAMETERS = {
    "small": 76_961_152, "base": 247_577_856, "large": 783_150_080, "xl": 2_849_757_184, "xxl": 11_135_332_352,
}  # fmt: skip


@pytest.fixture(scope="module")
def study():
    return load_study("kilt", {"artifacts": ["figure2"], "seeds": [0]})


@pytest.fixture(scope="module")
def jobs(study):
    return bill.jobs_of(study)


def machine(**changes) -> bill.Machine:
    return bill.Machine(**({"device": "H100", "devices": 8, "share": 0.25} | changes))


@pytest.mark.parametrize("size", SIZES)
def test_matrices_hold_nearly_all_values_of_a_published_checkpoint(size):
    published = PUBLISHED_PARAMETERS[size]
    assert 0.999 * published < SIZES[size]().parameters <= published  # norms and position tables are left out


def test_a_training_job_does_what_the_plan_of_its_run_says(study, jobs):
    runs = runs_for(study)
    trained = {job.run: job.macs for job in jobs if job.stage == "train"}
    assert set(trained) == {id for id, run in runs.items() if run.reader.is_trained_by_its_run}
    for id, macs in trained.items():
        nobody = dict.fromkeys(study.tasks, 0)
        assert macs == operations(runs[id].settings, nobody)["train"]


def test_every_run_is_answered_and_every_stage_once_or_a_part(study, jobs):
    assert sorted(job.run for job in jobs if job.stage == "evaluate") == sorted(runs_for(study))
    stages = [job.stage for job in jobs if not job.run]
    split = {stage: of for stage, of in dataclasses.asdict(study.parts).items() if stage != "remember"}
    once = [
        "gather_passages",
        "gather_tokens",
        "gather_embeddings",
        "lengths",
        "retrieve",
        "filter_by_relevance",
        "priors",
    ]
    assert Counter(stages) == split | dict.fromkeys(once, 1)
    assert min(study.parts.chunk, study.parts.tokenize, study.parts.embed) > 1


def test_what_gathers_parts_reads_them_three_times_and_writes_them_once(jobs):
    by_stage = {stage: [job for job in jobs if job.stage == stage] for stage in ("chunk", "tokenize", "embed")}
    for stage, gathering in (("chunk", "gather_passages"), ("tokenize", "gather_tokens")):
        (job,) = (job for job in jobs if job.stage == gathering)
        made = sum(part.writes for part in by_stage[stage])
        assert (job.reads, job.writes) == (pytest.approx(3 * made), pytest.approx(made))
    (renamed,) = (job for job in jobs if job.stage == "gather_embeddings")
    assert renamed.reads == renamed.writes == 0


def test_memory_in_parts_is_work_that_answering_no_longer_has(study, jobs):
    """By the parameters that are kept; those that `evaluation.both` answers with besides make theirs as they answer."""
    one = bill.jobs_of(dataclasses.replace(study, parts=dataclasses.replace(study.parts, remember=1)))
    assert study.parts.remember > 1 and not any(job.stage == "remember" for job in one)
    for id, run in runs_for(study).items():
        parts = [job for job in jobs if (job.stage, job.run) == ("remember", id)]
        (split,), (whole,) = ([job for job in each if (job.stage, job.run) == ("evaluate", id)] for each in (jobs, one))
        assert len(parts) == (study.parts.remember if run.reader.alpha < 1 else 0)
        for name in ("macs", "writes"):
            together = getattr(split, name) + sum(getattr(job, name) for job in parts)
            assert together == pytest.approx(getattr(whole, name))


def test_a_stage_by_one_job_is_not_gathered(study):
    stages = {job.stage for job in bill.jobs_of(dataclasses.replace(study, parts=Parts()))}
    assert not any(stage.startswith("gather") for stage in stages)


def test_a_store_is_written_as_often_as_questions_are_answered(study):
    """Once with the parameters that are kept, and again with the others where the study asks for both."""
    once, both = (
        {
            job.run: job
            for job in bill.jobs_of(dataclasses.replace(study, evaluation=evaluation, parts=Parts()))
            if job.stage == "evaluate"
        }
        for evaluation in (dataclasses.replace(study.evaluation, both=False), study.evaluation)
    )
    assert study.evaluation.both
    for id, run in runs_for(study).items():
        times = 2 if run.reader.is_trained_by_its_run else 1
        for name in ("macs", "reads", "writes"):
            assert getattr(both[id], name) == pytest.approx(times * getattr(once[id], name))


def test_a_stage_in_parts_is_the_same_work_in_jobs_that_are_as_much_shorter(study, jobs):
    one = bill.jobs_of(load_study("kilt", {"parts": {}, "artifacts": ["figure2"], "seeds": [0]}))
    together, alone = ({row["stage"]: row for row in bill.by_stage(part, machine())} for part in (jobs, one))
    for stage in ("chunk", "tokenize", "embed"):
        of = getattr(study.parts, stage)
        assert (together[stage]["jobs"], alone[stage]["jobs"]) == (of, 1)
        assert together[stage]["longest_job_hours"] == pytest.approx(alone[stage]["longest_job_hours"] / of)
        for key in ("petaflop", "read_gigabytes", "written_gigabytes", "device_hours", "hours"):
            assert together[stage][key] == pytest.approx(alone[stage][key]), key


def test_work_on_passages_grows_with_their_number(study):
    asked = 87_372 + 88_869 + 104_966 + 2_284_168 + 147_909 + 61_844 + 2_837 + 5_600 + 10_444 + 5_000 + 3_724 + 5_359
    study = dataclasses.replace(study, parts=Parts())
    once, twice = ({job.stage: job for job in bill.jobs_of(study, n) if not job.run} for n in (10**6, 2 * 10**6))
    assert twice["embed"].macs == 2 * once["embed"].macs
    assert twice["embed"].writes == 2 * once["embed"].writes == 2 * 10**6 * study.retriever.dimension * 4
    assert twice["retrieve"].macs - once["retrieve"].macs == pytest.approx(asked * 10**6 * 768)


def test_a_job_takes_its_operations_over_the_share_of_the_peak():
    job = bill.Job(stage="train", macs=989.4e12 * 3600)
    assert machine(devices=1, share=0.5).seconds(job) == pytest.approx(4 * 3600)
    assert machine(devices=4, share=0.5).seconds(job) == pytest.approx(3600)
    reading = bill.Job(stage="chunk", reads=3e6 * 60, rate=3e6)
    assert machine(devices=1).seconds(reading) == machine(devices=8).seconds(reading) == pytest.approx(60)


def test_more_jobs_at_a_time_change_the_hours_and_no_device_hour(jobs):
    one, four = (bill.total(bill.by_stage(jobs, machine(jobs=n, price=2.0))) for n in (1, 4))
    assert one["device_hours"] == four["device_hours"] and one["petaflop"] == four["petaflop"]
    assert one["price"] == pytest.approx(2 * one["device_hours"])
    assert one["hours"] / 4 < four["hours"] < one["hours"]
    assert four["hours"] >= four["longest_job_hours"] == one["longest_job_hours"]


def test_a_part_of_the_grid_costs_its_own_runs_alone(jobs):
    whole = bill.total(bill.by_stage(bill.jobs_of(load_study("kilt")), machine()))
    part = bill.total(bill.by_stage(jobs, machine()))
    assert part["petaflop"] < whole["petaflop"] / 3


def test_a_device_is_known_by_a_part_of_its_name():
    assert machine(device="h200").device == "NVIDIA H200" and machine(device="v5p").device == "TPU v5p"
    with pytest.raises(InputError, match="expected one of NVIDIA A100.*found abacus"):
        machine(device="abacus")


@pytest.mark.parametrize("name", ["devices", "jobs", "share"])
def test_a_machine_has_something_of_everything(name):
    with pytest.raises(InputError, match=name):
        machine(**{name: 0})


@pytest.mark.parametrize("name", ["smoke", "embedded"])
def test_a_generated_study_has_every_stage_of_its_own_once_a_replicate(name):
    study = load_study(name, {"artifacts": ["figure2"]})
    stages = Counter(job.stage for job in bill.jobs_of(study) if not job.run)
    expected = {"generate", "chunk", "tokenizer", "tokenize", "lengths", "pretrain", "retrieve", "priors"}
    expected |= {"filter_by_relevance"}
    if name == "smoke":
        expected |= {"generate_for_retriever", "chunk_for_retriever", "train_retriever", "embed"}
    assert stages == dict.fromkeys(expected, len(study.seeds) if study.replicates else 1)


def test_pretraining_costs_as_much_as_training_that_many_readers_of_text():
    study = load_study("smoke")
    stage = dict(study.initial.stages[0]) | {"steps": 10, "passages": [2], "pairs": 16, "alphas": ["1"]}
    stated = [dataclasses.replace(study.initial, stages=stages) for stages in ((stage,), (stage, stage))]
    jobs = [bill.jobs_of(dataclasses.replace(study, initial=initial)) for initial in stated]
    once, twice = (next(job.macs for job in each if job.stage == "pretrain") for each in jobs)
    reader = Workload(alpha=Fraction(1), beta=None, k=2, m=2, tokens=52, question_tokens=20, target_tokens=4)
    assert once == 10 * 8 * training_macs(study.dimensions(), reader)
    assert twice == 2 * once


def test_minutes_leave_room(jobs):
    training = next(job for job in jobs if job.stage == "train")
    seconds = machine().seconds(training)
    assert bill.minutes(training, machine()) * 60 > 1.5 * seconds
    assert bill.minutes(dataclasses.replace(training, macs=0.0), machine()) == 15


@pytest.mark.parametrize("dtype, each", [("bfloat16", 2 * 4096), ("int8", 4096 + 4)])
def test_the_largest_store_is_that_of_the_widest_reader_of_retrieved_and_of_all_passages(dtype, each):
    changes = {"artifacts": ["figure2"], "seeds": [0], "evaluation.memory_dtype": dtype}
    study = load_study("kilt", changes)
    tokens, asked = study.lengths.passage, bill.most_questions(study)
    widest = [run for run in runs_for(study).values() if run.size == "XXL" and run.reader.alpha < 1]
    questions = {sum(asked[task] for task in run.reader.train_tasks) * run.reader.k for run in widest}
    found = bill.largest_stores(study, 30_000_000)
    assert found["largest_store_gigabytes"] == pytest.approx(max(questions) * tokens * each / 1e9)
    assert found["largest_store_of_all_passages_gigabytes"] == pytest.approx(30_000_000 * tokens * each / 1e9)
    assert len(set(bill.largest_stores(study, 1000).values())) == 1, "no store has more than all passages"


def test_an_int8_store_is_written_and_read_as_half_of_a_bfloat16_one_and_a_scale_a_token(jobs):
    small = load_study("kilt", {"artifacts": ["figure2"], "seeds": [0], "evaluation.memory_dtype": "int8"})
    widths = [run.dimensions.d_model for run in runs_for(small).values()]
    written = [[job.writes for job in each if job.stage == "evaluate"] for each in (jobs, bill.jobs_of(small))]
    assert any(written[0]), "FiD stores nothing, others do"
    for wide, narrow, width in zip(*written, widths, strict=True):
        assert narrow == pytest.approx(wide * (width + 4) / (2 * width))
