"""Ours beside what people would use instead: both sides do the same work in one process, in turn, and are compared
before they are timed. `python -m benchmarks.peers` measures; docs/performance.md shows."""
