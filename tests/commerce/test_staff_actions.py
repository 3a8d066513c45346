"""What staff did, as it is written down."""

from __future__ import annotations

from pathlib import Path

from commerce.staff_actions_sql import KEPT_MS, StaffAction, StaffActions
from commerce.store_sql import open_store


def action(number: str, at_ms: int, room: str = "r") -> StaffAction:
    by = {"name": "老板", "role": "host"}
    return StaffAction(number, room, at_ms, by, "mute", "ann", {"seconds": 60, "reason": "刷屏"})


async def test_they_come_newest_first_page_by_page_each_once(place: Path | str) -> None:
    now = [10_000]
    store = open_store(place)
    actions = StaffActions(store, clock=lambda: now[0])
    try:
        done = [action(f"a{number}", 1_000 + number) for number in range(5)]
        await actions.put(done[:3])
        # Written again after an answer that did not come.
        await actions.put(done)
        await actions.put([action("b", 2_000, "other")])
        assert await actions.newest("r", "", 2) == [done[4], done[3]]
        assert await actions.newest("r", done[3].id, 10) == [done[2], done[1], done[0]]
        assert await actions.newest("nowhere", "", 10) == []
    finally:
        store.close()


async def test_they_are_kept_for_three_years(place: Path | str) -> None:
    now = [10_000]
    store = open_store(place)
    actions = StaffActions(store, clock=lambda: now[0])
    try:
        await actions.put([action("a", 1_000), action("b", 9_000)])
        now[0] = 1_000 + KEPT_MS
        await actions.put([action("c", now[0])])
        assert [one.id for one in await actions.newest("r", "", 10)] == ["c", "b"]
    finally:
        store.close()
