"""What snakemake's arguments and --config options mean."""

import pytest
from snakemake.cli import parse_config

from glimmer.errors import InputError
from glimmer.experiments import runs_for
from glimmer.files import write_json
from workflow.options import check_targets, draws_only, shown_studies, study_of
from workflow.start import start


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
        (["results/smoke/ro-crate-metadata.json"], True),
        (["work/smoke/passages"], False),
        (["all", "figures"], False),
    ],
)
def test_only_targets_that_show_results_count_as_drawing(arguments, expected):
    assert draws_only(arguments) is expected


@pytest.mark.parametrize("typed, meant", [("figurs", "figures"), ("reprot", "report"), ("claim", "claims")])
def test_a_misspelled_target_names_the_one_that_was_meant(typed, meant, capsys):
    with pytest.raises(SystemExit) as ended:
        start({"study": "smoke"}, [typed, "--cores", "1"])
    assert ended.value.code == 2
    assert f"snakemake: {typed}: no such target (did you mean {meant}?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "target", ["all", "figures", "audit", "findings", "evaluate", "results/smoke/figurs", "x.json"]
)
def test_targets_rules_and_files_are_none_that_was_misspelled(target):
    check_targets([target, "--cores", "1"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"study": "smoke", "dta": "x"},
            "study smoke takes no option dta; expected study, data, checkpoint, retriever",
        ),
        ({"study": "kilt", "checkpoint_xl": "x"}, "takes no option checkpoint_xl; expected .*checkpoint_xxl, "),
        ({"study": "smoke", "checkpoint_xxl": "x"}, "study smoke takes no option checkpoint_xxl"),
        ({"study": "kilt", "sizes": {"XXL": {"directory": "x"}}}, "takes no option sizes.XXL.directory"),
        ({"study": "kilt", "training": {"steps": 3}}, "takes no option training.steps"),
        ({"study": "kilt", "data": None}, "data is no directory"),
        ({"study": "kilt", "data": True}, "data is no directory"),
        ({"study": 3}, "no such study"),
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
        start({"study": "sample"}, [])
    lines = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert len(lines) == 1 and "--config data=DIR" in lines[0], lines


def said(capsys, config):
    with pytest.raises(SystemExit) as end:
        start(config, [])
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    return line


def test_everything_that_is_missing_is_named_at_once_with_the_command_that_brings_it(capsys):
    line = said(capsys, {"study": "kilt"})
    assert "expected --config data=DIR checkpoint=DIR checkpoint_xxl=DIR retriever=DIR; found nothing for data" in line
    assert line.endswith(
        "to bring it: glimmer fetch knowledge_source nq triviaqa hotpotqa fever zsre trex google/t5-v1_1-large "
        "google/t5-v1_1-xxl sentence-transformers/gtr-t5-base --out DIR"
    )


def test_what_is_missing_in_given_folders_is_named_file_by_file(capsys, tmp_path):
    data = tmp_path / "data"
    for name in ("nq-train-kilt.jsonl", "nq-dev-kilt.jsonl.gz", "kilt_knowledgesource.json", "fever-dev-kilt.jsonl"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).touch()
    line = said(capsys, {"study": "kilt", "data": data, "checkpoint": tmp_path, "checkpoint_xxl": tmp_path / "none"})
    assert f"no {data}/fever-train-kilt.jsonl" in line and "nq-" not in line and "knowledge" not in line
    assert f"no {tmp_path}/config.json, {tmp_path}: no weights that can be read, {tmp_path}: no vocabulary" in line
    assert f"no {tmp_path}/none, nothing for retriever" in line
    assert "glimmer fetch triviaqa hotpotqa fever zsre trex google/t5-v1_1-large google/t5-v1_1-xxl " in line
    assert line.endswith(f"--out {data}")


def test_what_has_no_published_name_is_named_without_a_command(capsys):
    line = said(capsys, {"study": "sample"})
    assert "nothing for data, nothing for checkpoint" in line and "glimmer fetch" not in line


def test_drawing_asks_for_no_data():
    layout, _ = start({"study": "sample"}, ["figures"])
    assert layout.draws_only


def names(studies):
    return [study.name for study in studies]


def test_every_study_with_results_is_shown_unless_one_is_named(tmp_path):
    for name in ("sample", "embedded"):
        write_json(tmp_path / name / "runs" / "0123456789ab.json", {})
    (tmp_path / "kilt" / "runs").mkdir(parents=True)
    write_json(tmp_path / "no-study" / "runs" / "0123456789ab.json", {})
    shown = shown_studies({"results": tmp_path}, ["figures"])
    assert names(shown) == ["embedded", "sample"]
    assert {study.results for study in shown} == {tmp_path}
    assert names(shown_studies({"results": tmp_path, "study": "smoke"}, ["figures"])) == ["smoke"]


def test_a_study_that_a_target_names_is_shown_though_it_has_no_results(tmp_path):
    shown = shown_studies({"results": tmp_path}, [f"{tmp_path}/smoke/figures/figure2.svg"])
    assert names(shown) == ["smoke"]


def test_the_committed_results_have_studies_to_show():
    assert "pilot" in names(shown_studies({}, ["figures"]))


@pytest.mark.parametrize("spelled", [["seeds=0"], ["seeds=[0]"], ["seeds=[0,]"]])
def test_a_part_of_a_grid_has_runs_of_the_whole_and_no_others(spelled, tmp_path):
    given = parse_config([*spelled, "study=kilt", "artifacts=figure2,table2", "baselines=[]", f"results={tmp_path}"])
    whole, part = runs_for(study_of({"study": "kilt"})), runs_for(study_of(given))
    assert part.keys() < whole.keys()
    assert {run.seed for run in part.values()} == {0}
    served = {point.split("/")[0] for run in part.values() for point in run.points}
    assert {"figure2", "table2"} <= served, "one run may serve other artifacts too"


@pytest.mark.parametrize("option", ["artifacts=figure9", "seeds=7", "baselines=gold", "artifacts=figure2,figure9"])
def test_what_the_study_does_not_have_is_no_part_of_it(option, tmp_path):
    with pytest.raises(InputError, match="not part of study"):
        study_of(parse_config(["study=smoke", option, f"results={tmp_path}"]))


def test_a_part_does_not_go_among_the_results_of_the_whole():
    with pytest.raises(InputError, match="a place of its own"):
        study_of({"study": "embedded", "seeds": 0})


@pytest.mark.parametrize("spelled", [
    {"checkpoint_xxl": "there"},
    {"sizes": {"XXL": {"initial": {"directory": "there"}}}},
    {"sizes.XXL.initial.directory": "there"},
])  # fmt: skip
def test_the_checkpoint_of_a_size_of_its_own_is_given_by_its_name_or_its_key(spelled):
    study = study_of({"study": "kilt", "checkpoint": "here", **spelled})
    assert (study.initial_for("").directory, study.initial_for("XXL").directory) == ("here", "there")
