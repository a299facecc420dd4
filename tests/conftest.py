"""For every test: what Ctrl-C means, which tests need the machine for themselves, and which are best begun first."""

from __future__ import annotations

import signal

import pytest

# A shell without job control starts background commands with SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

#: Whole runs and servers: with several workers, one that began last would be waited for alone.
LONG = (
    "test_every_model.py",
    "test_nbval.py",
    "test_nbval_recsys.py",
    "test_browser.py",
    "test_cli.py",
    "test_run.py",
    "test_pocs.py",
    "test_export.py",
    "test_endings.py",
    "test_embedded.py",
    "test_bundle_verify.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who starts a null server measures time, and is marked `timing`; the files with the longest tests go first."""
    for item in items:
        if hasattr(getattr(item, "module", None), "null_server"):
            item.add_marker(pytest.mark.timing)
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
