"""Seconds and peak memory of `glimmer score` on generated gold and guess files as long as T-REx's train set.

    python -m benchmarks.scoring --lines 2284168 --json

Every line has one answer, one page of evidence and five guessed pages; a tenth of the answers are wrong.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--lines", type=int, default=2_284_168, help="default: T-REx's train set")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        gold, guess = Path(directory, "gold.jsonl"), Path(directory, "guess.jsonl")
        write_files(gold, guess, args.lines)
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "glimmer", "score", str(gold), str(guess), "--json"], check=True, capture_output=True
        )
        seconds = time.perf_counter() - started
        found = {
            "lines": args.lines,
            "megabytes": round((gold.stat().st_size + guess.stat().st_size) / 1e6),
            "seconds": round(seconds, 1),
            "peak_megabytes": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3),
        }
    print(json.dumps(found, indent=2) if args.json else "\n".join(f"{name:16}{value}" for name, value in found.items()))
    return 0


def write_files(gold: Path, guess: Path, lines: int) -> None:
    """Writes a gold and a guess file of `lines` lines: a tenth of the answers are wrong."""
    with gold.open("w") as golds, guess.open("w") as guesses:
        for n in range(lines):
            page = n % 5_903_530  # as many as KILT's pages
            output = {"answer": f"Answer {n}", "provenance": [{"wikipedia_id": str(page)}]}
            print(json.dumps({"id": str(n), "input": f"Subject {n} [SEP] relation", "output": [output]}), file=golds)
            answer = f"answer {n}" if n % 10 else "another"
            found = [{"wikipedia_id": str(page + shift)} for shift in range(5)]
            print(json.dumps({"id": str(n), "output": [{"answer": answer, "provenance": found}]}), file=guesses)


if __name__ == "__main__":
    sys.exit(main())
