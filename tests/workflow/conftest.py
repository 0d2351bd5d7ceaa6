"""What a user gives to a study of real data: a small data folder, and a checkpoint folder that tells the right size."""

from pathlib import Path

import pytest
import yaml

from glimmer.experiments import load_study
from glimmer.files import write_json, write_json_lines
from glimmer.models.config import t5_1_1_base, t5_1_1_large, t5_1_1_small, t5_1_1_xxl, to_hugging_face


@pytest.fixture
def given(tmp_path) -> tuple[Path, Path]:
    """(data, checkpoint) folders."""
    data, checkpoint = tmp_path / "data", tmp_path / "checkpoint"
    write_json_lines(data / "knowledge_source.jsonl", [{"_id": "1", "wikipedia_title": "A", "text": ["A"]}])
    for task in load_study("sample").tasks:
        for split in ("train", "dev"):
            write_json_lines(data / f"{task}-{split}-kilt.jsonl", [{"id": f"{task}-{split}", "input": "?"}])
    write_json(checkpoint / "config.json", to_hugging_face(t5_1_1_small()))
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    write_json(checkpoint / "tokenizer.json", {})
    return data, checkpoint


@pytest.fixture
def published(tmp_path):
    """Option -> a folder as published: KILT's own file names, T5.1.1-Large and -XXL, GTR (but for the weights)."""
    folders = {name: tmp_path / name for name in ("data", "checkpoint", "checkpoint_xxl", "retriever")}
    write_json_lines(
        folders["data"] / "kilt_knowledgesource.json", [{"_id": "1", "wikipedia_title": "A", "text": ["A"]}]
    )
    for task in load_study("kilt").tasks:
        name = "structured_zeroshot" if task == "zsre" else task
        for split in ("train", "dev"):
            write_json_lines(folders["data"] / f"{name}-{split}-kilt.jsonl", [{"id": "1", "input": "?"}])
    configs = {"checkpoint": t5_1_1_large(), "checkpoint_xxl": t5_1_1_xxl(), "retriever": t5_1_1_base()}
    for name, config in configs.items():
        write_json(folders[name] / "config.json", to_hugging_face(config))
        (folders[name] / "model.safetensors").write_bytes(b"weights")
        write_json(folders[name] / "tokenizer.json", {})
    write_json(folders["retriever"] / "modules.json", [])
    return folders


@pytest.fixture
def unpinned(copy_of_the_code) -> Path:
    """A checkout with the study `unpinned`: a part of the sample without any sha256, so that any files will do."""
    subset = {"train_examples": 600, "dev_examples": 200, "distractor_pages": 6000}
    stated = {"like": "sample", "name": "unpinned", "data": {"sha256": None, "subset": subset}}
    initial = {"kind": "checkpoint", "release": "a checkpoint", "directory": None, "sha256": None}
    text = yaml.safe_dump(stated | {"initial": initial})
    (copy_of_the_code / "config" / "unpinned.yaml").write_text(text)
    return copy_of_the_code
