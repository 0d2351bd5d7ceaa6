"""Reading config/: a digest of what a document says, and numbers as people write them."""

import pytest

from glimmer.experiments import config_digest
from glimmer.experiments.documents import yaml_value
from glimmer.experiments.study import parse_overrides


def test_the_digest_of_the_claims_is_of_what_they_say(tmp_path, monkeypatch):
    (tmp_path / "experiments.yaml").write_text("")
    monkeypatch.setattr("glimmer.experiments.documents.repository_path", lambda name: tmp_path / "experiments.yaml")
    assert config_digest("claims") is None
    digests = []
    for text in ("claims:\n  - {id: a, tolerance: 1}\n", "# why\nclaims: [{tolerance: 1, id: a}]", "claims: [{id: b}]"):
        (tmp_path / "claims.yaml").write_text(text)
        digests.append(config_digest("claims"))
    assert digests[0] == digests[1] != digests[2] and len(digests[0]) == 12


@pytest.mark.parametrize("text", ["1e-3", "2E5", "-3e+2", "1.5e-3", ".5", "7"])
def test_a_number_is_a_number_however_it_is_spelled(text):
    assert yaml_value(f"a: [{text}]") == {"a": [float(text)]}
    assert parse_overrides([f"training.learning_rate={text}"]) == {"training.learning_rate": float(text)}


@pytest.mark.parametrize("text", ["e3", "1e", "12e3x", "v1e3"])
def test_what_is_no_number_stays_text(text):
    assert yaml_value(text) == text
