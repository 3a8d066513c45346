"""Fixtures that many tests share, so that there is one PostgreSQL for them all."""

import pytest
from hypothesis import settings

from tests.balance import Balance
from tests.postgres import anywhere, cluster, database, place

__all__ = ["anywhere", "cluster", "database", "place"]

# A machine that stands still for a second says nothing about the code under test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """Share the tests out where several processes run them."""
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(Balance(), "balance")
