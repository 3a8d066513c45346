"""Fixtures that many tests share, so that there is one PostgreSQL for them all, and the order of the modules."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres import anywhere, cluster, database, place

__all__ = ["anywhere", "cluster", "database", "place"]

# A machine that stands still for a second says nothing about the code under test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

LONGEST_FIRST = ("matrix", "e2e", "integration", "loadtest", "gateway")
"""Folders whose modules take long: the last ones would keep one process busy while the others have nothing to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long modules first; within a folder they stay as they are."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=rank)
