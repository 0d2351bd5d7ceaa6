"""Comparing runs made here with cached ones."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats

from analysis import reproduced
from analysis.reproduced import (
    AGREES,
    DIFFERS,
    FAIL,
    IDENTICAL,
    NEAR,
    NOT_JUDGED,
    OK,
    OTHER_DRAW,
    agreement,
    compare_directories,
    judge,
    parting,
)
from glimmer import experiments
from glimmer.cli import main
from glimmer.files import write_json
from tests.analysis import synthetic


def average(score, low, high):
    return {"score": score, "interval": [low, high]}


@pytest.mark.parametrize(
    "first, second, expected",
    [
        (average(0.5, 0.4, 0.6), average(0.5, 0.1, 0.2), AGREES),
        (average(0.5, 0.4, 0.6), average(0.55, 0.45, 0.65), AGREES),
        (average(0.5, 0.4, 0.6), average(0.55, 0.52, 0.65), DIFFERS),
        (average(0.7, 0.6, 0.8), average(0.55, 0.45, 0.65), DIFFERS),
        ({"score": 0.5}, average(0.51, 0.4, 0.6), DIFFERS),
    ],
)
def test_a_difference_counts_in_both_directions(first, second, expected):
    assert agreement(first, second) == agreement(second, first) == expected


def test_runs_part_at_the_first_stage_whose_files_differ():
    one = {
        "data": {"a": "1"},
        "tokenizer": "2",
        "tokens": "3",
        "initial_checkpoint": "4",
        "retrieved": {},
        "kept_rows": {},
    }
    assert parting(one, one) == "fine-tuning"
    assert parting(one, one | {"retrieved": {"b": "5"}, "initial_checkpoint": "6"}) == "initial checkpoint"
    assert parting(one, one | {"data": {"a": "2"}, "kept_rows": {"c": "7"}}) == "data"


@pytest.fixture
def two(tmp_path):
    for name in ("made", "cached"):
        synthetic.write_study(tmp_path / name, "smoke", n=40)
    return tmp_path / "made" / "smoke", tmp_path / "cached" / "smoke"


def test_equal_runs_are_identical_and_the_check_passes(two, capsys):
    assert main(["verify", str(two[0]), "--against", str(two[1])]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    n = len(list((two[1] / "runs").glob("*.json")))
    assert first == f"Verified: {n} OK; of {n} runs that are cached too, {n} identical."
    assert sum(IDENTICAL in line for line in rest) == n


def test_runs_that_only_one_side_has_are_not_compared(two):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    path.unlink()
    rows = reproduced.compare(*reproduced.load_both(*two))
    assert path.stem not in {row["run"] for row in rows}
    assert len(rows) == len(list((two[0] / "runs").glob("*.json")))


def test_a_run_that_scores_nothing_now_fails_the_check(two):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    rescore(path, [0.0])
    verdicts = {row["run"]: row["verdict"] for row in reproduced.compare(*reproduced.load_both(*two))}
    assert verdicts[path.stem] == DIFFERS
    assert {row["parts_at"] for row in reproduced.compare(*reproduced.load_both(*two))} == {"", "fine-tuning"}
    assert main(["verify", str(two[0]), "--against", str(two[1])]) == 1


def rescore(path, pattern, **digests):
    """Gives every task of a run file these scores, in turn; and the run other digests."""
    run = json.loads(path.read_text())
    for task in run["tasks"].values():
        scores = (pattern * task["n"])[: task["n"]]
        mean = sum(scores) / task["n"]
        task["per_example"]["metric"], task["interval"] = scores, [mean, mean]
        task["downstream"][task["metric"]] = task["score"] = mean
    run["average"] |= {"score": mean, "interval": [mean, mean]}
    run["digests"] |= digests
    path.write_text(json.dumps(run))


FIGURE2 = ("fid", "lumen", "glimmer")
CACHED = {10: (30, 40, 50), 11: (32, 41, 55), 12: (29, 42, 50)}  # seed -> right of 100, by reader


def write_replicates(results, right, **overrides):
    """Figure 2 of a study whose seeds are replicates; each reader answers so many of 100 questions of a task right."""
    chosen = {"replicates": True, "artifacts": ["figure2"], "baselines": [], "seeds": list(right)} | overrides
    study = experiments.load_study("smoke", chosen)
    for run in experiments.runs_for(study).values():
        path = results / "runs" / f"{run.id}.json"
        write_json(path, synthetic.run_file(run, "smoke", study.tasks, n=100))
        score = right[run.seed][FIGURE2.index(run.reader.name)]
        rescore(path, [1.0] * score + [0.0] * (100 - score), initial_checkpoint=f"of seed {run.seed}")
    return results


def of_reader(results, name, seed):
    """The file of one run."""
    for path in (results / "runs").glob("*.json"):
        settings = json.loads(path.read_text())["settings"]
        if (settings["reader"]["name"], settings["seed"]) == (name, seed):
            return path
    raise AssertionError(f"no {name} at seed {seed}")


def judged(made, cached):
    """(the document, the verdict of each number: `GLIMMER`, `GLIMMER - FiD`); the exit code is as it says."""
    document = compare_directories(made, cached)
    assert main(["verify", str(made), "--against", str(cached)]) == int(not document["verified"])
    verdicts = {}
    for row in [*document["levels"], *document["differences"]]:
        names = [row[side].partition(":")[0] for side in ("reader", "less") if row[side]]
        verdicts[" - ".join(names)] = row["verdict"]
    return document, verdicts


@pytest.fixture
def replicates(tmp_path):
    return write_replicates(tmp_path / "cached", CACHED)


PAIRS = ("LUMEN - FiD", "GLIMMER - FiD", "GLIMMER - LUMEN")


@pytest.mark.parametrize(
    ("right", "failed"),
    [
        ((31, 41, 52), set()),
        ((51, 61, 72), {"FiD", "LUMEN"}),  # another world altogether, though its differences are as expected
        ((31, 41, 90), {"GLIMMER", "GLIMMER - FiD"}),  # above
        ((31, 41, 8), {"GLIMMER", "GLIMMER - FiD", "GLIMMER - LUMEN"}),  # below
        ((31, 60, 52), {"LUMEN"}),
        ((50, 40, 30), {"FiD", "GLIMMER - FiD"}),
    ],
)
def test_a_new_replicate_is_held_to_the_prediction_intervals_on_both_sides(replicates, tmp_path, right, failed):
    made = write_replicates(tmp_path / "made", {99: right})
    document, verdicts = judged(made, replicates)
    assert {number for number, verdict in verdicts.items() if verdict == FAIL} == failed
    assert document["verified"] == (not failed) and document["runs"] == []
    assert sum(document["counts"].values()) == len(verdicts) == 6
    if not failed:
        assert set(verdicts.values()) == {OK}


def test_near_is_outside_one_interval_and_inside_that_of_all(replicates, tmp_path):
    """By the definition: the p value of each number lies between 5 % over how many are judged, and 5 %."""
    made = write_replicates(tmp_path / "made", {99: (31, 50, 50)})
    _, verdicts = judged(made, replicates)
    values = {"FiD": (31, [30, 32, 29]), "LUMEN": (50, [40, 41, 42]), "GLIMMER": (50, [50, 55, 50])}
    for (one, (first, firsts)), (other, (second, seconds)) in itertools.combinations(list(values.items()), 2):
        values[f"{other} - {one}"] = (second - first, [b - a for a, b in zip(firsts, seconds, strict=True)])
    for number, (here, known) in values.items():
        t = (here - np.mean(known)) / (np.std(known, ddof=1) * np.sqrt(1 + 1 / 3))
        p = 2 * stats.t.sf(abs(t), 2)
        assert verdicts[number] == (OK if p >= 0.05 else NEAR if p >= 0.05 / 6 else FAIL), number
    assert NEAR in verdicts.values()


@pytest.mark.parametrize("faithful", [True, False])
def test_of_many_faithful_numbers_at_most_one_set_in_twenty_fails(faithful):
    rng, failed = np.random.default_rng(0), 0
    for _ in range(300):
        draws = rng.normal(0, 1, (40, 6)) + (0 if faithful else np.arange(6) // 5 * 12)
        rows = [{"interval": [0, 1], "exact": dict(enumerate(draw[:5])), "measured": draw[5]} for draw in draws]
        failed += any(row["verdict"] == FAIL for row in judge(rows))
    assert (failed <= 30) == faithful


def test_the_interval_is_that_of_a_further_draw_of_the_paired_differences(replicates, tmp_path):
    made = write_replicates(tmp_path / "made", {99: (31, 41, 52)})
    rows = compare_directories(made, replicates)["differences"]
    row = next(row for row in rows if row["reader"].startswith("GLIMMER") and row["less"].startswith("FiD"))
    effects = [glimmer - fid for fid, _, glimmer in CACHED.values()]
    expected = stats.t.interval(0.95, 2, loc=np.mean(effects), scale=np.std(effects, ddof=1) * np.sqrt(1 + 1 / 3))
    assert row["interval"] == pytest.approx(expected, abs=0.01)
    assert row["width"] == pytest.approx(expected[1] - expected[0], abs=0.01)
    assert (row["seed"], row["replicates"], row["here"]) == (99, 3, 21)
    assert list(row["cached"].values()) == effects and row["mean"] == pytest.approx(np.mean(effects), abs=0.01)


def test_the_report_starts_with_its_outcome_and_names_readers_shortly(replicates, tmp_path, capsys):
    made = write_replicates(tmp_path / "made", {99: (31, 41, 90)})
    judged(made, replicates)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Not verified: 3 OK, 1 near, 2 FAIL."
    assert any(line.startswith("FAIL") and "GLIMMER - FiD" in line for line in lines)
    assert any(line.startswith("OK") and "LUMEN - FiD" in line for line in lines)
    main(["verify", str(made), "--against", str(replicates), "--json"])
    assert json.loads(capsys.readouterr().out)["outcome"] == lines[0]


def test_one_cached_replicate_predicts_nothing(tmp_path, capsys):
    cached = write_replicates(tmp_path / "cached", {10: CACHED[10]})
    made = write_replicates(tmp_path / "made", {99: CACHED[10]})
    document, verdicts = judged(made, cached)
    assert set(verdicts.values()) == {NOT_JUDGED} and not document["verified"]
    rows = [*document["levels"], *document["differences"]]
    assert {(row["replicates"], row["interval"]) for row in rows} == {(1, None)}
    assert capsys.readouterr().out.startswith("Cannot be judged: 6 not judged; not judged is what has 1 cached")


def test_a_reader_that_most_replicates_lack_is_said_not_to_be_judged(replicates, tmp_path):
    for seed in (10, 11):
        of_reader(replicates, "glimmer", seed).unlink()
    document, verdicts = judged(write_replicates(tmp_path / "made", {99: (31, 41, 90)}), replicates)
    assert {number for number, verdict in verdicts.items() if verdict == NOT_JUDGED} == {
        "GLIMMER", "GLIMMER - FiD", "GLIMMER - LUMEN"}  # fmt: skip
    assert document["verified"] and "3 not judged" in document["outcome"]


def test_one_reader_alone_is_held_to_its_level(replicates, tmp_path):
    made = write_replicates(tmp_path / "made", {99: (31, 41, 52)})
    for name in ("fid", "lumen"):
        of_reader(made, name, 99).unlink()
    document, verdicts = judged(made, replicates)
    assert verdicts == {"GLIMMER": OK} and not document["differences"]


def test_readers_that_answered_other_numbers_of_questions_are_not_paired(replicates, tmp_path):
    made = write_replicates(tmp_path / "made", {99: (31, 41, 52)})
    path = of_reader(made, "fid", 99)
    run = json.loads(path.read_text())
    for task in run["tasks"].values():
        task["n"] = 50
        task["per_example"] = {name: scores[:50] for name, scores in task["per_example"].items()}
    path.write_text(json.dumps(run))
    rescore(path, [1.0, 0.0])
    assert judged(made, replicates)[1] == {
        "FiD": NOT_JUDGED, "LUMEN": OK, "GLIMMER": OK, "GLIMMER - LUMEN": OK}  # fmt: skip


@pytest.mark.parametrize("stage", ["initial_checkpoint", "retrieved"])
@pytest.mark.parametrize(("glimmer", "verdict"), [(50, OK), (90, FAIL), (20, FAIL)])
def test_another_draw_of_a_cached_seed_is_judged_by_the_other_seeds(replicates, tmp_path, stage, glimmer, verdict):
    right = (20, 30, glimmer)
    made = write_replicates(tmp_path / "made", {11: right})
    for name, score in zip(FIGURE2, right, strict=True):
        rescore(of_reader(made, name, 11), [1.0] * score + [0.0] * (100 - score), **{stage: "of elsewhere"})
    document, verdicts = judged(made, replicates)
    assert {row["verdict"] for row in document["runs"]} == {OTHER_DRAW}
    assert all(row["cached"].keys() == {10, 12} for row in document["differences"])
    assert document["verified"] == (verdict == OK)
    # GLIMMER is 50 in both of them; of what differs one degree of freedom sets hardly any bound.
    assert verdicts["GLIMMER"] == verdict


def test_the_same_replicate_again_is_identical_and_needs_no_other(replicates, tmp_path):
    made = write_replicates(tmp_path / "made", {11: CACHED[11]})
    document, verdicts = judged(made, replicates)
    assert {row["verdict"] for row in document["runs"]} == {IDENTICAL} and not verdicts
    assert document["verified"]


def test_the_same_answers_from_another_checkpoint_are_another_draw(replicates, tmp_path):
    made = write_replicates(tmp_path / "made", {11: CACHED[11]})
    path = of_reader(made, "glimmer", 11)
    path.write_text(path.read_text().replace("of seed 11", "of elsewhere"))
    document, _ = judged(made, replicates)
    assert sorted(row["verdict"] for row in document["runs"]) == [IDENTICAL, IDENTICAL, OTHER_DRAW]


def test_an_error_at_a_cached_seed_is_not_outweighed_by_a_new_one(replicates, tmp_path):
    made = write_replicates(tmp_path / "made", {11: CACHED[11], 99: (31, 41, 52)})
    swap(of_reader(made, "lumen", 11), "nq")
    document, verdicts = judged(made, replicates)
    assert set(verdicts.values()) == {OK} and not document["verified"]


@pytest.mark.parametrize(("stage", "verdict"), [("tokenizer", DIFFERS), ("code", DIFFERS), ("retrieved", OTHER_DRAW)])
def test_what_no_rounding_changes_is_no_other_draw(replicates, tmp_path, stage, verdict):
    made = write_replicates(tmp_path / "made", {11: CACHED[11]})
    rescore(of_reader(made, "fid", 11), [1.0, 0.0], **{stage: "of elsewhere"})
    rows = {row["run"]: row["verdict"] for row in compare_directories(made, replicates)["runs"]}
    assert rows.pop(of_reader(made, "fid", 11).stem) == verdict and set(rows.values()) == {IDENTICAL}


@pytest.mark.parametrize("right", [(30, 40, 50), (30, 40, 90)])
def test_where_seeds_share_one_world_nothing_predicts_another_draw(tmp_path, right, capsys):
    one_world = {"replicates": False}
    cached = write_replicates(tmp_path / "cached", CACHED, **one_world)
    made = write_replicates(tmp_path / "made", {11: right}, **one_world)
    for path in (made / "runs").glob("*.json"):
        path.write_text(path.read_text().replace("of seed 11", "of elsewhere"))
    document, verdicts = judged(made, cached)
    assert {row["verdict"] for row in document["runs"]} == {OTHER_DRAW}
    assert set(verdicts.values()) == {NOT_JUDGED} and not document["verified"]
    assert "3 runs are another draw that nothing predicts" in capsys.readouterr().out


def test_a_further_seed_of_fine_tuning_is_no_replicate(tmp_path):
    cached = write_replicates(tmp_path / "cached", CACHED, replicates=False)
    document, verdicts = judged(write_replicates(tmp_path / "made", {99: CACHED[10]}, replicates=False), cached)
    assert set(verdicts.values()) == {NOT_JUDGED} and not document["verified"]


def test_an_identical_run_does_not_vouch_for_another_draw(tmp_path):
    cached = write_replicates(tmp_path / "cached", {10: CACHED[10]}, replicates=False)
    made = write_replicates(tmp_path / "made", {10: CACHED[10]}, replicates=False)
    assert judged(made, cached)[0]["verified"]
    path = of_reader(made, "glimmer", 10)
    path.write_text(path.read_text().replace("of seed 10", "of elsewhere"))
    assert not judged(made, cached)[0]["verified"]


def test_readers_of_other_settings_are_other_readers(replicates, tmp_path):
    made = write_replicates(tmp_path / "made", {99: CACHED[10]}, **{"training.steps": 7})
    assert main(["verify", str(made), "--against", str(replicates)]) == 2


def swap(path, task):
    """Exchanges the scores of two questions of a task, one right and one wrong: no mean changes."""
    run = json.loads(path.read_text())
    scores = run["tasks"][task]["per_example"]["metric"]
    right, wrong = scores.index(1.0), scores.index(0.0)
    scores[right], scores[wrong] = scores[wrong], scores[right]
    path.write_text(json.dumps(run))


def test_a_few_answers_swapped_between_questions_are_an_error_though_no_level_moves(two):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    swap(path, "nq")
    rows = {row["run"]: row for row in reproduced.compare(*reproduced.load_both(*two))}
    row = rows.pop(path.stem)
    assert row["here"] == row["cached"] and row["answers_apart"] == 2 and row["verdict"] == DIFFERS
    assert {other["verdict"] for other in rows.values()} == {IDENTICAL}
    assert main(["verify", str(two[0]), "--against", str(two[1])]) == 1


def test_other_answers_from_a_checkpoint_of_elsewhere_may_be_another_processor(two):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    for directory in two:
        run = json.loads((directory / "runs" / path.name).read_text())
        run["settings"]["initial"] = {"kind": "checkpoint", "release": "a published one"}
        renamed = directory / "runs" / f"{experiments.run_id(run['settings'])}.json"
        renamed.write_text(json.dumps(run | {"id": renamed.stem}))
        (directory / "runs" / path.name).unlink()
    swap(two[0] / "runs" / renamed.name, "nq")
    rows = {row["run"]: row for row in reproduced.compare(*reproduced.load_both(*two))}
    assert rows[renamed.stem]["verdict"] == AGREES and rows[renamed.stem]["answers_apart"] == 2


def test_nothing_to_compare_is_bad_input(two, tmp_path, capsys):
    (tmp_path / "empty" / "runs").mkdir(parents=True)
    assert main(["verify", str(tmp_path / "empty"), "--against", str(two[1])]) == 2
    assert "no reader in common" in capsys.readouterr().err


def test_a_file_that_cannot_be_trusted_is_no_agreement(two, capsys):
    path = sorted((two[0] / "runs").glob("*.json"))[0]
    path.write_text(path.read_text().replace('"score": 0.', '"score": 7.', 1))
    assert main(["verify", str(two[0]), "--against", str(two[1])]) == 2
    assert path.name in capsys.readouterr().err


def test_a_directory_does_not_confirm_itself(two):
    assert main(["verify", str(two[1]), "--against", str(two[1] / ".." / "smoke")]) == 2


def test_the_log_gets_one_line_a_call_and_keeps_what_stands_there(replicates, tmp_path):
    made, log = write_replicates(tmp_path / "made", {99: (31, 41, 52)}), tmp_path / "log.md"
    words = ["verify", str(made), "--against", str(replicates), "--log", str(log)]
    assert main(words) == 0
    first = log.read_text()
    log.write_text(first + "\nWords below.\n")
    assert main(words) == 0
    lines = log.read_text().splitlines()
    row = first.splitlines()[-1]
    assert lines.count(row) == 2 and lines[-1] == "Words below."
    assert "| smoke | 99 |" in row and "| 6 | 0 | 0 | 0 | Verified |" in row and str(tmp_path) not in row
    log.write_text("nothing of this kind\n")
    assert main(words) == 2 and log.read_text() == "nothing of this kind\n"
