"""The invented results of the analysis tests."""

from tests.analysis.conftest import drawn, invented, results

__all__ = ["drawn", "invented", "results"]
