"""Fixtures that many tests share, so that there is one PostgreSQL for them all."""

from tests.postgres import anywhere, cluster, database, place

__all__ = ["anywhere", "cluster", "database", "place"]
