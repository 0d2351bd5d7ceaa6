"""Reports in a browser: nothing fails, nothing is fetched, every link leads somewhere, and a telephone is enough."""

import base64
import shutil
from pathlib import Path

import pytest

from analysis.claims import load_claims
from glimmer.cli import main
from glimmer.results import load_results
from tests.analysis import browser

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = {path.parent.name: path for path in sorted((ROOT / "results").glob("*/report.html"))}
WIDTHS = (1280, 390)

BROKEN = """[...document.querySelectorAll('a')].map(a => a.getAttribute('href') || a.getAttribute('xlink:href'))
    .filter(href => !href || href[0] != '#' || !document.getElementById(decodeURIComponent(href.slice(1))))"""
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
    return COMMITTED | {"invented": results / "smoke" / "report.html"}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*COMMITTED, "invented"])
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
    assert page.ask("document.querySelectorAll('#claims tbody tr').length") == len(load_claims())
    assert page.ask("document.querySelectorAll('th button').length") == 0, "the scripts have run"
    assert page.ask("document.documentElement.scrollWidth") <= 390


def test_a_link_to_a_run_opens_its_entry(page, reports):
    page.open(reports["invented"], 1280)
    runs = load_results("smoke", reports["invented"].parents[1]).runs.by_id
    entry = f"run-{next(iter(runs))}"
    assert page.ask(f"document.getElementById('{entry}').open") is False
    page.ask(
        f"new Promise(done => {{ addEventListener('hashchange', () => setTimeout(done)); location = '#{entry}' }})"
    )
    assert page.ask(f"document.getElementById('{entry}').open") is True


def test_a_column_sorts_by_its_numbers_both_ways(page, reports):
    page.open(reports["invented"], 1280)
    rows = "document.querySelector('#readers table').querySelectorAll('tbody tr')"
    table = f"[...{rows}].map(row => row.cells[1].dataset.sort)"
    head = "document.querySelectorAll('#readers th button')[1].click()"
    orders = []
    for _ in range(2):
        page.ask(head)
        orders.append([float(value) for value in page.ask(table) if value])
    assert orders[0] == sorted(orders[0]) and orders[1] == orders[0][::-1] and len(set(orders[0])) > 2
    assert page.complaints() == []


@pytest.mark.parametrize("name", [*COMMITTED, "invented"])
def test_a_report_prints(page, reports, name):
    page.open(reports[name], 1280)
    printed = base64.b64decode(page.send("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert printed.startswith(b"%PDF") and page.complaints() == []
