"""A hold's request key stands in the hold: each of a person's chain is found, also those carried over by an upgrade."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from commerce.audit_sql import audit
from commerce.errors import CommerceError
from tests.commerce.shop_world import shop_world, upgraded


async def test_each_key_of_a_person_is_found_again_however_many_came_after_it(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(10, 2, hold_s=60)
        holds = {}
        for n in range(6):
            # Two at a time: the former two run out, and leave their keys.
            holds[n] = await world.hold(sale.sale, "one", 1, key=f"k{n}")
            if n % 2:
                world.clock.advance(60_000)
                await world.shop.sweep()
        for n, first in holds.items():
            assert await world.hold(sale.sale, "one", 1, key=f"k{n}") == first
            with pytest.raises(CommerceError, match="another request"):
                await world.hold(sale.sale, "one", 2, key=f"k{n}")
        assert (await world.hold(sale.sale, "two", 1, key="k0")).hold != holds[0].hold


async def test_keys_from_before_the_upgrade_still_give_their_answers(tmp_path: Path) -> None:
    engine = upgraded(tmp_path, "0017", BEFORE)
    with engine.begin() as connection:
        rows = connection.execute(text("SELECT id, key, hash, earlier FROM hold ORDER BY id")).all()
        assert [tuple(row) for row in rows] == [
            ("h1", "a", "1/None", None),
            ("h2", "b", "1/None", "h1"),
            ("h3", "a", "1/None", None),
        ]
        latest = connection.execute(text("SELECT person, latest FROM quota ORDER BY person")).all()
        assert [tuple(row) for row in latest] == [("one", "h2"), ("two", "h3")]
        assert connection.execute(text("SELECT route FROM request")).scalars().all() == ["claim/d"]
    engine.dispose()
    broken = [finding.name for finding in audit(tmp_path, now_ms=6) if not finding.ok]
    assert [name for name in broken if "key" in name or "hold" in name] == []


BEFORE = (
    "INSERT INTO stock (sku, merchant, received, free, held) VALUES ('k2', 'm1', 9, 0, 9)",
    "INSERT INTO sale (id, merchant, room, product, sku, title, image, price, list_price, version, total, free, held,"
    " sold, returned, per_person, hold_ms, length_ms, announced, created_ms) VALUES"
    " ('s', 'm1', 'r1', 'p2', 'k2', 't', '', 1, 1, 1, 9, 6, 3, 0, 0, 2, 9000, 9000, '', 1)",
    "INSERT INTO hold (id, merchant, sale, sku, person, quantity, price, expires_ms, state)"
    " VALUES ('h1', 'm1', 's', 'k2', 'one', 1, 1, 99, 'held'), ('h2', 'm1', 's', 'k2', 'one', 1, 1, 99, 'held'),"
    " ('h3', 'm1', 's', 'k2', 'two', 1, 1, 99, 'held')",
    "INSERT INTO quota (scope, person, used) VALUES ('s', 'one', 2), ('s', 'two', 1)",
    "INSERT INTO request (merchant, route, person, key, hash, answer, created_ms) VALUES"
    " ('m1', 'hold/s', 'one', 'a', '1/None', 'h1', 1), ('m1', 'hold/s', 'one', 'b', '1/None', 'h2', 1),"
    " ('m1', 'hold/s', 'two', 'a', '1/None', 'h3', 1), ('m1', 'claim/d', 'two', 'a', '', 'c', 1)",
)
