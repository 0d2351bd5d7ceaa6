"""The generated benchmark: an invented encyclopaedia with KILT's six tasks, and reading exercises for pretraining."""

from glimmer.kilt.generate.benchmark import Benchmark, build_benchmark, summary, write_benchmark
from glimmer.kilt.generate.names import name_words
from glimmer.kilt.generate.reading import EXERCISES, TWO_PAGES, ReadingExample, sample_pages, sample_reading_examples
from glimmer.kilt.generate.settings import BenchmarkSettings

__all__ = [
    "EXERCISES",
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
