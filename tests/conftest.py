"""Fixtures that many tests share, so that there is one PostgreSQL for them all."""

from tests.postgres import cluster, database, place

__all__ = ["cluster", "database", "place"]
