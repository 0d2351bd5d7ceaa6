"""Chunking and tokenising: a plain pass over the same file, and the `tokenizers` library alone, beside ours."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.peers.rows import OURS, Row, in_turn, require_equal
from benchmarks.text import TEMPLATE, timed_arms
from glimmer.kilt.passages import PassageFile

_WORDS, _TOKENS = 200, 304
_PIECES = 4000


def rows(quick: bool, data: Path | None = None, tokenizer: Path | None = None) -> Iterator[Row]:
    """A row of chunking and one of tokenising: of `data`, or of generated pages; `tokenizer` or one that fits them."""
    repeats = 2 if quick else 5
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        of = "pages as given" if data else "generated pages"
        if data is None:
            data = root / "data"
            generate(data, 60 if quick else 3000)
        if tokenizer is None:
            tokenizer = root / "tokenizer.json"
            _vocabulary(data, tokenizer, root / "words")
        (root / "timed").mkdir()
        arms, sizes = timed_arms(data, tokenizer, root / "timed", _WORDS, _TOKENS)
        checked = agree(tokenizer, root / "timed" / "passages")
        seconds = in_turn(arms, repeats)
    read, written = sizes["bytes read"], sizes["bytes tokenised"]
    yield Row(
        name="chunking",
        what=f"chunking {sizes['passages']:,} passages of {_WORDS} words ({read / 1e6:.1f} MB, {of})",
        against="a plain pass: JSON of each line, words of each paragraph, nothing written",
        seconds={OURS: seconds["chunk"], "plain pass": seconds["plain pass"]},
        checked="",
        limits="one core: JSON both ways; the plain pass neither cuts nor writes, and checks nothing",
        facts={"MB a second": round(read / 1e6 / float(np.median(seconds["chunk"])), 1)},
    )
    yield Row(
        name="tokenising",
        what=f"tokenising {sizes['passages']:,} passages ({written / 1e6:.1f} MB, {of})",
        against="`tokenizers` alone: encode_batch of the texts in memory, nothing written",
        seconds={OURS: seconds["tokenise"], "tokenizers": seconds["tokenizers alone"]},
        checked=checked,
        limits="the library, which both sides call; ours reads passages and writes an array",
        facts={"MB a second": round(written / 1e6 / float(np.median(seconds["tokenise"])), 1)},
    )


def agree(tokenizer: Path, passages: Path) -> str:
    """Compares token ids of all passages, up to the longest that is kept. Raises CheckFailed where they differ."""
    from tokenizers import Tokenizer as Plain

    from glimmer.models.tokenizer import Tokenizer

    texts = [TEMPLATE.format(title=row["title"], text=row["text"]) for row in PassageFile(passages)]
    ours = Tokenizer(tokenizer).encode_array(texts, _TOKENS)
    theirs = np.zeros_like(ours)
    for row, found in zip(theirs, Plain.from_file(str(tokenizer)).encode_batch(texts, add_special_tokens=False),
                          strict=True):  # fmt: skip
        row[: min(len(found.ids), _TOKENS)] = found.ids[:_TOKENS]
    return require_equal("token ids", ours, theirs)


def generate(directory: Path, pages: int) -> None:
    """Writes the generated benchmark of seed 0."""
    quietly("generate", "--out", str(directory), "--seed", "0", "--pages", str(pages))


def quietly(*arguments: str) -> None:
    """A command of `glimmer` in this process, its output dropped. Raises CheckFailed where it fails."""
    from glimmer.cli import main
    from glimmer.errors import CheckFailed

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(list(arguments))
    if code:
        raise CheckFailed(f"glimmer {' '.join(arguments)}: exit {code}: {said.getvalue()[-500:]}")


def _vocabulary(data: Path, path: Path, scratch: Path) -> None:
    from glimmer.kilt.chunking import write_passages
    from glimmer.kilt.formats import knowledge_source_file, read_pages
    from worlds.vocabulary import train_vocabulary

    write_passages(read_pages(knowledge_source_file(data)), scratch, _WORDS)
    train_vocabulary((f"{row['title']} {row['text']}" for row in PassageFile(scratch)), _PIECES, path)
