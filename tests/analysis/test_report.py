"""The report: one page that needs nothing else, in which every link leads somewhere and every picture has words."""

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis import figures
from analysis.figures import style
from analysis.ledger.verdicts import VERDICTS
from analysis.names import TASK_NAMES
from analysis.report import difference_pictures, ledger_tables, opening, reader_tables, shown_tables
from analysis.report.cells import percent
from analysis.report.forest import forest
from analysis.report.rendering import plain
from analysis.report.repository import repository_address
from analysis.report.takeaway import takeaway
from glimmer.cli import main
from glimmer.errors import InputError
from glimmer.files import write_json
from glimmer.results import load_reference, load_results
from tests.analysis import synthetic

PAPERS_ADDRESS = "https://arxiv.org/abs/2306.10231"
VOID = {"meta", "link", "br", "img", "hr", "input", "path", "use", "rect", "circle", "line", "image"}


class Page(HTMLParser):
    """Collects ids, links and pictures, and fails on tags that do not nest."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.ids, self.links, self.sources, self.open, self.svgs, self.titles, self.text = [], [], [], [], 0, 0, []
        self.feed(text)
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes[key] for key in ("href", "xlink:href") if key in attributes]
        self.sources += [attributes[key] for key in ("src", "srcset", "data", "action") if key in attributes]
        if tag == "svg":
            self.svgs += 1
            # An image has no parts, and these have links in them.
            assert attributes.get("role") == "group" and attributes.get("aria-labelledby")
        if tag == "img":
            assert attributes.get("alt")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text.append(data)


def _page(results, study="smoke", *more):
    assert main(["report", "--study", study, "--results", str(results), *more]) == 0
    text = (results / study / "report.html").read_text()
    return text, Page(text)


@pytest.mark.parametrize("study", ["smoke", "paper"])
def test_the_page_is_well_formed_and_every_link_leads_to_an_id(results, study):
    _, page = _page(results, study)
    assert page.svgs >= 4
    assert len(page.ids) == len(set(page.ids)), "an id stands twice"
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


@pytest.mark.parametrize("study", ["smoke", "paper"])
def test_every_other_link_is_a_file_beside_the_page_or_the_paper_itself(drawn, study):
    _, page = _page(drawn, study)
    files = [link for link in page.links if link[0] != "#" and link != PAPERS_ADDRESS]
    assert any(link.startswith("figures/") for link in files)
    assert (study == "smoke") == any(link.startswith("runs/") for link in files)
    for link in (*files, *page.sources):
        assert not link.startswith(("/", ".")) and (drawn / study / link).is_file(), link


def test_the_page_asks_for_nothing_outside_itself(results):
    text, page = _page(results)
    # Levels of figures that are laid over the paper's are read from their files, and only where somebody unfolds them.
    assert all(source.startswith("figures/") for source in page.sources)
    assert text.count("<img") == text.count('loading="lazy"') == len(page.sources)
    assert not re.search(r"@import|url\((?!#)|<link|<iframe|fetch\(|XMLHttpRequest", text)
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert addresses <= {PAPERS_ADDRESS}, "only where the paper is"


def test_every_drawn_point_leads_to_its_run_and_says_its_value(results):
    text, page = _page(results)
    for point in load_results("smoke", results).of("figure2", "performance"):
        link = re.search(rf'<a href="#run-{point.point.run_ids[0]}" class="drawn"><title>([^<]+)</title>', text)
        assert link and f"{point.value:.1f} %" in link.group(1)
        assert f"run-{point.point.run_ids[0]}" in page.ids


def test_every_run_stands_in_the_appendix_once_with_its_scores_and_leads_to_its_file(results):
    text, page = _page(results)
    data = json.loads(re.search(r'id="score-data">(.*?)</script>', text).group(1))
    for run_id, run in load_results("smoke", results).runs.by_id.items():
        assert page.ids.count(f"run-{run_id}") == 1 and f"runs/{run_id}.json" in page.links
        assert f">{run_id}</a> seed {run['seed']}: {100 * run['average']['score']:.1f}" in text
        interval, n_tasks, step, code, *scores = data["runs"][run_id]
        assert n_tasks == run["average"]["n_tasks"] and step == run["kept_step"]
        assert interval == "{:.1f} to {:.1f}".format(*(100 * end for end in run["average"]["interval"]))
        assert data["codes"][code] == run["code_version"]
        told = dict(zip(data["tasks"], (words.split() for words in scores), strict=True))
        for task, found in run["tasks"].items():
            assert told[TASK_NAMES[task]][0] == f"{100 * found['score']:.1f}"


def test_the_page_says_what_measured_it_and_when(results):
    path = sorted((results / "smoke" / "runs").glob("*.json"))[0]
    run = json.loads(path.read_text())
    write_json(path, run | {"measured_on": "2026-03-04"})
    text, _ = _page(results)
    assert f"code {run['code_version']}, jax {run['versions']['jax']} on cpu, 2026-01-02 to 2026-03-04" in text


def test_the_first_cell_of_a_row_is_its_head_and_every_caption_is_a_tables(results):
    for command in (["claims"], ["audit", "--record"]):
        assert main([*command, "--study", "smoke", "--results", str(results)]) == 0
    text, page = _page(results)
    bodies = "".join(re.findall(r"<tbody>.*?</tbody>", text, re.DOTALL))
    first = re.findall(r"<tr[^>]*>\s*<(\w+)", bodies)
    assert len(first) > 50 and set(first) == {"th"}
    named = re.findall(r'aria-labelledby="(caption-\d+)"', text)
    assert named and set(named) <= set(page.ids) and all(named.count(id) == 2 for id in named), "table and its frame"


def test_a_family_of_claims_without_a_result_has_no_empty_table(results):
    rows = [{"id": f"claim-{n}", "statement": "a", "source": "b", "verdict": "missing", "family": family, "points": []}
            for n, family in enumerate(("primary", "secondary"))]  # fmt: skip
    write_json(results / "smoke" / "claims.json", {"claims": rows})
    text, _ = _page(results)
    section = text[text.index('<section id="claims">') : text.index('<section id="audit">')]
    assert "<table" not in section and section.count("1 without a result") == 2


def test_nothing_is_written_as_minus_zero():
    assert percent({"score": 0.0, "interval": [-0.0004, 0.0004]}).small == "0.0 to 0.0"
    minus = re.compile(r"-0\.0(?!\d)")
    pages = Path(__file__).resolve().parents[2] / "analysis"
    signed = [line for path in pages.rglob("*.py") for line in path.read_text().splitlines()
              if re.search(r":\+\.\df", line)]  # fmt: skip
    assert signed == [] and not minus.search(f"{-0.04:z.1f}"), "differences are written with z"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.064e8, "106,400,000"), (-2909.4, "-2909"), (0.0001234, "0.0001234"), (5e-12, "5e-12"), ([1.0, 2.5], "1 to 2.5"),
     (None, "–"), (3, "3")],
)  # fmt: skip
def test_numbers_of_claims_and_findings_are_short_and_no_large_one_has_an_exponent(value, text):
    assert plain(value) == text


def test_controls_of_a_reader_are_told_in_words(results):
    synthetic.write_study(results, "sample", n=20)
    text, _ = _page(results, "sample")
    assert "FiD: k = 3, passages of another question on dev" in text and "the gold passages first on dev" in text
    assert "dev_evidence" not in text[text.index('<section id="costs">') : text.index("Training of all of them")]


def test_figures_and_tables_are_reached_from_the_head_of_their_section(results):
    text, page = _page(results)
    for section, names in (("figures", ("figure2", "figure3")), ("tables", ("table1", "table2"))):
        opening = text[text.index(f'<section id="{section}">') :]
        opening = opening[: opening.index("<article")]
        assert all(f'<a href="#{name}">' in opening for name in names if name in page.ids)
    assert page.links.count("#top") == 1 and "top" in page.ids


def test_the_same_results_give_the_same_bytes(results):
    assert _page(results)[0] == _page(results)[0]


def test_the_page_says_what_the_study_is_and_what_it_is_not(results):
    text, _ = _page(results)
    assert "these are not KILT numbers" in text and "Its numbers mean nothing." in text


def test_readers_stand_beside_their_baselines_with_scores_in_percent(results):
    synthetic.write_study(results, "sample", n=20)
    text, page = _page(results, "sample")
    section = text[text.index('<section id="readers">') : text.index('<section id="figures">')]
    assert section.count("untrained, with passages") == 3
    assert section.count("trained without passages") == 1, "without passages all readers are one"
    assert section.count("given passages of another question") == section.count("given the gold passages first") == 3
    assert section.count("with as many passages as GLIMMER keeps") == 1
    assert "Mean of 5 tasks (percent)" in section and "zsRE" not in section
    glimmer = load_results("sample", results).of("figure2", "performance")[2]
    assert f"{glimmer.value:.1f}" in section


def _without_questions(path):
    write_json(path, {key: value for key, value in json.loads(path.read_text()).items() if key != "shown"})


def test_what_is_absent_is_said_and_never_zero(results):
    for name in ("retrieval.json", "filter.json", "priors.json"):
        (results / "smoke" / name).unlink()
    for path in (results / "smoke" / "runs").glob("*.json"):
        _without_questions(path)
    point = load_results("smoke", results).of("table1")[2]
    (results / "smoke" / "runs" / f"{point.point.run_ids[0]}.json").unlink()
    text, page = _page(results)
    for name in ("claims.json", "audit.json"):
        assert f"there is no {name}" in text
    assert "retrieval.json is absent" in text and "filter.json is absent" in text
    assert "Points without a result" in text and point.name in "".join(page.text)
    for name in ("endpoints", "questions", "priors"):
        assert name not in page.ids and f"#{name}" not in page.links, f"{name}: nothing to show, so no section"


HOSTILE = "<script>alert('1')</script> & \"more\""


def test_questions_endpoints_and_priors_are_shown_as_they_are_and_escaped(results):
    readers = load_results("smoke", results).of("figure2", "performance")
    paths = [results / "smoke" / "runs" / f"{reader.point.run_ids[0]}.json" for reader in readers]
    run = json.loads(paths[0].read_text())
    (shown,) = run["shown"]["nq"]
    shown |= {"question": HOSTILE, "accepted": [HOSTILE, "1"], "answer": HOSTILE}
    shown["passages"][0] |= {"title": HOSTILE, "words": HOSTILE}
    write_json(paths[0], run | {"peak_memory_bytes": {"train": 2_500_000_000, "evaluate": 1_200_000_000}})
    _without_questions(paths[2])
    scored = json.loads((results / "smoke" / "priors.json").read_text())
    scored["nq"] |= {"majority_answer": HOSTILE, "relation": None, "majority": 0.125}
    write_json(results / "smoke" / "priors.json", scored)
    part = {"requirement": f"(a - b) above {HOSTILE}", "effect": 30.25, "unit": "points", "interval": [28.0, 32.5]}
    rows = [
        {"id": "one", "statement": HOSTILE, "verdict": "supported", "n": 240, "requirements": [part], "note": ""},
        {"id": "two", "statement": "Two.", "verdict": "missing", "n": None, "requirements": [], "note": HOSTILE},
    ]
    own = {"endpoints": rows, "frozen": {"note": f"As they were {HOSTILE}.", "digest": None, "runs": {}}}
    write_json(results / "smoke" / "claims.json", {"claims": [], "own_endpoints": own})
    text, page = _page(results)
    assert "<script>alert" not in text, "nothing that a file says is markup"
    words = "".join(page.text)
    assert words.count(HOSTILE) >= 10, "the question, its answers, a title, words, a prior, endpoints: as they are"
    assert {"endpoints", "endpoint-one", "endpoint-two", "questions", "priors"} <= set(page.ids)
    assert {"#endpoints", "#questions"} <= set(page.links)
    assert {link[1:] for link in page.links if link[0] == "#"} <= set(page.ids)
    assert "+30.2" in words and "28.0 to 32.5" in words and "12.5" in words and "2.5 / 1.2" in words
    assert f"{len(scored)} questions" in words, "one of each task, though one reader kept none"


def _shown_of(results, index=0, **changes):
    """What is shown of the first question of Natural Questions after changes of it in one reader's file."""
    readers = load_results("smoke", results).of("figure2", "performance")
    path = results / "smoke" / "runs" / f"{readers[index].point.run_ids[0]}.json"
    run = json.loads(path.read_text())
    run["shown"]["nq"][0] |= changes
    write_json(path, run)
    return shown_tables.shown_questions(load_results("smoke", results))[0]["readers"]


def test_a_question_is_one_entry_with_an_answer_of_every_reader(results):
    found = shown_tables.shown_questions(load_results("smoke", results))
    assert [question["task"] for question in found][:3] == ["NQ", "TriviaQA", "HotpotQA"] and len(found) == 6
    assert all([reader["name"] for reader in one["readers"]] == ["FiD", "LUMEN", "GLIMMER"] for one in found)
    assert len(_shown_of(results, 1, id="another")) == 2, "what LUMEN was asked instead is a question of its own"


@pytest.mark.parametrize(
    "changes, right",
    [
        ({"answer": "the ONE"}, True),  # files of before: one of the accepted answers that they keep
        ({"answer": "two"}, None),  # or none of those few, so that nobody knows
        ({"answer": "two", "right": True}, True),
        ({"answer": "two", "right": False}, False),
    ],
)
def test_an_answer_is_right_or_wrong_where_the_file_says_so(results, changes, right):
    assert [reader["right"] for reader in _shown_of(results, **changes)] == [right, True, True]


def test_a_study_without_runs_still_has_a_page(results):
    shutil.rmtree(results / "smoke")
    n = sum(result.point.artifact != "baselines" for result in load_results("smoke", results).points)
    text, _ = _page(results)
    assert "No run has a result yet" in text and f"0 of {n} points" in text


def test_claims_and_audit_findings_are_shown_where_they_exist(results):
    point = load_results("smoke", results).of("figure2", "performance")[2]
    claim = {"id": "glimmer-above-lumen", "statement": "GLIMMER beats <LUMEN>", "source": "section 4.2"}
    claim |= {
        "points": [point.id],
        "verdict": "undecided",
        "effect": 1.25,
        "interval": [-1.0, 3.5],
        "n": 240,
        "unit": "points",
    }
    finding = {"id": "f1", "kind": "rounding", "severity": "note", "points": [point.id], "expected": 1.0, "found": 1.1}
    finding |= {"difference": 0.1, "tolerance": 0.05, "explanation": "printed with one decimal"}
    write_json(results / "smoke" / "claims.json", {"claims": [claim]})
    write_json(results / "smoke" / "audit.json", [finding])
    text, page = _page(results)
    assert (
        "GLIMMER beats &lt;LUMEN&gt;" in text and "1 undecided: too few data to say" in text and "-1.0 to +3.5" in text
    )
    assert "1 note" in text and "printed with one decimal" in text and f"#{point.anchor}" in page.links


def test_a_refused_run_is_listed_with_the_reason(results):
    path = sorted((results / "smoke" / "runs").glob("*.json"))[0]
    run = json.loads(path.read_text())
    run["settings"]["seed"] = 7
    path.write_text(json.dumps(run))
    text, page = _page(results)
    assert path.name in text and "digest to" in text and f"run-{path.stem}" not in page.ids


def test_a_reproduction_is_compared_run_by_run_and_in_both_directions(results, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(results / "smoke", other / "smoke")
    for sign, path in zip((0.9, -0.9), sorted((other / "smoke" / "runs").glob("*.json")), strict=False):
        run = json.loads(path.read_text())
        for task in run["tasks"].values():
            task["score"] = max(0.0, min(1.0, task["score"] + sign))
            task["interval"] = [task["score"]] * 2
            del task["per_example"]
        run["average"]["score"] = sum(task["score"] for task in run["tasks"].values()) / len(run["tasks"])
        run["average"]["interval"] = [run["average"]["score"]] * 2
        path.write_text(json.dumps(run))
    text, _ = _page(results, "smoke", "--reference", str(other / "smoke"))
    section = text[text.index('id="comparison"') :]
    section = section[: section.index("</table>")]
    others = len(load_results("smoke", results).runs.by_id) - 2
    assert (section.count(">differs<"), section.count(">identical<")) == (2, others)


def _answer(results, point, right):
    """Rewrites a point's run so that on every task exactly the examples in `right` (of 40) are answered."""
    path = results / "smoke" / "runs" / f"{point.point.run_ids[0]}.json"
    run = json.loads(path.read_text())
    scores, share = [float(n in right) for n in range(40)], len(right) / 40
    for task in run["tasks"].values():
        task |= {"score": share, "interval": [share, share], "per_example": {"metric": scores, "rprec": scores}}
    run["average"] |= {"score": share, "interval": [share - 0.06, share + 0.06]}
    write_json(path, run)


def test_the_page_says_clearly_above_where_the_same_examples_say_so_whatever_the_intervals(results):
    readers = {point.label: point for point in load_results("smoke", results).of("figure2", "performance")}
    _answer(results, readers["FiD"], range(16))
    _answer(results, readers["LUMEN"], range(19))  # all that FiD answers, and more
    _answer(results, readers["GLIMMER"], range(20, 40))  # one more than LUMEN, and none of the same
    said = opening.sentence(load_results("smoke", results), None)
    assert said.startswith("GLIMMER answers most: 50.0 percent (mean of 6 tasks); LUMEN is 2.5 points below (")
    assert "and FiD is 10.0 points below (" in said
    assert said.endswith("What sets LUMEN and FiD apart from it may be chance.")
    whole = opening.sentence(load_results("smoke", results), load_reference(results))
    assert whole.startswith(f"{said} In the paper ") and whole.count("answers most") == 2


def _without(results, *labels):
    """The smoke study without the results of these readers of Figure 2."""
    for point in load_results("smoke", results).of("figure2", "performance"):
        if point.label in labels:
            (results / "smoke" / "runs" / f"{point.point.run_ids[0]}.json").unlink()
    return load_results("smoke", results)


def test_without_lumen_the_others_are_drawn_beside_fid_and_the_page_says_so(results):
    study, paper = _without(results, "LUMEN"), load_reference(results)
    assert opening.base_reader(study) == "fid"
    rows = {opening.reader_name(one): one.value for one in opening.differences(study, "fid")}
    levels = {point.label: point.value for point in study.of("figure2", "performance")}
    assert rows == {"FiD": 0, "GLIMMER": pytest.approx(levels["GLIMMER"] - levels["FiD"])}
    told = html.unescape("".join(difference_pictures.quality_and_cost(study, paper)))
    assert "points above FiD" in told and "FiD (the paper)" not in told
    reported = {opening.reader_name(one): one.value for one in opening.differences(paper, "fid")}
    assert f"LUMEN (the paper): {reported['LUMEN']:+.1f} points at " in told
    assert "times FiD's operations" in told and "LUMEN's" not in told
    assert "Beside FiD, since LUMEN has no result here." in _page(results)[0]


def test_of_one_reader_there_is_nothing_to_draw_others_beside(results):
    study = _without(results, "LUMEN", "FiD")
    assert opening.base_reader(study) == "glimmer"
    assert difference_pictures.quality_and_cost(study, None) == []


def test_seconds_are_of_the_draws_that_all_readers_have():
    """Another draw may have been measured on a slower day: what only one reader has there says nothing of the other."""
    seconds = {("fid", 0): 10, ("fid", 1): 1000, ("lumen", 0): 20}
    runs = {
        f"{name}{seed}": {"seed": seed, "wall_seconds": {"evaluate": taken}, "tasks": {"nq": {"n": 5}}}
        for (name, seed), taken in seconds.items()
    }
    readers = [
        SimpleNamespace(
            seeds=seeds,
            point=SimpleNamespace(run_ids=(f"{name}0", f"{name}1"), reader=SimpleNamespace(name=name)),
        )
        for name, seeds in (("fid", (0, 1)), ("lumen", (0,)))
    ]
    study = SimpleNamespace(of=lambda *_: readers, runs=_Known(runs))
    assert difference_pictures._seconds(study, "fid") == {"fid": 1, "lumen": 2}


class _Known(dict):
    """Runs as `StudyResults.runs` has them."""

    by_id = property(lambda self: self)


def test_the_legend_tells_what_is_still_to_measure_from_what_other_studies_ask():
    claims = [
        {"id": "a", "statement": "A.", "verdict": "missing", "note": "no result: figure2/performance/LUMEN"},
        {"id": "b", "statement": "B.", "verdict": "missing", "note": "not part of this study: figure3/x"},
        {"id": "c", "statement": "C.", "verdict": "missing", "note": "not part of this study: figure4/x"},
    ]
    legend = [(one["count"], one["text"], one["ids"]) for one in opening.strip(claims)["legend"]]
    assert legend == [(1, "not measured yet", ["a"]), (2, "not part of this study", [])]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("missing", "No claim was tested here: none is confirmed, none contradicted."),
        ("not tested", "No claim was tested here: none is confirmed, none contradicted."),
        ("undecided", "No claim is contradicted here."),
        ("contradicted", ""),
        ("against it", ""),
    ],
)
def test_the_opening_says_in_words_that_nothing_disagrees_with_the_paper(verdict, said):
    assert opening.strip([{"id": "a", "statement": "A.", "verdict": verdict}])["parts"] == said


def test_a_picture_in_the_page_says_what_its_file_says(drawn):
    """The page's pictures are leaner than the files: coordinates are rounded, and no word or number that is read."""
    text, _ = _page(drawn)
    pictures = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    shown = {html.unescape(words) for words in re.findall(r"<text[^>]*>([^<]*)</text>", pictures)}
    file = (drawn / "smoke" / "figures" / "figure2.svg").read_text()
    told = {html.unescape(words) for words in re.findall(r"<text[^>]*>([^<]*)</text>", file)}
    assert told and told <= shown


@pytest.mark.parametrize(
    ("verdict", "more", "state"),
    [
        ("supported", {"rests_on": "measured"}, "shown"),
        ("supported", {"rests_on": "by construction"}, "built-in"),
        ("in the paper's direction", {"rests_on": "by k alone"}, "built-in"),
        ("contradicted", {}, "against"),
        ("contradicted", {"rests_on": "by construction"}, "built-against"),
        ("against it", {"excludes_paper_effect": True}, "against"),
        ("undecided", {"excludes_paper_effect": True}, "excluded"),
        ("undecided", {"excludes_paper_effect": False}, "weak"),
        ("no difference seen", {}, "weak"),
        ("not tested", {"excludes_paper_effect": True}, "not-tested"),
        ("missing", {}, "missing"),
    ],
)
def test_a_claim_has_one_state_and_being_shown_by_construction_is_not_being_shown(verdict, more, state):
    assert opening.state_of({"verdict": verdict, **more}) == state


def test_every_verdict_of_the_ledger_has_a_state():
    assert {opening.state_of({"verdict": verdict}) for verdict in VERDICTS} <= set(opening.STATES)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"verdict": "supported", "p": 0.0041, "p_holm": 0.041}, "p 0.0041, corrected 0.041"),
        ({"verdict": "undecided", "p": 0.015, "p_holm": 0.12},
         "p 0.015, corrected 0.12: clear alone, not among all that were tested"),
        ({"verdict": "undecided", "p": 0.3, "p_holm": 1.0}, "p 0.3, corrected 1"),
        ({"verdict": "not tested", "p": 0.0001, "p_holm": 0.0002}, ""),  # it would speak against what was not tried
        ({"verdict": "in the paper's direction", "p": None, "p_holm": None}, ""),
        ({"verdict": "supported"}, ""),
    ],
)  # fmt: skip
def test_a_verdict_says_which_p_it_is_from_and_when_only_the_correction_leaves_it_open(claim, said):
    assert ledger_tables.why(claim) == said


def _not_tested(results, n):
    reason = "ranks no better than the retriever (R-precision): GLIMMER 33.0, the retriever 73.0"
    rows = [{"id": f"claim-{i}", "statement": f"Sentence {i}.", "source": "b", "verdict": "not tested", "points": [],
             "family": "primary", "reasons": [reason]} for i in range(n)]  # fmt: skip
    write_json(results / "smoke" / "claims.json", {"claims": rows})
    text, page = _page(results)
    return text[: text.index("<nav")], page


def test_the_first_screen_says_what_was_not_tested_and_why(results):
    text, page = _not_tested(results, 2)
    assert text.count("<b>Not tested:</b>") == 2 and "Why: ranks no better than the retriever (R-precision)." in text
    assert text.count('href="#claim-claim-0"') == 3, "in the sentence, as a mark, and in the legend"
    assert {"claim-claim-0", "claim-claim-1"} <= set(page.ids)


def test_many_that_were_not_tested_are_counted_and_the_first_told(results):
    text, _ = _not_tested(results, 5)
    assert text.count("<b>Not tested:</b>") == 3 and "5 not tested: the treatment was not delivered<" in text


def test_the_first_screen_says_how_one_run_is_made_again(results):
    text, page = _page(results)
    assert 'by the command in its entry under <a href="#runs">' in text and "runs" in page.ids
    id = next(iter(load_results("smoke", results).runs.by_id))
    assert f"snakemake results/smoke/runs/{id}.json --cores 1 --config study=smoke" in text
    assert "One run alone" not in _page(results, "paper")[0]


def test_a_legend_that_says_kilt_is_explained_where_the_numbers_are_not_kilts(results):
    """Figure 7 of the paper calls so what is trained on all tasks."""
    note = "KILT, in a legend, is the"
    (results / "embedded").mkdir()
    text, _ = _page(results, "embedded")
    assert note in text[text.index('<article id="figure7">') :].split("</article>")[0] and text.count(note) == 1
    assert note not in _page(results, "paper")[0]


def test_panels_side_by_side_say_that_their_scales_differ(results):
    text, _ = _page(results)
    figure2 = text[text.index('<article id="figure2">') :]
    assert "Each panel has a scale of its own" in figure2[: figure2.index("</article>")]
    assert "Each panel has a scale of its own" not in _page(results, "paper")[0]


def test_marks_are_told_apart_without_colour():
    glyphs = [glyph for glyph, _ in opening.STATES.values()]
    assert len(set(glyphs)) == len(glyphs)


def _claim(effect, interval, carried, unit="points"):
    requirement = {"requirement": "a above b", "effect": effect, "interval": interval, "unit": unit}
    requirement |= {"carried_over": carried}
    return {"id": "a", "statement": "a is above b.", "verdict": "supported", "points": ["figure9/p/a", "figure9/p/b"],
            "requirements": [requirement]}  # fmt: skip


def test_effects_of_a_figure_stand_on_one_scale_around_zero():
    rows = forest("figure9", [_claim(2.0, [1.0, 3.0], None), _claim(-4.0, [-6.0, -2.0], 2.0)])
    assert [bar["at"] for row in rows for bar in row["bars"]] == [f"{50 + 50 * 2 / 6:.1f}", f"{50 - 50 * 4 / 6:.1f}"]
    (bar,) = rows[1]["bars"]
    assert (bar["from"], bar["width"], bar["paper"]) == ("0.0", f"{50 * 4 / 6:.1f}", f"{50 + 50 * 2 / 6:.1f}")
    assert rows[0]["bars"][0]["text"] == "+2.0 points (+1.0 to +3.0)"


def test_a_wild_interval_does_not_hide_the_effects_and_other_units_have_no_bar():
    (row,) = forest("figure9", [_claim(2.0, [-500.0, 504.0], None)])
    assert row["bars"][0]["at"] == f"{50 + 50 / 3:.1f}" and row["bars"][0]["width"] == "100.0"
    (row,) = forest("figure9", [_claim(2000.0, [2000.0, 2000.0], None, unit="1/TFLOP")])
    assert "at" not in row["bars"][0] and row["bars"][0]["text"].startswith("+2,000 1/TFLOP")
    assert forest("figure8", [_claim(2.0, [1.0, 3.0], None)]) == []


def test_ours_and_the_papers_start_from_the_same_point(results):
    """Laid over each other, the base of both is at 0, and every other point is its distance from it."""
    synthetic.write_study(results, "kilt", n=20)
    study, reference = load_results("kilt", results), load_reference(results)
    figure = next(one for one in figures.everything() if one.name == "figure4")
    (svg,) = difference_pictures.overlays(figure, study, reference)
    base = difference_pictures.base_of(study, study.of("figure4"))
    words = re.search(r"<desc[^>]*>(.*?)</desc>", svg, re.DOTALL).group(1)
    assert words.count("+0.0") >= 2
    for source, mark in ((study, ""), (reference, " (the paper)")):
        levels = {result.id: result for result in source.of("figure4")}
        for one in levels.values():
            assert f"{one.name}{mark}: {round(one.value - levels[base.id].value, 6):+z.1f}" in words


def test_two_series_of_one_reader_have_markers_of_their_own():
    blue, other = style.Look(color="#00f", marker="s"), style.Look(color="#f00", marker="s")
    told = difference_pictures.told_apart({"a": blue, "b": blue, "c": blue, "d": other})
    assert told["a"] == blue and told["d"] == other
    assert len({look.marker for name, look in told.items() if name != "d"}) == 3
    assert {look.color for name, look in told.items() if name != "d"} == {"#00f"}


def test_the_index_leads_to_every_report_and_says_each_result(results):
    for study in ("smoke", "paper"):
        _page(results, study)
    assert main(["report", "--index", "--results", str(results)]) == 0
    text = (results / "index.html").read_text()
    page = Page(text)
    for study in ("smoke", "paper"):
        assert f"{study}/report.html" in page.links
    assert opening.sentence(load_results("smoke", results), load_reference(results)) in "".join(page.text)
    assert all((results / link.split("#")[0]).is_file() for link in page.links if link[0] != "h")


def test_an_index_of_nothing_is_refused(tmp_path, capsys):
    assert main(["report", "--index", "--results", str(tmp_path)]) == 2
    assert "no report to list" in capsys.readouterr().err


def _decided(results, verdict="supported", better="GLIMMER", **changes):
    """What Figure 2's title is of when the claim that GLIMMER is above LUMEN has this verdict, of the numbers drawn."""
    readers = {point.label: point for point in load_results("smoke", results).of("figure2", "performance")}
    for name in ("GLIMMER", "LUMEN"):
        _answer(results, readers[name], range(22 if name == better else 19))
    effect = 7.5 if better == "GLIMMER" else -7.5
    name = "GLIMMER above LUMEN"
    part = {"requirement": name, "effect": effect, "unit": "points", "interval": [effect - 5.5, effect + 5.5]}
    row = {"id": "glimmer-above-lumen", "family": "primary", "rests_on": "measured", "verdict": verdict,
           "points": ["figure2/performance/GLIMMER", "figure2/performance/LUMEN"], "requirements": [part],
           "effect_of": name, "interval": part["interval"], "statement": "a", "effect": effect, "n": 40}  # fmt: skip
    row |= changes
    write_json(results / "smoke" / "claims.json", {"claims": [row]})
    return takeaway("figure2", load_results("smoke", results), [row])


def test_a_title_says_what_a_decided_claim_shows_in_the_numbers_drawn(results):
    shown = _decided(results)
    assert shown.text == "GLIMMER answers 7.5 points more than LUMEN" and shown.claim == "glimmer-above-lumen"
    assert shown.note == "supported, GLIMMER above LUMEN by +2.0 to +13.0 points"


def test_what_speaks_against_a_claim_is_a_title_as_well(results):
    shown = _decided(results, "contradicted", better="LUMEN")
    assert shown.text == "GLIMMER answers 7.5 points less than LUMEN"


def test_a_verdict_that_its_own_effect_denies_gives_no_title(results):
    assert _decided(results, "supported", better="LUMEN").text is None
    assert _decided(results, "contradicted", better="GLIMMER").title == ""


@pytest.mark.parametrize("verdict", ["undecided", "not tested", "missing"])
def test_what_is_not_decided_gives_no_title_and_says_so(results, verdict):
    shown = _decided(results, verdict)
    assert shown.text is None and shown.claim is None
    assert shown.title == {"missing": "not measured"}.get(verdict, verdict)
    assert shown.note == "Verdicts of its primary claims, none decided by measuring."


def _evaluated(verdict, number=0, **changes):
    """A row of claims.json about Figure 2 alone."""
    row = {"id": f"claim-{number}", "statement": "a", "family": "primary", "rests_on": "measured", "verdict": verdict}
    return row | {"points": ["figure2/performance/GLIMMER"], "requirements": []} | changes


@pytest.mark.parametrize(
    ("claims", "title"),
    [
        ([], ""),
        ([_evaluated("not tested")], "not tested"),
        ([_evaluated("undecided", excludes_paper_effect=True)], "not as large as in the paper"),
        ([_evaluated("undecided"), _evaluated("undecided", 1)], "both primary claims undecided"),
        ([_evaluated("supported", rests_on="by construction")], "supported by construction"),
        (
            [
                _evaluated("not tested"),
                _evaluated("contradicted", 1, rests_on="by k alone"),
                _evaluated("not tested", 2),
            ],
            "of 3 primary claims 2 are not tested and 1 is contradicted by k alone",
        ),
        ([_evaluated("undecided"), _evaluated("in the paper's direction", 1, family="secondary")], "undecided"),
        (
            [
                _evaluated("in the paper's direction", family="secondary"),
                _evaluated("against it", 1, family="secondary"),
            ],
            "of 2 claims 1 is in the paper's direction and 1 is against the paper",
        ),
        ([_evaluated("supported", points=["table1/GLIMMER (shared)"])], "not tested"),
        ([_evaluated("supported", points=["figure2/performance/GLIMMER", "table1/GLIMMER (shared)"])], ""),
    ],
)
def test_a_title_without_a_decided_claim_counts_the_verdicts_of_its_claims(results, claims, title):
    shown = takeaway("figure2", load_results("smoke", results), claims)
    assert shown.text is None and shown.title == title


@pytest.mark.parametrize(
    "changes",
    [
        {"rests_on": "by k alone"},
        {"rests_on": "by construction"},
        {"family": "secondary", "verdict": "in the paper's direction"},
        {"points": ["figure2/performance/GLIMMER", "figure3/retrieved/LUMEN-5/k=5"]},
        {"id": "no-such-claim"},
    ],
)
def test_a_title_is_of_no_claim_that_measuring_did_not_decide_or_of_another_figure(results, changes):
    shown = _decided(results, **changes)
    assert shown.text is None and shown.claim is None


@pytest.mark.parametrize(
    ("effect", "interval", "said"),
    [(77.7, [70.0, 80.0], "other numbers than those drawn"), (7.5, [-1.0, 16.0], "do not fit")],
)
def test_other_numbers_than_those_drawn_or_an_interval_around_nothing_give_no_title(results, effect, interval, said):
    part = {"requirement": "GLIMMER above LUMEN", "effect": effect, "unit": "points", "interval": interval}
    shown = _decided(results, requirements=[part])
    assert shown.text is None and shown.title == "" and said in shown.note


PAPERS_TITLES = {
    "figure2": "GLIMMER answers 2.2 points more than LUMEN",
    "figure3": "GLIMMER answers 5.2 points more at k = 40 than at k = 5",
    "figure4": "GLIMMER answers at least 2.2 points more at β = 1/4 than at β = 1/8 and β = 0",
    "figure5": None,  # no primary claim of it
    "figure6": "L1/8, L1/3 and FiD gain at least 1.7 points",
    "table2": "GLIMMER answers 0.8 points more than Frozen memory",
}


def test_the_papers_own_numbers_give_its_titles():
    """A size in the title is the smallest effect of the claim, in words that follow from its points alone."""
    root = Path(__file__).resolve().parents[2] / "results"
    study, rows = load_results("paper", root), json.loads((root / "paper" / "claims.json").read_text())["claims"]
    assert {name: takeaway(name, study, rows).text for name in PAPERS_TITLES} == PAPERS_TITLES


def test_a_figure_has_the_takeaway_as_its_heading_and_its_own_title_below(results):
    shown = _decided(results)
    text, page = _page(results)
    assert f"<h3>Figure 2: {shown.text}</h3>" in text and "Quality and speed of the three readers." in text
    assert "#claim-glimmer-above-lumen" in page.links
    assert "<h3>Table 2: not tested</h3>" in text, "no claim of it was evaluated"
    assert "<b>Training the memory encoder.</b>" in text


def test_readers_can_be_read_by_other_metrics_and_what_a_file_lacks_is_no_number(results):
    text, _ = _page(results)
    choices = json.loads(re.search(r'id="metric-data">(.*?)</script>', text).group(1))
    names = [choice["name"] for choice in choices]
    assert names[:3] == ["exact match", "F1", "ROUGE-L"] and any(name.startswith("KILT score") for name in names)
    assert "R-precision" not in names, "the invented files have none of the reader's order"
    study = load_results("smoke", results)
    first = study.of("figure2", "performance")[0]
    f1, kilt = choices[1], next(choice for choice in choices if choice["name"].startswith("KILT"))
    scored = study.runs.by_id[first.point.run_ids[0]]["tasks"]
    assert f1["rows"][0][1] == f"{100 * scored['nq']['downstream']['f1']:.1f}"
    fever = kilt["heads"].index("FEVER KILT score")
    assert kilt["rows"][0][fever] == kilt["rows"][0][0] == "–", "one task lacks it, so there is no mean"


def test_the_most_of_the_three_is_marked_and_what_each_answers_more_than_lumen_is_said(results):
    study = load_results("smoke", results)
    table = reader_tables.readers(study).table
    three = {row[0].text: row for row in table.rows if row[0].state in ("fid", "lumen", "glimmer")}
    others = [row for row in table.rows if row[0].state not in ("fid", "lumen", "glimmer")]
    assert set(three) == {"FiD", "LUMEN", "GLIMMER"} and others
    for column in range(1, len(table.heads) - 1):
        scores = {name: float(row[column].text) for name, row in three.items()}
        marked = {name for name, row in three.items() if row[column].state == "strong"}
        assert marked == {name for name, score in scores.items() if score == max(scores.values())}
    assert not any(cell.state == "strong" for row in others for cell in row), "a ceiling does not compete"
    levels = {result.label: result.value for result in study.of("figure2", "performance")}
    assert table.heads[-1] == "Above LUMEN (points)" and three["LUMEN"][-1].text == "–"
    for name in ("FiD", "GLIMMER"):
        assert three[name][-1].text == f"{levels[name] - levels['LUMEN']:+z.1f}" and " to " in three[name][-1].small


def test_without_lumens_result_the_readers_are_set_beside_the_base_that_is_there(results):
    lumen = next(r for r in load_results("smoke", results).of("figure2", "performance") if r.label == "LUMEN")
    for id in lumen.point.run_ids:
        (results / "smoke" / "runs" / f"{id}.json").unlink()
    readers = reader_tables.readers(load_results("smoke", results))
    last = {row[0].text: row[-1].text for row in readers.table.rows if row[0].state in ("fid", "lumen", "glimmer")}
    assert readers.table.heads[-1] == "Above FiD (points)"
    assert last["FiD"] == "–" and last["GLIMMER"] != "–"
    assert "Above FiD, F1 (points)" in readers.choices and "Above LUMEN" not in readers.choices


def test_how_many_questions_and_draws_a_score_is_of_is_said_once(results):
    synthetic.write_study(results, "embedded", n=20, keep=lambda run: run.reader.trained)
    table = reader_tables.readers(load_results("embedded", results)).table
    assert "of 120 questions, means over 3 replicates" in table.caption
    assert not any("replicates" in cell.small for row in table.rows for cell in row)
    id = load_results("embedded", results).of("figure2", "performance")[0].point.run_ids[0]
    (results / "embedded" / "runs" / f"{id}.json").unlink()
    first = reader_tables.readers(load_results("embedded", results)).table.rows[0]
    assert first[2].small == "2 replicates", "one is missing, so the caption is not true of it"


def test_floors_ceilings_and_chance_are_marked_as_what_they_are(results):
    synthetic.write_study(results, "sample", n=20)
    synthetic.write_stages(results, "sample")
    text, _ = _page(results, "sample")
    section = text[text.index('<section id="readers">') : text.index('id="priors"')]
    counts = {
        kind: section.count(f'<span class="tag">{kind}</span>') for kind in ("floor", "ceiling", "control", "chance")
    }
    assert counts == {"floor": 3 + 1 + 3, "ceiling": 3, "control": 1, "chance": 1}
    assert re.search(r'no reader</span> <span class="tag">chance</span>.*?<td>10.0</td>', section, re.DOTALL)


def test_many_findings_of_a_kind_are_counted_and_lead_to_the_file(results):
    finding = {"kind": "rounding", "severity": "note", "points": [], "expected": 1.0, "found": 1.1, "difference": 0.1,
               "tolerance": 0.05, "explanation": "printed"}  # fmt: skip
    worst = finding | {"id": "worst", "severity": "failure"}
    write_json(results / "smoke" / "audit.json", [*(finding | {"id": f"f{n}"} for n in range(20)), worst])
    text, page = _page(results)
    assert text.count('<tr id="finding-') == 12 and "finding-worst" in page.ids
    assert "9 more of this kind" in text and "1 failure, 20 notes" in text and "audit.json" in page.links


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder with a registry of its own, from which commands are called."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "experiments.yaml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


CITED = ("CITATION.cff", "repository-code: https://example.org/a\n")
LISTED = (
    "pyproject.toml",
    "[project.urls]\nHomepage = 'https://example.org/c'\n'Source Code' = 'https://example.org/b'\n",
)


@pytest.mark.parametrize(
    ("files", "address"),
    [
        ([], None),
        ([("CITATION.cff", "title: a\n")], None),
        ([("pyproject.toml", "[project.urls]\nHomepage = 'https://example.org/c'\n")], None),
        ([CITED], "https://example.org/a"),
        ([LISTED], "https://example.org/b"),
        ([LISTED, CITED], "https://example.org/a"),
    ],
)
def test_the_address_of_the_repository_is_the_one_that_it_states(elsewhere, files, address):
    for name, text in files:
        (elsewhere / name).write_text(text)
    assert repository_address() == address


@pytest.mark.parametrize("stated", ["javascript:alert(1)", "/home/me/code", "17", 'https://example.org/"><b>'])
def test_what_is_no_web_address_is_refused(elsewhere, stated):
    (elsewhere / "CITATION.cff").write_text(json.dumps({"repository-code": stated}))
    with pytest.raises(InputError, match="address"):
        repository_address()


@pytest.mark.parametrize("address", [None, "https://example.org/a"])
def test_the_page_leads_to_the_repository_or_says_how_its_address_is_stated(results, monkeypatch, address):
    monkeypatch.setattr("analysis.report.page.repository_address", lambda: address)
    text, page = _page(results)
    assert (address in page.links) if address else ("repository-code" in text)
    assert ("repository-code" in text) == (address is None)
