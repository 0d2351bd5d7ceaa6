"""The licences of what the lock installs: all listed, and all of a kind that a user can take without asking."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TAKEN = {"Apache-2.0", "MIT", "MIT-CMU", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "MPL-2.0", "PSF-2.0", "ISC", "Zlib"}
TAKEN |= {"Unlicense", "CC0-1.0", "CNRI-Python", "public domain"}


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "requirements/licences.py"))


@pytest.fixture(scope="module")
def listed():
    rows = re.findall(r"^\| ([\w.-]+) \| (.+) \|$", (ROOT / "docs/licences.md").read_text(), flags=re.MULTILINE)
    return dict(row for row in rows if row[0] != "package")


def test_every_package_of_the_lock_is_listed_with_its_licence(script, listed):
    assert set(script["locked"]()) == set(listed)
    installed = {name: text for name, text in script["rows"]() if text != "not installed here"}
    assert len(installed) > 80 and installed == {name: listed[name] for name in installed}


def test_every_licence_is_one_that_asks_for_no_more_than_its_notice(listed):
    for package, text in listed.items():
        parts = re.split(r" AND | OR |\(|\)", text.replace(" WITH LLVM-exception", ""))
        assert {part.strip() for part in parts if part.strip()} <= TAKEN, f"{package}: {text}"
