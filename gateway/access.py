"""Who may broadcast into a room and who may watch it: one place that every way in and every way out asks.

A room has a key of its own, computed from the server's secret, and up to twenty named ones, each of which may expire,
be limited to an address range, and be revoked. Play tokens are signed and say themselves for which room and how long
they are good; what is revoked is remembered here. Keys, revocations and the times of "all before now" are in memory,
as they are asked for at every request; the shop's database has them for the next start.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from commerce.access_sql import StreamAccess, StreamKey
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id
from gateway.auth import PlayPass, TokenError, Tokens
from gateway.errors import Problem
from gateway.rooms import Room, Rooms
from gateway.secrets import Secrets
from stream.directory import Directory
from stream.origin import Origin
from stream.protocol.rtmp_auth import Proof

ROOM_KEY = "room"
"""The id of a room's own key."""
TOKEN_PREFIX = "token:"  # noqa: S105 — names a kind of credential
"""Before the person's id, where a host shows its token instead of a key."""
PLAY_TTL_S_MIN = 60
PLAY_TTL_S_MAX = 30 * 86_400
TOKEN_ID_CHARACTERS_MAX = 64
ANOTHER_ROOM = "this token is for another room"
REVOKED = "this token was revoked: ask for a new one"
KEY_REVOKED = "the stream key was revoked: copy a new one from the host console"


class KeyRefused(Problem):
    """A key that opens nothing: ``code`` and ``detail`` are the same for RTMP and WHIP."""


@dataclass(frozen=True, slots=True)
class KeyView:
    """A publish key as staff see it; ``publish_key`` is what goes behind ``?key=``, None once it is of no use."""

    key: str
    name: str
    state: str
    live: bool
    created: int | None
    expires: int | None
    network: str | None
    publish_key: str | None


class Access:
    """Checks keys and play tokens; makes, lists and revokes them."""

    def __init__(
        self,
        store: StreamAccess,
        *,
        secrets: Secrets,
        tokens: Tokens,
        rooms: Rooms,
        directory: Directory,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._tokens = tokens
        self._rooms = rooms
        self._directory = directory
        self._clock = clock
        self._keys: dict[str, dict[str, StreamKey]] = {}
        self._generations: dict[str, int] = {}
        self._play_after_ms: dict[str, int] = {}
        self._revoked: dict[str, dict[str, int]] = {}

    async def load(self) -> None:
        """Read what was made and revoked so far.

        What is revoked stays so: an answer may be older than what was revoked here while it was on its way.
        """
        keys, rooms, revoked = await self._store.load()
        for key in keys:
            known = self._keys.setdefault(key.room, {})
            if key.id not in known or known[key.id].revoked_ms is None:
                known[key.id] = key
        for entry in rooms:
            self._generations[entry.room] = max(self.generation(entry.room), entry.key_generation)
            self._play_after_ms[entry.room] = max(self._play_after_ms.get(entry.room, 0), entry.play_after_ms)
        for token in revoked:
            self._revoked.setdefault(token.room, {})[token.token] = token.expires_ms

    async def follow(self) -> set[str]:
        """Read what other processes changed, end broadcasts whose key went; give rooms whose tokens were revoked."""
        keys = [key for known in self._keys.values() for key in known.values()]
        good = {(key.room, key.id) for key in keys if key.revoked_ms is None}
        generations, after_ms = dict(self._generations), dict(self._play_after_ms)
        tokens = {room: set(revoked) for room, revoked in self._revoked.items()}
        await self.load()
        for room, origin in self._directory.origins().items():
            renewed = origin.credential == ROOM_KEY and self.generation(room) != generations.get(room, 0)
            found = self._keys.get(room, {}).get(origin.credential)
            revoked = found is not None and found.revoked_ms is not None and (room, found.id) in good
            if renewed or revoked:
                self._directory.expel(room, KEY_REVOKED, self._clock())
        changed = {room for room, at_ms in self._play_after_ms.items() if at_ms > after_ms.get(room, 0)}
        return changed | {room for room, revoked in self._revoked.items() if revoked.keys() - tokens.get(room, set())}

    # — publishing —

    def room_key(self, room: str) -> str:
        """The room's own publish key, as it is now."""
        return self._secrets.stream_key(room, self.generation(room))

    def key_origin(self, room: str, key: str, address: str, protocol: str) -> Origin:
        """Whose broadcast it is that shows ``key``. Raises ``KeyRefused``.

        The comparisons run for an unknown room too: an answer's time must not tell which rooms there are.
        """
        known = self._rooms.find(room) is not None
        if hmac.compare_digest(self.room_key(room).encode(), key.encode()):
            if known:
                return Origin(protocol, ROOM_KEY, "", address)
            raise _wrong()
        identifier = key.partition("-")[0]
        if not hmac.compare_digest(self._secrets.named_key(room, identifier).encode(), key.encode()):
            raise _wrong()
        found = self._keys.get(room, {}).get(identifier)
        if not known or found is None:
            raise _wrong()
        self._check(found, address)
        return Origin(protocol, found.id, found.name, address)

    def proof_origin(self, room: str, proof: Proof, address: str) -> Origin:
        """Whose broadcast it is, of a host that answered RTMP's challenge with one of the keys. Raises KeyRefused."""
        known = self._rooms.find(room) is not None and proof.user == room
        if proof.matches(self.room_key(room)) and known:
            return Origin("rtmp", ROOM_KEY, "", address)
        for found in self._keys.get(room, {}).values():
            if known and proof.matches(self._secrets.named_key(room, found.id)):
                self._check(found, address)
                return Origin("rtmp", found.id, found.name, address)
        raise _wrong()

    def generation(self, room: str) -> int:
        """How often the room's own key was renewed."""
        return self._generations.get(room, 0)

    def still_good(self, room: str, origin: Origin, generation: int) -> None:
        """Check once more what was shown when the room's own key was of ``generation``. Raises KeyRefused."""
        if origin.credential.startswith(TOKEN_PREFIX):
            return
        if origin.credential == ROOM_KEY:
            if self.generation(room) != generation:
                raise KeyRefused(401, "key_revoked", KEY_REVOKED)
            return
        found = self._keys.get(room, {}).get(origin.credential)
        if found is None:
            raise _wrong()
        self._check(found, origin.address)

    def _check(self, key: StreamKey, address: str) -> None:
        """Raises KeyRefused. The key's text was right, so its bearer may know what is wrong with it."""
        if key.revoked_ms is not None:
            raise KeyRefused(401, "key_revoked", KEY_REVOKED)
        if key.expires_ms is not None and key.expires_ms <= self._clock():
            raise KeyRefused(401, "key_expired", "the stream key has expired: copy a new one from the host console")
        if key.network is not None and not _within(address, key.network):
            raise KeyRefused(403, "key_address", "the stream key may not be used from this address")

    def keys(self, room: str) -> list[KeyView]:
        """The room's own key first, then the named ones, oldest first."""
        live = self._directory.origins().get(room)
        credential = None if live is None else live.credential
        own = KeyView(ROOM_KEY, "", "good", credential == ROOM_KEY, None, None, None, self.room_key(room))
        return [own, *(self._view(key, credential) for key in self._keys.get(room, {}).values())]

    def _view(self, key: StreamKey, live: str | None) -> KeyView:
        expired = key.expires_ms is not None and key.expires_ms <= self._clock()
        state = "revoked" if key.revoked_ms is not None else "expired" if expired else "good"
        text = self._secrets.named_key(key.room, key.id) if state == "good" else None
        return KeyView(key.id, key.name, state, key.id == live, key.created_ms, key.expires_ms, key.network, text)

    async def create_key(self, room: str, name: str, *, expires_ms: int | None, network: str | None) -> KeyView:
        """Give the room another key. Raises Invalid, Refused (limit)."""
        key = await self._store.create_key(room, name, expires_ms=expires_ms, network=network)
        self._keys.setdefault(room, {})[key.id] = key
        return self._view(key, None)

    async def revoke_key(self, room: str, key: str) -> None:
        """Make a key worthless and end the broadcast that it opened; the room's own is renewed. Raises NotFound."""
        if key == ROOM_KEY:
            self._generations[room] = await self._store.renew_room_key(room)
        else:
            now_ms = await self._store.revoke_key(room, key)
            if key not in self._keys.get(room, {}):
                # Made at another process a moment ago.
                await self.load()
            known = self._keys[room][key]
            self._keys[room][key] = StreamKey(
                known.id, room, known.name, known.network, known.expires_ms, known.created_ms, now_ms
            )
        origin = self._directory.origins().get(room)
        if origin is not None and origin.credential == key:
            self._directory.expel(room, KEY_REVOKED, self._clock())

    # — playing —

    def play_pass(self, room: Room, token: str) -> PlayPass:
        """Who watches ``room`` with ``token``. Raises ``TokenError`` and ``Problem`` (403, another room)."""
        found = self._tokens.read_play(token)
        if not found.may_enter(room.id, room.merchant):
            raise Problem(403, "forbidden", ANOTHER_ROOM)
        if self.is_revoked(room.id, found):
            raise TokenError(REVOKED, revoked=True)
        return found

    def is_revoked(self, room: str, found: PlayPass) -> bool:
        """Whether a token that was good once is so no more."""
        if found.staff:
            return False
        return found.issued_ms <= self._play_after_ms.get(room, -1) or found.token in self._revoked.get(room, ())

    def mint_play(self, room: Room, ttl_s: int) -> dict[str, Any]:
        """A play token with its id and the Unix ms of its end. Raises Invalid."""
        if not PLAY_TTL_S_MIN <= ttl_s <= PLAY_TTL_S_MAX:
            raise Invalid(f"a play token lives {PLAY_TTL_S_MIN} to {PLAY_TTL_S_MAX} s", field="ttl_s")
        now_ms = self._clock()
        token = fresh_id(now_ms)
        expires_ms = (now_ms // 1000 + ttl_s) * 1000
        text = self._tokens.mint_play(token=token, merchant=room.merchant, room=room.id, expires_ms=expires_ms)
        return {"id": token, "token": text, "expires": expires_ms}

    async def revoke_token(self, room: str, token: str) -> None:
        """Make one play token worthless. Raises Invalid, Refused (limit)."""
        if not 1 <= len(token) <= TOKEN_ID_CHARACTERS_MAX or not token.isascii() or not token.isalnum():
            raise Invalid("name the token by the id that it was made with", field="token")
        # Its own end is not known here: no play token lives longer.
        expires_ms = self._clock() + PLAY_TTL_S_MAX * 1000
        await self._store.revoke_token(room, token, expires_ms)
        revoked = self._revoked.setdefault(room, {})
        revoked[token] = expires_ms
        for old in [name for name, end_ms in revoked.items() if end_ms <= self._clock()]:
            del revoked[old]

    async def revoke_all_tokens(self, room: str) -> int:
        """Make all tokens that play the room and were made up to now worthless, but not those of staff; when."""
        now_ms = await self._store.revoke_all_tokens(room)
        self._play_after_ms[room] = now_ms
        self._revoked.pop(room, None)
        return now_ms


def _wrong() -> KeyRefused:
    return KeyRefused(401, "key", "room or stream key is wrong: copy both from the host console")


def _within(address: str, network: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed) in ipaddress.ip_network(network)
