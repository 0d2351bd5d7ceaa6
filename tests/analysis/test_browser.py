"""Reports in a browser: nothing fails, nothing is fetched, every link leads somewhere, and a telephone is enough."""

import base64
import io
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.claims import load_claims
from glimmer.cli import main
from glimmer.experiments import TASKS
from glimmer.results import load_results
from tests.analysis import browser, synthetic

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = {path.parent.name: path for path in sorted((ROOT / "results").glob("*/report.html"))}
WIDTHS = (1280, 390)
HEAVY = 400_000  # bytes
PAGES = 8  # of print, at most

BROKEN = """[...document.querySelectorAll('a')].map(a => a.getAttribute('href') || a.getAttribute('xlink:href'))
    .filter(href => !href || href[0] == '#' && !document.getElementById(decodeURIComponent(href.slice(1))))"""
WIDER = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, nav, pre, svg, .skip')
    && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '.' + e.className).slice(0, 5)"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    program = browser.find()
    if program is None:
        pytest.skip(f"no browser: $CHROMIUM is not set, and none of {', '.join(browser.NAMES)} is on PATH")
    with browser.start(program, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def page(chromium):
    with chromium.page() as found:
        yield found


@pytest.fixture(scope="module")
def reports(invented, tmp_path_factory) -> dict[str, Path]:
    """The committed reports, and one of invented results in which some are missing and some refused."""
    results = Path(shutil.copytree(invented, tmp_path_factory.mktemp("reports") / "results"))
    runs = sorted((results / "smoke" / "runs").glob("*.json"))
    runs[0].unlink()
    runs[1].write_text("{}")
    for command in (["claims"], ["audit", "--record"], ["report"]):
        assert main([*command, "--study", "smoke", "--results", str(results)]) == 0
    assert main(["report", "--index", "--results", str(results)]) == 0
    return COMMITTED | {"invented": results / "smoke" / "report.html", "index": results / "index.html"}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*COMMITTED, "invented", "index"])
def test_a_report_loads_without_complaint_and_fits_the_window(page, reports, name, width):
    page.open(reports[name], width)
    assert page.complaints() == []
    assert page.requests() == [reports[name].resolve().as_uri()], "the page asks for something outside itself"
    assert page.ask(BROKEN) == [], "links that lead nowhere"
    assert page.ask("innerWidth") == width
    assert page.ask("document.documentElement.scrollWidth") <= width, f"too wide: {page.ask(WIDER)}"
    assert page.ask(WIDER) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_opened_entries_fit_the_window_too(page, reports, width):
    page.open(reports["invented"], width)
    page.ask("document.querySelectorAll('details').forEach(entry => { entry.open = true; })")
    assert page.ask("document.documentElement.scrollWidth") <= width and page.ask(WIDER) == []


@pytest.mark.parametrize("name", [*COMMITTED, "invented"])
def test_a_report_reads_without_javascript(page, reports, name):
    page.open(reports[name], 390, scripts=False)
    text = page.ask("document.body.innerText")
    of_runs = () if name == "paper" else ("The three readers", "Costs", "Appendix: every run")
    for heading in ("Figures", "Tables", "Claims", "Audit", *of_runs):
        assert heading in text
    assert page.ask("[...document.querySelectorAll('#claims tbody tr')].every(row => row.offsetHeight > 0)")
    assert page.ask("document.querySelectorAll('#claims [id^=claim-]').length") == len(load_claims())
    assert page.ask("document.querySelectorAll('th button').length") == 0, "the scripts have run"
    assert page.ask("document.documentElement.scrollWidth") <= 390


def _follow(page, target: str) -> None:
    """Goes to #target as a click on a link would, without the animation."""
    page.ask(
        "new Promise(done => { document.documentElement.style.scrollBehavior = 'auto';"
        f" addEventListener('hashchange', () => setTimeout(done, 50)); location = '#{target}' }})"
    )


def _entry_of(reports) -> str:
    return f"run-{next(iter(load_results('smoke', reports['invented'].parents[1]).runs.by_id))}"


def test_a_link_to_a_run_opens_its_entry(page, reports):
    page.open(reports["invented"], 1280)
    entry = f"document.getElementById('{_entry_of(reports)}')"
    assert page.ask(f"{entry}.closest('details').open") is False
    _follow(page, _entry_of(reports))
    assert page.ask(f"{entry}.closest('details').open") is True


@pytest.mark.parametrize("width", WIDTHS)
def test_a_link_lands_where_its_target_begins_to_be_read(page, reports, width):
    """Sections by their heading, below the contents that stick to the top; rows wholly within the window."""
    page.open(reports["invented"], width)
    places = "(e => [e.getBoundingClientRect().top, e.getBoundingClientRect().bottom])"
    sticking = page.ask("document.querySelector('nav').offsetHeight")
    for target in ("figures", "claims", "audit", "figure2", "runs"):
        _follow(page, target)
        top, _ = page.ask(f"{places}(document.querySelector('#{target} h2, #{target} h3'))")
        assert sticking - 5 <= top <= 300, f"the heading of {target} is at {top}"
    for target in ("claim-low-beta-hurts", _entry_of(reports)):
        _follow(page, target)
        top, bottom = page.ask(f"{places}(document.getElementById('{target}'))")
        assert sticking - 5 <= top and bottom <= 905, f"{target} is at {top} to {bottom}"


VIOLATIONS = """axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']}).then(found => found.violations.map(
    one => [one.id, one.impact, one.help, one.nodes.slice(0, 3).map(node => node.html.slice(0, 120))]))"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, which checks what WCAG 2 asks of pages and a machine can judge."""
    path = os.environ.get("AXE_CORE")
    if not path:
        pytest.skip("$AXE_CORE is not set: the file axe.min.js of npm's axe-core")
    return Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*COMMITTED, "invented", "index"])
def test_a_report_is_accessible_in_both_schemes(page, reports, axe, name, scheme):
    page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.open(reports[name], 1280)
    ground = page.ask("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    page.ask(f"(() => {{ {axe} }})()")
    assert page.ask(VIOLATIONS) == []


def _edge(page, selector: str) -> np.ndarray:
    """Brightness of an element along its right edge, a few pixels inside, as it is seen: of each row the brightest."""
    shown = f"(e => {{ e.scrollIntoView({{behavior: 'instant'}}); return e.getBoundingClientRect() }})({selector})"
    box = page.ask(f"(b => [b.left + scrollX, b.top + scrollY, b.width, Math.min(b.height, 300)])({shown})")
    clip = dict(zip(("x", "y", "width", "height"), box, strict=True)) | {"scale": 1}
    shot = page.send("Page.captureScreenshot", format="png", clip=clip)["data"]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(shot))).convert("L"))
    return picture[:, -5:-2].max(axis=1)


@pytest.mark.parametrize("selector", ["document.querySelector('#costs .scroll')", "document.querySelector('nav')"])
def test_what_goes_on_beyond_the_edge_is_shaded_there_without_script(page, reports, selector):
    page.open(reports["invented"], 390, scripts=False)
    page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    assert page.ask(f"{selector}.scrollWidth > {selector}.clientWidth"), "it fits, so there is nothing to show"
    cut = np.median(_edge(page, selector))
    page.ask(f"{selector}.scrollLeft = 9999")
    assert cut < 225 < 250 < np.median(_edge(page, selector)), "at its end there is no more to come"


def test_heads_of_long_tables_stay_below_the_contents(page, reports):
    page.open(reports["invented"], 1280)
    for table in ("#claims table", "#costs table"):
        page.ask(f"(e => {{ document.documentElement.style.scrollBehavior = 'auto'; scrollTo(0, scrollY +"
                 f" e.getBoundingClientRect().bottom - 200) }})(document.querySelector('{table}'))")  # fmt: skip
        top = page.ask(f"document.querySelector('{table} thead th').getBoundingClientRect().top")
        assert abs(top - page.ask("document.querySelector('nav').offsetHeight")) < 4


def test_tables_have_names_and_rows_have_heads_for_who_does_not_see_them(page, reports):
    page.open(reports["invented"], 1280)
    page.send("Accessibility.enable")
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value") for node in nodes if not node["ignored"]]
    rows = page.ask("[...document.querySelectorAll('main tbody tr')].filter(row => row.checkVisibility()).length")
    assert roles.count("rowheader") == rows > 30
    tables = [node for node in nodes if node.get("role", {}).get("value") == "table"]
    assert page.ask("document.querySelectorAll('table.sortable:not(.stack):not([aria-labelledby])').length") == 0
    assert sum(bool(node["name"]["value"]) for node in tables) > 5


def test_typing_words_leaves_the_rows_that_have_them(page, reports):
    page.open(reports["invented"], 1280)
    rows = "[...document.querySelectorAll('#claims .stack tbody tr')].filter(row => row.offsetHeight)"
    everything = page.ask(f"{rows}.length")
    page.ask("(box => { box.value = 'lumen FiD'; box.dispatchEvent(new Event('input')); })"
             "(document.querySelector('#claims input'))")  # fmt: skip
    texts = page.ask(f"{rows}.map(row => row.textContent.toLowerCase())")
    assert 0 < len(texts) < everything and all("lumen" in text and "fid" in text for text in texts)


TYPED = "(box => {{ box.value = '{}'; box.dispatchEvent(new Event('input')); }})(document.querySelector('#{} input'))"
CHOSEN = """(choice => { choice.selectedIndex = 2; choice.dispatchEvent(new Event('change')); })(
    document.querySelector('#metric'))"""
SEEN = """[[...document.querySelectorAll('#readers table, #costs table')].map(table => [...table.rows].filter(
    row => row.offsetHeight).map(row => [...row.cells].map(cell => cell.textContent))), [...document.querySelectorAll(
    '#claims .stack tbody tr')].map(row => row.offsetHeight > 0), document.querySelector('#claims input').value,
    document.querySelector('#metric').value]"""


def test_who_looks_for_a_reader_finds_its_floors_too(page, reports):
    page.open(reports["invented"], 1280)
    rows = "[...document.querySelectorAll('#readers > .scroll:first-of-type tbody tr')].filter(row => row.offsetHeight)"
    names = f"{rows}.map(row => row.cells[0].firstChild.textContent.trim())"
    everyone = page.ask(names)
    own = everyone.index("GLIMMER")
    end = next((n for n, name in enumerate(everyone) if n > own and not name.startswith("↳")), len(everyone))
    assert end > own + 1, "the study has no floor of GLIMMER"
    page.ask(TYPED.format("glimmer", "readers"))
    assert page.ask(names) == everyone[own:end]


def test_an_address_brings_back_what_was_searched_chosen_and_sorted_by(chromium, page, reports):
    page.open(reports["invented"], 1280)
    plain = page.ask(SEEN)
    page.ask(CHOSEN)
    page.ask(TYPED.format("lumen FiD", "claims"))
    for _ in range(2):
        page.ask("document.querySelectorAll('#readers table th button')[1].click()")
    page.ask("document.querySelectorAll('#costs table th button')[2].click()")
    shown, address = page.ask(SEEN), page.ask("location.search")
    assert shown != plain and address.startswith("?")
    with chromium.page() as second:
        second.open(reports["invented"], 1280, query=address)
        assert second.ask(SEEN) == shown and second.complaints() == []
    page.ask(TYPED.format("", "claims"))
    assert "claims=" not in page.ask("location.search")
    with chromium.page() as third:
        third.open(reports["invented"], 1280, query="?sort0=999up&metric=none&sort1=x&claims=")
        assert third.ask(SEEN) == plain and third.complaints() == []


def test_a_search_hides_rows_on_a_telephone_too_and_a_link_brings_its_row_back(page, reports):
    page.open(reports["invented"], 390)
    page.ask(TYPED.format("no such words", "claims"))
    assert page.ask("[...document.querySelectorAll('#claims .stack tbody tr')].every(row => row.offsetHeight == 0)")
    _follow(page, "claim-low-beta-hurts")
    assert page.ask("document.getElementById('claim-low-beta-hurts').offsetHeight") > 0


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_report_is_no_heavy_page(reports, name):
    assert reports[name].stat().st_size < HEAVY


@pytest.fixture(scope="module")
def whole_grid(tmp_path_factory) -> Path:
    """A report of every run of the embedded study in three replicates, with claims, audit and what stages publish."""
    results = tmp_path_factory.mktemp("grid")
    synthetic.write_paper(results)
    synthetic.write_study(results, "embedded", n=40)
    synthetic.write_stages(results, "embedded")
    for command in (["claims"], ["audit", "--record"], ["report"]):
        assert main([*command, "--study", "embedded", "--results", str(results)]) == 0
    return results / "embedded" / "report.html"


def test_a_report_of_a_whole_grid_is_no_heavy_page(whole_grid):
    assert whole_grid.read_text().count('class="run-entry"') > 40
    assert whole_grid.stat().st_size < HEAVY


def test_a_report_of_a_whole_grid_prints_on_eight_pages(page, whole_grid):
    page.open(whole_grid, 1280)
    assert _pages(page) <= PAGES


def test_scores_by_task_of_every_run_unfold_from_the_pages_own_data(page, reports):
    page.open(reports["invented"], 1280)
    runs = load_results("smoke", reports["invented"].parents[1]).runs.by_id
    for id, run in runs.items():
        cells = page.ask(f"[...document.getElementById('run-{id}').cells].map(cell => cell.firstChild.textContent)")
        scores = [f"{100 * run['tasks'][task]['score']:.1f}" for task in TASKS]
        assert cells[:-2] == [id, f"{100 * run['average']['score']:.1f}", *scores]
        assert cells[-1].strip() == run["code_version"]


def test_without_scripts_a_run_has_its_mean_and_leads_to_its_file(page, reports):
    page.open(reports["invented"], 1280, scripts=False)
    for id, run in load_results("smoke", reports["invented"].parents[1]).runs.by_id.items():
        text = page.ask(f"document.getElementById('run-{id}').textContent")
        assert id in text and f"{100 * run['average']['score']:.1f}" in text
        assert page.ask(f"document.querySelector('#run-{id} a').getAttribute('href')") == f"runs/{id}.json"


def test_the_readers_are_shown_by_another_metric_and_by_their_own_again(page, reports):
    page.open(reports["invented"], 1280)
    cells = (
        "[...document.querySelectorAll('#readers table')[0].rows].map(row => [...row.cells].map(c => c.textContent))"
    )
    own = page.ask(cells)
    choose = ("(choice => {{ choice.selectedIndex = {}; choice.dispatchEvent(new Event('change')); }})"
              "(document.getElementById('metric'))")  # fmt: skip
    page.ask(choose.format(2))
    other = page.ask(cells)
    assert other[0][1] == "Mean of 6 tasks, F1" and other[0][2] == "NQ F1"
    assert [row[0] for row in other] == [row[0] for row in own] and other[0][-1] == "Above LUMEN, F1 (points)"
    assert all(re.fullmatch(r"\d+\.\d|–", text) for row in other[1:] for text in row[1:-1])
    lumen = next(row for row in other if row[0].startswith("LUMEN"))
    for row in (row for row in other[1:] if row[-1] != "–"):
        assert float(row[-1]) == pytest.approx(float(row[1]) - float(lumen[1]), abs=0.11)
    assert sum(row[-1] != "–" for row in other[1:]) >= 2
    page.ask(choose.format(0))
    assert page.ask(cells) == own


def test_without_scripts_a_choice_that_does_nothing_is_not_shown(page, reports):
    page.open(reports["invented"], 1280, scripts=False)
    assert page.ask("document.getElementById('metric').offsetHeight") == 0


CLIPBOARD = """Object.defineProperty(navigator, 'clipboard', {{value: {{writeText: text => {{
    window.written = text; return Promise.{}() }}}}}})"""


@pytest.mark.parametrize("allowed", [True, False])
def test_a_command_is_copied_or_else_selected_by_the_button_behind_it(page, reports, allowed):
    page.open(reports["invented"], 1280)
    page.ask(CLIPBOARD.format("resolve" if allowed else "reject"))
    command = page.ask("document.querySelector('code.command').textContent")
    button = "document.querySelector('code.command + button.copy')"
    assert page.ask(f"{button}.click(); new Promise(done => setTimeout(() => done(window.written), 100))") == command
    assert page.ask(f"{button}.textContent") in (("Copied",) if allowed else ("Copied", "Selected"))
    assert page.ask("String(getSelection())") == ("" if allowed else command)
    assert command in page.ask("document.querySelector('[role=status]').textContent")
    runs = page.ask("document.querySelectorAll('.run-entry').length")
    assert page.ask("document.querySelectorAll('.run-entry button.copy').length") == runs > 2


def test_without_scripts_there_is_no_button_that_would_do_nothing(page, reports):
    page.open(reports["invented"], 1280, scripts=False)
    assert page.ask("document.querySelectorAll('button').length") == 0
    assert "snakemake" in page.ask("document.querySelector('code.command').textContent")


def test_a_column_sorts_by_its_numbers_both_ways(page, reports):
    page.open(reports["invented"], 1280)
    rows = "document.querySelector('#readers table').querySelectorAll('tbody tr')"
    table = f"[...{rows}].map(row => row.cells[1].dataset.sort || row.cells[1].firstChild.textContent)"
    head = "document.querySelectorAll('#readers th button')[1].click()"
    orders = []
    for _ in range(2):
        page.ask(head)
        orders.append([float(value) for value in page.ask(table) if value[0].isdigit()])
    assert orders[0] == sorted(orders[0]) and orders[1] == orders[0][::-1] and len(set(orders[0])) > 2
    assert page.complaints() == []


def test_a_column_of_fractions_sorts_by_what_they_are(page, reports):
    page.open(reports["invented"], 1280)
    table = "[...document.querySelectorAll('table')].find(t => t.rows[0].cells[0].textContent == 'α')"
    page.ask(f"{table}.querySelector('th button').click()")
    assert page.ask(f"[...{table}.tBodies[0].rows].map(row => row.cells[0].textContent)") == ["1/8", "1"]


@pytest.mark.parametrize("name", [*COMMITTED, "invented"])
def test_a_report_prints(page, reports, name):
    page.open(reports[name], 1280)
    assert _pages(page) <= {"paper": 16}.get(name, PAGES) and page.complaints() == []


def _pages(page) -> int:
    """As how many pages it is printed."""
    printed = base64.b64decode(page.send("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert printed.startswith(b"%PDF")
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", printed))
