"""`glimmer download`: KILT's published files, and TriviaQA's questions joined to them."""

from __future__ import annotations

from pathlib import Path

from glimmer.commands.output import add_json_argument, show
from glimmer.errors import InputError
from glimmer.kilt.download import BASE_ADDRESS, LOCK_NAME, download, join_triviaqa, published, triviaqa_questions

HELP = "download KILT's files with resume, check them against a lock file, and join TriviaQA's questions"


def add_arguments(parser) -> None:
    """Declares the command line."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a task, knowledge_source, all, or a file's name; none at all only joins TriviaQA's questions",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help=f"where files go, {LOCK_NAME} with their sizes and digests too"
    )
    parser.add_argument(
        "--base", default=BASE_ADDRESS, metavar="ADDRESS", help=f"address of a mirror (default {BASE_ADDRESS})"
    )
    parser.add_argument(
        "--triviaqa-archive",
        metavar="FILE",
        help="triviaqa-rc.tar.gz, from TriviaQA's own site: writes triviaqa-{train,dev}-kilt.jsonl from KILT's ids",
    )
    add_json_argument(parser)


def run(args) -> int:
    """Downloads, joins, and prints one row a file: lines found beside lines that KILT's README names."""
    if not args.names and not args.triviaqa_archive:
        raise InputError("nothing to do", expected="names of files, or --triviaqa-archive", found="neither")
    rows = []
    for file in published(args.names):
        entry = download(file.name, args.out, args.base)
        rows.append(
            {
                "file": file.name,
                "lines": entry["lines"],
                "lines_published": file.lines,
                "size_bytes": entry["size"],
                "sha256": entry["sha256"],
            }
        )
    if args.triviaqa_archive:
        rows += _join(args.triviaqa_archive, Path(args.out))
    show(rows, args.json)
    return 0


def _join(archive: str, directory: Path) -> list[dict]:
    sources = {split: directory / f"triviaqa-{split}_id-kilt.jsonl" for split in ("train", "dev")}
    present = {split: path for split, path in sources.items() if path.is_file()}
    if not present:
        raise InputError(
            "TriviaQA ids are missing", where=directory, expected=" or ".join(p.name for p in sources.values())
        )
    questions = triviaqa_questions(archive)
    rows = []
    for split, path in present.items():
        target = directory / f"triviaqa-{split}-kilt.jsonl"
        lines = join_triviaqa(path, questions, target)
        rows.append(
            {
                "file": target.name,
                "lines": lines,
                "lines_published": None,
                "size_bytes": target.stat().st_size,
                "sha256": None,
            }
        )
    return rows
