"""The two ways a command ends badly: wrong input (exit 2) and a failed check (exit 1)."""

import difflib
from collections.abc import Iterable


class GlimmerError(Exception):
    """An expected failure; its text is one line, and `exit_code` is what the command returns."""

    exit_code = 1


class InputError(GlimmerError):
    """Bad usage or bad input: says what, where, what was expected and what was found. Exit code 2."""

    exit_code = 2

    def __init__(self, what: str, *, where: object = None, expected: object = None, found: object = None):
        self.what, self.where, self.expected, self.found = what, where, expected, found
        parts = [what]
        if expected is not None:
            parts.append(f"expected {expected}")
        if found is not None:
            parts.append(f"found {found}")
        self.text = _one_line("; ".join(map(shortened, parts)))
        """What, expected and found, without where."""
        super().__init__(self.text if where is None else f"{_one_line(shortened(str(where)))}: {self.text}")


def did_you_mean(typed: str, known: Iterable[str]) -> str:
    """` (did you mean pilot?)`, to stand behind what was typed: names spelled alike, or the one that begins so; else
    nothing."""
    names = list(known)
    begun = [name for name in names if typed and name.startswith(typed)]
    near = begun if len(begun) == 1 else difflib.get_close_matches(typed, names, n=2, cutoff=0.7)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


class CheckFailed(GlimmerError):
    """A check ran to its end and did not pass. Exit code 1."""


_LONGEST_PART = 3000


def shortened(text: str) -> str:
    """Text that a person can read to its end: what a file makes longer loses its middle."""
    if len(text) <= _LONGEST_PART:
        return text
    kept = _LONGEST_PART // 2
    return f"{text[:kept]} [{len(text) - 2 * kept} characters] {text[-kept:]}"


def _one_line(text: str) -> str:
    """Text that any terminal or log takes: one line, half surrogates (of file names and odd JSON) spelt out."""
    return " ".join(text.splitlines()).encode("utf-8", "backslashreplace").decode("utf-8")
