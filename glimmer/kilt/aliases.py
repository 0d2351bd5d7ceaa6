"""Gold answers in the text of passages: which aliases stand there, and which of them a reader is trained on.

An alias stands in a text as whole words, case ignored: "Switz" does not stand in "Switzerland".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def whole_words(aliases: Sequence[str]) -> re.Pattern | None:
    """A pattern that finds any of the aliases as whole words, case ignored; None for none."""
    if not aliases:
        return None
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, aliases)) + r")(?!\w)", re.IGNORECASE)


def answer_to_train_on(aliases: Sequence[str], texts: Iterable[str]) -> str:
    """The alias that stands in the first of the texts that holds one; the first alias where none does, "" for none.

    Of several in one text, one that is part of another gives way ("Capt" to "Captain Nemo"), and of those left the
    first that is spelled as in the text is taken, else the first. The longest would be simpler, and would prefer a full
    legal name to the one that everybody uses: length is no merit, only being a part of something else is a fault.
    """
    if len(aliases) < 2:
        return aliases[0] if aliases else ""
    any_of_them = whole_words(aliases)
    for text in texts:
        if any_of_them.search(text):
            standing = [alias for alias in aliases if whole_words([alias]).search(text)]
            whole = [alias for alias in standing if not any(_is_part(alias, other) for other in standing)]
            return next((alias for alias in whole if alias in text), whole[0])
    return aliases[0]


def _is_part(alias: str, other: str) -> bool:
    return len(alias) < len(other) and alias.lower() in other.lower()
