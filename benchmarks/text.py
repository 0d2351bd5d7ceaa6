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
import time
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer as PlainTokenizer

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


def _measured(args: argparse.Namespace, directory: Path) -> dict[str, float]:
    source = directory / "knowledge_source.jsonl"  # plain: decompressing is another program's speed
    given = knowledge_source_file(args.data)
    opened = gzip.open if given.suffix == ".gz" else open
    with opened(given, "rb") as file:
        source.write_bytes(file.read())
    passages = directory / "passages"
    write_passages(read_pages(source), passages, args.words)
    corpus = PassageFile(passages)
    texts = [TEMPLATE.format(title=row["title"], text=row["text"]) for row in corpus]
    ours, plain = Tokenizer(args.tokenizer), PlainTokenizer.from_file(str(args.tokenizer))

    def chunked() -> None:
        with tempfile.TemporaryDirectory(dir=directory) as out:
            write_passages(read_pages(source), Path(out) / "passages", args.words)

    def tokenised() -> None:
        with tempfile.TemporaryDirectory(dir=directory) as out:
            tokenize_passages(ours, corpus, args.tokens, TEMPLATE, Path(out) / "passages.npy")

    def pass_over() -> None:
        with source.open() as lines:
            for line in lines:
                for paragraph in json.loads(line)["text"]:
                    paragraph.split()

    seconds = _in_turn(
        {
            "chunk": chunked,
            "plain pass": pass_over,
            "tokenise": tokenised,
            "tokenizers alone": lambda: plain.encode_batch(texts),
        },
        args.repeats,
    )
    read, written = source.stat().st_size, sum(len(text.encode()) for text in texts)
    return {
        "megabytes": round(read / 1e6, 1),
        "passages": len(corpus),
        **{f"{name} seconds": round(value, 2) for name, value in seconds.items()},
        "chunk MB a second": round(read / 1e6 / seconds["chunk"], 1),
        "tokenise MB a second": round(written / 1e6 / seconds["tokenise"], 1),
        "chunk against plain pass": round(seconds["chunk"] / seconds["plain pass"], 2),
        "tokenise against tokenizers": round(seconds["tokenise"] / seconds["tokenizers alone"], 2),
    }


def _in_turn(timed: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repeats):
        for name, call in timed.items():
            started = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


if __name__ == "__main__":
    sys.exit(main())
