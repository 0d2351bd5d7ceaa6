"""No code from data: nothing is unpickled, evaluated or handed to a shell; no text changes the form it is put into."""

import ast
import csv
import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis import figures
from analysis.figures import FigureArtifact, style
from analysis.figures.table import markdown
from analysis.report import page, pictures
from glimmer.files import read_json, write_json
from glimmer.results import load_results
from tests.analysis import synthetic
from workflow.needs import OverNodes

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for package in ("glimmer", "worlds", "analysis", "workflow") for path in (ROOT / package).rglob("*.py")]
SOURCES += [*(ROOT / "benchmarks").rglob("*.py"), ROOT / "setup.py"]
RULES = [*(ROOT / "workflow/rules").glob("*.smk"), ROOT / "Snakefile"]

# -- the source -------------------------------------------------------------------------------------------------------

NEVER = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.full_load",
    "yaml.unsafe_load",
    "yaml.load_all",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "pandas.read_pickle",
    "marshal.loads",
    "shelve.open",
    "joblib.load",
    "torch.load",
    "shutil.unpack_archive",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
}
UNPACKS = {"extract", "extractall"}
UNPICKLES = ROOT / "glimmer/models/pickled.py"


def name_of(node: ast.AST) -> str:
    """`a.b.c` of an expression of names; the last of them where the rest is none."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id] if isinstance(node, ast.Name) else parts))


def stated(call: ast.Call, keyword: str):
    """The constant that a call gives an argument by name."""
    values = [item.value for item in call.keywords if item.arg == keyword]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def faults_of_source(text: str, unpickles: bool = False) -> list[str]:
    """What of a module's source could run, unpack or unpickle what data say."""
    faults, tree = [], ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            faults += sorted({"dill", "cloudpickle", "marshal", "shelve", "joblib"} & modules)
            faults += ["pickle"] if "pickle" in modules and not unpickles else []
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func)
        if name in NEVER or name.rsplit(".", 1)[-1] in UNPACKS:
            faults.append(name)
        if name in ("np.load", "numpy.load") and stated(node, "allow_pickle") is not False:
            faults.append(f"{name} without allow_pickle=False")
        if stated(node, "shell") or any(
            item.arg == "shell" and not isinstance(item.value, ast.Constant) for item in node.keywords
        ):
            faults.append(f"{name} through a shell")
        if name.startswith("subprocess.") and node.args and not isinstance(node.args[0], ast.List | ast.Name):
            faults.append(f"{name} of no list")
        if name in ("yaml.YAML", "ruamel.yaml.YAML"):
            faults.append(name)
    return faults


def test_no_source_runs_unpacks_or_unpickles_what_data_say():
    faults = {path: faults_of_source(path.read_text(encoding="utf-8"), path == UNPICKLES) for path in SOURCES}
    assert len(faults) > 200 and not {path: found for path, found in faults.items() if found}


@pytest.mark.parametrize(
    "text",
    [
        "eval(x)",
        "import pickle",
        "from pickle import loads",
        "yaml.load(x, Loader=L)",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "subprocess.run(f'ls {x}', shell=True)",
        "subprocess.run('ls ' + x)",
        "archive.extractall(p)",
        "os.system(x)",
        "import dill",
    ],
)
def test_the_look_at_the_source_sees_what_it_looks_for(text):
    assert faults_of_source(text)


def test_every_yaml_loader_is_safe():
    """A class of the source that reads YAML adds nothing to SafeLoader that could make objects."""
    loaders = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = {name_of(base) for base in node.bases}
                if any("Loader" in base and "yaml" in base for base in bases):
                    loaders[node.name] = bases
    assert loaders == {"_Loader": {"yaml.SafeLoader"}}


# -- the shell --------------------------------------------------------------------------------------------------------

LAUNCH = {"resources.launch", "resources.processes"}  # several words of the workflow's own, with numbers in them: below
UNQUOTED = {"threads", "wildcards.run", *LAUNCH}  # a number; 12 hexadecimal digits, to which a rule file holds it


def shell_commands(path: Path) -> list[str]:
    """The text of every `shell:` of a rule file."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r'^( *)shell:\n((?:\1    +"(?:[^"\\]|\\.)*"\n)+)', text, flags=re.M)
    assert len(blocks) == len(re.findall(r"^ *shell:", text, flags=re.M)), path
    return ["".join(ast.literal_eval(line.strip()) for line in body.splitlines()) for _, body in blocks]


@pytest.mark.parametrize(("nodes", "gpu"), [(1, 0), (1, 8), (3, 8)])
def test_how_a_command_is_started_on_nodes_is_plain_words_and_numbers(nodes, gpu):
    told = OverNodes(nodes=nodes, gpu=gpu).command()
    assert {f"resources.{name}" for name in told} == LAUNCH
    for words in told.values():
        text = words(None, threads=4) if callable(words) else words
        assert re.fullmatch(r"[a-z0-9= -]*", text), text


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_what_a_rule_puts_into_a_command_is_quoted(path):
    for command in shell_commands(path):
        for field in re.findall(r"(?<!\{)\{([^{}]+)\}", command):
            assert field in UNQUOTED or field.endswith(":q"), f"{{{field}}} in {command}"
    assert not re.findall(r"^ *run:|^ *script:|^ *notebook:", path.read_text(encoding="utf-8"), flags=re.M)


def test_the_run_of_a_command_is_held_to_hexadecimal_digits():
    assert 'run="[0-9a-f]{12}"' in (ROOT / "workflow/rules/training.smk").read_text(encoding="utf-8")
    assert sum(len(shell_commands(path)) for path in RULES) > 20


# -- reports, pictures, tables ----------------------------------------------------------------------------------------

HOSTILE = [
    "$(touch pwned) `id` ${HOME}",
    "'\"; alert(1); '",
    "line one\nline two\r\n\u2028three",
    "<script>alert('pwned')</script><img src=x onerror=alert(1)></svg></title>",
    r"\input{/etc/passwd} 100% _a_ #1 & x^2 ~ {y} $z$ $\frac{1$ \\ \end{table}",
    "]]> --> &amp; &#x3c;script&#x3e; {{ 7 * 7 }} {% raw %}",
    "x" * 10_000,
    "| a | b |",
    "javascript:alert(1)",
    "=cmd|' /C calc'!A0",
]  # fmt: skip
ALL = " ".join(HOSTILE)


class _Tags(HTMLParser):
    """Every tag of a page with its attributes, and all text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, tuple(attributes)))

    def handle_data(self, data):
        self.text.append(data)


def tags_of(html: str) -> _Tags:
    parser = _Tags()
    parser.feed(html)
    return parser


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Invented results of the smoke study in which everything that came from data or a device is hostile."""
    directory = tmp_path_factory.mktemp("hostile-results")
    synthetic.write_paper(directory)
    synthetic.write_study(directory, "smoke", n=4)
    synthetic.write_stages(directory, "smoke")
    for path in (directory / "smoke/runs").glob("*.json"):
        run = read_json(path)
        for task, shown in run["shown"].items():
            passages = [{"title": text, "words": text, "rank": rank, "kept": True, "holds_answer": True}
                        for rank, text in enumerate(HOSTILE, 1)]  # fmt: skip
            run["shown"][task] = [
                one | {"question": ALL, "answer": ALL, "accepted": HOSTILE, "passages": passages} for one in shown
            ]
        run |= {
            "code_version": ALL,
            "stopped": ALL,
            "versions": {ALL: ALL},
            "kilt_package_check": {"status": ALL, "detail": ALL},
        }
        run["device"]["kind"] = ALL
        write_json(path, run)
    priors = read_json(directory / "smoke/priors.json")
    write_json(directory / "smoke/priors.json", {task: of | {"majority_answer": ALL} for task, of in priors.items()})
    (directory / "smoke/runs/<script>alert(1)<.json").write_text("{")
    return directory


def test_a_report_shows_hostile_text_and_is_changed_by_none(results, tmp_path):
    plain = synthetic.write_paper(tmp_path).parents[1]
    synthetic.write_study(plain, "smoke", n=4)
    synthetic.write_stages(plain, "smoke")
    usual, hostile = tags_of(page.build("smoke", plain)), tags_of(page.build("smoke", results))
    for kind in ("script", "style"):
        assert [tag for tag, _ in hostile.tags].count(kind) == [tag for tag, _ in usual.tags].count(kind)
    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in usual.tags} | {
        "ol",
        "ul",
        "li",
        "details",
        "summary",
        "mark",
    }
    names = {name for _, attributes in hostile.tags for name, _ in attributes}
    assert not {name for name in names if name.startswith("on")}
    # Files beside the page are named by artifact and by id, so a link is one of a page without hostile text, or within.
    targets = [
        {value for _, attributes in each.tags for name, value in attributes if name in ("href", "src", "xlink:href")}
        for each in (usual, hostile)
    ]
    assert all((value or "").startswith("#") for value in targets[1] - targets[0]), targets[1] - targets[0]
    text = "".join(hostile.text)
    for piece in ("<script>alert('pwned')</script>", "$(touch pwned) `id`", "{{ 7 * 7 }}", "&amp; &#x3c;script&#x3e;"):
        assert piece in text, piece


def with_labels(source, text: str):
    """A study whose artifacts bear this text wherever config/ lets somebody write."""
    artifacts = {}
    for name, artifact in source.artifacts.items():
        panels = tuple(
            dataclasses.replace(
                panel,
                heading=text,
                x_label=panel.x_label and text,
                series=tuple(
                    dataclasses.replace(
                        series,
                        label=text,
                        points=tuple(dataclasses.replace(point, label=f"{n} {text}") for point in series.points),
                    )
                    for n, series in enumerate(panel.series)
                ),
            )
            for panel in artifact.panels
        )
        artifacts[name] = dataclasses.replace(artifact, title=text, caption=text, rows=text, panels=panels)
    return dataclasses.replace(source, artifacts=artifacts)


@pytest.mark.parametrize("text", HOSTILE[:6], ids=range(6))
def test_a_picture_shows_a_hostile_label_as_it_is(results, tmp_path, text):
    study = with_labels(load_results("smoke", results), text)
    for artifact in figures.everything():
        if isinstance(artifact, FigureArtifact) and artifact.name in ("figure2", "figure5") and study.of(artifact.name):
            drawn = dataclasses.replace(artifact, entry=study.artifacts[artifact.name])
            svg = next(path for path in drawn.write(study, None, tmp_path) if path.suffix == ".svg").read_text("utf-8")
            root = ElementTree.fromstring(svg)
            kinds = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
            assert not kinds & {"script", "foreignObject", "image", "iframe", "img"}
            assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
            said = " ".join(" ".join(root.itertext()).split())
            assert " ".join(text.split())[:20] in said
            with style.house_look():
                inline = tags_of("".join(pictures.cells(drawn, study, None)))
            assert not {"script", "img", "iframe"} & {tag for tag, _ in inline.tags}


def untex(tex: str) -> str:
    """What LaTeX prints of escaped text."""
    for spelt, char in ((r"\textbackslash{}", "\0"), (r"\textasciitilde{}", "~"), (r"\textasciicircum{}", "^"),
                        (r"\textless{}", "<"), (r"\textgreater{}", ">"), (r"\textbar{}", "|")):  # fmt: skip
        tex = tex.replace(spelt, char)
    return re.sub(r"\\([&%$#_{}])", r"\1", tex).replace("\0", "\\")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_table_shows_a_hostile_label_as_it_is(results, tmp_path, text):
    study = with_labels(load_results("smoke", results), text)
    table = next(a for a in figures.everything() if a.name == "table1")
    table = dataclasses.replace(table, entry=study.artifacts["table1"])
    md, tex, table_csv = table.write(study, None, tmp_path)
    lines = tex.read_text("utf-8").splitlines()
    assert lines[0] == r"\begin{table}" and lines[-1] == r"\end{table}"
    assert [line for line in lines if "{table}" in line and "\\end" in line] == [r"\end{table}"]
    body = lines[lines.index(r"    \midrule") + 1 : lines.index(r"    \bottomrule")]
    assert len(body) == len(study.of("table1"))
    columns = len(lines[lines.index(r"    \toprule") + 1].split(" & "))
    for row in body:
        cells = row.removesuffix(r" \\").strip().split(" & ")
        assert len(cells) == columns
        assert untex(cells[0]).split()[1:] == text.split()
    shown = md.read_text("utf-8").splitlines()
    rows = [line for line in shown if re.match(r"\| \d ", line)]
    assert len(rows) == len(body)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {columns + 1}
    with open(table_csv, newline="", encoding="utf-8") as file:
        assert all(row["label"].split(" ", 1)[1] == text for row in csv.DictReader(file))


def test_a_cell_of_markdown_is_one_cell():
    rows = markdown(["a", "b"], [["x\n| y", "1"]]).splitlines()
    assert rows[-1] == r"| x \| y | 1 |"
