"""A database from before there were moderators: its accounts and seats stay, and the new role is taken."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from commerce.store_sql import migrate, sqlite_engine

BEFORE = (
    "INSERT INTO merchant (id, name, created_ms) VALUES ('m1', 'shop', 1)",
    "INSERT INTO staff (id, merchant, login, password_hash, role, name, created_ms)"
    " VALUES ('s1', 'm1', 'ann', 'x', 'host', 'Ann', 1)",
    "INSERT INTO org_node (id, merchant, kind, name, created_ms) VALUES ('n1', 'm1', 'group', 'all', 1)",
    "INSERT INTO org_member (staff, merchant, node, role, joined_ms) VALUES ('s1', 'm1', 'n1', 'host', 1)",
)
AFTER = (
    "INSERT INTO staff (id, merchant, login, password_hash, role, name, created_ms)"
    " VALUES ('s2', 'm1', 'bob', 'x', '{role}', 'Bob', 1)",
    "INSERT INTO org_member (staff, merchant, node, role, joined_ms) VALUES ('s2', 'm1', 'n1', '{role}', 1)",
)


def test_accounts_and_seats_stay_and_moderators_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    migrate(path, to="0110")
    engine = sqlite_engine(path, writing=True)
    with engine.begin() as connection:
        for statement in BEFORE:
            connection.execute(text(statement))
    for statement in AFTER:
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(text(statement.format(role="moderator")))
    migrate(path)
    with engine.begin() as connection:
        for statement in AFTER:
            connection.execute(text(statement.format(role="moderator")))
        seats = connection.execute(text("SELECT staff, role FROM org_member ORDER BY staff")).all()
        logins = connection.execute(text("SELECT login, role FROM staff ORDER BY id")).all()
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("UPDATE staff SET role = 'root' WHERE id = 's1'"))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("INSERT INTO staff SELECT 's3', merchant, login, 'x', role, name, NULL, 1 FROM staff"))
    engine.dispose()
    assert [tuple(row) for row in seats] == [("s1", "host"), ("s2", "moderator")]
    assert [tuple(row) for row in logins] == [("ann", "host"), ("bob", "moderator")]
