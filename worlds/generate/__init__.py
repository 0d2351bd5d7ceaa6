"""The generated benchmark: an invented encyclopaedia with KILT's six tasks, and reading exercises for pretraining."""

from worlds.generate.benchmark import Benchmark, build_benchmark, summary, write_benchmark
from worlds.generate.inventory import name_words
from worlds.generate.knobs import BenchmarkSettings
from worlds.generate.reading import (
    EXERCISES,
    GAPPED,
    PLAIN_READING,
    TWO_PAGES,
    ReadingExample,
    sample_pages,
    sample_reading_examples,
)

__all__ = [
    "EXERCISES",
    "GAPPED",
    "PLAIN_READING",
    "TWO_PAGES",
    "Benchmark",
    "BenchmarkSettings",
    "ReadingExample",
    "build_benchmark",
    "name_words",
    "sample_pages",
    "sample_reading_examples",
    "summary",
    "write_benchmark",
]
