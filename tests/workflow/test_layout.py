"""What snakemake's arguments mean, and what a stage depends on."""

import dataclasses
from types import SimpleNamespace

import pytest

from glimmer.errors import InputError
from glimmer.files import read_json, write_json
from workflow.layout import Layout, draws_only, layout, study_of


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], False),
        (["--cores", "all"], False),
        (["all"], False),
        (["figures", "--cores", "1"], True),
        (["figures", "--cores", "all", "--config", "study=smoke"], True),
        (["-n", "--config", "study=figures"], False),
        (["results/smoke/figures/figure2.svg", "-c1"], True),
        (["results/smoke/report.html"], True),
        (["audit", "--cores", "1"], True),
        (["results/smoke/audit.json"], True),
        (["results/smoke/claims.json"], True),
        (["work/smoke/passages"], False),
        (["all", "figures"], False),
    ],
)
def test_only_targets_that_show_results_count_as_drawing(arguments, expected):
    assert draws_only(arguments) is expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"study": "smoke", "dta": "x"}, "dta"),
        ({"study": "no-such-study"}, "no-such-study"),
        ({"study": "smoke", "data": "/tmp"}, "data.kind"),
        ({"study": "smoke", "checkpoint": "/tmp"}, "initial.kind"),
    ],
)
def test_options_that_a_study_does_not_take_are_refused_by_name(options, expected):
    with pytest.raises(InputError, match=expected):
        study_of(options)


def test_missing_data_end_the_program_with_one_line_and_code_2(capsys):
    with pytest.raises(SystemExit) as end:
        layout({"study": "sample"}, [])
    lines = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert len(lines) == 1 and "--config data=DIR" in lines[0], lines


def test_drawing_asks_for_no_data():
    assert layout({"study": "sample"}, ["figures"]).draws_only


def test_given_directories_reach_the_stages(given):
    data, checkpoint = given
    found = Layout(study=study_of({"study": "sample-gpu", "data": data, "checkpoint": checkpoint}), draws_only=False)
    assert (found.data, found.initial, found.vocabulary) == (str(data), str(checkpoint), [str(checkpoint)])
    assert {found.initial_of(run) for run in found.runs} == {str(checkpoint)}


def test_a_study_of_a_part_of_the_data_makes_that_part_first(given):
    data, _ = given
    found = Layout(study=study_of({"study": "sample", "data": data}), draws_only=False)
    assert (found.users_data, found.data) == (str(data), f"{found.work}/data")


def test_a_checkpoint_of_another_size_is_refused_before_any_work(given):
    data, checkpoint = given
    config = read_json(checkpoint / "config.json")
    write_json(checkpoint / "config.json", config | {"num_layers": 12})
    found = Layout(study=study_of({"study": "sample", "data": data, "checkpoint": checkpoint}), draws_only=False)
    with pytest.raises(InputError, match="encoder_layers 8; found 12"):
        found.check_places()


def test_directories_decide_neither_ids_nor_settings(tmp_path):
    here, there = (study_of({"study": "sample", "data": tmp_path / name, "work": name}) for name in "ab")
    ids = [set(Layout(study=study, draws_only=False).runs) for study in (here, there)]
    settings = [Layout(study=study, draws_only=False).settings("data", "initial") for study in (here, there)]
    assert ids[0] == ids[1] and settings[0] == settings[1]


def test_a_changed_section_changes_the_settings_of_the_stages_that_name_it():
    study = study_of({"study": "smoke"})
    other = dataclasses.replace(study, data={**study.data, "pages": 7})
    before, after = (Layout(study=one, draws_only=False) for one in (study, other))
    assert before.settings("data") != after.settings("data")
    assert before.settings("tokenizer") == after.settings("tokenizer")


def test_drawing_depends_on_the_runs_that_exist_and_measuring_on_all(tmp_path):
    study = study_of({"study": "smoke", "results": tmp_path})
    run = next(iter(Layout(study=study, draws_only=False).runs))
    write_json(study.result_file(run), {})
    assert Layout(study=study, draws_only=True).run_files() == [str(study.result_file(run))]
    assert len(Layout(study=study, draws_only=False).run_files()) > 1


def test_an_artifact_depends_on_its_own_module_and_the_shared_ones_alone():
    found = Layout(study=study_of({"study": "smoke"}), draws_only=True)
    code = found.code_of(SimpleNamespace(artifact="figure2", source="smoke"))
    assert "analysis/figure2.py" in code and "analysis/style.py" in code
    assert not [path for path in code if path.endswith(("figure3.py", "table1.py", "report.py", "audit.py"))], code


def test_every_rule_has_positive_needs_and_studies_add_to_them():
    small, large = (Layout(study=study_of({"study": name}), draws_only=True) for name in ("smoke", "sample-gpu"))
    assert small.needs("train")["gpu"] == 0 and large.needs("train")["gpu"] == 1
    assert small.needs("no-entry-of-its-own") == {"threads": 1, "mem_mb": 2000, "runtime": 30, "gpu": 0}
