"""The licence of every package in the lock, as installed: python requirements/licences.py > docs/licences.md"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

LOCK = Path(__file__).with_name("lock.txt")
_SPELLINGS = {
    "Apache-2.0": r"apache",
    "MIT": r"\bmit\b|expat",
    "BSD-3-Clause": r"bsd|new bsd",
    "MPL-2.0": r"mpl|mozilla",
    "PSF-2.0": r"psf|python software foundation",
    "ISC": r"\bisc\b",
    "Unlicense": r"unlicense",
    "public domain": r"public domain",
    "LGPL": r"lgpl|lesser general public",
    "GPL": r"\bgpl|general public",
}
"""An SPDX name (LGPL and GPL of any version) -> how packages that state none spell it."""


def locked() -> list[str]:
    """Names of the packages in the lock."""
    return re.findall(r"^([\w.-]+)==", LOCK.read_text(), flags=re.MULTILINE)


def licence(package: Distribution) -> str:
    """The SPDX expression that a package states, else what its classifiers, field or licence file name, or ''."""
    stated = package.metadata
    if expression := stated.get("License-Expression"):
        return expression
    named = [line for line in stated.get_all("Classifier") or () if line.startswith("License ::")]
    named += [(stated.get("License") or "").partition("\n")[0]]
    texts = [file.read_text() for file in package.files or () if re.search("licen[cs]e", file.name, re.IGNORECASE)]
    named += [line for text in texts for line in text.strip().splitlines()[:2]]
    for line in named:  # what is stated most plainly first
        for name, spelling in _SPELLINGS.items():
            if re.search(spelling, line, re.IGNORECASE):
                return name
    return ""


def rows() -> Iterator[tuple[str, str]]:
    """(package, licence), the licence `?` where the package does not say, `not installed here` where it is not."""
    for name in locked():
        try:
            yield name, licence(distribution(name)) or "?"
        except PackageNotFoundError:
            yield name, "not installed here"


def main() -> int:
    found = list(rows())
    print("# Licences\n")
    print("Of every package in `requirements/lock.txt`, as it states it: `python requirements/licences.py`.\n")
    print("| package | licence |\n|:--|:--|")
    print("\n".join(f"| {name} | {text} |" for name, text in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
