"""Text and tables as Markdown and LaTeX: whatever is in a cell is read as text, and none of it as a command."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from glimmer.errors import InputError

_TEX = {"–": "--"} | {char: rf"\{char}" for char in "&%_#${}"}
_TEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_TEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
_TEX |= {"α": r"$\alpha$", "β": r"$\beta$", "λ": r"$\lambda$", "τ": r"$\tau$"}


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], columns: str) -> str:
    """A Markdown table of [columns] heads and [rows][columns] cells; `columns` has an `l` or `r` for each.

    Cells may hold Markdown of their own; only what would end a cell or a row is escaped. `markdown_text` escapes all.
    """
    rule = "|" + "|".join({"l": ":--", "r": "--:"}[column] for column in columns) + "|"
    texts = ([_one_line(cell).replace("|", r"\|") for cell in cells] for cells in (heads, *rows))
    lines = [f"| {' | '.join(cells)} |" for cells in texts]
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def markdown_text(text: str) -> str:
    """Text for a cell of `markdown_table`: none of it is emphasis, a link, HTML or a formula."""
    return re.sub(r"([\\`*_<>\[\]~&$])", r"\\\1", text)


def fill_marked(document: str, blocks: Mapping[str, Callable[[], str]], where: object) -> str:
    """`document` with what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->` made anew, for each of
    `blocks` that it has.

    Raises InputError, which names `where`, if it has none of them.
    """
    marks = {name: (f"<!-- {name}: begin -->", f"<!-- {name}: end -->") for name in blocks}
    present = [name for name, pair in marks.items() if all(mark in document for mark in pair)]
    if not present:
        expected = " or ".join(" and ".join(pair) for pair in marks.values())
        raise InputError("no markers", where=where, expected=expected)
    for name in present:
        begin, end = marks[name]
        before, rest = document.split(begin, 1)
        document = f"{before}{begin}\n{blocks[name]()}{end}{rest.split(end, 1)[1]}"
    return document


def tex_table(heads: Sequence[str], rows: Sequence[Sequence[str]], columns: str) -> str:
    """A LaTeX `tabular` (package booktabs) of plain text: [columns] heads and [rows][columns] cells.

    `columns` has an `l` or `r` for each.
    """
    lines = [f"  {' & '.join(map(tex_text, cells))} \\\\" for cells in (heads, *rows)]
    begin, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    return "\n".join([begin, r"  \toprule", lines[0], r"  \midrule", *lines[1:], r"  \bottomrule", end]) + "\n"


def tex_text(text: str) -> str:
    """Text as LaTeX prints it: nothing in it is a command."""
    return "".join(_TEX.get(char, char) for char in _one_line(text))


def _one_line(text: str) -> str:
    """A line end would end a row."""
    return " ".join(text.splitlines()) if len(text.splitlines()) > 1 else text
