"""A stage in parts, as Snakemake plans it and does it: a job a part, one that gathers, the same files."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from glimmer.errors import InputError
from glimmer.experiments import load_study, runs_for
from glimmer.files import write_json_lines
from tests.test_parts import contents
from tests.workflow.test_snakefile import GATHERING, MEASURING, _is_taken, job_counts, snakemake
from workflow.layout import Layout

PARTS = {"chunk": 3, "tokenize": 2, "embed": 3}


def in_parts(copy: Path, **parts: int) -> Path:
    """A checkout whose smoke study has stages in parts."""
    study = copy / "config" / "smoke.yaml"
    stated = yaml.safe_load(study.read_text()) | {"parts": parts}
    study.write_text(yaml.safe_dump(stated))
    return copy


def test_a_stage_in_parts_is_a_job_a_part_and_one_that_gathers(tmp_path, copy_of_the_code):
    """And each calls a command that glimmer takes; all else is once, as without parts."""
    call = ("all", "--dry-run", "--nolock", "--printshellcmds", "--quiet", "host", "--config", "study=smoke")
    places = (f"results={tmp_path}/results", f"work={tmp_path}/work")
    done = snakemake(*call, *places, cwd=in_parts(copy_of_the_code, **PARTS))
    jobs = job_counts(done.stdout + done.stderr)
    once = MEASURING - {"train", "evaluate"} - set(PARTS)
    expected = dict.fromkeys(once, 1) | PARTS | dict.fromkeys(GATHERING, 1)
    assert {rule: jobs.get(rule) for rule in expected} == expected
    words = [shlex.split(line) for line in re.findall(r"glimmer (\S+ .*?) > \S+ 2>&1", done.stdout + done.stderr)]
    for stage, of in PARTS.items():
        told = [command for command in words if command[0] == stage and {"--part", "--gather"} & set(command)]
        asked = sorted(command[command.index("--part") + 1] for command in told if "--part" in command)
        assert asked == [f"{number}/{of}" for number in range(1, of + 1)]
        assert [command[command.index("--gather") + 1] for command in told if "--gather" in command] == [str(of)]
        assert all(map(_is_taken, told)) and len({command[command.index("--out") + 1] for command in told}) == 1


def test_the_memory_of_each_reader_that_has_some_is_made_by_as_many_jobs_before_it_answers(tmp_path, published):
    """Of the published study as it stands, Figure 2 at one seed; FiD stores nothing."""
    given = [f"{option}={folder}" for option, folder in published.items()]
    places = (f"results={tmp_path}/results", f"work={tmp_path}/work", "artifacts=figure2", "seeds=0", "baselines=[]")
    call = ("all", "--dry-run", "--nolock", "--printshellcmds", "--quiet", "host", "--config", "study=kilt")
    done = snakemake(*call, *given, *places)
    study = load_study("kilt", {"artifacts": ["figure2"], "seeds": [0], "baselines": []})
    of, runs = study.parts.remember, runs_for(study)
    storing = {id for id, run in runs.items() if run.reader.name != "fid"}
    assert of > 1 and 0 < len(storing) < len(runs)
    told = done.stdout + done.stderr
    assert job_counts(told)["remember"] == of * len(storing)
    words = [shlex.split(line) for line in re.findall(r"glimmer (remember .*?) > \S+ 2>&1", told)]
    assert all(map(_is_taken, words))
    assert sorted((command[command.index("--run") + 1], command[command.index("--part") + 1]) for command in words) == [
        (id, f"{number}/{of}") for id in sorted(storing) for number in range(1, of + 1)
    ]
    inputs = dict(re.findall(r"rule evaluate:\n    input: (.*)\n    output: \S+/(\w+)\.json", told))
    waits = {
        id
        for files, id in inputs.items()
        if all(f"/runs/{id}/memory.parts/{n + 1}-of-{of}" in files for n in range(of))
    }
    assert set(inputs.values()) == set(runs) and waits == storing


def test_a_gzip_that_is_to_be_chunked_in_parts_stops_the_call_before_any_work(given):
    data, checkpoint = given
    (data / "knowledge_source.jsonl").unlink()
    write_json_lines(data / "knowledge_source.jsonl.gz", [{"_id": "1", "text": ["A"]}])
    study = {
        "results": str(data.parent / "results"),
        "data": data,
        "initial": checkpoint,
        "data.sha256": None,
        "initial.sha256": None,
        "data.subset": None,
    }
    Layout(study=load_study("sample", study), draws_only=False).check_inputs()
    with pytest.raises(InputError, match=r"knowledge_source\.jsonl\.gz: a gzip cannot be read in parts"):
        Layout(study=load_study("sample", study | {"parts.chunk": 2}), draws_only=False).check_inputs()


@pytest.mark.slow
def test_what_is_made_in_parts_is_the_same_and_not_made_again(tmp_path, copy_of_the_code):
    names, made = ["passages", "tokens"], []
    for parts in ({}, PARTS):
        work = tmp_path / f"work-{len(made)}"
        targets = [str(work / "smoke" / name) for name in names]
        config = ("--config", "study=smoke", f"results={tmp_path}/results", f"work={work}")
        checkout = in_parts(copy_of_the_code, **parts)
        done = snakemake(*targets, "--cores", "1", *config, cwd=checkout)
        assert done.returncode == 0, done.stderr[-2000:]
        again = snakemake(*targets, "--dry-run", *config, cwd=checkout)
        assert "Nothing to be done" in again.stdout + again.stderr
        assert not list(work.rglob("*.parts")), "parts, and what says that they are done, go"
        made.append({name: contents(work / "smoke" / name) for name in names})
    assert made[0] == made[1]
