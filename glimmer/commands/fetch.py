"""`glimmer fetch`: KILT's published files, TriviaQA's questions joined to them, and models of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glimmer.commands.arguments import add_study_arguments, study_of
from glimmer.commands.output import add_json_argument, beside, show
from glimmer.errors import CheckFailed, InputError

HELP = "fetch KILT's files and published models by name and revision; goes on where it was cut off, and checks them"
PURPOSE = "kilt"


def add_arguments(parser) -> None:
    """Declares the command line."""
    from glimmer.kilt.download import BASE_ADDRESS, LOCK_NAME, TRIVIAQA_ADDRESS

    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a task, knowledge_source, all, or a file's name, of KILT; or a model, owner/name or owner/name@revision",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help=f"where KILT's files go, with {LOCK_NAME}, and a folder for each model, called as the model is",
    )
    parser.add_argument(
        "--base", default=BASE_ADDRESS, metavar="ADDRESS", help=f"of KILT's files (default {BASE_ADDRESS})"
    )
    parser.add_argument(
        "--triviaqa-archive",
        default=TRIVIAQA_ADDRESS,
        metavar="FILE",
        help=f"TriviaQA's questions: a file, or an address (default {TRIVIAQA_ADDRESS})",
    )
    add_study_arguments(parser)
    parser.set_defaults(study=None)
    add_json_argument(parser)


def run(args) -> int:
    """Fetches, joins, and prints one row a file; with --study, also how to call the study on what came."""
    from glimmer.kilt.download import BASE_ADDRESS, published
    from glimmer.models.published import model_name

    names = list(args.names)
    options: dict[str, str] = {}
    if args.study:
        study = study_of(args)
        wanted, options = wanted_by(study, Path(args.out))
        options |= _part_of_grid(study, args.study)
        names += wanted
    if not names:
        raise InputError("nothing to fetch", expected="names, or --study with inputs that it names no directory of",
                         found="neither")  # fmt: skip
    models = [name for name in dict.fromkeys(names) if model_name(name)]
    files = published(name for name in names if name not in models)
    rows = [*_fetch_kilt(files, args), *(row for name in models for row in _fetch_model(name, Path(args.out)))]
    show(rows, args.format)
    if options:
        given = " ".join(f"{option}={value}" for option, value in options.items())
        beside(f"snakemake --cores all --config {given}", args.format)
    odd = [row["file"] for row in rows if row["lines_published"] not in (None, row["lines"])]
    if odd and args.base == BASE_ADDRESS:
        raise CheckFailed(f"not as many lines as KILT's README says: {', '.join(odd)}; delete them and fetch again")
    return 0


def wanted_by(study, out: Path) -> tuple[list[str], dict[str, str]]:
    """What a study takes from elsewhere and names no directory of; and the options of snakemake, once that is in `out`.

    Of sizes with a checkpoint of their own those that its runs have: a part of a grid may do without.
    Raises InputError for an input whose release is no published name.
    """
    from glimmer.experiments import runs_for
    from glimmer.experiments.sections import KiltData
    from glimmer.kilt.download import RELEASE
    from glimmer.models.published import model_name

    sections = {"data": study.data, "checkpoint": study.initial, "retriever": study.retriever}
    used = {run.size for run in runs_for(study).values()}
    sections |= {f"checkpoint_{size.lower()}": own.initial for size, own in study.sizes.items() if size in used}
    names: list[str] = []
    options = {"study": study.name}
    for option, section in sections.items():
        if not hasattr(section, "release"):
            continue  # made here
        if section.directory is not None:
            options[option] = str(section.directory)
        elif isinstance(section, KiltData) and section.release == RELEASE:
            names += ["knowledge_source", *study.tasks]
            options[option] = str(out)
        elif not isinstance(section, KiltData) and model_name(section.release):
            names.append(section.release)
            options[option] = str(out / _folder(section.release))
        else:
            raise InputError(f"no published name: {option}", where=study.source, expected=f"{RELEASE}, or owner/name",
                             found=section.release)  # fmt: skip
    return names, options


def _part_of_grid(study, stated: str) -> dict[str, str]:
    """The options of snakemake for what --set left of the study's grid; such a part has results of its own."""
    from glimmer.experiments import load_study
    from glimmer.runs.grid_parts import changed

    keys = changed(load_study(stated), study)
    parts = {key: ",".join(map(str, getattr(study, key))) or "[]" for key in keys}
    return parts | {"results": "DIR"} if parts else {}


def _fetch_kilt(files, args) -> Iterator[dict[str, Any]]:
    from glimmer.files import require_space
    from glimmer.kilt.download import download, joined_triviaqa

    out = Path(args.out)
    absent = [file for file in files if not (out / file.name).exists()]
    require_space(out, sum(file.about_bytes - _have(out / file.name) for file in absent), "KILT's files")
    for file in files:
        yield _row(file.name, download(file.name, out, args.base.rstrip("/") + "/"), file.lines)
    if any(file.task == "triviaqa" for file in files):
        archive, is_address = args.triviaqa_archive, "://" in args.triviaqa_archive
        if is_address:
            name = archive.rsplit("/", 1)[1]
            yield _row(name, download(name, out, archive))
            archive = out / name
        yield from (_row(name, entry) for name, entry in joined_triviaqa(out, archive))


def _have(target: Path) -> int:
    part = target.with_name(target.name + ".part")
    return part.stat().st_size if part.exists() else 0


def _fetch_model(name: str, out: Path) -> Iterator[dict[str, Any]]:
    from glimmer.models.published import fetch_model

    folder = _folder(name)
    for file, entry in fetch_model(name, out / folder)["files"].items():
        yield _row(f"{folder}/{file}", entry)


def _folder(name: str) -> str:
    """A model's folder: owner/name@revision -> name."""
    return name.split("@")[0].split("/")[1]


def _row(name: str, entry: dict[str, Any], lines_published: int | None = None) -> dict[str, Any]:
    lines = entry.get("lines") if name.endswith((".json", ".jsonl")) else None
    return {"file": name, "lines": lines, "lines_published": lines_published, "size_bytes": entry["size"],
            "sha256": entry["sha256"]}  # fmt: skip
