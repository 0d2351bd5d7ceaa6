"""The console script itself: its overview, its version, and what it says of a command that it does not have."""

import importlib
import sys

import pytest

import glimmer
from glimmer import cli


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
        assert f"no such command: {typed}; did you mean {meant}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["xyzzy"])
    assert "glimmer --help lists them" in capsys.readouterr().err


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
