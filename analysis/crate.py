"""ro-crate-metadata.json: what lies in a results directory, and what made it, in the words that archives read.

RO-Crate 1.1 with the Workflow Run RO-Crate profiles: the workflow and its configuration (copied beside the results, so
that the directory describes itself wherever it goes), every file with its digest, every run as an action with its
software, its inputs and how long it took. Nobody acts in it and no clock is read: the same results give the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from analysis.names import reader_text
from analysis.sources import existing_results
from glimmer import __version__, experiments
from glimmer.experiments.documents import read_yaml, repository_path
from glimmer.files import atomic_write, canonical_json, existing, sha256_file
from glimmer.results import PAPER, Runs, flat_digests, load_runs

METADATA = "ro-crate-metadata.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
PAPER_URL = "https://arxiv.org/abs/2306.10231"
_CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
_LICENSE = "https://spdx.org/licenses/Apache-2.0"
_AUTHORS = "#authors"
_COPIES = "workflow"  # the folder that keeps the workflow and the configuration
_FORMATS = {
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".csv": "text/csv",
    ".json": "application/json",
    ".html": "text/html",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
}
_DESCRIPTIONS = {
    "audit.json": "What does not add up in these numbers, and the files that they come from, with digests",
    "claims.json": "The paper's checkable sentences, each with a verdict on these numbers",
    "report.html": "One page with everything: verdicts, figures, tables, audit, costs, every run",
    "retrieval.json": "Retrieval metrics of every task",
    "filter.json": "What the relevance filter kept of every task",
    "lengths.json": "What the lengths cut of questions, passages, evidence and answers",
    "reading.json": "How the pretrained initial checkpoint reads, on worlds that it was not trained on",
    "kilt-check.json": "What KILT's own package makes of the runs' guess files, where it was asked later",
    "points.csv": "Every number that the paper reports in a figure or table",
    "runs/SHA256SUMS": "Digests of the run files as they were measured",
}


def build(name: str, results: Path, workflow: Path) -> dict[str, Any]:
    """The record of `results`/<name> (a study, or the paper) as JSON; copies `workflow` and the study's configuration
    there. Raises InputError for an unknown study, or where there is no such directory."""
    directory = existing_results(results / name)
    main, configurations = _keep(name, directory, workflow)
    runs = Runs(by_id={}) if name == PAPER else load_runs(directory)
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(_CONTEXT)
    _root(crate, name)
    files = {
        path: crate.add_file(directory / path, path, properties=_file(directory / path, path, runs))
        for path in _files(directory)
        if path != main
    }
    properties = _file(directory / main, main, runs) | {"version": __version__}
    files[main] = crate.add_workflow(directory / main, main, main=True, lang="snakemake", properties=properties)
    software = {id: _software(crate, run) for id, run in runs.by_id.items()}
    inputs = {id: _inputs(crate, digests) for id, run in runs.by_id.items() if (digests := _mapping(run, "digests"))}
    given = [files[path] for path in configurations]
    crate.mainEntity["softwareRequirements"] = [_project(crate), *dict.fromkeys(software.values())]
    made = [file for path, file in files.items() if path not in (main, "points.csv", *configurations)]
    actions = [
        _act(
            crate,
            "#workflow",
            instrument=crate.mainEntity,
            name="The paper's numbers, drawn and audited" if name == PAPER else f"The study {name}, corpus to report",
            description=f"snakemake {'report' if name == PAPER else f'--config study={name}'}",
            object=[*given, *([files["points.csv"]] if "points.csv" in files else []), *dict.fromkeys(inputs.values())],
            result=made,
        )
    ]
    for id, run in runs.by_id.items():
        actions.append(
            _act(
                crate,
                f"#run-{id}",
                instrument=software[id],
                name=f"Train and evaluate {reader_text(run['settings'])}, seed {run['settings'].get('seed')}",
                description=f"Settings and scores: runs/{id}.json. Device: {canonical_json(_mapping(run, 'device'))}.",
                object=[*given, *([inputs[id]] if id in inputs else [])],
                result=[files[f"runs/{id}.json"]],
                resourceUsage=_seconds(crate, id, _mapping(run, "wall_seconds")),
            )
        )
    crate.root_dataset["mentions"] = actions
    return _in_order(crate.metadata.generate())


def _keep(name: str, directory: Path, workflow: Path) -> tuple[str, list[str]]:
    """Copies the workflow, and the study's file with those it is `like`; returns their paths in the directory."""
    configurations = [] if name == PAPER else experiments.study_files(experiments.load_study(name).source)
    sources = [existing(workflow), *configurations]
    shutil.rmtree(directory / _COPIES, ignore_errors=True)
    for source in sources:
        with atomic_write(directory / _COPIES / source.name, "wb") as file:
            file.write(source.read_bytes())
    workflow_copy, *configuration_copies = [f"{_COPIES}/{source.name}" for source in sources]
    return workflow_copy, configuration_copies


def _files(directory: Path) -> list[str]:
    """Everything in the directory but this record and hidden files, as relative paths."""
    paths = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path.as_posix() != METADATA and not _is_hidden(path))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _file(path: Path, name: str, runs: Runs) -> dict[str, Any]:
    """What is said of one file: what it is, its format, size in bytes and digest."""
    properties = {
        "name": name,
        "encodingFormat": _FORMATS.get(path.suffix, "text/plain"),
        "contentSize": str(path.stat().st_size),
        "sha256": sha256_file(path),
    }
    description = _description(path, name, runs)
    return properties | ({"description": description} if description else {})


def _description(path: Path, name: str, runs: Runs) -> str:
    if name in _DESCRIPTIONS:
        return _DESCRIPTIONS[name]
    folder, artifacts = name.split("/")[0], experiments.load_registry().artifacts
    if folder in ("figures", "tables") and path.stem in artifacts:
        kind = "The points drawn in" if folder == "figures" else "The numbers of"
        return f"{kind} {artifacts[path.stem].title}" if path.suffix == ".csv" else artifacts[path.stem].title
    if folder == "runs":
        reasons = {refused.file: refused.reason for refused in runs.refused}
        return f"Not used: {reasons[path.name]}" if path.name in reasons else "What one run measured, and how"
    return ""


def _root(crate: ROCrate, name: str) -> None:
    """What the whole is: names, licence, profiles. The date is the release's: no other is known without a clock."""
    citation = read_yaml(repository_path("CITATION.cff"))
    study = None if name == PAPER else experiments.load_study(name)
    for id, (title, version) in PROFILES.items():
        crate.add(ContextEntity(crate, id, properties={"@type": "CreativeWork", "name": title, "version": version}))
    crate.add(
        ContextEntity(crate, _LICENSE, properties={"@type": "CreativeWork", "name": "Apache License 2.0"}),
        ContextEntity(
            crate,
            PAPER_URL,
            properties={"@type": "ScholarlyArticle", "name": citation["references"][0]["title"]},
        ),
        ContextEntity(crate, _AUTHORS, properties={"@type": "Organization", "name": citation["authors"][0]["name"]}),
    )
    said = {
        "name": f"GLIMMER, reproduced: {study.title if study else 'what the paper reports'}",
        "description": study.description
        if study
        else "Every number of the paper's figures and tables, drawn and audited.",
        "datePublished": citation["date-released"],
        "version": __version__,
        "author": {"@id": _AUTHORS},
        "license": {"@id": _LICENSE},
        "citation": {"@id": PAPER_URL},
        "conformsTo": [{"@id": id} for id in PROFILES],
    }
    for key, value in said.items():
        crate.root_dataset[key] = value


def _project(crate: ROCrate) -> ContextEntity:
    return _entity(crate, f"#glimmer-{__version__}", "SoftwareApplication", name="glimmer", softwareVersion=__version__)


def _software(crate: ROCrate, run: Mapping[str, Any]) -> ContextEntity:
    """The code that made one run, in the state it says, on the libraries it says."""
    code, versions = run.get("code_version") or "unknown", _mapping(run, "versions")
    libraries = [
        _entity(crate, f"#{name}-{version}", "SoftwareApplication", name=name, softwareVersion=version)
        for name, version in sorted(versions.items())
    ]
    id = f"#glimmer-{code}-on-{_short_digest(versions)}"
    return _entity(
        crate, id, "SoftwareApplication", name="glimmer", softwareVersion=code, softwareRequirements=libraries
    )


def _inputs(crate: ROCrate, digests: Mapping[str, Any]) -> ContextEntity:
    """What a run was computed from. It lies elsewhere (it is large), so only names and digests are given."""
    parts = [
        _entity(
            crate, f"#input-{name}-{digest[:12]}", "CreativeWork", name=name, sha256=digest, description="not included"
        )
        for name, digest in flat_digests(digests)
    ]
    return _entity(crate, f"#inputs-{_short_digest(digests)}", "Collection", name="Inputs, by digest", hasPart=parts)


def _seconds(crate: ROCrate, run: str, wall_seconds: Mapping[str, float]) -> list[ContextEntity]:
    """How long the parts of a run took (no start and no end is on record)."""
    unit = {"unitCode": "SEC", "unitText": "seconds of wall time"}
    return [
        _entity(crate, f"#run-{run}-{part}", "PropertyValue", name=part, value=f"{seconds:.3f}", **unit)
        for part, seconds in sorted(wall_seconds.items())
        if isinstance(seconds, int | float)
    ]


def _act(crate: ROCrate, id: str, *, instrument: Any, **properties: Any) -> ContextEntity:
    status = {"actionStatus": "http://schema.org/CompletedActionStatus"}
    given = {key: value for key, value in properties.items() if value}
    return _entity(crate, id, "CreateAction", instrument=instrument, **given, **status)


def _entity(crate: ROCrate, id: str, kind: str, **properties: Any) -> ContextEntity:
    """The entity of that id, made if there is none yet."""
    return crate.get(id) or crate.add(ContextEntity(crate, id, properties={"@type": kind, **properties}))


def _mapping(run: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What a run file says under a key, where it says anything of use."""
    value = run.get(key)
    return value if isinstance(value, Mapping) else {}


def _short_digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:8]


def _in_order(document: dict[str, Any]) -> dict[str, Any]:
    """With the record itself and the root first, the rest by id; a list of one is that one, as RO-Crate prefers."""
    first = {METADATA: 0, "./": 1}
    graph = sorted(document["@graph"], key=lambda entity: (first.get(entity["@id"], len(first)), entity["@id"]))
    return document | {"@graph": [{key: _single(value) for key, value in entity.items()} for entity in graph]}


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
