"""What a user gives to the sample study: an empty data folder, and a checkpoint folder that tells the right size."""

from pathlib import Path

import pytest

from glimmer.files import write_json
from glimmer.models.config import t5_1_1_small, to_hugging_face


@pytest.fixture
def given(tmp_path) -> tuple[Path, Path]:
    """(data, checkpoint) folders."""
    data, checkpoint = tmp_path / "data", tmp_path / "checkpoint"
    data.mkdir(), checkpoint.mkdir()
    write_json(checkpoint / "config.json", to_hugging_face(t5_1_1_small()))
    return data, checkpoint
