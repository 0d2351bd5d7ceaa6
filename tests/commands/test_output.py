"""Formats of what commands print: what a reader of CSV, Markdown or LaTeX gets back is what was printed."""

import argparse
import csv
import io
import json

import pytest

from glimmer.cli import main
from glimmer.commands.output import FORMATS, add_json_argument, beside, show

ODD = [
    {"name": 'a, "b"\nc', "share": 1 / 3, "none": None, "flag": True, "list": ["x", 1]},
    {"name": "50% of $x_1 & #2 {~^\\}", "share": 1e-9, "none": None, "flag": False, "list": []},
    {"name": "a|b *c* <d> `e` [f](g)", "share": 2, "later": 7},
]


def printed(capsys, form, value=ODD):
    show(value, form)
    return capsys.readouterr().out


def test_csv_gives_back_every_text_and_every_digit(capsys):
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "csv"))))
    assert [row["name"] for row in rows] == [row["name"] for row in ODD]
    assert [float(row["share"]) for row in rows] == [row["share"] for row in ODD]
    assert [row["none"] for row in rows] == ["", "", ""] and [row["later"] for row in rows] == ["", "", "7"]
    assert rows[0]["flag"] == "true" and json.loads(rows[0]["list"]) == ["x", 1]


def test_a_markdown_row_is_one_line_with_one_cell_a_column_and_no_markup_of_its_own(capsys):
    head, rule, *rows = printed(capsys, "md").splitlines()
    assert len(rows) == len(ODD)
    for line in (head, rule, *rows):
        assert line.replace(r"\|", "").count("|") == len({key for row in ODD for key in row}) + 1
    assert r"a\|b \*c\* \<d\> \`e\` \[f\](g)" in rows[2] and repr(1 / 3) in rows[0]
    assert rule.split("|")[1:3] == [":--", "--:"]  # text to the left, numbers to the right


def test_a_latex_cell_is_text_and_none_of_it_a_command(capsys):
    lines = printed(capsys, "tex").splitlines()
    assert lines[0].startswith(r"\begin{tabular}{lr") and lines[-1] == r"\end{tabular}"
    assert r"50\% of \$x\_1 \& \#2 \{\textasciitilde{}\textasciicircum{}\textbackslash{}\}" in "\n".join(lines)
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == 1 + len(ODD)
    assert {line.replace(r"\&", "").count("&") for line in rows} == {len({key for row in ODD for key in row}) - 1}


def test_a_dict_is_rows_of_names_and_values(capsys):
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "csv", {"a": {"b": 1 / 3}, "c": None}))))
    assert rows == [{"name": "a.b", "value": repr(1 / 3)}, {"name": "c", "value": ""}]


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_to_print_is_no_row(capsys, form):
    assert printed(capsys, form, []).strip() == ("[]" if form == "json" else "")


def test_json_is_an_alias_and_another_format_is_refused(capsys):
    parser = argparse.ArgumentParser()
    add_json_argument(parser)
    formats = [parser.parse_args(words).format for words in ([], ["--json"], ["--format", "json"], ["--format", "md"])]
    assert formats == ["table", "json", "json", "md"]
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--format", "xml"])
    assert ended.value.code == 2
    with pytest.raises(ValueError, match="no such format"):
        show(ODD, False)


def test_what_stands_beside_rows_never_mixes_with_them(capsys):
    for form in FORMATS:
        beside("words", form)
        beside({"total": 3}, form)
        captured = capsys.readouterr()
        everywhere = {"table": (captured.out, captured.err), "json": ("words total 3", captured.out + captured.err)}
        said, silent = everywhere.get(form, (captured.err, captured.out))
        assert "words" in said and "total" in said and silent == ""


@pytest.mark.parametrize(
    "words",
    ["plan --study smoke", "runs --study smoke", "claims --paper", "audit --paper --record", "gates --study smoke"],
)
def test_commands_put_rows_alone_on_stdout(capsys, words, invented_paper):
    words = [*words.split(), *([] if words[:4] in ("plan", "runs") else ["--results", str(invented_paper)])]
    main([*words, "--format", "csv"])
    lines = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(lines) > 1 and {len(line) for line in lines} == {len(lines[0])}


@pytest.fixture
def invented_paper(tmp_path):
    from tests.analysis.synthetic import write_paper

    write_paper(tmp_path)
    return tmp_path
