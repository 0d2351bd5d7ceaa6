"""Host memory that training takes for its examples, of generated files with as many rows as T-REx's train set has.

    python -m benchmarks.train_rows --rows 2284168 --json

A row has three answers, each with a page of evidence, and `--depth` retrieved passages. `imports megabytes` is the most
that the process held before it read anything, `read megabytes` when all rows were read, `peak megabytes` when
`--batches` batches of 128 were drawn. Pages of mapped files count while they are in memory, and the system takes them
back when it needs them: `own megabytes` is what the process holds at the end without them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

TASK, SEED, BATCH, K = "trex", 0, 128, 25
PASSAGES = 30_000_000
BLOCK = 1 << 16


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=2_284_168, help="default: T-REx's train set")
    parser.add_argument("--depth", type=int, default=100, help="retrieved passages a row (default: 100, as study=kilt)")
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        print(json.dumps(read(args.read, args.batches)))
        return 0
    with tempfile.TemporaryDirectory() as directory:
        write_files(Path(directory), args.rows, args.depth)
        size = sum(path.stat().st_size for path in Path(directory).iterdir())
        command = [sys.executable, "-m", "benchmarks.train_rows", "--read", directory, "--batches", str(args.batches)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = {"rows": args.rows, "megabytes of files": round(size / 1e6), **json.loads(done.stdout)}
    print(json.dumps(found, indent=2) if args.json else "\n".join(f"{name:20}{value}" for name, value in found.items()))
    return 0


def read(directory: Path, batches: int) -> dict[str, float]:
    """Reads what `write_files` wrote as training does, and draws batches of it."""
    from glimmer.training.examples import TaskExamples
    from glimmer.training.mixture import UniformMixture

    before, started = _peak(), time.perf_counter()
    rows = np.load(directory / "kept.npy", allow_pickle=False)
    task = TaskExamples(TASK, directory, "train", directory, rows, lambda aliases, retrieved: aliases[-1])
    seconds, built = time.perf_counter() - started, _peak()
    mixture = UniformMixture({TASK: len(task)}, seed=SEED)
    for step in range(batches):
        for _, place in mixture.rows(step, BATCH):
            row = int(task.rows[place])
            assert task.answer(row) and task.examples[row].input and task.passages[row][:K].min() >= 0
    return {
        "seconds": round(seconds, 1),
        "imports megabytes": round(before),
        "read megabytes": round(built),
        "peak megabytes": round(_peak()),
        "own megabytes": round(_held("RssAnon")),
    }


def _peak() -> float:
    """Megabytes that this process held at most."""
    return _held("VmHWM")


def _held(what: str) -> float:
    """Megabytes of this process, of Linux's own count: getrusage has what the parent held too."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(told[what].split()[0]) * 1024 / 1e6


def write_files(directory: Path, rows: int, depth: int) -> None:
    """A task file, its retrieved passages and the rows that are kept, in the forms that training reads."""
    with (directory / f"{TASK}-train-kilt.jsonl").open("w") as file:
        for n in range(rows):
            provenance = [{"wikipedia_id": str(n), "title": f"Subject {n}", "start_paragraph_id": 1,
                           "end_paragraph_id": 1, "start_character": 0, "end_character": 99, "bleu_score": 1.0,
                           "section": "Section::::Abstract."}]  # fmt: skip
            answers = [f"Answer {n}", f"The answer {n}", f"Another name of answer {n}"]
            output = [{"answer": answer, "provenance": provenance} for answer in answers]
            line = {"id": f"subject-{n:08d}-relation", "input": f"Subject {n} [SEP] relation", "output": output}
            file.write(json.dumps(line) + "\n")
    rng, arrays = np.random.default_rng(SEED), {"passages": (np.int64, depth), "complete": (np.float32, depth)}
    with zipfile.ZipFile(directory / f"{TASK}-train.npz", "w") as archive:
        for name, (dtype, width) in (arrays | {"gold": (np.int64, 1)}).items():
            path = directory / f"{name}.npy"
            array = np.lib.format.open_memmap(path, "w+", dtype, (rows, width))
            for start in range(0, rows, BLOCK):
                array[start : start + BLOCK] = rng.integers(0, PASSAGES, array[start : start + BLOCK].shape)
            del array
            archive.write(path, path.name)
            path.unlink()
    np.save(directory / "kept.npy", np.arange(rows))


if __name__ == "__main__":
    sys.exit(main())
