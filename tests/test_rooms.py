"""The rooms of the house: who may import whom, and that one name means one thing."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A room imports only rooms that stand behind it in this list.
ROOMS = ["cli", "commands", "runs", "results", "evaluation", "training", "retrieval", "models", "kilt", "experiments"]
PACKAGES = ("glimmer", "worlds", "analysis", "workflow")
HEAVY = {"jax", "flax", "orbax", "optax", "tensorstore", "tokenizers", "safetensors"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports (`from a import b` counts as a, and as a.b)."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "glimmer" and len(parts) > 1 and parts[1] in ROOMS else None


def test_a_room_imports_only_rooms_below_it():
    wrong = []
    for path in modules("glimmer"):
        if path.stem == "__main__":
            continue  # the same door as cli.py
        here = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for name in imported(path):
            there = room(name)
            # What stands in no room (compute, files, errors) imports none; what stands in one looks down only.
            if there and there != here and (here is None or ROOMS.index(there) < ROOMS.index(here)):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


@pytest.mark.parametrize(
    "package, never",
    [
        ("glimmer", {"worlds", "analysis", "workflow"}),
        ("worlds", {"analysis", "workflow"}),
        ("analysis", {"worlds", "workflow"}),
    ],
)
def test_what_stands_below_never_imports_what_stands_above(package, never):
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imported(path)
        if name.split(".")[0] in never
    }
    assert not wrong


@pytest.mark.parametrize("folder", ["analysis", "workflow", "glimmer/experiments", "glimmer/kilt"])
def test_what_shows_results_works_without_jax(folder):
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(folder)
        for name in imported(path)
        if name.split(".")[0] in HEAVY
    }
    assert not wrong


def test_one_name_is_one_class():
    places = defaultdict(list)
    for package in PACKAGES:
        for path in modules(package):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    places[node.name.lstrip("_")].append(str(path.relative_to(ROOT)))
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_one_name_is_one_module():
    """A subcommand may be called as the room it speaks for."""
    places = defaultdict(list)
    for package in PACKAGES:
        for path in modules(package):
            if path.stem not in ("__init__", "__main__") and path.parent.name != "commands":
                places[path.stem].append(str(path.relative_to(ROOT)))
    assert not {name: where for name, where in places.items() if len(where) > 1}
