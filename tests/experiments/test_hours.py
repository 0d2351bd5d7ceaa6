"""Hours: lines that are known are found again, invented runs are predicted, and a bad prediction is said to be one."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimmer.errors import InputError
from glimmer.experiments import hours, load_study, runs_for

SMOKE = load_study("smoke")
RUNS = list(runs_for(SMOKE).values())
MOST = dict.fromkeys(SMOKE.tasks, 24)
TRUE = {
    "train": hours.Rate(fixed=12.0, per_tera=3000.0),
    "memory": hours.Rate(fixed=1.0, per_tera=500.0),
    "evaluate": hours.Rate(fixed=4.0, per_tera=900.0),
}
positive = st.floats(0.01, 100)
sizes = st.lists(st.integers(1, 1000), min_size=2, max_size=6, unique=True)


def invented(run, rates=TRUE, asked=24):
    """The run as if done by a machine of these rates."""
    questions = dict.fromkeys(run.reader.train_tasks, asked)
    steps = run.settings["training"]["steps"]
    seconds = hours.predicted(rates, hours.operations(run.settings, questions))
    return hours.Finished(id=run.id, settings=run.settings, steps=steps, questions=questions, seconds=seconds)


@given(fixed=positive, slope=positive, sizes=sizes)
def test_a_line_is_found_again(fixed, slope, sizes):
    found = hours.fitted([(size, fixed + slope * size) for size in sizes])
    for size in (0.5, 1, 2000):
        assert found.seconds(size * 1e12) == pytest.approx(fixed + slope * size, rel=1e-4)


@given(fixed=positive, slope=positive, sizes=sizes, noise=st.floats(0, 0.9))
def test_errors_that_cancel_as_shares_leave_the_line(fixed, slope, sizes, noise):
    both = [(size, share * (fixed + slope * size)) for size in sizes for share in (1 + noise, 1 - noise)]
    assert hours.fitted(both).seconds(1e13) == pytest.approx(fixed + slope * 10, rel=1e-4)


@given(pairs=st.lists(st.tuples(positive, positive), min_size=1, max_size=6))
def test_no_part_of_a_prediction_is_negative(pairs):
    found = hours.fitted(pairs)
    assert found.fixed >= 0 and found.per_tera >= 0 and found.seconds(1e12) > 0 == found.seconds(0)


def test_runs_of_one_size_say_nothing_of_what_is_fixed():
    assert hours.fitted([(2.0, 10.0), (2.0, 14.0)]) == hours.Rate(fixed=0.0, per_tera=6.0)


def test_what_a_machine_did_gives_what_it_will_do():
    finished = [invented(run) for run in RUNS]
    rates = hours.rates(finished)
    for run in finished:
        assert hours.predicted(rates, run.macs) == pytest.approx(run.seconds, rel=1e-3)


@pytest.mark.parametrize("left_out", ["reader", "seed"])
def test_a_check_finds_no_error_where_there_is_none(left_out):
    other_seed = [dataclasses.replace(run, settings=run.settings | {"seed": 99}) for run in RUNS]
    finished = [invented(run) for run in RUNS + other_seed]
    rows = hours.check(finished, finished, left_out, MOST)
    assert [row["error_percent"] for row in rows] == pytest.approx([0] * len(rows), abs=1)


def test_a_check_says_how_bad_it_is():
    slow = {part: hours.Rate(fixed=4 * rate.fixed, per_tera=4 * rate.per_tera) for part, rate in TRUE.items()}
    rows = hours.check([invented(run, slow) for run in RUNS], [invented(run) for run in RUNS], "reader", MOST)
    assert [row["error_percent"] for row in rows] == pytest.approx([-75] * len(rows), abs=1)


def test_a_run_is_not_predicted_by_itself_nor_by_its_like():
    trained = [run for run in RUNS if run.reader.is_trained_by_its_run and run.reader.name == "glimmer"]
    alike = [
        run for run in RUNS if hours._group(invented(run), "reader") == hours._group(invented(trained[0]), "reader")
    ]
    assert len(alike) > 1
    with pytest.raises(InputError, match="nothing to predict from"):
        hours.check([invented(trained[0])], [invented(run) for run in alike], "reader", MOST)


def test_only_a_run_that_trains_has_operations_of_training():
    for run in RUNS:
        macs = hours.operations(run.settings, MOST)
        assert (macs["train"] > 0) == (run.reader.trained and run.trained_id == run.id)
        assert (macs["memory"] > 0) == (run.reader.alpha < 1)


def test_twice_the_questions_are_twice_the_operations_of_answering_and_none_of_training():
    macs, twice = (hours.operations(RUNS[0].settings, dict.fromkeys(MOST, asked)) for asked in (10, 20))
    assert twice == {"train": macs["train"], "memory": 2 * macs["memory"], "evaluate": 2 * macs["evaluate"]}


def test_twice_the_steps_are_twice_the_operations_of_training():
    steps = 3 * RUNS[0].settings["training"]["evaluate_every"]
    once, twice = (hours.operations(RUNS[0].settings, MOST, count)["train"] for count in (steps, 2 * steps))
    assert twice == 2 * once


def test_as_many_questions_are_foreseen_as_another_seed_answered_of_the_same_data():
    settings = RUNS[0].settings
    finished = [invented(RUNS[0], asked=7)]
    redrawn = settings | {"seed": 5, "data": settings["data"] | {"seed": 5}}
    more = settings | {"evaluation": {"dev_examples": 1000}}
    assert set(hours.questions(redrawn, finished, MOST).values()) == {7}
    assert hours.questions(more, finished, MOST) == MOST


@given(seconds=st.lists(st.floats(0.1, 100), min_size=1, max_size=12), jobs=st.integers(1, 15))
def test_side_by_side_lies_between_its_bounds(seconds, jobs):
    found, longest = hours.side_by_side(seconds, jobs), max(seconds)
    least = max(sum(seconds) / jobs, longest)
    assert least <= found * (1 + 1e-9) and found <= sum(seconds) / jobs + longest * (1 - 1 / jobs) + 1e-9
