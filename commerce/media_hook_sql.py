"""The address that a merchant wants to be asked at before a host goes live."""

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, text

from commerce.domain.webhook import url_fault
from commerce.errors import Invalid, NotFound
from commerce.ledger import Clock
from commerce.store_sql import Store

TIMEOUT_MS_MIN = 100
TIMEOUT_MS_MAX = 4_000
"""RTMP encoders wait five seconds for the answer to publish."""
SECRET_BYTES = 32

_PUT = text(
    "INSERT INTO media_hook (merchant, url, secret, timeout_ms, fail_open, created_ms)"
    " VALUES (:merchant, :url, :secret, :timeout_ms, :fail_open, :now)"
    " ON CONFLICT (merchant) DO UPDATE SET url = excluded.url, secret = excluded.secret,"
    " timeout_ms = excluded.timeout_ms, fail_open = excluded.fail_open, created_ms = excluded.created_ms"
)
_DELETE = text("DELETE FROM media_hook WHERE merchant = :merchant")
_ALL = text("SELECT merchant, url, secret, timeout_ms, fail_open, created_ms FROM media_hook")


@dataclass(frozen=True, slots=True)
class MediaHook:
    """Whom to ask, how long to wait, and whether a host may begin when there is no answer."""

    merchant: str
    url: str
    secret: str
    timeout_ms: int
    fail_open: bool
    created_ms: int


class MediaHooks:
    """One hook a merchant, kept in memory as well: it is looked up at each publish."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._hooks: dict[str, MediaHook] = {}

    async def load(self) -> None:
        """Read what was set before this start."""

        def read(db: Connection) -> list[MediaHook]:
            return [
                MediaHook(row.merchant, row.url, row.secret, row.timeout_ms, bool(row.fail_open), row.created_ms)
                for row in db.execute(_ALL)
            ]

        self._hooks = {hook.merchant: hook for hook in await self._store.read(read)}

    def of(self, merchant: str) -> MediaHook | None:
        """The merchant's hook."""
        return self._hooks.get(merchant)

    async def put(self, merchant: str, url: str, *, timeout_ms: int, fail_open: bool) -> MediaHook:
        """Ask at ``url`` from now on, with a new secret. Raises Invalid."""
        fault = url_fault(url)
        if fault is not None:
            raise Invalid(fault, field="url")
        if not TIMEOUT_MS_MIN <= timeout_ms <= TIMEOUT_MS_MAX:
            raise Invalid(f"timeout_ms is {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}", field="timeout_ms")
        hook = MediaHook(merchant, url, secrets.token_hex(SECRET_BYTES), timeout_ms, fail_open, self._clock())
        row = {"merchant": merchant, "url": url, "secret": hook.secret, "timeout_ms": timeout_ms}

        def change(db: Connection) -> None:
            db.execute(_PUT, row | {"fail_open": fail_open, "now": hook.created_ms})

        await self._store.write(change)
        self._hooks[merchant] = hook
        return hook

    async def delete(self, merchant: str) -> None:
        """Ask nobody any more. Raises NotFound."""

        def change(db: Connection) -> None:
            if not db.execute(_DELETE, {"merchant": merchant}).rowcount:
                raise NotFound("there is no media hook")

        await self._store.write(change)
        self._hooks.pop(merchant, None)
