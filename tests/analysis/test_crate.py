"""The research-object record: every file in it is there with its digest, and the same results give the same bytes."""

import json
import shutil
from pathlib import Path

import pytest
from rocrate.rocrate import ROCrate

from analysis import crate
from glimmer.cli import main
from glimmer.files import sha256_file
from glimmer.results import load_results

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted(path.parent for path in (ROOT / "results").glob("*/ro-crate-metadata.json"))


def write(results, *names):
    sources = [word for name in names for word in (["--paper"] if name == "paper" else ["--study", name])]
    assert main(["crate", *sources, "--results", str(results)]) == 0
    return [(results / name / crate.METADATA).read_bytes() for name in names]


def entities(directory, kind):
    return [e for e in ROCrate(directory).get_entities() if kind in ([e.type] if isinstance(e.type, str) else e.type)]


def several(entity, key):
    """The values of a property, of which a single one stands without a list."""
    value = entity[key]
    return value if isinstance(value, list) else [value]


def check_files(directory):
    """Every File is there as described, and every file is described."""
    files = entities(directory, "File")
    for file in files:
        path = directory / file.id
        assert path.is_file() and file["sha256"] == sha256_file(path), f"{path}: `snakemake crate` is due"
        assert file["contentSize"] == str(path.stat().st_size)
    present = {p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file()} - {crate.METADATA}
    assert {file.id for file in files} == present


@pytest.mark.parametrize("directory", COMMITTED, ids=lambda path: path.name)
def test_the_committed_records_are_those_of_the_committed_files(directory):
    check_files(directory)


def test_every_committed_result_has_a_record():
    studies = {path.parent.parent for path in (ROOT / "results").glob("*/runs/*.json")} | {ROOT / "results" / "paper"}
    assert studies <= set(COMMITTED), "`snakemake crate` is due"


@pytest.mark.parametrize("name", ["smoke", "paper"])
def test_every_file_is_described_with_its_digest(drawn, tmp_path, name):
    shutil.copytree(drawn / name, tmp_path / name)
    write(tmp_path, name)
    check_files(tmp_path / name)
    assert len(entities(tmp_path / name, "File")) > 27


@pytest.mark.parametrize("name", ["smoke", "paper"])
def test_the_profiles_of_workflow_runs_are_conformed_to(drawn, tmp_path, name):
    shutil.copytree(drawn / name, tmp_path / name)
    write(tmp_path, name)
    read = ROCrate(tmp_path / name)
    assert {"@id": "https://w3id.org/ro/crate/1.1"} in read.metadata.properties()["conformsTo"]
    assert [profile.id for profile in read.root_dataset["conformsTo"]] == list(crate.PROFILES)
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} == set(read.mainEntity.type)
    assert read.mainEntity.id == "workflow/Snakefile"
    root = read.root_dataset
    assert root["name"] and root["description"] and root["datePublished"] and root["license"].type == "CreativeWork"
    whole = [action for action in several(root, "mentions") if action["instrument"] == read.mainEntity]
    assert len(whole) == 1 and whole[0].type == "CreateAction" and whole[0]["result"]


def test_every_run_is_an_action_with_software_inputs_duration_and_result(results):
    write(results, "smoke")
    runs = load_results("smoke", results).runs.by_id
    actions = {a.id: a for a in ROCrate(results / "smoke").root_dataset["mentions"]}
    assert set(actions) == {"#workflow", *(f"#run-{id}" for id in runs)}
    for id, run in runs.items():
        action = actions[f"#run-{id}"]
        assert action["instrument"]["softwareVersion"] == run["code_version"]
        libraries = {one["name"]: one["softwareVersion"] for one in action["instrument"]["softwareRequirements"]}
        assert libraries == run["versions"]
        assert [file.id for file in several(action, "result")] == [f"runs/{id}.json"]
        assert {one["name"]: float(one["value"]) for one in action["resourceUsage"]} == run["wall_seconds"]
        (inputs,) = [entity for entity in action["object"] if entity.type == "Collection"]
        assert run["digests"]["data"]["nq-dev-kilt.jsonl"] in {part["sha256"] for part in inputs["hasPart"]}
        assert "agent" not in action


@pytest.mark.parametrize("name", ["smoke", "paper"])
def test_every_reference_leads_to_an_entity(results, name):
    (record,) = write(results, name)
    graph = json.loads(record)["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph), "an id stands twice"

    def references(value):
        if isinstance(value, dict):
            yield from [value["@id"]] if set(value) == {"@id"} else references(list(value.values()))
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    named = {id for entity in graph for id in references(list(entity.values()))}
    assert {id for id in named - known if not id.startswith("https://")} == set()
    assert {*crate.PROFILES, crate.PAPER_URL} <= named & known


def test_the_same_results_give_the_same_bytes_wherever_they_lie(results, tmp_path_factory):
    other = Path(shutil.copytree(results, tmp_path_factory.mktemp("elsewhere") / "other"))
    first = write(results, "smoke", "paper")
    assert first == write(results, "smoke", "paper") == write(other, "smoke", "paper")
    assert str(results).encode() not in first[0]


def test_a_changed_run_file_changes_the_record(results):
    (before,) = write(results, "smoke")
    path = sorted((results / "smoke" / "runs").glob("*.json"))[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"wall_seconds": {"train": 99}}))
    (after,) = write(results, "smoke")
    assert before != after and b'"99.000"' in after


def test_a_refused_run_file_is_described_as_not_used_and_has_no_action(results):
    path = sorted((results / "smoke" / "runs").glob("*.json"))[0]
    path.write_text("{}")
    write(results, "smoke")
    check_files(results / "smoke")
    read = ROCrate(results / "smoke")
    assert read.get(f"runs/{path.name}")["description"].startswith("Not used: ")
    assert read.get(f"#run-{path.stem}") is None


def test_a_study_that_is_like_another_keeps_both_configurations(results):
    (results / "sample-gpu").mkdir()
    write(results, "sample-gpu")
    assert {p.name for p in (results / "sample-gpu" / "workflow").iterdir()} == {
        "Snakefile", "sample.yaml", "sample-gpu.yaml",
    }  # fmt: skip


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert main(["crate", "--study", "nonsense", "--results", str(tmp_path)]) == 2
    assert main(["crate", "--study", "smoke", "--results", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
