"""What `python -m tests.faults.kills` would find: each fault is planted in invented directories, and nothing is run."""

import base64
import json
import os
import random
import shutil
import time
from pathlib import Path

import pytest
import tensorstore

from glimmer.files import sealed_directory, write_json
from tests.faults import kills
from tests.faults.comparison import Job, begun_since, compare, contents, finished, jobs_of, made_again, torn

JOBS = [
    Job("chunk", ("work/smoke/passages",), 3.0),
    Job("evaluate", ("results/smoke/runs/aaaaaaaaaaaa.json",), 8.0),
    Job("figure2", ("results/smoke/figures/figure2.csv", "results/smoke/figures/figure2.svg"), 2.0),
]
CHECKPOINT = "work/smoke/runs/aaaaaaaaaaaa/trained/last/6/default"


def study(place: Path, seconds: float = 1.0) -> Path:
    """A study that has ended, with a file of each kind; what is of the clock differs with `seconds`."""
    with sealed_directory(place / "work/smoke/passages") as passages:
        (passages / "passages.jsonl").write_text('{"title": "Ada"}\n')
        write_json(passages / "meta.json", {"passages": 1, "seconds": seconds})
    write_json(place / JOBS[1].outputs[0], {"scores": [0.25], "wall_seconds": {"train": seconds}, "of": str(place)})
    for name in JOBS[2].outputs:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(f"drawn of {place}\n")
    checkpoint(place / CHECKPOINT, {"kernel": b"weights"})
    write_json(place / "results/smoke/audit.json", {"findings": [], "runs": [{"sha256": f"of {seconds}"}]})
    (place / "work/smoke/logs").mkdir()
    (place / "work/smoke/logs/chunk.log").write_text(f"{seconds} seconds\n")
    (place / "work/smoke/runs/aaaaaaaaaaaa/training.lock").write_text(f"host {seconds}")
    return place


def checkpoint(directory: Path, values: dict[str, bytes]) -> None:
    """Values as a checkpoint has them: in files whose names are drawn."""
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{directory}/"}).result()
    for key, value in values.items():
        store.write(key, value).result()


def record(records: Path, place: Path, job: Job, starttime: float = 100.0, *, running: bool = False) -> None:
    """Has Snakemake's records say that a job has ended, or runs."""
    for name in job.outputs:
        spelt = base64.urlsafe_b64encode(str(place / name).encode()).decode()
        parts = ["@" + spelt[:40], spelt[40:]]  # as it spells a name that is too long for one file
        file = records.joinpath("incomplete" if running else "metadata", *parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"rule": job.rule, "log": [f"{job.rule}.log"], "starttime": starttime,
                                    "endtime": starttime + job.seconds}))  # fmt: skip


@pytest.fixture
def ended(tmp_path):
    """The place of a study that has ended, and Snakemake's records of it."""
    place, records = study(tmp_path / "pass-0"), tmp_path / "records"
    for order, job in enumerate(JOBS):
        record(records, place, job, 100.0 + order)
    return place, records


def test_two_undisturbed_studies_are_the_same_but_for_the_clock_and_where_they_lie(tmp_path):
    one, two = study(tmp_path / "one", 1.0), study(tmp_path / "another", 2.0)
    (two / "work/smoke/logs/again.log").touch()
    assert compare(contents(one), contents(two)).lines == []


@pytest.mark.parametrize(
    "name",
    [
        "work/smoke/passages/passages.jsonl",
        "work/smoke/passages/meta.json",
        "results/smoke/runs/aaaaaaaaaaaa.json",
        "results/smoke/figures/figure2.svg",
        "results/smoke/audit.json",
    ],
)
def test_a_planted_byte_is_found(tmp_path, name):
    one, two = study(tmp_path / "one"), study(tmp_path / "two")
    file = two / name
    file.write_bytes(file.read_bytes().replace(b"a", b"e", 1))
    assert f"other: {name}" in compare(contents(one), contents(two)).lines


def test_a_byte_under_a_seal_is_found_twice(tmp_path):
    one, two = study(tmp_path / "one"), study(tmp_path / "two")
    write_json(two / "work/smoke/passages/meta.json", {"passages": 2, "seconds": 1.0})
    found = compare(contents(one), contents(two)).other
    assert found == ("work/smoke/passages/.sealed.json", "work/smoke/passages/meta.json")


def test_another_value_of_a_checkpoint_is_found_whatever_its_files_are_named(tmp_path):
    one, two = study(tmp_path / "one"), study(tmp_path / "two")
    assert compare(contents(one), contents(two)).lines == []
    shutil.rmtree(two / CHECKPOINT)
    checkpoint(two / CHECKPOINT, {"kernel": b"weightz"})
    assert compare(contents(one), contents(two)).lines == [f"other: {CHECKPOINT}/manifest.ocdbt"]


@pytest.mark.parametrize(
    "name",
    [
        "work/smoke/.passages.k3j5h7g9/passages.jsonl",
        "results/smoke/runs/.aaaaaaaaaaaa.json.k3j5h7g9",
        "work/smoke/runs/aaaaaaaaaaaa/checkpoints/latest/3/state",
    ],
)
def test_a_planted_leftover_is_found_and_so_is_a_file_that_is_gone(tmp_path, name):
    one, two = study(tmp_path / "one"), study(tmp_path / "two")
    (two / name).parent.mkdir(parents=True, exist_ok=True)
    (two / name).touch()
    assert compare(contents(one), contents(two)).lines == [f"left: {name}"]
    assert compare(contents(two), contents(one)).lines == [f"gone: {name}"]


def test_jobs_are_read_from_the_records_in_order_of_start(ended, tmp_path):
    place, records = ended
    record(records, tmp_path / "pass-1", Job("other", ("results/x",), 1.0), 50.0)
    assert jobs_of(records, place) == JOBS


def test_a_call_that_does_nothing_repeats_nothing(ended):
    place, records = ended
    before = finished(JOBS, records, place)
    assert before.keys() == {name for job in JOBS for name in job.outputs}
    assert made_again(before, finished(JOBS, records, place)) == []


def again(place: Path, records: Path) -> None:
    (place / JOBS[0].outputs[0] / "meta.json").write_text('{"passages": 1, "seconds": 1.0}')


def replaced(place: Path, records: Path) -> None:
    """Another file of the same bytes and times."""
    file = place / JOBS[0].outputs[0] / "meta.json"
    stat = file.stat()
    copy = file.with_name("copy")
    shutil.copyfile(file, copy)
    os.replace(copy, file)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def begun_again(place: Path, records: Path) -> None:
    record(records, place, JOBS[0], running=True)


def recorded_again(place: Path, records: Path) -> None:
    record(records, place, JOBS[0], 200.0)


def removed(place: Path, records: Path) -> None:
    shutil.rmtree(place / JOBS[0].outputs[0])


@pytest.mark.parametrize("planted", [again, replaced, begun_again, recorded_again, removed])
def test_a_finished_stage_that_is_made_again_is_found(ended, planted):
    place, records = ended
    before = finished(JOBS, records, place)
    planted(place, records)
    assert made_again(before, finished(JOBS, records, place)) == ["work/smoke/passages"]


def test_a_job_that_was_killed_may_be_made_again_with_all_its_outputs(ended):
    place, records = ended
    half = Job(JOBS[2].rule, JOBS[2].outputs[1:], JOBS[2].seconds)
    record(records, place, half, running=True)
    before = finished(JOBS, records, place)
    assert before.keys() == {*JOBS[0].outputs, *JOBS[1].outputs}
    (place / JOBS[2].outputs[0]).write_text("drawn anew")
    assert made_again(before, finished(JOBS, records, place)) == []


def test_a_record_that_was_half_written_is_of_no_finished_job(ended):
    place, records = ended
    for file in records.rglob("*"):
        if file.is_file():
            file.write_text(file.read_text()[:20])
    assert finished(JOBS, records, place) == {}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.rule)
def test_half_a_file_under_its_final_name_is_found_and_a_whole_one_is_none(ended, tmp_path, job):
    place, records = ended
    whole = study(tmp_path / "whole", 2.0)
    record(records, place, job, running=True)
    before = finished(JOBS, records, place)
    assert torn(JOBS, before, whole, place) == []
    name = job.outputs[0]
    file = place / name / "passages.jsonl" if job.rule == "chunk" else place / name
    file.write_bytes(file.read_bytes()[:5])
    assert torn(JOBS, before, whole, place) == [name]


def test_what_ran_when_a_call_was_killed_is_what_began_in_it(ended):
    place, records = ended
    record(records, place, JOBS[0], running=True)
    since = time.time() + 1
    record(records, place, JOBS[1], running=True)
    for file in (records / "incomplete").rglob("*"):
        os.utime(file, (since + 1, since + 1)) if "evaluate" in _text(file) else None
    assert begun_since(records, place, since).keys() == set(JOBS[1].outputs)


def _text(file: Path) -> str:
    return file.read_text() if file.is_file() else ""


def test_each_of_the_next_jobs_is_aimed_at_and_snakemake_itself():
    aims = [kills._aim(random.Random(f"0 {n}"), JOBS, JOBS[1:], {}) for n in range(100)]
    assert {aim.job and aim.job.rule for aim in aims} == {None, "evaluate", "figure2"}
    assert all(0 <= aim.after <= (aim.job.seconds if aim.job else 8.0) for aim in aims)


def test_a_rule_that_was_aimed_at_often_enough_is_left_to_its_end():
    often = {"chunk": kills.PER_PASS, kills.ALONE: kills.PER_PASS}
    aims = [kills._aim(random.Random(f"0 {n}"), JOBS, JOBS[:2], often) for n in range(100)]
    assert {aim.job.rule for aim in aims} == {"evaluate"}
    assert kills._aim(random.Random("0"), JOBS, JOBS[:1], often) is None


class _Invented:
    """A call that has Snakemake's records change while it is waited for, and ends after 200 waits."""

    def __init__(self, changes):
        self.changes, self.waits = changes, 0

    def wait(self, seconds):
        self.changes.get(self.waits, lambda: None)()
        self.waits += 1
        return 0 if self.waits > 200 else None


def test_a_call_is_killed_when_its_job_has_run_so_long_or_has_ended_before(ended, monkeypatch):
    place, records = ended
    monkeypatch.setattr(kills, "RECORDS", records)
    begun = time.time() - 1
    begins = {20: lambda: record(records, place, JOBS[0], running=True)}
    ends = {40: lambda: shutil.rmtree(records / "incomplete")}
    at_once, later = kills.Aim(JOBS[0], 0.0), kills.Aim(JOBS[0], 1000.0)
    for aim, changes, waits, code in [
        (at_once, begins, 21, None),
        (later, begins | ends, 41, None),
        (later, begins, 201, 0),
        (None, begins, 201, 0),
    ]:
        shutil.rmtree(records / "incomplete", ignore_errors=True)
        call = _Invented(changes)
        assert kills._until(call, aim, place, begun, begun + 2000) == code
        assert call.waits == waits


def test_kills_go_on_from_the_lines_that_are_there(tmp_path):
    log = tmp_path / "kills.jsonl"
    lines = [{"pass": 0, "killed": ["chunk"], "again": [], "torn": []}, {"pass": 0, "ended": True, "again": []}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert kills._lines(log) == lines
    assert not kills._is_done(lines, 2, tmp_path) and kills._is_done(lines, 1, tmp_path)
    kills._place(lines, tmp_path).mkdir()  # killed once more, and there were enough: it is brought to its end
    assert not kills._is_done(lines, 1, tmp_path)
    assert kills._place(lines, tmp_path) == tmp_path / "pass-1"


@pytest.mark.parametrize("key", kills.FAULTS)
def test_every_kind_of_fault_is_counted_and_fails_the_command(key, capsys):
    lines = [{"pass": 0, "killed": ["chunk", "tokenizer"], "again": [], "torn": []}, {"pass": 0, "ended": True}]
    assert kills._summary(lines) == 0
    assert "1 kills in 1 passes that were brought to their end; 0 faults" in capsys.readouterr().out
    assert kills._summary([*lines, {"pass": 1, key: ["work/smoke/passages"]}]) == 1
    assert "1 faults\npass 1: " + key in capsys.readouterr().out
