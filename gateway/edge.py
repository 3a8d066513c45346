"""An edge: `siyu serve --origin URL`. It has streams and nothing else, and keeps nothing.

    viewer ─► may they? asked of the origin (GET /edge/ROOM), remembered for seconds
           ─► output ─► relay ◄─ pulled once (GET /live/ROOM.flv), with the token of a viewer who may watch

So an edge holds no secret and no database: whoever takes it has nothing of the shop. The origin may be an edge itself.
Each request to it names the edges that it came through; whoever finds itself among them refuses: a ring.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import orjson

from gateway.auth import PlayPass
from gateway.config import SettingsError, client_tls
from gateway.doors import HOPS_MAX, VIA_HEADER, Undecided, Wish
from gateway.errors import Problem
from stream.errors import ProtocolError, PublishRefused
from stream.http_call import Peer, ask
from stream.ingest_pull import Source
from stream.origin import Origin
from stream.rtmp_peers import PublishRequest

logger = logging.getLogger("siyu.edge")

VERDICTS_MAX: Final = 50_000
"""Answers remembered, each of one room and token; the one not used for longest goes."""
ROOMS_MAX: Final = 10_000
"""Rooms whose tokens and edges behind this one are remembered."""
TOKENS_PER_ROOM_MAX: Final = 4
"""Tokens with which the room may be pulled; the newest is tried first."""
ASKS_MAX: Final = 64
"""Questions under way to the origin; others wait for their turn, within `wait_ms`."""
VERDICT_BYTES_MAX: Final = 64 * 1024
REFUSALS: Final = frozenset({400, 401, 403, 404, 429, 508})
"""Answers of the origin that are passed on as they are; any other means that it cannot say now."""


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """Times of an edge's questions."""

    granted_ms: int = 30_000
    """How long a yes holds: a viewer who comes in that time is not asked for again."""
    refused_ms: int = 3_000
    """How long a no holds: a room that is opened should be found soon."""
    wait_ms: int = 10_000
    """How long a viewer waits for an origin that cannot be reached, as for a host."""
    ask_s: float = 5.0
    retry_s: float = 0.5


def parse_origin(url: str, *, flag: str = "--origin") -> tuple[Peer, str]:
    """The server and the path prefix of ``flag``'s value. Raises ``SettingsError``."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{flag}: {url!r} is not an address ({error})") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(f"{flag}: {url!r} is not like http://HOST:8000 or https://HOST")
    if parts.username or parts.password:
        raise SettingsError(f"{flag}: leave out user and password; viewers' tokens are passed on")
    tls = client_tls() if parts.scheme == "https" else None
    return Peer(parts.hostname, port or (443 if tls else 80), tls), parts.path.rstrip("/")


class EdgeAccess:
    """Asks the origin who may play; the `Doors` of streaming and the `Upstreams` of its pulls."""

    hosts = False

    def __init__(
        self,
        origin: Peer,
        prefix: str,
        *,
        node: str,
        clock: Callable[[], int],
        limits: EdgeLimits | None = None,
    ) -> None:
        self.node = node
        self._origin = origin
        self._prefix = prefix
        self._clock = clock
        self._limits = limits or EdgeLimits()
        self._verdicts: OrderedDict[tuple[str, str], tuple[Problem | None, int]] = OrderedDict()
        self._asking: dict[tuple[str, str], asyncio.Task[Problem | None]] = {}
        self._turns = asyncio.Semaphore(ASKS_MAX)
        self._tokens: OrderedDict[str, deque[str]] = OrderedDict()
        self._behind: OrderedDict[str, set[str]] = OrderedDict()
        self._down = False

    # — who may play —

    def glance(self, wish: Wish) -> Problem | Undecided | None:
        """What is remembered; a request that has come through this edge before is refused at once."""
        if self.node in wish.via:
            return Problem(508, "loop", "this edge would pull from itself: look at --origin of each edge on the way")
        if len(wish.via) >= HOPS_MAX:
            return Problem(508, "loop", f"more than {HOPS_MAX} edges behind one another: they are in a ring")
        known = self._verdicts.get((wish.room, wish.token))
        if known is None or known[1] <= self._clock():
            return Undecided.YET
        self._verdicts.move_to_end((wish.room, wish.token))
        if known[0] is None:
            self._granted(wish)
        return known[0]

    async def play(self, wish: Wish) -> Problem | None:
        """Ask the origin, once for all who wish the same at the same time."""
        known = self.glance(wish)
        if not isinstance(known, Undecided):
            return known
        # Who comes through other edges goes a question of their own: only so a ring is seen.
        key = (wish.room, wish.token)
        if wish.via:
            return self._remember(wish, await self._find_out(wish))
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._find_out(wish))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return self._remember(wish, await asyncio.shield(task))

    def is_revoked(self, room: str, play_pass: PlayPass) -> bool:
        """Only the origin knows, and is asked again when its answer has grown old."""
        return False

    async def rtmp_host(self, request: PublishRequest) -> Origin:
        """Nobody publishes here. Raises ``PublishRefused``."""
        raise PublishRefused("NetStream.Publish.Denied", "this server is an edge: publish to the origin")

    def whip_origin(self, room: str, token: str, address: str) -> Origin:
        """Nobody broadcasts here. Raises ``Problem``."""
        raise Problem(404, "edge", "this server is an edge: broadcast to the origin")

    async def authorize_host(self, room: str, origin: Origin) -> None:
        """Nobody broadcasts here. Raises ``Problem``."""
        raise Problem(404, "edge", "this server is an edge: broadcast to the origin")

    async def close(self) -> None:
        """End the questions under way."""
        for task in tuple(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    # — where to pull —

    async def find(self, room: str) -> Source | None:
        """The origin, with the newest token of a viewer who may watch."""
        tokens = self._tokens.get(room)
        headers = [(VIA_HEADER, ", ".join((*sorted(self._behind.get(room, ())), self.node)))]
        if tokens:
            headers.append(("authorization", f"Bearer {tokens[-1]}"))
        return Source(self._origin, f"{self._prefix}/live/{quote(room, safe='')}.flv?delay=low", tuple(headers))

    def refused(self, room: str, status: int) -> None:
        """Forget a token that is no longer good."""
        tokens = self._tokens.get(room)
        if status in {401, 403} and tokens:
            self._verdicts.pop((room, tokens.pop()), None)

    def released(self, room: str) -> None:
        """Forget who was behind this edge: others may come."""
        self._behind.pop(room, None)

    # — inside —

    def _granted(self, wish: Wish) -> None:
        """Remember what a pull needs: a token, and who is behind."""
        if wish.token:
            tokens = self._tokens.setdefault(wish.room, deque(maxlen=TOKENS_PER_ROOM_MAX))
            if wish.token in tokens:
                tokens.remove(wish.token)
            tokens.append(wish.token)
            _bound(self._tokens, wish.room)
        if wish.via:
            self._behind.setdefault(wish.room, set()).update(wish.via)
            _bound(self._behind, wish.room)

    def _remember(self, wish: Wish, verdict: Problem | None) -> Problem | None:
        limits = self._limits
        if verdict is None:
            self._granted(wish)
        elif verdict.status not in REFUSALS or wish.via:
            return verdict
        key = (wish.room, wish.token)
        hold_ms = limits.granted_ms if verdict is None else limits.refused_ms
        self._verdicts[key] = (verdict, self._clock() + hold_ms)
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > VERDICTS_MAX:
            self._verdicts.popitem(last=False)
        return verdict

    async def _find_out(self, wish: Wish) -> Problem | None:
        """Ask until the origin says yes or no, `wait_ms` at most."""
        limits = self._limits
        why = "the origin is busy"
        try:
            async with asyncio.timeout(limits.wait_ms / 1000):
                while True:
                    try:
                        async with self._turns:
                            verdict = await self._ask(wish)
                        self._note("")
                        return verdict
                    except (OSError, ProtocolError) as error:
                        why = str(error) or type(error).__name__
                        self._note(why)
                    await asyncio.sleep(limits.retry_s * (0.5 + random.random()))  # noqa: S311  # no secret
        except TimeoutError:
            logger.debug("room %s: the origin did not say who may play: %s", wish.room, why)
        return Problem(503, "origin", "the server that this edge plays from cannot be reached now", retry_ms=3_000)

    async def _ask(self, wish: Wish) -> Problem | None:
        """Ask once. Raises OSError and ProtocolError when the origin gives no answer to the question."""
        headers = [(VIA_HEADER, ", ".join((*wish.via, self.node)))]
        if wish.token:
            headers.append(("authorization", f"Bearer {wish.token}"))
        target = f"{self._prefix}/edge/{quote(wish.room, safe='')}"
        response = await ask(self._origin, "GET", target, headers=headers, timeout_s=self._limits.ask_s)
        try:
            body = await response.read(self._limits.ask_s, VERDICT_BYTES_MAX)
        finally:
            response.close()
        told = _object(body)
        if response.status == 200 and "node" in told:
            return None
        if response.status in REFUSALS and "code" in told:
            retry_ms = told.get("retry_ms")
            return Problem(
                response.status,
                str(told["code"]),
                str(told.get("detail", "")),
                retry_ms=retry_ms if isinstance(retry_ms, int) else None,
            )
        raise ProtocolError(f"the origin answers {response.status} and is busy, or no Siyu Live")

    def _note(self, why: str) -> None:
        """Log when the origin goes and when it is back, not each question in between."""
        if bool(why) != self._down:
            self._down = bool(why)
            if why:
                logger.warning("the origin %s does not answer: %s", self._origin, why)
            else:
                logger.info("the origin %s answers again", self._origin)


def _bound(rooms: OrderedDict[str, Any], room: str) -> None:
    rooms.move_to_end(room)
    if len(rooms) > ROOMS_MAX:
        rooms.popitem(last=False)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
