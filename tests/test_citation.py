"""CITATION.cff: what the Citation File Format 1.2.0 asks for, and that it agrees with the package."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from glimmer import __version__

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = {"cff-version", "message", "title", "authors"}
KEYS = REQUIRED | {
    "abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url",
    "preferred-citation", "references", "repository", "repository-artifact", "repository-code", "type", "url",
    "version",
}  # fmt: skip
PERSON = {"family-names", "given-names", "name-particle", "name-suffix", "alias", "orcid", "affiliation", "email"}


@pytest.fixture(scope="module")
def citation() -> dict:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_required_keys_are_there_and_no_other_than_the_format_knows(citation):
    assert REQUIRED <= set(citation) <= KEYS
    assert citation["cff-version"] == "1.2.0" and citation["type"] in ("software", "dataset")
    assert all(isinstance(citation[key], str) and citation[key] for key in ("title", "message", "version"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", citation["date-released"]), "a text, not a YAML date"


def test_every_author_is_a_person_or_an_entity(citation):
    for author in [*citation["authors"], *(a for one in citation["references"] for a in one["authors"])]:
        assert author.get("name") or (author.get("family-names") and set(author) <= PERSON), author


def test_the_paper_is_named_as_reference(citation):
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert paper["url"].endswith("2306.10231") and paper["year"] == 2023
    assert re.fullmatch(r"10\.\d{4,9}/\S+", paper["doi"])
    assert {one["type"] for one in paper["identifiers"]} <= {"doi", "url", "swh", "other"}


def test_version_and_licence_are_the_packages(citation):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (citation["version"], citation["license"]) == (__version__, project["license"])
