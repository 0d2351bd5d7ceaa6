"""Papers that a folder describes: planted errors are found and what is right is not, wrong descriptions are refused,
and the descriptions under version control say what their results show."""

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.audit import audit_description, audit_paper
from analysis.audits import derived, precision
from analysis.audits.finding import Number, printed_numbers, reported_numbers
from analysis.audits.identity import facts
from analysis.papers.arithmetic import evaluate, names_of
from analysis.papers.description import (
    PrintedArtifact,
    PrintedMeasure,
    PrintedPaper,
    SetSizes,
    System,
    load_paper,
    own_paper,
)
from analysis.papers.printed import PrintedPoint, read_points
from analysis.papers.template import write_template
from analysis.papers.written import page
from glimmer import experiments
from glimmer.cli import main
from glimmer.compute import SIZES, Workload, operation_count
from glimmer.errors import InputError
from glimmer.experiments.documents import repository_path
from glimmer.files import read_json
from glimmer.kilt.download import PUBLISHED


@pytest.fixture
def folder(tmp_path):
    """The template, to be changed."""
    write_template(tmp_path / "paper")
    return tmp_path / "paper"


def edit(path, *changes):
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new)
    path.write_text(text)


def found(folder, *kinds):
    """(kind, points, found) of the findings of these kinds (all, if none is named)."""
    document, _ = audit_description(folder)
    return [(f["kind"], f["points"], f["found"]) for f in document["findings"] if not kinds or f["kind"] in kinds]


def made(measures, sizes=()):
    """A paper of one system and one artifact, in memory."""
    return PrintedPaper(
        name="made",
        title="made",
        cite="made",
        sources=("made",),
        points="tables",
        test_sets=SetSizes(sizes=dict(sizes)),
        measures=measures,
        systems={"s": System()},
        artifacts={"a": PrintedArtifact(source="made")},
    )


def printed(paper, measure, text):
    """One of its points; its id is the measure and the number."""
    return PrintedPoint(
        id=f"{measure}={text}",
        artifact="a",
        panel="",
        series="s",
        system="s",
        less=None,
        x_name=None,
        x=None,
        quantity=measure,
        text=text,
        where="here",
        paper=paper,
    )


# The template, and the command


def test_the_template_that_init_writes_is_a_valid_description_without_a_finding(tmp_path, capsys):
    assert main(["audit", "--init", str(tmp_path / "mine")]) == 0
    assert str(tmp_path / "mine" / "paper.yaml") in capsys.readouterr().out
    assert main(["audit", "--paper", str(tmp_path / "mine"), "--results", str(tmp_path / "results")]) == 0
    written = tmp_path / "results" / "papers" / "my-paper"
    assert {path.name for path in written.iterdir()} == {"audit.json", "claims.json", "findings.md"}
    assert read_json(written / "audit.json")["findings"] == []
    assert read_json(written / "claims.json")["counts"] == {"supported": 2}


def test_init_writes_over_nothing(folder, capsys):
    edit(folder / "claims.yaml", ("Reading passages is better than reading none.", "Mine."))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["audit", "--init", str(folder)]) == 2 and "already there" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_check_shows_what_is_recorded_and_fails_where_the_description_changed_since(folder, tmp_path, capsys):
    arguments = ["audit", "--paper", str(folder), "--results", str(tmp_path / "results")]
    assert main(arguments) == main([*arguments, "--check"]) == 0
    edit(folder / "tables" / "table1.csv", ("30.1", "30.2"))
    assert main([*arguments, "--check"]) == 1 and "table1.csv: changed since" in capsys.readouterr().err


def test_findings_are_results_and_every_one_stands_on_the_page(folder, tmp_path, capsys):
    edit(folder / "tables" / "table1.csv", ("55.7", "56.7"))
    assert main(["audit", "--paper", str(folder), "--results", str(tmp_path), "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["my-paper"]["findings"]
    fields = {"id", "kind", "severity", "points", "expected", "found", "difference", "tolerance", "explanation"}
    assert findings and all(set(finding) == fields for finding in findings)
    shown = (tmp_path / "papers" / "my-paper" / "findings.md").read_text()
    assert all(f"`{finding['id']}`" in shown for finding in findings)


def test_two_folders_of_one_name_and_a_folder_that_is_not_there_are_refused(folder, tmp_path, capsys):
    write_template(tmp_path / "twin")
    assert main(["audit", "--paper", str(folder), str(tmp_path / "twin"), "--results", str(tmp_path)]) == 2
    assert "two papers of one name" in capsys.readouterr().err
    assert main(["audit", "--paper", "no-such-paper", "--results", str(tmp_path)]) == 2
    assert "no-such-paper: no description of a paper" in capsys.readouterr().err


# Planted errors


@pytest.mark.parametrize("sign", ["56.1", "55.3"])
def test_a_wrong_mean_is_found_either_way_and_one_within_rounding_is_not(folder, sign):
    table = folder / "tables" / "table1.csv"
    edit(table, ("55.7", "55.6"))  # 55.65 exactly
    assert found(folder) == []
    edit(table, ("55.6", sign))
    ((kind, points, value),) = found(folder)
    assert (kind, value) == ("mean-of-parts", float(sign))
    assert points == ["table1/reader/average", "table1/reader/QA", "table1/reader/FC"]


def test_a_wrong_total_of_counts_is_found_and_the_right_one_is_not(folder):
    edit(folder / "paper.yaml", ("  average:", "  '{} size': { unit: count, each: [QA, FC] }\n"
                                 "  total: { unit: count, sum_of: [QA size, FC size] }\n  average:"))  # fmt: skip
    edit(folder / "paper.yaml", ("  text: {", "  sizes: { source: Table 2 }\n  text: {"))
    sizes = folder / "tables" / "sizes.csv"
    sizes.write_text('measure,baseline\nQA size,"1,444"\nFC size,400\ntotal,"1,844"\n')
    assert found(folder) == []
    edit(sizes, ('"1,844"', '"1,854"'))
    ((kind, _, value),) = found(folder)
    assert (kind, value) == ("sum-of-parts", 1854)


@given(
    parts=st.lists(st.integers(0, 100_000), min_size=2, max_size=6),
    decimals=st.integers(0, 2),
    kind=st.sampled_from(["mean_of", "sum_of"]),
)
def test_what_was_rounded_honestly_is_never_found(parts, decimals, kind):
    """Parts of a thousandth are printed to fewer decimals, and so is their mean or sum, worked out before rounding."""
    names = [f"m{index}" for index in range(len(parts))]
    whole = Fraction(sum(parts), 1000 * (len(parts) if kind == "mean_of" else 1))
    measures = {name: PrintedMeasure(unit="points") for name in names}
    measures |= {"whole": PrintedMeasure(unit="points", **{kind: tuple(names)})}
    paper = made(measures)
    values = {**dict(zip(names, (Fraction(part, 1000) for part in parts), strict=True)), "whole": whole}
    points = [printed(paper, name, f"{float(round(value, decimals)):.{decimals}f}") for name, value in values.items()]
    assert list(derived.composed(printed_numbers(points), paper)) == []
    beyond = Fraction(1, 10**decimals) * (2 + len(parts))
    wrong = [*points[:-1], printed(paper, "whole", f"{float(round(whole + beyond, decimals)):.{decimals}f}")]
    assert len(list(derived.composed(printed_numbers(wrong), paper))) == 1


@pytest.mark.parametrize(("text", "is_found"), [("11.2", False), ("11.3", False), ("11.1", False), ("11.5", True)])
def test_a_stated_difference_is_held_against_its_parts_within_their_rounding(folder, text, is_found):
    edit(folder / "tables" / "text.csv", ("11.2", text))
    kinds = {kind for kind, _, _ in found(folder)}
    assert kinds == ({"arithmetic", "gain-and-parts"} if is_found else set())


def test_one_configuration_with_two_numbers_is_found_where_a_curve_meets_a_table(folder):
    edit(folder / "tables" / "figure1.csv", ("reader,20,QA,42.7", "reader,20,QA,42.9"))
    ((kind, points, _),) = found(folder)
    assert kind == "table-and-figure" and points == ["table1/reader-20/QA", "figure1/reader/QA/k=20"]


def test_another_setting_is_another_configuration(folder):
    edit(folder / "paper.yaml", ("reader-20: { like: reader, settings: { k: 20 } }",
                                 "reader-20: { like: reader, settings: { k: 20, trained_on: all } }"))  # fmt: skip
    edit(folder / "tables" / "figure1.csv", ("reader,20,QA,42.7", "reader,20,QA,42.9"))
    assert found(folder, "table-and-figure", "same-run") == []


def test_a_share_that_no_whole_number_of_answers_gives_is_found_and_a_possible_one_is_not(folder):
    assert found(folder, "granularity") == [], "61.5 is 246 of 400"
    edit(folder / "tables" / "table1.csv", ("61.5", "61.4"))
    ((_, points, _),) = found(folder, "granularity")
    assert points == ["table1/baseline/FC"]


def test_granularity_says_where_it_can_show_nothing(folder):
    document, _ = audit_description(folder)
    rows = {row["set"]: row for row in document["granularity"]}
    assert rows["questions"]["tested"] == 0 and rows["questions"]["share_possible"] == 1
    assert rows["claims"]["tested"] == 2 and rows["claims"]["share_possible"] == pytest.approx(401 / 1001, abs=1e-4)


@pytest.mark.parametrize(("n", "decimals"), [(7, 0), (7, 2), (144, 1), (400, 1), (1444, 2)])
def test_granularity_is_what_counting_every_whole_number_says(n, decimals):
    possible = {round(Fraction(100 * 10**decimals * right, n)) for right in range(n + 1)}
    numbers = printed_numbers(_share(Fraction(step, 10**decimals), n, decimals) for step in range(100 * 10**decimals))
    impossible = {finding.points[0] for finding in precision.granular(numbers)}
    for step, number in enumerate(numbers):
        halves = {2 * 100 * 10**decimals * right % (2 * n) == n for right in range(n + 1)}
        if not any(halves):  # where no share ends in exactly a half, there is one way to round
            assert (number.id in impossible) == (step not in possible)
    assert impossible, "this many decimals are finer than one answer"


def _share(value, n, decimals):
    paper = made({"share": PrintedMeasure(share_of="set", decimals=decimals)}, sizes={"set": n})
    return printed(paper, "share", f"{float(value):.{decimals}f}")


def test_curves_turn_only_where_the_description_gives_reason_to_expect_a_direction(folder):
    table, paper = folder / "tables" / "figure1.csv", folder / "paper.yaml"
    edit(table, ("reader,5,QA,38.9", "reader,5,QA,41.9"))
    ((kind, points, _),) = found(folder, "monotone")
    assert points == ["figure1/reader/QA/k=5", "figure1/reader/QA/k=10"]
    edit(paper, ("expected: rising", "expected: falling"))
    ((_, points, _),) = found(folder, "monotone")
    assert points == ["figure1/reader/QA/k=10", "figure1/reader/QA/k=20"]
    edit(paper, (", expected: falling", ""))
    assert found(folder, "monotone") == []


def test_stacks_end_where_their_whole_is_printed(folder):
    edit(folder / "paper.yaml", ("  text: {", "  bars: { source: Figure 2, kind: stacked_bars }\n  text: {"))
    bars = folder / "tables" / "bars.csv"
    bars.write_text("series,system,less,measure,value\nbar,baseline,,QA,30.1\nbar,reader,baseline,QA,11.2\n")
    assert found(folder) == []
    bars.write_text("series,system,less,measure,value\nbar,baseline,,QA,30.1\nbar,reader,baseline,QA,12.9\n")
    assert ("stack-and-whole", ["bars/baseline/QA", "bars/reader - baseline/QA", "table1/reader/QA"], 43) in [
        (kind, points, round(value, 6)) for kind, points, value in found(folder, "stack-and-whole")
    ]


def test_a_sentence_that_the_numbers_contradict_is_a_discrepancy(folder):
    edit(folder / "claims.yaml", ("greater: [reader, baseline]", "greater: [baseline, reader]"))
    document, claims = audit_description(folder)
    assert [f["severity"] for f in document["findings"] if f["kind"] == "statement"] == ["discrepancy"]
    assert claims["counts"] == {"supported": 1, "contradicted": 1}


def test_a_claim_on_less_than_sampling_error_is_a_note_where_that_is_asked_for(folder):
    assert found(folder, "sampling") == []
    edit(folder / "claims.yaml", ("baseline: table1/baseline/QA }", "baseline: table1/reader-20/QA }"),
         ("greater: [reader, baseline]", "greater: [baseline, reader]"))  # fmt: skip
    ((_, points, value),) = found(folder, "sampling")
    assert set(points) == {"table1/reader/QA", "table1/reader-20/QA"} and value == pytest.approx(1.4)
    document, _ = audit_description(folder)
    (tolerance,) = [f["tolerance"] for f in document["findings"] if f["kind"] == "sampling"]
    variance = sum(p * (1 - p) / 1444 for p in (0.413, 0.427))
    assert tolerance == pytest.approx(1.959964 * 100 * variance**0.5)
    edit(folder / "paper.yaml", ("sampling: 0.95", ""))
    assert found(folder, "sampling") == []


def test_equal_numbers_of_different_configurations_are_a_note_unless_stated_to_be_one_number(folder):
    table = folder / "tables" / "table1.csv"
    edit(table, ("reader-20,42.7,,", "reader-20,42.7,70.0,"))
    ((kind, points, _),) = found(folder)
    assert kind == "equal-values" and set(points) == {"table1/reader/FC", "table1/reader-20/FC"}
    edit(folder / "paper.yaml", ("derived:\n", "derived:\n  - point: table1/reader-20/FC\n"
                                 "    of: { ten: table1/reader/FC }\n    value: ten\n"))  # fmt: skip
    assert found(folder) == []


def test_numbers_of_one_function_that_differ_beside_others_that_agree_are_a_note(folder):
    edit(folder / "paper.yaml", ("baseline: { says: reads nothing }",
                                 "baseline: { says: reads nothing, same_function_as: reader-20 }"))  # fmt: skip
    points = [points for _, points, _ in found(folder, "same-function")]
    assert points == [["table1/baseline/QA", "table1/reader-20/QA"]]


SPEEDS = """
formulas:
  measure: speed
  per: 1000
  in_words: questions a unit
  unknown:
    tokens: { unit: tokens a passage, called: the number of tokens, stated: 100 }
    answer: { unit: answer tokens, called: the answer's length }
  costs:
    plain: { words: the printed formula, cost: "k * tokens + 3 * answer" }
  coefficients:
    - { what: an answer token, printed: "3", own: "k / 5", of: "{model}", unit: c, because: A slip. }
"""


def test_speeds_are_held_against_a_stated_formula_and_the_lengths_that_fit_are_found(folder):
    paper, table = folder / "paper.yaml", folder / "tables" / "speeds.csv"
    edit(paper, ("  average:", "  speed: { unit: questions }\n  average:"),
         ("  text: {", "  speeds: { source: Table 2 }\n  text: {"))  # fmt: skip
    paper.write_text(paper.read_text() + SPEEDS)
    table.write_text(f"system,speed\nreader,{1000 / 1060:.9f}\nreader-20,{1000 / 2060:.9f}\n")
    assert found(folder, "operation-count", "token-count") == []
    assert [value for _, _, value in found(folder, "formula")] == [3], "3 where 10 / 5 is the model's own"
    table.write_text(f"system,speed\nreader,{1000 / 1210:.9f}\nreader-20,{1000 / 2410:.9f}\n")  # 120 and 3.33
    assert [value for _, _, value in found(folder, "token-count")] == [120]
    assert len(found(folder, "operation-count")) == 2


def test_a_cost_has_a_part_that_no_length_changes_and_must_be_linear_in_the_rest(folder, tmp_path, capsys):
    paper, table = folder / "paper.yaml", folder / "tables" / "speeds.csv"
    edit(paper, ("  average:", "  speed: { unit: questions }\n  average:"),
         ("  text: {", "  speeds: { source: Table 2 }\n  text: {"))  # fmt: skip
    paper.write_text(paper.read_text() + SPEEDS.replace("3 * answer", "3 * answer + 500"))
    table.write_text(f"system,speed\nreader,{1000 / 1560:.9f}\nreader-20,{1000 / 2560:.9f}\n")
    assert found(folder, "operation-count", "token-count") == []
    edit(paper, ("3 * answer + 500", "3 * answer * tokens"))
    assert main(["audit", "--paper", str(folder), "--results", str(tmp_path)]) == 2
    assert "formulas.costs.plain.cost (speeds/reader/speed): not linear" in capsys.readouterr().err
    edit(paper, ("k * tokens + 3 * answer * tokens", "width * tokens + answer"))
    assert main(["audit", "--paper", str(folder), "--results", str(tmp_path)]) == 2
    assert "found width" in capsys.readouterr().err


# Wrong descriptions


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("paper.yaml", "points: tables", "points: chairs", "points is not valid; expected one of registry, tables"),
        ("paper.yaml", "name: my-paper", "name: My Paper", "name is not valid"),
        ("paper.yaml", "cite: Nobody", "cites: Nobody", "only the keys"),
        ("paper.yaml", "share_of: claims,", "share_of: claim,", "measures.FC.share_of is not valid"),
        ("paper.yaml", "mean_of: [QA, FC]", "mean_of: [QA, PC]", "measures.average.mean_of is not valid"),
        ("paper.yaml", "mean_of: [QA, FC]", "mean_of: [QA, average]", "measures not made of others"),
        ("paper.yaml", "like: reader,", "like: readers,", "systems.reader-20.like is not valid"),
        ("paper.yaml", "{ k: 10 }", "{ k: [10] }", "settings.k is not valid"),
        ("paper.yaml", "kind: figure, x: k", "kind: figure, x: m", "artifacts.figure1.x is not valid"),
        ("paper.yaml", "sampling: 0.95", "sampling: 95", "sampling is not valid; expected below 1"),
        ("paper.yaml", "point: text/reader", "point: test/reader", "derived.0.point is not valid"),
        ("paper.yaml", "value: reader - baseline", "value: reader - base", "derived.0.value is not valid"),
        ("paper.yaml", "value: reader - baseline", "value: open('x') - reader", "not arithmetic"),
        ("paper.yaml", "value: reader - baseline", "value: reader.real - baseline", "not arithmetic"),
        ("paper.yaml", "value: reader - baseline", "value: (reader - baseline) ** 99", "not arithmetic"),
        ("paper.yaml", "  text: { source", "  texts: { source", "a table that paper.yaml does not state"),
        ("claims.yaml", "table1/reader/QA,", "table1/reader/EM,", "reading-helps: no such point"),
        ("claims.yaml", "greater: [reader", "greater: [leader", "reading-helps: no such alias"),
        ("claims.yaml", "source: section 4\n", "family: primary\n    source: section 4\n", "not a claim"),
        ("tables/table1.csv", "reader-20,", "reader-30,", "table1.csv:4: unknown system"),
        ("tables/table1.csv", "QA,FC", "QA,PC", "table1.csv:1: unknown measure"),
        ("tables/table1.csv", "system,", "model,", "table1.csv:1: not a header"),
        ("tables/table1.csv", "30.1", "3O.1", "table1.csv:2: QA is no number"),
        ("tables/table1.csv", "30.1", "nan", "table1.csv:2: QA is no number"),
        ("tables/table1.csv", "30.1", "130.1", "table1.csv:2: QA is out of range"),
        ("tables/table1.csv", "30.1,61.5,45.8", "30.1,61.5", "table1.csv:2: not a line of this table"),
        ("tables/table1.csv", "reader-20", "reader", "table1.csv:4: point given twice"),
        ("claims.yaml", "levels-out\n    statement", "levels-out\n    remark", "levels-out: not a claim"),
        ("paper.yaml", "points: tables", "sampling_of: tables", "the key points: one of registry, tables"),
        ("tables/figure1.csv", "reader,5,", "reader,five,", "figure1.csv:2: x is no number"),
    ],
)  # fmt: skip
def test_a_wrong_description_ends_in_one_line_that_names_the_place(folder, tmp_path, capsys, file, old, new, said):
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert main(["audit", "--paper", str(folder), "--results", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert said in error and str(folder) in error and error.count("\n") == 1
    assert not (tmp_path / "results").exists(), "nothing is written"


def test_a_table_that_is_stated_and_missing_is_named(folder, tmp_path, capsys):
    (folder / "tables" / "text.csv").unlink()
    assert main(["audit", "--paper", str(folder), "--results", str(tmp_path)]) == 2
    assert "text.csv" in capsys.readouterr().err


def test_digits_beyond_what_a_measure_prints_are_refused_and_dropped_zeros_count(folder):
    edit(folder / "paper.yaml", ("FC: { share_of: claims,", "FC: { share_of: claims, decimals: 2,"))
    points = read_points(folder, load_paper(folder))
    assert points["table1/reader/FC"].rounding == Fraction(1, 200), "70.0 stands for 70.00"
    edit(folder / "tables" / "table1.csv", ("61.5", "61.512"))
    with pytest.raises(InputError, match="at most 2 decimals"):
        read_points(folder, load_paper(folder))


def test_a_table_reads_the_same_whichever_way_it_lies(folder):
    table = folder / "tables" / "table1.csv"
    before = {id: point.text for id, point in read_points(folder, load_paper(folder)).items()}
    table.write_text("measure,baseline,reader,reader-20\nQA,30.1,41.3,42.7\nFC,61.5,70.0,\naverage,45.8,55.7,\n")
    assert {id: point.text for id, point in read_points(folder, load_paper(folder)).items()} == before
    rows = [id.split("/")[1:] + [text] for id, text in before.items() if id.startswith("table1/")]
    table.write_text("\n".join(",".join(row) for row in [["system", "measure", "value"], *rows]) + "\n")
    assert {id: point.text for id, point in read_points(folder, load_paper(folder)).items()} == before


def test_signs_thousands_and_a_byte_order_mark_are_read_as_printed(folder):
    edit(folder / "tables" / "text.csv", ("11.2", "\N{MINUS SIGN}11.2"))
    table = folder / "tables" / "table1.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    points = read_points(folder, load_paper(folder))
    assert points["text/reader - baseline/QA"].value == Fraction("-11.2") and "table1/reader/QA" in points
    edit(folder / "tables" / "text.csv", ("\N{MINUS SIGN}11.2", "+11.2"))
    assert found(folder) == []


def test_fractions_are_shares_too(folder):
    edit(folder / "paper.yaml", ("FC: { share_of: claims,", "FC: { unit: fraction, share_of: claims,"),
         ("average: { mean_of: [QA, FC] }", "average: {}"))  # fmt: skip
    table = folder / "tables" / "table1.csv"
    edit(table, ("61.5", ".6150"), ("70.0", ".7000"))
    assert {kind for kind, _, _ in found(folder)} == {"precision"}, "four decimals of 400 answers"
    edit(table, (".6150", ".6140"))
    assert [points for _, points, _ in found(folder, "granularity")] == [["table1/baseline/FC"]]
    edit(table, (".6140", "1.614"))
    with pytest.raises(InputError, match=r"expected 0 to 1 \(fraction\)"):
        found(folder)


def test_the_registry_describes_one_paper_and_no_other(folder, tmp_path, capsys):
    own = (repository_path("config/papers/glimmer") / "paper.yaml").read_text()
    (folder / "paper.yaml").write_text(own.replace("name: glimmer", "name: another"))
    assert main(["audit", "--paper", str(folder), "--results", str(tmp_path)]) == 2
    assert "the registry is of one paper" in capsys.readouterr().err


def test_arithmetic_is_exact():
    values = {"a": Fraction(1, 3), "b": Fraction("0.1")}
    assert evaluate("100 * a / (a + b) - -2 ** 2", values, None) == Fraction(100, 3) / Fraction(13, 30) + 4
    assert evaluate("1e12 * 0.1", {}, None) == 10**11 and names_of("a + b * a", None) == {"a", "b"}
    with pytest.raises(InputError, match="division by zero"):
        evaluate("a / (b - b)", values, None)
    with pytest.raises(InputError, match="unknown name"):
        evaluate("a + c", values, None)


# The paper of this repository


def test_no_rule_names_a_paper_a_reader_or_a_benchmark():
    rules = ("agreement", "counts", "curves", "derived", "precision", "resolution")
    for name in rules:
        text = (Path(__file__).parents[2] / "analysis" / "audits" / f"{name}.py").read_text()
        assert not re.search(r"glimmer(?![./ _]|\b)|lumen|\bfid\b|kilt|t5", text.replace("from glimmer", ""), re.I), (
            name
        )


def test_the_stated_formulas_are_those_that_the_program_counts_with():
    paper, registry = own_paper(), experiments.load_registry()
    assert set(paper.formulas.costs) == {"printed", "figure2"}
    for point in registry.points():
        reader, settings = point.reader, facts(point).settings
        for name, formula in paper.formulas.costs.items():
            work = Workload(alpha=reader.alpha, beta=reader.beta, k=reader.k, m=reader.m, tokens=352, target_tokens=7)
            lengths = {"tokens": Fraction(352), "target_tokens": Fraction(7)}
            dimensions = SIZES[point.size.lower()]()
            assert evaluate(formula.cost, settings | lengths, name) == operation_count(dimensions, work, name)


def test_its_test_sets_are_kilts_published_dev_files():
    assert own_paper().test_sets.sizes == {file.task: file.lines for file in PUBLISHED if "-dev" in file.name}


def test_its_audit_is_the_one_that_is_recorded():
    results = repository_path("results")
    assert audit_paper(results) == read_json(results / "paper" / "audit.json")


def test_the_name_of_its_folder_is_the_paper_itself(tmp_path, capsys):
    arguments = ["--results", str(repository_path("results")), "--check", "--json"]
    assert main(["audit", "--paper", "glimmer", *arguments]) == main(["audit", "--paper", *arguments]) == 0
    first, second = capsys.readouterr().out.split("\n}\n")[:2]
    assert first == second and json.loads(first + "}").keys() == {"paper"}


def test_registry_and_printed_points_answer_the_same_questions(folder):
    numbers = printed_numbers(read_points(folder, load_paper(folder)).values())
    reported = reported_numbers(experiments.paper_values(), experiments.load_registry().points())
    assert all(isinstance(number, Number) and number.facts.parts and number.where for number in numbers + reported)
    gain = next(number for number in numbers if number.point.less)
    assert [weight for weight, _ in gain.facts.parts] == [1, -1] and gain.facts.configuration is None


# Papers of others

DESCRIBED = ("contriever", "kilt")


@pytest.mark.parametrize("name", DESCRIBED)
def test_what_is_recorded_of_a_paper_is_what_its_description_gives(name):
    document, claims = audit_description(repository_path(f"config/papers/{name}"))
    recorded = repository_path(f"results/papers/{name}")
    assert document == read_json(recorded / "audit.json") and claims == read_json(recorded / "claims.json")
    assert (recorded / "findings.md").read_text() == page(document, claims, f"glimmer audit --paper {name}")


def test_the_papers_that_snakemake_audits_are_those_described():
    folders = repository_path("config/papers")
    assert {path.parent.name for path in folders.glob("*/tables")} == {*DESCRIBED, "template"}
    assert {path.parent.name for path in folders.glob("*/paper.yaml")} == {*DESCRIBED, "template", "glimmer"}


def test_kilts_tables_agree_with_each_other_but_for_what_docs_say():
    folder = repository_path("config/papers/kilt")
    assert found(folder, "same-run", "table-and-figure", "text-and-table") == [], "Tables 3 to 5 stand in 7 to 17 again"
    assert [value for _, _, value in found(folder, "sum-of-parts")] == [51464, 50736]
    assert [value for _, _, value in found(folder, "arithmetic")] == [28.9, 12.06, 11.39]
    document, _ = audit_description(folder)
    assert [f["found"] for f in document["findings"] if f["kind"] == "granularity"] == [4.91]
    rows = document["granularity"]
    assert sum(row["tested"] for row in rows) == 381 and {r["set"] for r in rows if not r["tested"]} == {
        "FEV",
        "FEV dev",
    }


def test_contrievers_averages_follow_from_their_parts_but_for_two():
    folder = repository_path("config/papers/contriever")
    wrong = {points[0]: value for _, points, value in found(folder, "mean-of-parts")}
    bert, bm25 = "table11-ndcg/BERT/average of 15 nDCG@10", "table4-recall/BM25/average recall@100"
    assert wrong == {bert: 8.7, bm25: 74.3}
    assert [value for _, _, value in found(folder, "text-and-table", "gain-and-parts")] == [8, 3]
