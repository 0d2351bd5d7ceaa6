"""What the report says of the stages before scoring."""

import pytest

from analysis.report import pipeline
from glimmer.results import load_results
from tests.analysis import synthetic


@pytest.fixture
def study(tmp_path):
    synthetic.write_study(tmp_path, "smoke", n=40)
    return load_results("smoke", tmp_path)


def test_a_reader_that_answers_all_it_sees_has_one_hundred_percent(study):
    metrics = {}
    for run in study.runs.by_id.values():
        reader = run["settings"]["reader"]
        if reader["name"] == "lumen" and reader.get("trained", True) and reader["k"]:
            for task, found in run["tasks"].items():
                metrics.setdefault(task, {"dev": {}})["dev"][f"evidence@{reader['k']}"] = found["score"]
            k = reader["k"]
    for task in metrics:  # a GLIMMER that retrieves as many would have a row, if it read them all
        metrics[task]["dev"] |= {f"evidence@{n}": 0.5 for n in range(1, 41) if n != k}
    grid = pipeline.answered_in_view(study, metrics)
    lumen = next(
        row for row in grid.rows if row[0].text.startswith(f"LUMEN: k = {k}") and "untrained" not in row[0].text
    )
    assert [cell.text for cell in lumen[1:]] == ["100"] * 4
    assert not [row for row in grid.rows if row[0].text.startswith("GLIMMER")], "it does not read all it retrieves"


def test_a_reader_given_other_passages_than_were_retrieved_has_no_share_of_what_was(study):
    retrieved = {task: {"dev": {f"evidence@{k}": 0.5 for k in range(1, 41)}} for task in ("nq", "trex")}
    given = [run["settings"]["reader"] for run in study.runs.by_id.values()]
    assert any("dev_evidence" in reader for reader in given) and any("evidence" in reader for reader in given)
    rows = [row[0].text for row in pipeline.answered_in_view(study, retrieved).rows]
    assert rows and not [name for name in rows if "evidence" in name]


def test_priors_are_percent_and_what_a_task_lacks_is_a_dash():
    found = {"n": 1200, "metric": "em", "majority": 0.125, "relation": None, "seen_in_train": 1.0}
    grid = pipeline.priors(
        {"nq": found | {"majority_answer": "yes"}, "trex": found | {"majority_answer": "", "relation": 0}}
    )
    assert [[cell.text for cell in row] for row in grid.rows] == [
        ["NQ", "1,200", "12.5", "–", "100.0", "yes"],
        ["T-REx", "1,200", "12.5", "0.0", "100.0", ""],
    ]


@pytest.mark.parametrize(
    "peaks, text", [({"train": 2.5e9, "evaluate": 1.2e9}, "2.5 / 1.2"), ({"evaluate": 1.2e9}, "1.2"), (None, "–")]
)
def test_the_most_memory_of_a_run_is_in_gigabytes(study, peaks, text):
    for run in study.runs.by_id.values():
        run["peak_memory_bytes"] = peaks
    grid = pipeline.costs(study)
    place = next(i for i, head in enumerate(grid.heads) if head.startswith("Most memory"))
    assert {row[place].text for row in grid.rows} == {text}


def test_tasks_that_can_be_guessed_are_left_out(study):
    metrics = {"fever": {"dev": {"evidence@3": 0.5}}, "hotpotqa": {"dev": {"evidence@3": 0.5}}}
    assert pipeline.answered_in_view(study, metrics) is None


def test_the_examination_has_a_row_for_each_split_and_a_column_for_each_task():
    rows = [
        {"alpha": "1", "passages": 5, "task": "nq", "examples": 32, "exact_match": 0.5},
        {"alpha": "1", "passages": 5, "task": "trex", "examples": 32, "exact_match": 0.25},
        {"alpha": "0", "passages": 5, "task": "trex", "examples": 32, "exact_match": 0.0},
    ]
    grid = pipeline.reading({"exact_match": rows})
    assert grid.heads[2:] == ("NQ", "T-REx")
    assert [[cell.text for cell in row] for row in grid.rows] == [["1", "5", "50", "25"], ["0", "5", "–", "0"]]


@pytest.mark.parametrize("mode, k, shown", [("labels", None, "not asked"), ("retrieved", 5, "5")])
def test_the_filter_says_its_mode_and_what_the_other_would_keep(mode, k, shown):
    kept = {"before": 100, "after": 90, "threshold": 0.5, "mode": mode, "k": k, "after_by_threshold": {"0": 100}}
    grid = pipeline.filter_counts({"nq": kept | {"after_by_mode": {"labels": 90, "retrieved": 70}}})
    (row,) = [dict(zip(grid.heads, (cell.text for cell in row), strict=True)) for row in grid.rows]
    assert (row["Mode"], row["k"], row["Kept (percent)"]) == (mode, shown, "90.0")
    assert (row["Kept by labels"], row["Kept by retrieved"], row["Kept at 0"]) == ("90", "70", "100")


def split_of(n, counts):
    return {"n": n + 10, "n_with_evidence": n, "Rprec": 0.5, "recall@1": 0.5, "evidence@1": 0.1, "evidence@2": 0.2,
            "evidence_rank": {"counts": counts, "none": n + 10 - sum(counts)}}  # fmt: skip


def test_evidence_in_train_and_dev_stands_side_by_side_with_the_difference():
    whole = {"with_evidence": {"complete@1": 0.1, "complete@2": 0.25}}
    metrics = {"nq": {"train": split_of(200, [100, 50]) | whole, "dev": split_of(100, [30, 30]) | whole}}
    grid = pipeline.evidence(metrics)
    (first, second) = ([cell.text for cell in row] for row in grid.rows)
    assert first[:2] == ["NQ", "1"] and first[2] == "200 / 100" and first[3:6] == ["50.0", "30.0", "+20.0"]
    assert second[3:6] == ["75.0", "60.0", "+15.0"] and second[6:] == ["25.0", "25.0", "+0.0"]
    error = (50 * 50 / 200 + 30 * 70 / 100) ** 0.5  # of two binomial shares, in percent
    assert grid.rows[0][5].small == f"± {error:.1f}"


def test_a_split_that_was_not_measured_leaves_a_dash_and_no_difference():
    grid = pipeline.evidence({"nq": {"dev": split_of(100, [30, 30])}})
    assert [cell.text for cell in grid.rows[0]][2:] == ["– / 100", "–", "30.0", "–", "–", "–", "–"]
    assert pipeline.evidence({}) is None


def test_what_the_lengths_cut_has_a_row_for_the_corpus_and_three_for_each_task_and_split():
    counted = synthetic.lengths_file(("nq", "trex"))
    evidence = {"n": 2000, "cut": 7, "share_cut": 0.004, "lost": 3, "share_lost": 0.0015}
    counted["tasks"]["trex"]["dev"] = counted["tasks"]["trex"]["dev"] | {"evidence": evidence}
    grid = pipeline.lengths(counted)
    assert len(grid.rows) == 1 + 2 * 2 * 3
    row = next(row for row in grid.rows if [cell.text for cell in row[:3]] == ["T-REx", "dev", "evidence"])
    assert [cell.text for cell in row[3:]] == ["24", "2,000", "7", "0.4", "3", "–", "–", "–"]
    assert [cell.text for cell in grid.rows[0][:4]] == ["", "", "passages", "24"]


def test_splits_are_compared_on_questions_whose_evidence_can_be_trusted():
    trusted = {"trusted": {"n": 150, "evidence_rank": {"counts": [75, 15], "none": 60}}}
    grid = pipeline.evidence({"nq": {"train": split_of(200, [80, 20]) | trusted, "dev": split_of(100, [40, 10])}})
    assert [cell.text for cell in grid.rows[1]][2:6] == ["150 / 100", "60.0", "50.0", "+10.0"]
