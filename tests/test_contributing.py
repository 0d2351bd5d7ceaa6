"""CONTRIBUTING's table is true: each row is done in a copy of the code, in the files it names, and the outcome seen."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def python(copy: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def glimmer(copy: Path, *arguments: str) -> str:
    return python(copy, "-m", "glimmer", *arguments)


def runs(copy: Path, *arguments: str) -> list[dict]:
    return json.loads(glimmer(copy, "runs", "--study", "embedded", "--json", *arguments))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


def add_ablation(copy: Path) -> None:
    experiments = copy / "config" / "experiments.yaml"
    replace(experiments, "      Mean pool:", "      ATLAS KL: { set: { kl: lm_rank } }\n      Mean pool:")


def test_the_table_has_a_test_for_every_row():
    """Row -> files, as CONTRIBUTING names them: two each, three for a stage."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M)[1:]
    tested = {
        name.removeprefix("test_to_add_").replace("_", " ") for name in globals() if name.startswith("test_to_add_")
    }
    named = {row.split(",")[0] for row, _ in rows}
    assert named == tested
    for row, files in rows:
        assert len(files.split("; ")) <= (3 if row.startswith("a stage") else 2), row


def test_to_add_an_ablation(copy_of_the_code):
    before = runs(copy_of_the_code, "--points")
    add_ablation(copy_of_the_code)
    after = runs(copy_of_the_code, "--points")
    new = [row for row in after if row["point"] == "table3/ATLAS KL"]
    assert len(new) == 3 and not any(row["result"] for row in new)
    assert not {row["id"] for row in new} & {row["id"] for row in before}
    assert [row["id"] for row in after if row not in new] == [row["id"] for row in before]
    assert "kl=lm_rank" in glimmer(copy_of_the_code, "runs", "--study", "embedded")


def test_to_add_a_reader_option(copy_of_the_code):
    before = [row["id"] for row in runs(copy_of_the_code)]
    settings = copy_of_the_code / "glimmer" / "experiments" / "settings.py"
    marker = "    train_tasks: tuple[str, ...] = TASKS\n"
    replace(settings, marker, f"    normalise_scores: bool = False\n{marker}")
    assert [row["id"] for row in runs(copy_of_the_code)] == before
    experiments = copy_of_the_code / "config" / "experiments.yaml"
    replace(experiments, "      Mean pool:", "      Normalised: { set: { normalise_scores: true } }\n      Mean pool:")
    assert "normalise_scores=True" in glimmer(copy_of_the_code, "runs", "--study", "embedded")
    assert len(runs(copy_of_the_code)) == len(before) + 3


FIGURE = """
  figure8:
    title: temperatures
    caption: Dev average of GLIMMER over the passages retrieved, at two temperatures.
    kind: lines
    size: Large
    panels:
      retrieved:
        measure: kilt_dev_average
        x: k
        series:
          warm: { reader: GLIMMER, set: { tau: 2 }, at: [10, 25, 40] }
          cold: { reader: GLIMMER, set: { tau: 1/2 }, at: [10, 25, 40] }

  baselines:"""


@pytest.mark.slow
def test_to_add_a_figure(copy_of_the_code):
    experiments, study = (copy_of_the_code / "config" / f"{name}.yaml" for name in ("experiments", "embedded"))
    replace(experiments, "\n  baselines:", FIGURE.replace("1/2", "0.5"))
    replace(study, "figure7, table1", "figure7, figure8, table1")
    glimmer(copy_of_the_code, "figures", "figure8", "--study", "embedded")
    results = copy_of_the_code / "results" / "embedded"
    picture = (results / "figures" / "figure8.svg").read_text()
    for words in ("Figure 8: temperatures", "at two temperatures", "passages retrieved (k)", "warm", "cold"):
        assert words in picture, words
    rows = (results / "figures" / "figure8.csv").read_text().splitlines()
    assert len(rows) == 1 + 6 + 6 and all(",missing," in row for row in rows[1:])
    glimmer(copy_of_the_code, "report", "--study", "embedded")
    page = (results / "report.html").read_text()
    anchors = set(re.findall(r'id="([^"]+)"', page))
    assert "Figure 8: temperatures" in page
    assert not {link for link in re.findall(r'href="#([^"]+)"', page) if link not in anchors}


CLAIM = """claims:
  - id: warmer-is-not-better
    statement: A temperature of 5 is not better than of 1.
    source: Table 3
    family: secondary
    sentence: derived
    rests_on: { basis: measured, because: only training tells the arms apart }
    points: { warm: table3/PDist tau=5, usual: table3/GLIMMER }
    expression: { greater: [usual, warm] }
"""


@pytest.mark.slow
def test_to_add_a_claim(copy_of_the_code):
    replace(copy_of_the_code / "config" / "claims.yaml", "claims:\n", CLAIM)
    rows = json.loads(glimmer(copy_of_the_code, "claims", "--study", "embedded", "--json"))
    ledger = json.loads((copy_of_the_code / "results" / "embedded" / "claims.json").read_text())
    assert rows and "warmer-is-not-better" in {claim["id"] for claim in ledger["claims"]}


def test_to_add_a_paper_to_audit(copy_of_the_code):
    folder = copy_of_the_code / "config" / "papers" / "mine"
    glimmer(copy_of_the_code, "audit", "--init", str(folder))
    replace(folder / "paper.yaml", "name: my-paper", "name: mine")
    glimmer(copy_of_the_code, "audit", "--paper", "mine")
    written = copy_of_the_code / "results" / "papers" / "mine"
    assert json.loads((written / "audit.json").read_text())["numbers"] == 11
    assert "A paper that was never written" in (written / "findings.md").read_text()


def test_to_add_a_study(copy_of_the_code):
    stated = {"like": "smoke", "name": "mine", "title": "Mine", "description": "Mine.", "seeds": [7]}
    (copy_of_the_code / "config" / "mine.yaml").write_text(yaml.safe_dump(stated))
    rows = json.loads(glimmer(copy_of_the_code, "runs", "--study", "mine", "--json"))
    assert rows and {row["seed"] for row in rows} == {7}


def test_to_add_a_key_of_a_study(copy_of_the_code):
    before = [row["id"] for row in runs(copy_of_the_code)]
    sections = copy_of_the_code / "glimmer" / "experiments" / "sections.py"
    marker = '    keep: Literal["best", "last"] = "best"\n'
    replace(sections, marker, f"    label_smoothing: Share = 0.0\n{marker}")
    assert [row["id"] for row in runs(copy_of_the_code)] == before
    assert not {row["id"] for row in runs(copy_of_the_code, "--set", "training.label_smoothing=0.1")} & set(before)


def test_to_add_a_task(copy_of_the_code):
    before = [row["id"] for row in runs(copy_of_the_code)]
    settings = copy_of_the_code / "glimmer" / "experiments" / "settings.py"
    replace(settings, '    "trex": "T-REx",\n', '    "trex": "T-REx",\n    "wow": "Wizard of Wikipedia",\n')
    formats = copy_of_the_code / "glimmer" / "kilt" / "formats.py"
    replace(formats, '    "trex": "accuracy",\n', '    "trex": "accuracy",\n    "wow": "f1",\n')
    assert [row["id"] for row in runs(copy_of_the_code)] == before
    tasks = "data.tasks=[nq,triviaqa,hotpotqa,fever,zsre,trex,wow]"
    with_it = runs(copy_of_the_code, "--set", tasks)
    assert "wow" in with_it[0]["settings"]["reader"]["train_tasks"] and not {r["id"] for r in with_it} & set(before)
    question = {"id": "1", "input": "hello", "output": [{"answer": "hi"}]}
    (copy_of_the_code / "wow-dev-kilt.jsonl").write_text(json.dumps(question) + "\n")
    reading = (
        "from glimmer.kilt.formats import *; print([e.input for e in read_examples(task_file('.', 'wow', 'dev'))])"
    )
    assert python(copy_of_the_code, "-c", reading).strip() == "['hello']"


def test_to_add_a_command(copy_of_the_code):
    (copy_of_the_code / "glimmer" / "commands" / "greet.py").write_text(
        'HELP = "greet"\n\n\ndef add_arguments(parser):\n    parser.add_argument("name")\n\n\n'
        'def run(args):\n    print("hello", args.name)\n'
    )
    assert glimmer(copy_of_the_code, "greet", "you").strip() == "hello you"
    assert "greet" in glimmer(copy_of_the_code, "--help")


STAGE = """
rule count_words:
    input:
        passages=f"{W}/passages",
    output:
        words=f"{W}/words.json",
    log:
        f"{W}/logs/count-words.log",
    threads: layout.needs("count_words")["threads"]
    resources:
        **layout.resources("count_words"),
    params:
        study=STUDY,
        decides=layout.decides("count_words"),
    shell:
        "glimmer count-words --study {params.study:q} --set results={resources.results:q}"
        " --passages {input.passages:q} --out {output.words:q} > {log:q} 2>&1"
"""


@pytest.mark.slow
def test_to_add_a_stage(copy_of_the_code, tmp_path):
    (copy_of_the_code / "workflow" / "rules" / "words.smk").write_text(STAGE)
    replace(
        copy_of_the_code / "glimmer" / "experiments" / "stages.py",
        '    "tokenize": Stage(',
        '    "count_words": Stage(command="count-words", reads=("corpus",), inputs=("passages",), output="words"),\n'
        '    "tokenize": Stage(',
    )
    stages = copy_of_the_code / "glimmer" / "experiments" / "stages.py"
    replace(stages, '    "tokens": "tokens",\n', '    "tokens": "tokens",\n    "words": "words.json",\n')
    (copy_of_the_code / "glimmer" / "commands" / "count_words.py").write_text(
        "from glimmer.commands.arguments import add_study_arguments, study_of\n\n"
        'HELP = "count"\n\n\ndef add_arguments(parser):\n    add_study_arguments(parser)\n'
        '    parser.add_argument("--passages")\n    parser.add_argument("--out")\n\n\n'
        'def run(args):\n    study = study_of(args, "count_words")\n    print(study.corpus.max_words, study.training)\n'
    )
    places = ("--config", "study=smoke", f"results={tmp_path}/r", f"work={tmp_path}/w")
    snakemake = ("-m", "snakemake", f"{tmp_path}/w/smoke/words.json", "--dry-run", "--nolock")
    assert "count_words" in python(copy_of_the_code, *snakemake, *places)
    told = subprocess.run(
        [sys.executable, "-m", "glimmer", "count-words", "--study", "smoke"],
        cwd=copy_of_the_code, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert "stage count_words reads `training`" in told.stderr
