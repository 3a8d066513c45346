"""The addresses at which merchants look at chat lines before they are shown: one for all rooms, or one for a room."""

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, text

from commerce.domain.webhook import url_fault
from commerce.errors import Invalid, NotFound
from commerce.ledger import Clock
from commerce.media_hook_sql import SECRET_BYTES
from commerce.store_sql import Store

TIMEOUT_MS_MIN = 100
TIMEOUT_MS_MAX = 3_000
"""A command of the hub is answered within ten seconds, and a line may wait two rounds for its turn."""
ALL_ROOMS = ""
"""The room of a hook for all rooms that have none of their own."""

_PUT = text(
    "INSERT INTO review_hook (merchant, room, url, secret, timeout_ms, fail_open, created_ms)"
    " VALUES (:merchant, :room, :url, :secret, :timeout_ms, :fail_open, :now)"
    " ON CONFLICT (merchant, room) DO UPDATE SET url = excluded.url, secret = excluded.secret,"
    " timeout_ms = excluded.timeout_ms, fail_open = excluded.fail_open, created_ms = excluded.created_ms"
)
_DELETE = text("DELETE FROM review_hook WHERE merchant = :merchant AND room = :room")
_ALL = text("SELECT merchant, room, url, secret, timeout_ms, fail_open, created_ms FROM review_hook")


@dataclass(frozen=True, slots=True)
class ReviewHook:
    """Whom to ask, how long to wait, and whether a line is shown when there is no answer."""

    merchant: str
    room: str
    url: str
    secret: str
    timeout_ms: int
    fail_open: bool
    created_ms: int


class ReviewHooks:
    """The hooks, kept in memory as well: they are looked up at each line."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._hooks: dict[tuple[str, str], ReviewHook] = {}

    async def load(self) -> None:
        """Read what was set before this start, or at another process."""

        def read(db: Connection) -> list[ReviewHook]:
            return [
                ReviewHook(
                    row.merchant, row.room, row.url, row.secret, row.timeout_ms, bool(row.fail_open), row.created_ms
                )
                for row in db.execute(_ALL)
            ]

        self._hooks = {(hook.merchant, hook.room): hook for hook in await self._store.read(read)}

    def find(self, merchant: str, room: str = ALL_ROOMS) -> ReviewHook | None:
        """The hook of a room itself, or the one of all rooms."""
        return self._hooks.get((merchant, room))

    def of(self, merchant: str, room: str) -> ReviewHook | None:
        """Whom to ask about a line in a room."""
        if not self._hooks:
            return None
        return self._hooks.get((merchant, room)) or self._hooks.get((merchant, ALL_ROOMS))

    async def put(self, merchant: str, room: str, url: str, *, timeout_ms: int, fail_open: bool) -> ReviewHook:
        """Ask at ``url`` from now on, with a new secret. Raises Invalid."""
        fault = url_fault(url)
        if fault is not None:
            raise Invalid(fault, field="url")
        if not TIMEOUT_MS_MIN <= timeout_ms <= TIMEOUT_MS_MAX:
            raise Invalid(f"timeout_ms is {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}", field="timeout_ms")
        secret, now_ms = secrets.token_hex(SECRET_BYTES), self._clock()
        hook = ReviewHook(merchant, room, url, secret, timeout_ms, fail_open, now_ms)
        row = {"merchant": merchant, "room": room, "url": url, "secret": secret, "timeout_ms": timeout_ms}

        def change(db: Connection) -> None:
            db.execute(_PUT, row | {"fail_open": fail_open, "now": now_ms})

        await self._store.write(change)
        self._hooks[merchant, room] = hook
        return hook

    async def delete(self, merchant: str, room: str) -> None:
        """Ask nobody any more. Raises NotFound."""

        def change(db: Connection) -> None:
            if not db.execute(_DELETE, {"merchant": merchant, "room": room}).rowcount:
                raise NotFound("there is no review hook")

        await self._store.write(change)
        self._hooks.pop((merchant, room), None)
