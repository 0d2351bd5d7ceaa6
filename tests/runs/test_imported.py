"""Somebody else's guesses: scored on the questions of a study, told apart from its runs wherever numbers are shown."""

import csv
import json
import re
import shutil

import pytest

from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.evaluation.kilt_scores.all_tasks import score_directories
from glimmer.files import write_json, write_json_lines
from glimmer.results import load_results
from glimmer.results.foreign import LEGEND, foreign_rows, load_foreign, read_foreign
from glimmer.runs.slices import digest_of_ids, slice_rows
from tests.analysis import synthetic

TASKS = ("nq", "triviaqa", "hotpotqa", "fever", "trex")
N, SELECTION, EVALUATED = 12, 3, 6


def gold_row(task, i):
    return {"id": f"{task}{i}", "input": "?", "output": [{"answer": f"a{i}", "provenance": [{"wikipedia_id": str(i)}]}]}


def guess_row(task, i):
    answer = f"a{i}" if i % 3 else "no"
    page = {"wikipedia_id": str(i if i % 2 else 99)}
    return {"id": f"{task}{i}", "output": [{"answer": answer, "provenance": [page]}]}


@pytest.fixture
def places(tmp_path):
    """(gold, guesses, results): a study's dev files, guesses of all their questions, and no run."""
    for task in TASKS:
        name = f"{task}-dev-kilt.jsonl"
        write_json_lines(tmp_path / "gold" / name, [gold_row(task, i) for i in range(N)])
        write_json_lines(tmp_path / "guesses" / name, [guess_row(task, i) for i in range(N)])
    return tmp_path / "gold", tmp_path / "guesses", tmp_path / "results"


def imported(places, *options, name="My reader"):
    gold, guesses, results = places
    settings = {"results": results, "evaluation.dev_examples": EVALUATED, "training.dev_examples": SELECTION}
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words = ["import", str(guesses), "--name", name, "--k", "4", "--study", "sample", "--gold", str(gold)]
    return main([*words, *sets, *options])


def the_file(places):
    (path,) = (places[2] / "sample" / "foreign").glob("*.json")
    return path


def test_it_is_scored_on_the_questions_that_runs_answer_and_on_no_other(places):
    assert imported(places) == 0
    reader = read_foreign(the_file(places))
    assert (reader.name, reader.k, reader.m, reader.replicate) == ("My reader", 4, None, None)
    for task, scored in reader.tasks.items():
        ids = {i: f"{task}{i}" for i in range(N)}
        rows = slice_rows(ids, SELECTION, EVALUATED, "")[1]
        assert scored.n == EVALUATED and scored.questions == digest_of_ids(ids[row] for row in rows)
        assert list(scored.per_example["metric"]) == [float(row % 3 > 0) for row in rows]
        assert list(scored.per_example["rprec"]) == [float(row % 2) for row in rows]
        assert scored.kilt == pytest.approx(sum(row % 3 > 0 and row % 2 for row in rows) / EVALUATED)


def test_the_file_states_no_training_and_no_settings(places):
    imported(places)
    stated = json.loads(the_file(places).read_text())
    assert stated["kind"] == "foreign"
    assert not {"settings", "seed", "learning_curve", "wall_seconds", "device", "digests"} & stated.keys()


def test_the_same_guesses_again_give_the_same_file_and_others_need_a_name_or_replace(places, capsys):
    imported(places)
    path, before = the_file(places), the_file(places).read_bytes()
    assert imported(places) == 0 and path.read_bytes() == before
    write_json_lines(places[1] / "nq-dev-kilt.jsonl", [guess_row("nq", i + N - i % 2 * N) | {"id": f"nq{i}"} for i in
                                                       range(N)])  # fmt: skip
    assert imported(places) == 2
    assert "--replace" in capsys.readouterr().err and path.read_bytes() == before
    assert imported(places, name="Another") == 0
    assert imported(places, "--replace") == 0
    readers, refused = load_foreign(places[2] / "sample")
    assert [reader.name for reader in readers] == ["Another", "My reader"] and not refused and not path.exists()


def spoil_line(path, number, line):
    lines = path.read_text().splitlines()
    lines[number - 1 : number] = [line] if line is not None else []
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("folder", "line", "named"),
    [
        ("guesses", "{", "nq-dev-kilt.jsonl:7"),
        ("guesses", '{"output": []}', "nq-dev-kilt.jsonl:7"),
        ("guesses", '{"id": "nq6", "output": []}', "nq-dev-kilt.jsonl:7"),
        ("guesses", json.dumps(guess_row("nq", 3)), "nq-dev-kilt.jsonl"),
        ("guesses", None, "nq6"),
        ("gold", '{"id": "nq6", "input": "?"}', "nq-dev-kilt.jsonl:7"),
    ],
)
def test_a_wrong_line_is_one_line_that_names_it_and_leaves_nothing(places, folder, line, named, capsys):
    path = places[("gold", "guesses").index(folder)] / "nq-dev-kilt.jsonl"
    rows = slice_rows({i: f"nq{i}" for i in range(N)}, SELECTION, None, "")[1]
    assert 6 in rows  # of those that are evaluated below
    spoil_line(path, 7, line)
    assert imported(places, "--set", "evaluation.dev_examples=null") == 2
    error = capsys.readouterr().err
    assert named in error and len(error.splitlines()) == 1
    assert not (places[2] / "sample" / "foreign").exists()


def test_a_missing_task_of_the_mean_is_named(places, capsys):
    (places[1] / "fever-dev-kilt.jsonl").unlink()
    assert imported(places) == 2
    assert "none of fever" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 41, "<b>", "$", "* mine"])
def test_a_name_that_a_table_could_not_show_is_refused(places, name, capsys):
    assert imported(places, name=name) == 2
    assert "name is not valid" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--k", "0"], ["--m", "5"], ["--replicate", "0"], ["--study", "pilot"]])
def test_numbers_that_no_reader_has_are_refused(places, options):
    assert imported(places, *options) == 2


def test_questions_that_the_studys_runs_did_not_answer_are_refused(places, capsys):
    gold, _, results = places
    synthetic.write_study(results, "sample")
    run = sorted((results / "sample" / "runs").glob("*.json"))[0]
    document = json.loads(run.read_text())
    write_json(run, document | {"digests": {"data": {"nq-dev-kilt.jsonl": "0" * 64}}})
    assert imported(places) == 2
    assert str(gold / "nq-dev-kilt.jsonl") in capsys.readouterr().err


CHANGES = {
    "a score": lambda stated: stated["tasks"]["nq"].update(score=0.99),
    "an example": lambda stated: stated["tasks"]["nq"]["per_example"]["metric"].append(1.0),
    "the average": lambda stated: stated["average"].update(score=0.99),
    "the name": lambda stated: stated.update(name="Yours"),
    "k": lambda stated: stated.update(k=5),
    "training settings": lambda stated: stated.update(settings={"reader": {}}),
    "what it is": lambda stated: stated.update(kind="run"),
    "a fraction": lambda stated: stated["tasks"]["nq"].update(kilt=1.5),
    "no number": lambda stated: stated["tasks"]["nq"].update(kilt=float("nan")),
    "another study": lambda stated: stated.update(study="pilot"),
    "a key less": lambda stated: stated.pop("scored_by"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_was_changed_is_left_out_and_named(places, change):
    imported(places)
    path = the_file(places)
    stated = json.loads(path.read_text())
    change(stated)
    path.write_text(json.dumps(stated))
    readers, refused = load_foreign(places[2] / "sample")
    assert not readers and [each.file for each in refused] == [path.name]
    with pytest.raises(InputError):
        read_foreign(path)


def test_its_mean_is_that_of_its_directory_where_every_question_is_scored(places):
    imported(places, "--set", "evaluation.dev_examples=null", "--set", "training.dev_examples=1")
    (row,) = foreign_rows(load_foreign(places[2] / "sample")[0])
    gold = places[0]
    for task in TASKS:  # without the one question that selects checkpoints
        chosen = slice_rows({i: f"{task}{i}" for i in range(N)}, 1, None, "")[1]
        write_json_lines(gold / f"{task}-dev-kilt.jsonl", [gold_row(task, i) for i in chosen])
    scores = score_directories(gold, places[1], tasks=TASKS)
    assert row.value == pytest.approx(100 * scores.mean("score", 10).mean)


@pytest.fixture
def shown(places):
    """Results of a study with runs and a foreign reader, everything drawn; and the same before the import."""
    results = places[2]
    synthetic.write_paper(results)
    assert imported(places) == 0  # before there are invented runs, which name other data
    foreign, aside = results / "sample" / "foreign", places[0].parent / "aside"
    foreign.rename(aside)
    synthetic.write_study(results, "sample")
    before = document(results)
    aside.rename(foreign)
    assert main(["figures", "figure2", "order", "--study", "sample", "--results", str(results)]) == 0
    return results, before


def document(results):
    """All that points, claims and the audit make of results."""
    assert main(["claims", "--study", "sample", "--results", str(results)]) == 0
    assert main(["audit", "--study", "sample", "--results", str(results)]) == 0
    points = [result.row() for result in load_results("sample", results).points]
    read = [json.loads((results / "sample" / f"{name}.json").read_text()) for name in ("claims", "audit")]
    return points, *read


def test_points_claims_and_audit_are_as_they_were(shown):
    results, before = shown
    assert document(results) == before


def test_figures_and_tables_show_it_marked_and_say_what_the_mark_means(shown, capsys):
    results, _ = shown
    svg = (results / "sample" / "figures" / "figure2.svg").read_text()
    assert "My reader *" in svg and LEGEND in re.sub(r"\s+", " ", svg)
    rows = list(csv.DictReader((results / "sample" / "figures" / "figure2.csv").read_text().splitlines()))
    (mine,) = [row for row in rows if row["status"] == "foreign"]
    assert mine["label"] == "My reader *" and mine["run_ids"] == "" and mine["alpha"] == ""
    capsys.readouterr()
    main(["summary", "--study", "sample", "--results", str(results)])
    table = capsys.readouterr().out
    assert "| My reader *" in table and LEGEND in table
    assert "My reader" not in (results / "sample" / "figures" / "order.svg").read_text()


def test_the_report_marks_it_in_the_table_and_says_below_the_figure_what_the_mark_means(shown):
    results, _ = shown
    assert main(["report", "--study", "sample", "--results", str(results)]) == 0
    text = (results / "sample" / "report.html").read_text()
    row = re.search(r"<tr><th>(?:(?!</th>).)*My reader .*?</tr>", text).group()
    assert '<span class="tag">foreign</span>' in row and "href" not in row, "no run is behind it"
    assert LEGEND in text[text.index('id="figure2"') : text.index("points, as drawn")]
    choices = json.loads(re.search(r'id="metric-data">(.*?)</script>', text).group(1))
    told = {choice["name"].split(" of ")[0]: choice["rows"][-1] for choice in choices}
    assert set(told["F1"]) == {"–"} and "–" not in told["KILT score"][:-1], "only what its file keeps"
    assert told["KILT score"][-1] == "–", "its answers are paired with no reader's"


def test_without_a_foreign_reader_nothing_speaks_of_one(shown):
    results, _ = shown
    for path in (results / "sample" / "foreign").glob("*.json"):
        path.unlink()
    main(["figures", "figure2", "--study", "sample", "--results", str(results)])
    assert "foreign" not in (results / "sample" / "figures" / "figure2.svg").read_text()


def test_a_drawn_foreign_number_that_is_no_longer_so_is_a_finding(shown):
    results, _ = shown
    path = results / "sample" / "figures" / "figure2.csv"
    (mine,) = [line for line in path.read_text().splitlines() if "foreign" in line]
    path.write_text(path.read_text().replace(mine, mine.replace(mine.split(",")[9], "99")))
    _, _, audit = document(results)
    assert [finding["points"] for finding in audit["findings"] if finding["kind"] == "drawing"] == [
        ["foreign/My reader"]
    ]


def rows_of(capsys, *words):
    capsys.readouterr()
    assert main([*words, "--json"]) in (0, None)
    return json.loads(capsys.readouterr().out)


def test_runs_lists_it_behind_the_runs_and_marked(shown, capsys):
    results, _ = shown
    words = ("runs", "--study", "sample", "--set", f"results={results}")
    rows = rows_of(capsys, *words)
    reader = load_foreign(results / "sample")[0][0]
    (mine,) = [row for row in rows if row.get("kind") == "foreign"]
    assert rows[-1] == mine and mine["id"] == reader.id and mine["points"] == [] and mine["settings"] is None
    assert mine["average_percent"] == pytest.approx(100 * reader.average.score)
    assert not [row for row in rows_of(capsys, *words, "--points") if row.get("kind") == "foreign"]
    main(list(words))
    said = capsys.readouterr().out
    assert "My reader *" in said and LEGEND in said


@pytest.mark.parametrize(
    ("words", "is_listed"),
    [
        ("--reader foreign", True),
        ("--reader foreign --where k={k}", True),
        ("--where k={k} --where m={k}", True),
        ("--where k=99", False),
        ("--reader glimmer", False),
        ("--where alpha=1/3", False),
        ("--missing", False),
        ("--seed 99", False),
    ],
)
def test_runs_lists_it_where_what_is_known_of_it_is_asked_for(shown, capsys, words, is_listed):
    results, _ = shown
    reader = load_foreign(results / "sample")[0][0]
    rows = rows_of(
        capsys, "runs", "--study", "sample", "--set", f"results={results}", *words.format(k=reader.k).split()
    )
    assert [row["id"] for row in rows if row.get("kind") == "foreign"] == [reader.id] * is_listed


def test_show_finds_it_by_its_id_and_by_its_name(shown, capsys):
    results, _ = shown
    reader = load_foreign(results / "sample")[0][0]
    for id in (reader.id, "foreign/My reader", "foreign/My"):
        document = rows_of(capsys, "show", id, "--study", "sample", "--results", str(results))
        assert document["kind"] == "foreign" and document["what"] == LEGEND
        file = document["studies"]["sample"]
        assert file["average"]["percent"] == pytest.approx(100 * reader.average.score)
        assert file["tasks"]["nq"]["kilt_percent"] == pytest.approx(100 * reader.tasks["nq"].kilt)
        assert not {"points", "commands", "seed", "differs"} & file.keys()


def test_compare_pairs_it_with_itself_by_question_and_with_no_other_reader(shown, capsys, tmp_path):
    results, _ = shown
    words = ("compare", str(results / "sample"), str(results / "sample"))
    mine = [row for row in rows_of(capsys, *words) if row["point"] == "foreign/My reader"]
    assert [row["task"] for row in mine] == ["mean", *TASKS]
    assert {(row["how"], row["difference"], row["low"]) for row in mine} == {("paired by question", 0.0, 0.0)}
    main(list(words))
    said = capsys.readouterr().out
    assert "foreign/My reader *" in said and LEGEND in said
    without = tmp_path / "without" / "sample"
    shutil.copytree(results / "sample" / "runs", without / "runs")
    (mine,) = [row for row in rows_of(capsys, *words[:2], str(without)) if row["point"].startswith("foreign/")]
    assert (mine["second"], mine["difference"], mine["how"]) == (None, None, "in the first only")
