"""Bans as they are written down."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from commerce.bans_sql import BanRow, Bans
from commerce.catalogue import Catalogue
from commerce.store_sql import open_store


async def test_a_ban_is_replaced_lapses_and_is_forgotten(place: Path | str) -> None:
    now = [1_000]
    store = open_store(place)
    catalogue = Catalogue(store, clock=lambda: now[0])
    bans = Bans(store, clock=lambda: now[0])
    try:
        merchant = (await catalogue.create_merchant("茶铺")).id
        room, other = [(await catalogue.create_room(merchant, title)).id for title in ("一", "二")]
        await bans.put(room, "ann", 5_000, "spam", "boss")
        await bans.put(room, "ann", 9_000, "again", "aid")
        await bans.put(room, "bob", 2_000, "", "boss")
        assert await bans.of_room(room) == [
            BanRow(room, "ann", 9_000, "again", "aid", 1_000),
            BanRow(room, "bob", 2_000, "", "boss", 1_000),
        ]
        assert await bans.of_room(other) == []
        now[0] = 2_000
        assert [row.person for row in await bans.of_room(room)] == ["ann"]
        await bans.put(other, "cid", 2**53 - 1, "", "boss")
        await bans.remove(room, "ann")
        await bans.remove(room, "nobody")
        assert await bans.of_room(room) == []
        with pytest.raises(IntegrityError):
            await bans.put("no-room", "ann", 5_000, "", "boss")
    finally:
        await catalogue.close()
        store.close()
