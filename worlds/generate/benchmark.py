"""The whole generated benchmark: a knowledge source and twelve task files, from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from glimmer.errors import InputError
from glimmer.experiments.settings import TASKS
from glimmer.files import atomic_directory, write_json, write_json_lines
from glimmer.kilt.chunking import chunk
from glimmer.kilt.formats import Page
from worlds.generate.knobs import BenchmarkSettings
from worlds.generate.pages import WrittenPage, render_page
from worlds.generate.tasks import evidence_is_missing, task_examples
from worlds.generate.world import World, build_world

SPLITS = ("train", "dev")
SUMMARY_FILE = "generated.json"
SUMMARY_PASSAGE_WORDS = 48


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A generated benchmark in memory. `pages` are by entity number; `page_order` is their order in the file."""

    settings: BenchmarkSettings
    seed: int
    world: World
    pages: tuple[WrittenPage, ...]
    page_order: tuple[int, ...]
    examples: dict[tuple[str, str], list[dict]]


def build_benchmark(settings: BenchmarkSettings, seed: int) -> Benchmark:
    """Draws the world, writes its pages and asks its questions. Equal settings and seeds give equal benchmarks.

    Raises InputError if some task would be left without examples.
    """
    world = build_world(_random(seed, "world"), settings, _families(_random(seed, "splits"), settings))
    random = _random(seed, "pages")
    count = len(world.entities)
    ids = [str(number) for number in random.sample(range(100_000, 10_000_000), count)]
    pages = tuple(render_page(random, settings, world, number, ids) for number in range(count))
    examples = {}
    for task in TASKS:
        for split in SPLITS:
            # A generator for each file: more examples of one task change no other.
            made = task_examples(_random(seed, f"{task} {split}"), settings, world, pages, task, split)
            if not made:
                raise InputError(f"no {split} examples of {task}", expected="more pages", found=settings.pages)
            examples[task, split] = made
    order = tuple(random.sample(range(count), count))
    return Benchmark(settings=settings, seed=seed, world=world, pages=pages, page_order=order, examples=examples)


def write_benchmark(benchmark: Benchmark, directory: str | Path) -> dict:
    """Writes knowledge_source.jsonl, <task>-{train,dev}-kilt.jsonl and generated.json (settings and summary).

    A benchmark that was generated there before is replaced; any other directory that is not empty is an InputError.
    Returns the summary.
    """
    directory = Path(directory)
    if (
        directory.exists()
        and not (directory / SUMMARY_FILE).exists()
        and (not directory.is_dir() or any(directory.iterdir()))
    ):
        raise InputError(
            "will not overwrite", where=directory, expected="an empty or new directory", found="other files"
        )
    report = summary(benchmark)
    with atomic_directory(directory) as target:
        write_json_lines(target / "knowledge_source.jsonl", (benchmark.pages[n].record() for n in benchmark.page_order))
        for (task, split), examples in benchmark.examples.items():
            write_json_lines(target / f"{task}-{split}-kilt.jsonl", examples)
        record = {"seed": benchmark.seed, "settings": benchmark.settings.record(), "summary": report}
        write_json(target / SUMMARY_FILE, record)
    return report


def summary(benchmark: Benchmark) -> dict:
    """Counts of pages, passages (at 48 words), distinct words and examples, and the share of train without evidence."""
    words = {word for page in benchmark.pages for text in page.text for word in text.split()}
    words |= {word for made in benchmark.examples.values() for record in made for word in record["input"].split()}
    passages = sum(1 for page in benchmark.pages for _ in chunk(source_page(page), SUMMARY_PASSAGE_WORDS))
    trained = [record for task in TASKS for record in benchmark.examples[task, "train"]]
    return {
        "pages": len(benchmark.pages),
        f"passages_of_{SUMMARY_PASSAGE_WORDS}_words": passages,
        "distinct_words": len(words),
        "examples": {task: {split: len(benchmark.examples[task, split]) for split in SPLITS} for task in TASKS},
        "train_without_evidence": sum(map(evidence_is_missing, trained)) / len(trained),
    }


def source_page(page: WrittenPage) -> Page:
    """A generated page as one read from a knowledge source."""
    return Page(page_id=page.wikipedia_id, title=page.title, paragraphs=list(page.text))


def _random(seed: int, purpose: str) -> Random:
    return Random(f"{seed} {purpose}")


def _families(random: Random, settings: BenchmarkSettings) -> Sequence[tuple[str, int]]:
    """(split, pages) of each family: as few families as hold all pages, evenly filled, at least one for each split."""
    count = max(2, -(-settings.pages // settings.family_pages))
    dev = min(count - 1, max(1, round(count * settings.dev_families)))
    splits = ["dev"] * dev + ["train"] * (count - dev)
    random.shuffle(splits)
    least, extra = divmod(settings.pages, count)
    return [(split, least + (number < extra)) for number, split in enumerate(splits)]
