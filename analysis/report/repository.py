"""Where the code of a page lies: the address that the repository itself states, and none where it states none."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from glimmer.errors import InputError
from glimmer.experiments.documents import read_yaml, repository_path

CITATION, PROJECT = "CITATION.cff", "pyproject.toml"
_KEY = "repository-code"
_LABELS = ("repository", "source", "sourcecode", "github")  # of project.urls, as package indexes know them


def repository_address() -> str | None:
    """`repository-code` of CITATION.cff, else the repository among `urls` of pyproject.toml; None without either.

    They are read beside the registry in use. Raises InputError for what is no web address.
    """
    root = repository_path("config/experiments.yaml").parents[1]
    for path, stated in ((root / CITATION, _cited), (root / PROJECT, _listed)):
        address = stated(path) if path.exists() else None
        if address is not None:
            return _checked(address, path)
    return None


def _cited(path: Path) -> Any:
    document = read_yaml(path)
    return document.get(_KEY) if isinstance(document, dict) else None


def _listed(path: Path) -> Any:
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("not TOML", where=path, found=str(error)) from None
    urls = {re.sub(r"[\W_]", "", label).lower(): address for label, address in project.get("urls", {}).items()}
    return next((urls[label] for label in _LABELS if label in urls), None)


def _checked(address: Any, path: Path) -> str:
    if not isinstance(address, str) or not re.fullmatch(r"https?://[^\s\"'<>]+", address):
        raise InputError("the repository's address is none", where=path, expected="https://...", found=repr(address))
    return address
