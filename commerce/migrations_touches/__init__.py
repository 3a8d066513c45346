"""Alembic scripts of the shop's database; they ship in the wheel."""
