"""The power calculation: known variances are found again, and what it asks for is what it needs."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from analysis import power
from analysis.power import Spread, spread
from glimmer.cli import main
from glimmer.results import load_results
from tests.analysis import synthetic

ROOT = Path(__file__).resolve().parents[2]


def drawn(rng, seeds, sizes, sd):
    """Differences with a shift a seed (the same in all tasks), one an example, and one of its own."""
    of_seeds = rng.normal(0, sd[0], (seeds, 1))
    return {
        str(task): 3 + of_seeds + rng.normal(0, sd[1], (1, n)) + rng.normal(0, sd[2], (seeds, n))
        for task, n in enumerate(sizes)
    }


def test_the_variances_of_seeds_and_examples_are_found_again():
    found = [spread(drawn(np.random.default_rng(n), 6, 3 * [400], (2.0, 30.0, 10.0))) for n in range(60)]
    assert np.mean([one.seeds for one in found]) == pytest.approx(4.0, rel=0.2)
    assert np.mean([one.examples for one in found], axis=0) == pytest.approx(3 * [900.0], rel=0.05)
    assert np.mean([one.rest for one in found], axis=0) == pytest.approx(3 * [100.0], rel=0.05)


def test_the_standard_error_is_the_spread_of_repeated_studies():
    truth, sizes = Spread(seeds=4.0, examples=3 * (900.0,), rest=3 * (100.0,)), [50, 20, 200]
    means = []
    for n in range(1500):
        study = drawn(np.random.default_rng([1, n]), 3, sizes, (2.0, 30.0, 10.0))
        means.append(np.mean([task.mean() for task in study.values()]))
    assert np.std(means) == pytest.approx(truth.standard_error(sizes, 3), rel=0.06)


@pytest.mark.parametrize("width", [1.0, 2.5, 8.0])
@pytest.mark.parametrize("seeds", [1, 3, 10])
def test_the_examples_needed_suffice_and_one_less_does_not(width, seeds):
    here = Spread(seeds=0.2, examples=6 * (700.0,), rest=6 * (200.0,))
    needed = here.examples_needed(width, seeds)
    if needed is None:
        assert here.width(10**12, seeds) >= width
        return
    assert here.width(needed, seeds) < width
    assert needed == 1 or here.width(needed - 1, seeds) >= width


def test_what_seeds_differ_by_is_widened_by_students_t():
    only_seeds = Spread(seeds=1.0, examples=(0.0,), rest=(0.0,))
    assert only_seeds.width(100, 3) == pytest.approx(2 * 4.3027 / 3**0.5, abs=1e-3)  # t(2) at 0.975, from any table
    only_examples = Spread(seeds=0.0, examples=(900.0,), rest=(0.0,))
    assert only_examples.width(100, 3) == pytest.approx(2 * 1.96 * only_examples.standard_error(100, 3))


def test_a_task_of_few_examples_counts_as_much_as_it_adds():
    here = Spread(seeds=0.0, examples=(400.0, 400.0), rest=(0.0, 0.0))
    assert here.standard_error([100, 25], 3) ** 2 == pytest.approx((400 / 100 + 400 / 25) / 4)
    assert here.standard_error(100, 3) == here.standard_error([100, 100], 3)


def test_no_number_of_examples_mends_a_spread_of_seeds():
    here = Spread(seeds=4.0, examples=(1.0,), rest=(1.0,))
    assert here.examples_needed(2.0, 3) is None
    assert here.examples_needed(2.0, 100) is not None


def test_contrasts_name_points_of_the_registry():
    from glimmer import experiments

    known = {point.id for point in experiments.load_registry().points()}
    assert {id for one in power.CONTRASTS for id in (one.better, one.worse)} <= known


def test_a_study_without_runs_has_nothing_to_say(tmp_path, capsys):
    shutil.copytree(ROOT / "results" / "paper", tmp_path / "paper")
    assert main(["summary", "--table", "power", "--results", str(tmp_path)]) == 0
    assert "No comparison" in capsys.readouterr().out


def test_every_contrast_with_runs_has_a_row_of_its_difference(tmp_path):
    synthetic.write_study(tmp_path, "smoke", n=60)
    synthetic.write_paper(tmp_path)
    study, paper = load_results("smoke", tmp_path), load_results("paper", tmp_path)
    rows = power.rows(study, paper)
    assert {row["comparison"] for row in rows} == {
        "GLIMMER above LUMEN",
        "LUMEN above FiD",
        "memory trained above frozen",
    }, "smoke has Figure 2 and Table 2"
    values = {point.id: point.value for point in study.points}
    first = rows[0]
    assert first["measured"] == pytest.approx(
        values["figure2/performance/GLIMMER"] - values["figure2/performance/LUMEN"]
    )
    assert first["examples"] == 6 * 60 and first["seeds"] == 1
    assert power.show(rows).count("\n") == len(rows) + 2
