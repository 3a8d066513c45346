"""Pictures that buyers attach to what is made for them: kept, shown to them and the shop, forgotten in time.

What is kept was decoded and encoded anew by the gateway: no file of a stranger reaches anybody, nor where it was taken.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from commerce import pictures_sql as sql
from commerce.domain.day import DAY_MS
from commerce.domain.org import Reach
from commerce.domain.policy import KEEP_DAYS_MIN
from commerce.fresh_ids import fresh_id
from commerce.pictures_sql import PictureFacts
from commerce.store_sql import Store

UNUSED_MS = DAY_MS
"""How long a picture waits for an order or a request: who looks at a price at night orders in the morning."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture as it is kept: a JPEG without anything beside the picture; ``digest`` of the file that was sent."""

    jpeg: bytes
    width: int
    height: int
    digest: str


class Pictures:
    """Buyers' pictures of all merchants of one database."""

    def __init__(self, store: Store, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def add(self, merchant: str, room: str, person: str, drawn: Drawn) -> PictureFacts:
        """Keep one; sent again it is the one that is there. Raises Refused (limit)."""
        now_ms = self._clock()
        row = asdict(drawn) | {"merchant": merchant, "room": room, "person": person, "now": now_ms}
        row["id"] = fresh_id(now_ms)
        return await self._store.write(lambda db: sql.add(db, row))

    async def of_person(self, merchant: str, person: str, picture: str) -> bytes:
        """The JPEG of one's own picture. Raises NotFound."""
        return await self._store.read(lambda db: sql.read(db, merchant, picture, person))

    async def of_shop(self, merchant: str, picture: str, reach: Reach | None) -> bytes:
        """The JPEG of a picture that was sent to a shop, or a part of it. Raises NotFound."""
        return await self._store.read(lambda db: sql.read(db, merchant, picture, reach=reach))

    async def drop(self, merchant: str, person: str, picture: str) -> None:
        """Take one's own away again. Raises NotFound for one that an order or a request names, too."""
        await self._store.write(lambda db: sql.drop(db, merchant, person, picture))

    async def forget(self, keep_days: int) -> int:
        """Delete what nothing names after a day, and the rest ``keep_days`` after it was named last (0: never).

        They belong to what was agreed: three years are the least, and nothing goes that is still being made.
        """
        now_ms, gone = self._clock(), 0
        used_ms = now_ms - max(keep_days, KEEP_DAYS_MIN) * DAY_MS if keep_days else None
        while True:
            some = await self._store.write(lambda db: sql.forget(db, now_ms - UNUSED_MS, used_ms))
            gone += some
            if some < sql.FORGET_MAX:
                return gone
