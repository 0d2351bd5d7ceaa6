"""Seconds to chunk pages and to tokenise passages, beside a plain pass over the same file and `tokenizers` alone.

    python -m benchmarks.text --data DIR --tokenizer DIR/tokenizer.json --json

Data are a folder with a knowledge source in KILT's format. Each pair is timed in turn, `--repeats` times; medians.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer as PlainTokenizer

from benchmarks.peers.rows import in_turn
from glimmer.kilt.chunking import write_passages
from glimmer.kilt.formats import knowledge_source_file, read_pages
from glimmer.kilt.passages import PassageFile
from glimmer.models.tokenizer import Tokenizer
from glimmer.training.examples import tokenize_passages

TEMPLATE = "title: {title} context: {text}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--words", type=int, default=200, help="of a passage, at most (default: 200)")
    parser.add_argument("--tokens", type=int, default=304, help="of a passage, at most (default: 304)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = _measured(args, Path(directory))
    print(json.dumps(found, indent=2) if args.json else "\n".join(f"{name:28}{value}" for name, value in found.items()))
    return 0


def timed_arms(
    data: Path, tokenizer: Path, directory: Path, words: int, tokens: int
) -> tuple[dict[str, Callable[[], object]], dict[str, int]]:
    """(arm -> its work, sizes) of the text in `data`; `directory` holds what is read and written.

    `chunk` and `plain pass` read one plain file; `tokenise` and `tokenizers alone` read the same texts.
    """
    source = directory / "knowledge_source.jsonl"  # plain: decompressing is another program's speed
    given = knowledge_source_file(data)
    opened = gzip.open if given.suffix == ".gz" else open
    with opened(given, "rb") as file:
        source.write_bytes(file.read())
    passages = directory / "passages"
    write_passages(read_pages(source), passages, words)
    corpus = PassageFile(passages)
    texts = [TEMPLATE.format(title=row["title"], text=row["text"]) for row in corpus]
    ours, plain = Tokenizer(tokenizer), PlainTokenizer.from_file(str(tokenizer))

    def chunked() -> None:
        with tempfile.TemporaryDirectory(dir=directory) as out:
            write_passages(read_pages(source), Path(out) / "passages", words)

    def tokenised() -> None:
        with tempfile.TemporaryDirectory(dir=directory) as out:
            tokenize_passages(ours, corpus, tokens, TEMPLATE, Path(out) / "passages.npy")

    def pass_over() -> None:
        with source.open() as lines:
            for line in lines:
                for paragraph in json.loads(line)["text"]:
                    paragraph.split()

    arms: dict[str, Callable[[], object]] = {
        "chunk": chunked,
        "plain pass": pass_over,
        "tokenise": tokenised,
        "tokenizers alone": lambda: plain.encode_batch(texts),
    }
    sizes = {"passages": len(corpus), "bytes read": source.stat().st_size}
    return arms, sizes | {"bytes tokenised": sum(len(text.encode()) for text in texts)}


def _measured(args: argparse.Namespace, directory: Path) -> dict[str, float]:
    arms, sizes = timed_arms(args.data, args.tokenizer, directory, args.words, args.tokens)
    seconds = {name: statistics.median(turns) for name, turns in in_turn(arms, args.repeats, warm=False).items()}
    return {
        "megabytes": round(sizes["bytes read"] / 1e6, 1),
        "passages": sizes["passages"],
        **{f"{name} seconds": round(value, 2) for name, value in seconds.items()},
        "chunk MB a second": round(sizes["bytes read"] / 1e6 / seconds["chunk"], 1),
        "tokenise MB a second": round(sizes["bytes tokenised"] / 1e6 / seconds["tokenise"], 1),
        "chunk against plain pass": round(seconds["chunk"] / seconds["plain pass"], 2),
        "tokenise against tokenizers": round(seconds["tokenise"] / seconds["tokenizers alone"], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
