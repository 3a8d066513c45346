"""What staff decided about rooms, as it is written down."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from commerce.catalogue import Catalogue
from commerce.room_rules_sql import RoomRules
from commerce.store_sql import open_store

FOR_EVER_MS = 2**53 - 1


async def test_a_decision_is_replaced_lapses_and_is_forgotten(place: Path | str) -> None:
    now = [1_000]
    store = open_store(place)
    catalogue = Catalogue(store, clock=lambda: now[0])
    rules = RoomRules(store, clock=lambda: now[0])
    try:
        merchant = (await catalogue.create_merchant("茶铺")).id
        room, other = [(await catalogue.create_room(merchant, title)).id for title in ("一", "二")]
        await rules.put(room, "rules", b'["rules",1]', FOR_EVER_MS, "")
        now[0] += 1
        await rules.put(room, "mute:ann", '["mute","安"]'.encode(), 5_000, "ann")
        now[0] += 1
        await rules.put(room, "rules", b'["rules",2]', FOR_EVER_MS, "")
        await rules.put(other, "rules", b'["rules",3]', FOR_EVER_MS, "")
        assert await rules.of_room(room) == ['["mute","安"]'.encode(), b'["rules",2]']
        now[0] = 5_000
        assert await rules.of_room(room) == [b'["rules",2]']
        await rules.remove(room, "rules")
        await rules.remove(room, "none")
        assert (await rules.of_room(room), await rules.of_room(other)) == ([], [b'["rules",3]'])
        with pytest.raises(IntegrityError):
            await rules.put("no-room", "rules", b"[]", FOR_EVER_MS, "")
    finally:
        await catalogue.close()
        store.close()
