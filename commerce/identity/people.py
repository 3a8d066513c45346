"""Persons: who a visitor is to one merchant, found again by what identifies them.

Kinds: ``guest`` (a random value that the browser keeps), ``device`` (an anonymous device; it never joins two persons),
``wechat`` (``appid:openid``, exact), ``wecom`` (``corpid:external_userid``, exact). Phone numbers are another matter
(A17): they are encrypted, with a keyed hash. Guest and device values work like keys to the person, so only their hash
is stored.

Unknown visitors are written in batches: a room that fills up costs one transaction for hundreds of them.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from commerce.attribution import touches_sql
from commerce.attribution.touches_sql import TouchLog
from commerce.catalogue_checks import title
from commerce.domain.ids import AFTER_ALL
from commerce.domain.org import Reach
from commerce.errors import Busy, Invalid
from commerce.fresh_ids import fresh_id
from commerce.identity import people_sql
from commerce.identity.people_sql import Newcomer, Person
from commerce.store_sql import Store

Clock = Callable[[], int]

KINDS = ("guest", "device", "wechat", "wecom")
EXACT = ("wechat", "wecom")
"""Kept as they are: what a channel calls somebody is no key to them."""
VALUE_CHARACTERS_MAX = 200  # an appid and an openid are 18 + 1 + 28
WAITING_MAX = 5_000  # newcomers waiting to be written: more than a second of joins
BATCH_PEOPLE_MAX = 500  # one transaction of some 20 ms: the ledger's next batch waits no longer
PAGE_MAX = 200
FLUSH_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Identified:
    """A person, and whether they were unknown until now."""

    person: Person
    new: bool


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person in the merchant's list; ``first_ms`` and ``last_ms`` are when they were seen (Unix milliseconds)."""

    person: str
    name: str
    kinds: tuple[str, ...]
    first_ms: int
    last_ms: int

    def to_json(self) -> dict[str, Any]:
        """Give the JSON shape."""
        return {
            "person": self.person,
            "name": self.name,
            "kinds": list(self.kinds),
            "first": self.first_ms,
            "last": self.last_ms,
        }


class People:
    """The persons of all merchants; every method is scoped to one. ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, touches: TouchLog, *, clock: Clock) -> None:
        self._store = store
        self._touches = touches
        self._clock = clock
        self._waiting: list[tuple[Newcomer, asyncio.Future[Identified]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def identify(self, merchant: str, kind: str, value: str, name: str = "") -> Identified:
        """Find the person behind an identity, or make one with ``name``; a known one keeps theirs.

        Raises ``Invalid`` for a kind, value or name of wrong form, ``NotFound`` for an unknown merchant, ``Busy``.
        """
        key = _stored(kind, value)
        called = title(name, "name") if name else ""
        found = await self._store.read(lambda db: people_sql.find(db, merchant, kind, key))
        if found is not None:
            return Identified(found, new=False)
        if len(self._waiting) >= WAITING_MAX:
            raise Busy("too many newcomers at once", retry_ms=1_000)
        now_ms = self._clock()
        person = Person(fresh_id(now_ms), merchant, called, now_ms)
        future: asyncio.Future[Identified] = asyncio.get_running_loop().create_future()
        self._waiting.append((Newcomer(person, kind, key), future))
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())
        return await future

    async def person(self, merchant: str, person: str) -> Person:
        """Read a person. Raises ``NotFound``, also for another merchant's."""
        return await self._store.read(lambda db: people_sql.person(db, merchant, person))

    async def rename(self, merchant: str, person: str, name: str) -> Person:
        """Change a person's name. Raises ``NotFound`` and ``Invalid``."""
        called = title(name, "name")
        return await self._store.write(lambda db: people_sql.rename(db, merchant, person, called))

    async def people(
        self, merchant: str, after: str | None = None, limit: int = 50, reach: Reach | None = None
    ) -> list[PersonView]:
        """List a merchant's persons (with ``reach`` a part of them), newest first.

        ``after`` is the id of the last one had, ``limit`` 1–200.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= PAGE_MAX:
            raise Invalid(f"limit must be between 1 and {PAGE_MAX}", field="limit")
        start = after or AFTER_ALL
        found, kinds = await self._store.read(lambda db: people_sql.page(db, merchant, start, limit, reach))
        await self._touches.flushed(FLUSH_WAIT_S)
        seen = await self._touches.read(lambda db: touches_sql.last_seen(db, merchant, [one.id for one in found]))
        return [
            PersonView(
                one.id, one.name, tuple(kinds.get(one.id, ())), one.created_ms, max(one.created_ms, seen.get(one.id, 0))
            )
            for one in found
        ]

    async def close(self) -> None:
        """Wait until the newcomers that wait are written."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_PEOPLE_MAX], self._waiting[BATCH_PEOPLE_MAX:]
                await self._write_batch(batch)
        finally:
            self._writer = None

    async def _write_batch(self, batch: list[tuple[Newcomer, asyncio.Future[Identified]]]) -> None:
        newcomers = [newcomer for newcomer, _ in batch]
        try:
            results = await self._store.write(lambda db: people_sql.insert(db, newcomers))
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error if isinstance(error, Exception) else Busy("the shop is closing"))
            if not isinstance(error, Exception):
                raise
            return
        for (newcomer, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Person):
                future.set_result(Identified(result, new=result is newcomer.person))
            else:
                future.set_exception(result)


def _stored(kind: str, value: str) -> str:
    if kind not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(KINDS)}", field="kind")
    if not isinstance(value, str) or not 1 <= len(value) <= VALUE_CHARACTERS_MAX or not value.isprintable():
        raise Invalid(f"value must be 1 to {VALUE_CHARACTERS_MAX} printable characters", field="value")
    return value if kind in EXACT else hashlib.sha256(f"{kind}\x00{value}".encode()).hexdigest()
