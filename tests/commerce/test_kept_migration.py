"""A database from before kept deposits were entries: what its books said of them stays, the rest comes now."""

import time
from pathlib import Path

from sqlalchemy import text

from tests.commerce.shop_world import upgraded

FROM_MS = time.time_ns() // 1_000_000 + 86_400_000


def orders(name: str, refunded: int, balance: str) -> str:
    """A deposit of 1,000 分 and its balance."""
    columns = "id, merchant, room, person, status, goods, discount, amount, refunded, steps, created_ms, expires_ms"
    return (
        f"INSERT INTO orders ({columns}, presale) VALUES"
        f" ('{name}', 'm1', 'r1', 'one', 'paid', 1000, 0, 1000, {refunded}, '[]', 1, 9, '{name}'),"
        f" ('{name}b', 'm1', 'r1', 'one', '{balance}', 5000, 1000, 4000, 0, '[]', 1, 9, '{name}')"
    )


def presale(name: str, ended: str, from_ms: int = 1) -> str:
    """Both in one."""
    return (
        "INSERT INTO presale (id, merchant, sale, price, balance, from_ms, until_ms, missed, ended_ms)"
        f" VALUES ('{name}', 'm1', 's', 5000, '{name}b', {from_ms}, {from_ms + 9}, 'keep', {ended})"
    )


def test_kept_deposits_become_entries_and_open_balances_are_reminded_of(tmp_path: Path) -> None:
    before_ms = time.time_ns() // 1_000_000
    engine = upgraded(
        tmp_path,
        "0037",
        (
            orders("kept", 0, "cancelled"),
            presale("kept", "77"),
            orders("part", 300, "cancelled"),
            presale("part", "78"),
            orders("open", 0, "pending"),
            presale("open", "NULL", FROM_MS),
        ),
    )
    with engine.begin() as connection:
        kept = connection.execute(text("SELECT deposit, amount, at_ms FROM kept_deposit ORDER BY deposit")).all()
        due = connection.execute(text("SELECT kind, subject, due_ms FROM deadline")).all()
    engine.dispose()
    assert [tuple(row) for row in kept[:1]] == [("kept", 1_000, 77)]
    assert (kept[1].deposit, kept[1].amount) == ("part", 700) and kept[1].at_ms >= before_ms
    assert [tuple(row) for row in due] == [("balance", "open", FROM_MS)]
