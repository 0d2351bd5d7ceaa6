"""Peers of the parity tests: each is skipped with a reason where it is missing (requirements/parity.txt)."""

import os

import pytest

HOW = "install the peers with `make test-parity` (requirements/parity.txt)"
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here is downloaded


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/parity" in item.path.as_posix():
            item.add_marker(pytest.mark.parity)


@pytest.fixture(scope="session")
def torch():
    found = pytest.importorskip("torch", reason=HOW)
    found.set_num_threads(1)
    return found


@pytest.fixture(scope="session")
def transformers(torch):
    found = pytest.importorskip("transformers", reason=HOW)
    found.logging.set_verbosity_error()
    return found


@pytest.fixture(scope="session")
def record(request):
    """Notes the largest difference seen of each comparison, printed at the end: docs/fidelity.md quotes them."""
    seen = {}

    def note(what, found, expected):
        import numpy as np

        found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
        scale = max(float(np.abs(expected).max()), 1e-30)
        difference = float(np.abs(found - expected).max()) / scale
        seen[what] = max(seen.get(what, 0.0), difference)
        return difference

    yield note
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    for what, difference in seen.items():
        reporter.write_line(f"largest difference, {what}: {difference:.1e} of the largest value")
