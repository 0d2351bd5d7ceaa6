"""What a rule asks of a machine: workflow/resources.yaml, looked up."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimmer.experiments.documents import read_yaml


def needs(rule: str, study: str) -> dict[str, int]:
    """Threads, mem_mb, runtime (minutes) and gpu of a rule in a study; see workflow/resources.yaml."""
    table = _resources()
    of_study = table["studies"].get(study, {})
    return table["default"] | table["rules"].get(rule, {}) | of_study.get("all", {}) | of_study.get(rule, {})


@functools.cache
def _resources() -> Mapping[str, Any]:
    return read_yaml(Path(__file__).with_name("resources.yaml"))
