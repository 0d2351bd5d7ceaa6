"""The console script itself: its overview, its version, and what it says of a command that it does not have."""

import importlib
import shlex
import sys
from pathlib import Path

import pytest

import glimmer
from glimmer import cli
from glimmer.errors import InputError, did_you_mean
from glimmer.experiments import load_study, run_of, runs_for


def test_every_command_stands_in_the_overview_once_under_its_purpose(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    listed = [
        line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ") and line[2] != " "
    ]
    assert sorted(listed) == cli.command_names()
    assert {cli._module(name).PURPOSE for name in cli.command_names()} == set(cli.PURPOSES)


def test_a_misspelled_command_names_the_one_that_was_meant(capsys):
    for typed, meant in (("clams", "claims"), ("train_retriever", "train-retriever")):
        with pytest.raises(SystemExit) as ended:
            cli.main([typed])
        assert ended.value.code == 2
        assert f"no such command: {typed} (did you mean {meant}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["xyzzy"])
    assert "glimmer --help lists what it takes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["report", "--studdy", "pilot"], "--study"),
        (["runs", "--study", "pilto"], "pilot"),
        (["claims", "--study", "sampel"], "sample"),
        (["figures", "figur2", "--study", "sample"], "figure2"),
        (["macs", "--reader", "glimer", "--k", "5"], "glimmer"),
        (["crate", "--study", "sampel"], "results/sample"),
        (["compare", "results/sampel", "results/pilot"], "results/sample"),
        (["compare", "sample", "results/pilot"], "results/sample"),
        (["verify", "results/sampel", "--against", "results/pilot"], "results/sample"),
    ],
)
def test_a_typo_in_what_a_command_takes_names_what_was_meant(capsys, monkeypatch, words, meant):
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    try:
        code = cli.main(words)
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err
    assert code == 2 and f"did you mean {meant}" in said
    assert said.startswith(f"glimmer {words[0]}: ") and len(said.splitlines()) <= 2


def test_the_paper_is_no_study_and_where_its_numbers_are_is_said(capsys):
    assert cli.main(["runs", "--study", "paper"]) == 2
    assert "--paper" in capsys.readouterr().err


def test_a_run_that_a_study_does_not_have_names_the_one_that_was_meant():
    study = load_study("smoke")
    id = next(iter(runs_for(study)))
    typed = f"{id[:-1]}{'0' if id[-1] != '0' else '1'}"
    with pytest.raises(InputError, match=rf"no such run \(did you mean {id}\?\)"):
        run_of(study, typed)
    assert run_of(study, id).id == id


def test_only_what_is_near_is_taken_to_be_meant():
    assert did_you_mean("pilto", ["pilot", "sample"]) == " (did you mean pilot?)"
    assert did_you_mean("figure2/perf", ["figure2/performance", "figure3"]) == " (did you mean figure2/performance?)"
    assert did_you_mean("xyzzy", ["pilot", "sample"]) == did_you_mean("", ["pilot"]) == ""


def test_without_a_command_the_overview_is_on_stderr(capsys):
    assert cli.main([]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "usage: glimmer COMMAND" in told.err


def test_examples_in_the_helps_are_commands_that_parse():
    """Those that a newcomer is shown first, and those below a command's options."""
    examples = [*cli.FIRST, *(line for name in cli.command_names() for line in cli.examples_of(name))]
    assert len(examples) > len(cli.FIRST) + 5
    for example in examples:
        program, *words = shlex.split(example)
        assert program == "glimmer"
        cli._arguments(words)


def test_helps_say_what_a_command_does_in_one_form():
    """A verb in lower case first, no full stop: the overview lists them below each other."""
    for name in cli.command_names():
        text = cli._module(name).HELP
        assert text[0].islower() and text[-1] != ".", name


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out.strip() == f"glimmer {glimmer.__version__}"


def test_one_command_imports_no_other(monkeypatch):
    imported = []
    real = importlib.import_module
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: (imported.append(name), real(name))[1])
    cli._parser(["runs"])
    assert [name for name in imported if "commands." in name] == ["glimmer.commands.runs"]
    assert "glimmer.commands.runs" in sys.modules
