"""KILT's tasks as the Hugging Face Hub stores them, said in KILT's own words.

A table has no absent fields, so the Hub's copy fills them: -1 for an absent number, -1.0 (in its first edition 0.0) for
an absent `bleu_score`, "" for absent text, [] for absent evidence. Read as values these are wrong without a word: a
BLEU score of -1 voids the match, an end at character -1 empties the span, `provenance: []` is a set of evidence that no
guess can complete. Every line of such a copy names all fields that any task has in its `meta`: that tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PLACES = ("start_paragraph_id", "start_character", "end_paragraph_id", "end_character")
"""Where a provenance starts and ends; -1 is no place of any page."""

_META = {"left_context", "mention", "right_context", "partial_evidence", "obj_surface", "sub_surface", "subj_aliases"}
_NO_NUMBER, _NO_TEXT = -1, ("", "-1")


def is_hub_form(row: Mapping[str, Any]) -> bool:
    """Whether a line of a task file is in the Hub's form: its `meta` has the fields of all tasks."""
    meta = row.get("meta")
    return isinstance(meta, Mapping) and meta.keys() >= _META


def in_kilts_words(row: dict[str, Any]) -> dict[str, Any]:
    """A line with the fields of KILT's own: of one in the Hub's form without its fillers, of any other as it is.

    `meta` is left alone; nothing here reads it.
    """
    if not is_hub_form(row):
        return row
    plain = {key: value for key, value in row.items() if not (key == "input" and value == "")}
    if isinstance(row.get("output"), list):
        plain["output"] = [_output(output) if isinstance(output, dict) else output for output in row["output"]]
    if plain.get("output") == []:
        del plain["output"]
    return plain


def _output(output: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in output.items() if (key, value) not in (("answer", ""), ("provenance", []))}
    if isinstance(plain.get("provenance"), list):
        items = plain["provenance"]
        plain["provenance"] = [without_fillers(item) if isinstance(item, dict) else item for item in items]
    return plain


def without_fillers(item: Mapping[str, Any]) -> dict[str, Any]:
    """A provenance without what is filled in for "not given": -1, -1.0 and empty text.

    A `bleu_score` of 0.0 is a filler too where there is no paragraph: a match is scored over a span.
    """
    given = {key: value for key, value in item.items() if not _is_filler(key, value)}
    if given.get("bleu_score") == 0 and "start_paragraph_id" not in given:
        del given["bleu_score"]
    return given


def _is_filler(key: str, value: Any) -> bool:
    if key in (*PLACES, "bleu_score"):
        return not isinstance(value, bool) and value == _NO_NUMBER
    if key == "wikipedia_id":
        return value == _NO_NUMBER or (isinstance(value, str) and value.strip() in _NO_TEXT)
    return key in ("title", "section") and value == ""
