"""The audit trail between the hub and the database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chat.audit import AuditEntry
from commerce.errors import Busy
from commerce.staff_actions_sql import StaffAction, StaffActions
from commerce.store_sql import Store, open_store
from gateway import audit as trail
from gateway.audit import RoomAudit
from gateway.write_behind import WriteBehind


class Troubled(StaffActions):
    """A database that is busy as often as said."""

    def __init__(self, store: Store, *, busy: int) -> None:
        super().__init__(store, clock=lambda: 5_000)
        self.busy = busy

    async def put(self, actions: Sequence[StaffAction]) -> None:
        """As the real one, if there is no trouble."""
        if self.busy:
            self.busy -= 1
            raise Busy("the database is busy")
        await super().put(actions)


def entry(number: int) -> AuditEntry:
    return AuditEntry(1_000, "r", {"name": "老板", "role": "host"}, f"act{number}", None, {"number": number})


async def test_entries_wait_for_a_busy_database_in_their_order(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    audit = RoomAudit(Troubled(store, busy=2), clock=lambda: 5_000)
    try:
        for number in range(3):
            audit(entry(number))
        assert await audit.newest("r", "", 10) == [] and audit.stats().queued == 3
        assert await audit.newest("r", "", 10) == []
        audit(entry(3))
        assert [one.action for one in await audit.newest("r", "", 10)] == ["act3", "act2", "act1", "act0"]
        assert (audit.stats().queued, audit.stats().written, audit.stats().dropped) == (0, 4, 0)
    finally:
        store.close()


async def test_what_is_over_the_bound_is_counted(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    audit = RoomAudit(Troubled(store, busy=0), clock=lambda: 5_000)
    try:
        for number in range(trail.WAITING_MAX + 2):
            audit(entry(number))
        assert audit.stats().dropped == 2
        audit.start()
        await audit.close()
        assert audit.stats().written == trail.WAITING_MAX
    finally:
        store.close()


async def test_a_row_that_the_database_does_not_take_holds_up_no_other() -> None:
    kept: list[str] = []

    async def put(rows: Sequence[str]) -> None:
        if "poison" in rows:
            raise ValueError("no such row")
        kept.extend(rows)

    rows = WriteBehind[str](put, what="rows", waiting_max=10, batch_max=2)
    for row in ("a", "b", "poison", "d", "e"):
        rows.append(row)
    await rows.flush()
    assert kept == ["a", "b", "e"]
    assert (rows.stats().queued, rows.stats().written, rows.stats().dropped) == (0, 3, 2)
