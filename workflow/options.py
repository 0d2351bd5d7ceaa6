"""What a call of snakemake asks for: which study, with which directories, measured or shown, and what else to show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from snakemake.cli import get_argument_parser

from glimmer.errors import InputError, did_you_mean
from glimmer.experiments import Study, load_study, study_names

DEFAULT_STUDY = "embedded"
COMMITTED = Path("results")
DRAWING_TARGETS = ("figures", "audit", "claims", "report", "crate")
"""Targets that show what has been measured and never measure."""

_DOCUMENTS = ("report.html", "audit.json", "claims.json", "ro-crate-metadata.json")
_PLACES = ("results", "work")
_PARTS = ("artifacts", "baselines", "seeds")
"""A part of the study's grid: its runs are the same as in the whole. With replicates, `seeds` may name further ones."""

_GIVEN = {"data": "data", "checkpoint": "initial", "retriever": "retriever"}  # option -> section with a `directory`
_KINDS = {"data": ("data", "kind", "kilt"), "checkpoint": ("initial", "kind", "checkpoint"),
          "retriever": ("retriever", "initial", "checkpoint")}  # fmt: skip


def study_of(config: Mapping[str, Any]) -> Study:
    """The study that the --config options name, with its directories. Raises InputError for one it does not take."""
    options = dict(config)
    options.pop("container", None)  # of the rules, and of no study: the Snakefile takes it
    name = str(options.pop("study", DEFAULT_STUDY))
    parts = {part: _values(options.pop(part)) for part in _PARTS if part in options}
    study = load_study(name)
    if study.name != name:
        raise InputError("a study is chosen by its name", where="--config", expected=study.name, found=name)
    keys = _keys_of(study)
    places = dict(_flat(options))
    for option in places:
        if option not in keys and option not in keys.values():
            raise InputError(f"study {name} takes no option {option}", where="--config",
                             expected=", ".join(["study", *keys, *_PARTS, "container"]), found=option)  # fmt: skip
    for option in set(places) & set(_KINDS):
        section, key, kind = _KINDS[option]
        found = getattr(getattr(study, section), key, None)
        if found != kind:
            raise InputError(f"study {study.name} takes no {option}", where="--config",
                             expected=f"a study whose {section}.{key} is {kind}", found=found)  # fmt: skip
    for part, values in parts.items():
        is_open = part == "seeds" and study.replicates  # a further replicate is one more draw of the same study
        strangers = [value for value in values if value not in getattr(study, part) and not is_open]
        if strangers:
            raise InputError(f"not part of study {study.name}", where=f"--config {part}", found=strangers[0],
                             expected=f"some of {', '.join(map(str, getattr(study, part)))}")  # fmt: skip
    if parts and Path(options.get("results", study.results)).resolve() == study.results.resolve():
        # Among results of the whole, what a part measures could not be told from what is missing, nor sealed apart.
        raise InputError("a part of a study needs a place of its own", where="--config", found=", ".join(parts),
                         expected="results=DIR besides")  # fmt: skip
    return load_study(name, {keys.get(option, option): _place(option, places[option]) for option in places} | parts)


def _keys_of(study: Study) -> dict[str, str]:
    """Option -> the key of the study that it sets: a place, a directory, the checkpoint of a size of its own.

    The keys themselves are options too, in a file of `--configfile`; on the command line a key may not hold a dot.
    """
    given = {option: f"{section}.directory" for option, section in _GIVEN.items()}
    sizes = {option_of_size(size): f"sizes.{size}.initial.directory" for size in study.sizes}
    return given | sizes | {name: name for name in _PLACES}


def option_of_size(size: str) -> str:
    """The option that gives the checkpoint of one of the paper's sizes: checkpoint_xxl."""
    return f"checkpoint_{size.lower()}"


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Sections spelled out as in a study, {sizes: {XXL: {initial: {directory: DIR}}}}, as dotted keys."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _place(option: str, value: Any) -> str:
    if not isinstance(value, str | Path | int) or isinstance(value, bool):  # what YAML makes of `true`, `1e3`, nothing
        raise InputError(f"{option} is no directory", where="--config", expected="a path, as in ./NAME", found=value)
    return str(value)


def _values(given: Any) -> list[Any]:
    """A list option as Snakemake hands it over: `seeds=0`, `seeds=[0]`, `artifacts=figure2,table1`, `baselines=[]`."""
    items = given if isinstance(given, list) else str("" if given is None else given).split(",")
    return [int(item) if str(item).isdigit() else item for item in map(_bare, items) if item != ""]


def _bare(item: Any) -> Any:
    return item.strip(" []") if isinstance(item, str) else item


def shown_studies(config: Mapping[str, Any], arguments: Iterable[str]) -> tuple[Study, ...]:
    """The studies that a call which only shows results shows.

    The one that --config names; without one, those with results and those that a target's path names, by name.
    """
    if "study" in config:
        return (study_of(config),)
    results = Path(config.get("results", COMMITTED))
    named = {part for target in _targets(arguments) for part in Path(target).parts}
    names = [name for name in study_names() if name in named or any(results.glob(f"{name}/runs/*.json"))]
    places = {option: config[option] for option in _PLACES if option in config}
    return tuple(study_of({"study": name, **places}) for name in names)


def draws_only(arguments: Iterable[str]) -> bool:
    """Whether a call with these arguments only shows results: then the rules that measure are not even loaded.

    Snakemake does not tell a Snakefile its targets, so its own parser reads them off the command line. A mixture counts
    as drawing only, unless `all` is in it: then a target that has to be measured is unknown, and nothing trains by
    surprise.
    """
    targets = _targets(arguments)
    return "all" not in targets and any(
        target in DRAWING_TARGETS
        or Path(target).name in _DOCUMENTS
        or Path(target).parent.name in ("figures", "tables")
        for target in targets
    )


def check_targets(arguments: Iterable[str]) -> None:
    """Raises InputError for a target that is no rule and no path, but spelled like one that shows results: snakemake
    would look for rules that make such a file, with those that measure loaded."""
    rules = {name for path in _RULES.glob("*.smk") for name in re.findall(r"^ *rule (\w+):", path.read_text(), re.M)}
    for target in _targets(arguments):
        near = did_you_mean(target, DRAWING_TARGETS)
        if near and target not in {"all", *DRAWING_TARGETS, *rules} and Path(target).name == target:
            raise InputError(
                f"no such target{near}", where=target, expected=f"all, {', '.join(DRAWING_TARGETS)}, or a file"
            )


_RULES = Path(__file__).parent / "rules"


def _targets(arguments: Iterable[str]) -> list[str]:
    return get_argument_parser().parse_known_args(list(arguments))[0].targets or []
