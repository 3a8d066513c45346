"""Publish keys and revocations as they are written down; whoever checks them keeps a copy in memory."""

import ipaddress
from dataclasses import dataclass

from sqlalchemy import Connection, text

from commerce.errors import Invalid, NotFound, Refused
from commerce.fresh_ids import fresh_id
from commerce.ledger import Clock
from commerce.store_sql import Store

KEYS_MAX = 20
"""Keys of one room that are good: one an encoder, and some to spare. Each is tried when a host answers a challenge."""
KEY_NAME_CHARACTERS_MAX = 60
REVOKED_KEPT_MS = 90 * 86_400_000
"""How long a revoked key is remembered, so that whoever still uses it is told why."""
REVOCATIONS_MAX = 2_000
"""Play tokens of one room revoked one by one; whoever has more revokes all that were made before now."""

_KEYS = text("SELECT id, room, name, network, expires_ms, created_ms, revoked_ms FROM stream_key ORDER BY id")
_GOOD = text(
    "SELECT count(*) FROM stream_key WHERE room = :room AND revoked_ms IS NULL"
    " AND (expires_ms IS NULL OR expires_ms > :now)"
)
_ADD = text(
    "INSERT INTO stream_key (id, room, name, network, expires_ms, created_ms)"
    " VALUES (:id, :room, :name, :network, :expires_ms, :now)"
)
_REVOKE = text("UPDATE stream_key SET revoked_ms = :now WHERE id = :id AND room = :room AND revoked_ms IS NULL")
_FORGET_KEYS = text("DELETE FROM stream_key WHERE room = :room AND (revoked_ms < :before OR expires_ms < :before)")
_ROOMS = text("SELECT room, key_generation, play_after_ms FROM room_access")
_RENEW = text(
    "INSERT INTO room_access (room, key_generation, play_after_ms) VALUES (:room, 1, 0)"
    " ON CONFLICT (room) DO UPDATE SET key_generation = room_access.key_generation + 1 RETURNING key_generation"
)
_AFTER = text(
    "INSERT INTO room_access (room, key_generation, play_after_ms) VALUES (:room, 0, :now)"
    " ON CONFLICT (room) DO UPDATE SET play_after_ms = excluded.play_after_ms"
)
_REVOKED = text("SELECT room, token, expires_ms FROM play_revocation WHERE expires_ms > :now")
_REVOCATIONS = text("SELECT count(*) FROM play_revocation WHERE room = :room")
_REVOKE_TOKEN = text(
    "INSERT INTO play_revocation (room, token, expires_ms) VALUES (:room, :token, :expires_ms)"
    " ON CONFLICT (room, token) DO NOTHING"
)
_FORGET_TOKENS = text("DELETE FROM play_revocation WHERE expires_ms <= :now")
# What was made before is refused anyway.
_FORGET_ROOM = text("DELETE FROM play_revocation WHERE room = :room")


@dataclass(frozen=True, slots=True)
class StreamKey:
    """One publish key of a room: ``network`` is a CIDR range, times are Unix ms, None where there is no limit."""

    id: str
    room: str
    name: str
    network: str | None
    expires_ms: int | None
    created_ms: int
    revoked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RoomAccess:
    """How often a room's own key was renewed, and since when (Unix ms) its play tokens are good."""

    room: str
    key_generation: int
    play_after_ms: int


@dataclass(frozen=True, slots=True)
class RevokedToken:
    """A play token that is no good though it has not expired yet."""

    room: str
    token: str
    expires_ms: int


def network_of(value: str) -> str:
    """An address or a range in its plain form. Raises Invalid."""
    try:
        return str(ipaddress.ip_network(value.strip(), strict=False))
    except ValueError as error:
        raise Invalid("an address range is like 203.0.113.7 or 203.0.113.0/24", field="network") from error


class StreamAccess:
    """Keys and revocations of all rooms; a write returns when it is synced."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def load(self) -> tuple[list[StreamKey], list[RoomAccess], list[RevokedToken]]:
        """All there is, for the memory of who checks."""

        def read(db: Connection) -> tuple[list[StreamKey], list[RoomAccess], list[RevokedToken]]:
            return (
                [StreamKey(*row) for row in db.execute(_KEYS)],
                [RoomAccess(*row) for row in db.execute(_ROOMS)],
                [RevokedToken(*row) for row in db.execute(_REVOKED, {"now": self._clock()})],
            )

        return await self._store.read(read)

    async def create_key(self, room: str, name: str, *, expires_ms: int | None, network: str | None) -> StreamKey:
        """Add a key. Raises Invalid and Refused (limit)."""
        now_ms = self._clock()
        if not name.strip() or len(name) > KEY_NAME_CHARACTERS_MAX:
            raise Invalid(f"a key's name has 1 to {KEY_NAME_CHARACTERS_MAX} characters", field="name")
        if expires_ms is not None and expires_ms <= now_ms:
            raise Invalid("a key has to expire later than now", field="expires")
        network = None if network is None else network_of(network)
        identifier = fresh_id(now_ms)
        key = StreamKey(identifier, room, name.strip(), network, expires_ms, now_ms)

        def change(db: Connection) -> None:
            db.execute(_FORGET_KEYS, {"room": room, "before": now_ms - REVOKED_KEPT_MS})
            if db.execute(_GOOD, {"room": room, "now": now_ms}).scalar_one() >= KEYS_MAX:
                raise Refused("limit", f"a room has at most {KEYS_MAX} keys: revoke one first")
            row = {"id": key.id, "room": room, "name": key.name, "network": network}
            db.execute(_ADD, row | {"expires_ms": expires_ms, "now": now_ms})

        await self._store.write(change)
        return key

    async def revoke_key(self, room: str, key: str) -> int:
        """Make a key worthless; when that was, in Unix ms. Raises NotFound."""
        now_ms = self._clock()

        def change(db: Connection) -> None:
            if not db.execute(_REVOKE, {"room": room, "id": key, "now": now_ms}).rowcount:
                raise NotFound("no such key, or it was revoked before")

        await self._store.write(change)
        return now_ms

    async def renew_room_key(self, room: str) -> int:
        """Make the room's own key worthless; the generation of the next one."""
        return await self._store.write(lambda db: int(db.execute(_RENEW, {"room": room}).scalar_one()))

    async def revoke_token(self, room: str, token: str, expires_ms: int) -> None:
        """Make one play token worthless until it expires by itself. Raises Refused (limit)."""
        row = {"room": room, "token": token, "expires_ms": expires_ms}

        def change(db: Connection) -> None:
            db.execute(_FORGET_TOKENS, {"now": self._clock()})
            if db.execute(_REVOCATIONS, {"room": room}).scalar_one() >= REVOCATIONS_MAX:
                raise Refused("limit", f"{REVOCATIONS_MAX} tokens of this room are revoked: revoke all of them instead")
            db.execute(_REVOKE_TOKEN, row)

        await self._store.write(change)

    async def revoke_all_tokens(self, room: str) -> int:
        """Make every play token made up to now worthless; that time, in Unix ms."""
        now_ms = self._clock()

        def change(db: Connection) -> None:
            db.execute(_AFTER, {"room": room, "now": now_ms})
            db.execute(_FORGET_ROOM, {"room": room})

        await self._store.write(change)
        return now_ms
