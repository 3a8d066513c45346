"""Field-visit notes: what a guide writes down about a customer after a visit, and who may read it.

The customer reads them all in their export, and an erasure takes them away: so only what one would say to their face
belongs there, and the form says so.
"""

from collections.abc import Callable
from typing import Any

from commerce import catalogue_checks as check
from commerce.crm import notes_sql
from commerce.domain.org import Reach
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id
from commerce.store_sql import Store

BODY_CHARACTERS_MAX = 1_000
PLACE_CHARACTERS_MAX = 60


class Notes:
    """The notes of each merchant's guides. ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def add(
        self, merchant: str, person: str, staff: str, reach: Reach | None, body: str, place: str, visited_ms: int | None
    ) -> str:
        """Write a note about a customer within reach; its id. Raises Invalid, NotFound, Refused (limit)."""
        now_ms = self._clock()
        if visited_ms is not None and visited_ms > now_ms:
            raise Invalid("a visit is written down when it was made", field="visited")
        row: dict[str, Any] = {
            "id": fresh_id(now_ms),
            "merchant": merchant,
            "staff": staff,
        }
        row |= {"body": check.words(body, "body", BODY_CHARACTERS_MAX)}
        row |= {"place": check.words(place, "place", PLACE_CHARACTERS_MAX, empty=True)}
        row |= {"visited": now_ms if visited_ms is None else visited_ms, "now": now_ms}
        await self._store.write(lambda db: notes_sql.add(db, row, person, reach))
        return str(row["id"])

    async def of(self, merchant: str, person: str, reach: Reach | None) -> list[dict[str, Any]]:
        """The notes about a customer within reach, the newest visit first. Raises NotFound."""
        return await self._store.read(lambda db: notes_sql.of(db, merchant, person, reach))

    async def drop(self, merchant: str, person: str, staff: str, reach: Reach | None, note: str) -> None:
        """Take one's own note away; who has the whole shop, anybody's. Raises NotFound."""
        await self._store.write(lambda db: notes_sql.drop(db, merchant, person, staff, reach, note))
