"""What Snakemake plans: every stage once, one training a run, and no training for a picture."""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from glimmer.cli import _parser
from glimmer.experiments import load_study, runs_for
from glimmer.experiments.sections import Parts
from glimmer.experiments.stages import STAGES
from tests.analysis import synthetic

ROOT = Path(__file__).resolve().parents[2]
MEASURING = {"generate", "generate_for_retriever", "chunk", "chunk_for_retriever", "tokenizer", "tokenize", "pretrain",
             "train_retriever", "embed", "retrieve", "filter_by_relevance", "lengths", "priors", "train",
             "evaluate"}  # fmt: skip
GATHERING = {"gather_passages", "gather_tokens", "gather_embeddings"}  # of a stage in parts alone
IN_PARTS = {"remember"}  # by jobs of its own where it is in parts
SHOWING = {"figures", "claims", "audit", "report", "crate"}


def snakemake(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=cwd, env=environment, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)  # fmt: skip


def planned(*arguments: str, cwd: Path = ROOT) -> dict[str, int]:
    """Rule -> number of jobs of a dry run."""
    done = snakemake(*arguments[:1], "--dry-run", "--nolock", *arguments[1:], cwd=cwd)
    assert done.returncode == 0, done.stderr[-2000:]
    return job_counts(done.stdout + done.stderr)


def job_counts(told: str) -> dict[str, int]:
    """Rule -> number of jobs, of what Snakemake tells of a dry run."""
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", told, flags=re.S)
    assert table, told[-2000:]
    return {name: int(count) for name, count in (line.split() for line in table[1].splitlines())}


def test_whole_study_plans_every_stage_once_and_one_training_for_all_readers_of_the_same_parameters(tmp_path):
    jobs = planned("all", "--config", "study=smoke", f"results={tmp_path}/results", f"work={tmp_path}/work")
    runs = runs_for(load_study("smoke"))
    assert jobs["evaluate"] == len(runs)
    assert jobs["train"] == len({run.trained_id for run in runs.values()}) < len(runs)
    shown = {f"publish_{name}" for name in ("retrieval", "filter", "lengths", "priors")} | {"page", "record", "all"}
    once = MEASURING - {"train", "evaluate"} | shown
    assert {rule: jobs.get(rule) for rule in once} == dict.fromkeys(once, 1)


@pytest.mark.parametrize("target", ["figures", "report", "crate"])
def test_showing_results_plans_no_measuring(tmp_path, target):
    jobs = planned(target, "--config", "study=smoke", f"results={tmp_path}/results", f"work={tmp_path}/work")
    assert jobs["figure2"] == 1 and not set(jobs) & MEASURING, jobs
    assert ("record" in jobs) == (target == "crate"), "the record for archives is made where it is asked for"


def test_all_studies_with_results_are_shown_in_one_job_an_artifact_and_one_a_page(tmp_path):
    for name in ("smoke", "sample"):
        synthetic.write_study(tmp_path / "results", name, n=5)
    jobs = planned("report", "--config", f"results={tmp_path}/results", f"work={tmp_path}/work")
    assert jobs["figure2"] == 1 and jobs["findings"] == jobs["ledger"] == jobs["page"] == 2, jobs
    assert not set(jobs) & MEASURING, jobs


def test_a_study_can_be_named_by_a_path_alone(tmp_path):
    jobs = planned(f"{tmp_path}/smoke/audit.json", "--config", f"results={tmp_path}", f"work={tmp_path}/work")
    assert jobs["findings"] == 1 and not set(jobs) & MEASURING, jobs


@pytest.mark.parametrize(("target", "rules"), [("audit", {"findings", "audit"}), ("claims", {"ledger", "claims"})])
def test_audit_and_claims_measure_nothing_and_draw_nothing(tmp_path, target, rules):
    jobs = planned(target, "--config", "study=smoke", f"results={tmp_path}/results", f"work={tmp_path}/work")
    assert jobs == dict.fromkeys({"paper_points", *rules}, 1)


def test_a_study_of_given_data_generates_and_pretrains_nothing(tmp_path, given, unpinned):
    data, checkpoint = given
    places = (f"results={tmp_path}/results", f"work={tmp_path}/work")
    jobs = planned(
        "all", "--config", "study=unpinned", f"data={data}", f"checkpoint={checkpoint}", *places, cwd=unpinned
    )
    others = {"generate", "pretrain", "generate_for_retriever", "chunk_for_retriever"}
    assert {"chunk", "train"} <= set(jobs) and not others & set(jobs), jobs


def test_other_bytes_under_the_same_name_stop_the_next_call_before_anything_is_planned(tmp_path, given, unpinned):
    data, checkpoint = given
    places = (f"results={tmp_path}/results", f"work={tmp_path}/work")
    call = ("all", "--config", "study=unpinned", f"data={data}", f"checkpoint={checkpoint}", *places)
    assert planned(*call, cwd=unpinned) == planned(*call, cwd=unpinned)
    (data / "knowledge_source.jsonl").write_text('{"_id": "2"}\n')
    done = snakemake(*call[:1], "--dry-run", "--nolock", *call[1:], cwd=unpinned)
    assert done.returncode == 2 and "Nothing to be done" not in done.stdout + done.stderr
    assert "other bytes under the name the KILT-format sample" in done.stderr and "--relock" in done.stderr


def test_every_command_of_a_rule_is_one_that_glimmer_takes(tmp_path, given, unpinned):
    data, checkpoint = given
    places = (f"results={tmp_path}/results", f"work={tmp_path}/work")
    commands = {}
    for options in (["study=smoke"], ["study=unpinned", f"data={data}", f"checkpoint={checkpoint}"]):
        done = snakemake(
            *("all", "--dry-run", "--nolock", "--printshellcmds", "--quiet", "host", "--config"),
            *(*options, *places),
            cwd=unpinned,
        )
        for line in re.findall(r"glimmer (\S+ .*?) > \S+ 2>&1", done.stdout + done.stderr):
            commands[(line.split()[0], options[0])] = shlex.split(line)
    # The sample takes a subset of its data and its checkpoint's vocabulary; smoke trains one. Two rules of the
    # retriever's world have the commands of others.
    assert len({name for name, _ in commands}) == len(MEASURING) - 2 + 2 + len(SHOWING), sorted(commands)
    refused = [" ".join(words[:3]) + " ..." for words in commands.values() if not _is_taken(words)]
    assert not refused, f"workflow/rules call what `glimmer COMMAND --help` does not offer: {refused}"


def test_over_several_nodes_srun_starts_a_process_of_each_command_that_lies_on_devices(
    tmp_path, published, copy_of_the_code
):
    """Of the published study with devices of four nodes, Figure 2 at one seed; the other commands are one process."""
    study = copy_of_the_code / "config" / "kilt.yaml"
    study.write_text(study.read_text() + "devices: { fsdp: 32 }\n")
    given = [f"{option}={folder}" for option, folder in published.items()]
    places = (f"results={tmp_path}/results", f"work={tmp_path}/work", "artifacts=figure2", "seeds=0", "baselines=[]")
    call = ("all", "--dry-run", "--nolock", "--printshellcmds", "--quiet", "host", "--config", "study=kilt")
    done = snakemake(*call, *given, *places, cwd=copy_of_the_code)
    told = re.findall(r"(?:exec (.*?))?glimmer (\S+ .*?) > \S+ 2>&1", done.stdout + done.stderr)
    launched = [(launch.split(), shlex.split(words)) for launch, words in told]
    step = ["srun", "--nodes=4", "--ntasks=4", "--ntasks-per-node=1", "--gpus-per-node=8"]
    for command in ("train", "remember", "evaluate"):
        of_it = [(launch, words) for launch, words in launched if words[0] == command]
        assert of_it and all(map(_is_taken, (words for _, words in of_it)))
        for launch, words in of_it:
            threads = words[words.index("--threads") + 1]  # of this machine no more than it has
            assert launch == [*step, f"--cpus-per-task={threads}"] and words[-2:] == ["--processes", "slurm"]
    others = {words[0]: launch for launch, words in launched if words[0] not in ("train", "remember", "evaluate")}
    assert "embed" in others and not any(others.values())
    # Without a scheduler that starts them, the same call ends before any work.
    here = snakemake("all", "--cores", "1", "--nolock", "--config", "study=kilt", *given, *places, cwd=copy_of_the_code)
    assert here.returncode == 2 and "those of 4 nodes" in here.stderr, here.stderr[-2000:]


def test_every_stage_of_the_table_has_a_rule_that_takes_what_makes_it_stale_from_there():
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    for name, stage in STAGES.items():
        assert f'layout.at(wildcards).decides("{name}")' in rules, name
        assert f'"glimmer {stage.command} ' in rules, name
    decided = Counter(re.findall(r'decides=lambda wildcards: layout\.at\(wildcards\)\.decides\("(\w+)"\)', rules))
    in_parts = {field.name for field in dataclasses.fields(Parts)}
    # By one job; or by one a part, and one that gathers.
    assert decided == {name: 3 if name in in_parts else 1 for name in STAGES}


@pytest.mark.slow
def test_changed_templates_make_the_vocabulary_stale_and_what_stands_on_it(tmp_path, copy_of_the_code):
    config = ("--config", "study=smoke", f"results={tmp_path}/results", f"work={tmp_path}/work")
    tokens, passages = (str(tmp_path / "work" / "smoke" / name) for name in ("tokens", "passages"))
    done = snakemake(tokens, passages, "--cores", "1", *config, cwd=copy_of_the_code)
    assert done.returncode == 0, done.stderr[-2000:]
    again = snakemake(tokens, passages, "--dry-run", *config, cwd=copy_of_the_code)
    assert "Nothing to be done" in again.stdout + again.stderr
    study = copy_of_the_code / "config" / "embedded.yaml"
    text = study.read_text()
    assert 'question: "{question}"' in text
    study.write_text(text.replace('question: "{question}"', 'question: "frage {question}"'))
    assert planned(tokens, *config, cwd=copy_of_the_code) == {"tokenizer": 1, "tokenize": 1}


def _is_taken(words: list[str]) -> bool:
    try:
        return bool(_parser(words).parse_args(words))
    except SystemExit:
        return False


def test_bad_options_stop_with_one_line_and_code_2():
    done = snakemake("--dry-run", "--nolock", "--config", "study=no-such-study")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "no such study" in line and "smoke" in line], done.stderr


def test_snakefile_stays_under_50_lines():
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 50


def test_rules_are_thin():
    """No run: or script: blocks, and each rule names a log, an environment and one shell command."""
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        text = path.read_text()
        assert not re.search(r"^\s*(run|script):", text, flags=re.M), f"{path.name} holds code that no test reaches"
        for rule in re.split(r"^\s*rule ?(?=\w*:)", text, flags=re.M)[1:]:
            name = rule.split(":")[0] or "without a name of its own"
            parts = ("log:", "conda:", "shell:") + (() if name == "audit" else ("output:",))  # `audit` only tells
            absent = [part for part in parts if part not in rule]
            assert not absent, f"rule {name} in {path.name} lacks {absent}"


def test_rules_that_measure_name_a_benchmark_and_resources():
    text = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    rules = [(rule.split(":")[0], rule) for rule in re.split(r"^\s*rule (?=\w+:)", text, flags=re.M)[1:]]
    named = {name for name, _ in rules}
    assert named >= MEASURING | GATHERING | IN_PARTS
    for name, rule in rules:
        absent = [part for part in ("benchmark:", "resources:", "threads:") if part not in rule]
        assert not absent or name not in MEASURING | GATHERING | IN_PARTS, f"rule {name} lacks {absent}"


@pytest.mark.slow
def test_audit_fails_for_a_run_file_that_cannot_be_trusted_and_names_it(tmp_path):
    places = ("--config", f"results={tmp_path}/results", f"work={tmp_path}/work")
    synthetic.write_study(tmp_path / "results", "smoke", n=5)
    assert snakemake("audit", "--cores", "1", "--nolock", *places).returncode == 0
    bad = next((tmp_path / "results" / "smoke" / "runs").glob("*.json"))
    bad.write_text(bad.read_text().replace('"score": 0.', '"score": 40.'))
    done = snakemake("audit", "--cores", "1", "--nolock", *places)
    assert done.returncode == 1 and f"{bad.name} is left out" in done.stdout, done.stdout
    again = snakemake("audit", "--cores", "1", "--nolock", *places)
    assert again.returncode == 1, "what is recorded fails as often as it is asked for"


@pytest.mark.slow
def test_lint_finds_nothing():
    done = snakemake("--lint")
    assert done.returncode == 0 and "good condition" in done.stdout + done.stderr, done.stdout + done.stderr


def _copying_commands():
    """The shell commands of rules that copy what a stage left to where it is published, by rule file."""
    for file in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for command in re.findall(r'shell:\s+((?:"[^"]*"\s+)+)', file.read_text()):
            words = "".join(re.findall(r'"([^"]*)"', command))
            if "cp " in words:
                output = re.search(r"output\.(\w+)", words).group(1)
                yield pytest.param(words, id=f"{file.stem} {output}")


@pytest.mark.parametrize("command", _copying_commands())
def test_a_copy_that_is_killed_leaves_nothing_under_its_final_name_and_the_next_one_leaves_nothing_else(
    tmp_path, command
):
    source, published, tools = tmp_path / "stage", tmp_path / "published", tmp_path / "tools"
    for directory in (source, published, tools):
        directory.mkdir()
    if "{input.points" in command or "{input.counts" in command:
        source = source / "counts.json"
        source.write_text("{}")
    else:
        for name in ("counts.json", "metrics.json", "reading.json"):
            (source / name).write_text("{}")
    (tools / "cp").write_text(f'#!/bin/bash\n{shutil.which("cp")} "$@"\nkill -9 $PPID\n')
    (tools / "cp").chmod(0o755)
    words = re.sub(r"\{input\.\w+(:q)?\}", str(source), command)
    words = re.sub(r"\{output\.\w+(:q)?\}", str(published / "out"), words).replace("{log:q}", str(tmp_path / "log"))
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    assert subprocess.run(["bash", "-c", words], env=environment).returncode < 0
    assert not (published / "out").exists() and len(list(published.iterdir())) == 1
    assert subprocess.run(["bash", "-c", words]).returncode == 0
    assert [path.name for path in published.iterdir()] == ["out"]
    if command.startswith("rm"):
        assert sorted(path.name for path in (published / "out").iterdir()) == sorted(os.listdir(source))
