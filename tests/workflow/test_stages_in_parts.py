"""A stage in parts, as Snakemake plans it and does it: a job a part, one that gathers, the same files."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from glimmer.errors import InputError
from glimmer.experiments import load_study
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
