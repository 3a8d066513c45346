"""Asks a merchant's own server about chat lines before they are shown: signed POSTs, several lines in each.

    line → waiting (bounded, per room) → up to 4 POSTs of a room at a time, 50 lines in each → shown, or not

    2xx        shown, but for the lines that the answer names: ``{"deny": {"LINE": "why"}}`` or ``{"deny": ["LINE"]}``
    4xx        none of them is shown
    anything else, or nothing in time: as the merchant chose, not shown by default

The room never waits: a line is held back here, and all else that is said in it goes on. Lines gather while POSTs are
under way, so a receiver is asked about as much as it answers, and a busy room costs it a few requests a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from chat.errors import CommandRefused
from chat.review import Line
from commerce.domain.webhook import sign
from commerce.fresh_ids import fresh_id
from commerce.review_hook_sql import ReviewHook, ReviewHooks
from gateway.outgoing import DeliveryError, Outgoing
from gateway.rooms import Rooms

logger = logging.getLogger("siyu.hooks")

HELD_MAX = 400
"""Lines of a room that are held back: two seconds of the most that a room may say."""
LINES_A_POST = 50
"""About 20 KB of body."""
POSTS_MAX = 4
"""POSTs of one room under way."""
ANSWER_BYTES_MAX = 16_384
REASON_CHARACTERS_MAX = 200
ASK_TYPE = "chat.review"
DENIED = "this text is not allowed here"
UNANSWERED = "nobody could look at this line: say it again later"
BUSY_RETRY_MS = 1_000


@dataclass(slots=True)
class ReviewStats:
    """Figures for metrics: lines asked about, what became of them, and those held back now."""

    asked: int = 0
    denied: int = 0
    unanswered: int = 0
    refused_busy: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    """A line and what waits for its verdict: None to show it, or why not."""

    id: str
    line: Line
    verdict: asyncio.Future[str | None]


class _Desk:
    """One room's lines."""

    __slots__ = ("posts", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_Held] = deque()
        self.posts: set[asyncio.Task[None]] = set()


class ReviewDesk:
    """Asks, where the merchant wants to be asked (`chat.review.Reviewer`)."""

    def __init__(self, hooks: ReviewHooks, outgoing: Outgoing, rooms: Rooms, *, clock: Callable[[], int]) -> None:
        self.hooks = hooks
        self._outgoing = outgoing
        self._rooms = rooms
        self._clock = clock
        self._desks: dict[str, _Desk] = {}
        self._stats = ReviewStats()

    def wants(self, room: str) -> bool:
        """Whether lines of this room are looked at."""
        return self._hook(room) is not None

    def _hook(self, room: str) -> ReviewHook | None:
        found = self._rooms.find(room)
        return None if found is None else self.hooks.of(found.merchant, room)

    async def judge(self, line: Line) -> str | None:
        """Why a line is not shown; None for one that is. Raises CommandRefused `busy`."""
        hook = self._hook(line.room)
        if hook is None:
            return None
        desk = self._desks.setdefault(line.room, _Desk())
        if len(desk.waiting) >= HELD_MAX:
            self._stats.refused_busy += 1
            raise CommandRefused("busy", "too many lines are being looked at", retry_ms=BUSY_RETRY_MS)
        loop = asyncio.get_running_loop()
        number = fresh_id(self._clock())
        held = _Held(number, line, loop.create_future())
        desk.waiting.append(held)
        self._stats.asked += 1
        self._stats.held += 1
        try:
            self._pump(line.room, desk)
            return await held.verdict
        finally:
            self._stats.held -= 1

    def _pump(self, room: str, desk: _Desk) -> None:
        while desk.waiting and len(desk.posts) < POSTS_MAX:
            lines = [desk.waiting.popleft() for _ in range(min(LINES_A_POST, len(desk.waiting)))]
            task = asyncio.get_running_loop().create_task(self._post(room, lines))
            desk.posts.add(task)
            task.add_done_callback(lambda done: self._ended(room, desk, done))
        if not desk.waiting and not desk.posts:
            self._desks.pop(room, None)

    def _ended(self, room: str, desk: _Desk, task: asyncio.Task[None]) -> None:
        desk.posts.discard(task)
        self._pump(room, desk)

    async def _post(self, room: str, lines: list[_Held]) -> None:
        """Ask about some lines, and say what becomes of each."""
        hook = self._hook(room)
        status: int | None = None
        body = b""
        reason = ""
        try:
            if hook is not None:
                async with asyncio.timeout(hook.timeout_ms / 1000):
                    status, body = await self._ask(hook, room, [held for held in lines if not held.verdict.done()])
        except DeliveryError as error:
            reason = str(error)
        except TimeoutError:
            reason = "nothing came in time"
        except (OSError, ValueError) as error:
            reason = f"it cannot be reached: {type(error).__name__}"
        finally:
            self._decide(hook, room, lines, status, body, reason)

    def _decide(
        self, hook: ReviewHook | None, room: str, lines: list[_Held], status: int | None, body: bytes, reason: str
    ) -> None:
        answered = status is not None and (200 <= status < 300 or 400 <= status < 500)
        if hook is not None and not answered:
            self._stats.unanswered += len(lines)
            fields = {"room": room, "status": status, "lines": len(lines)}
            logger.warning(
                "a review hook gave no answer: %s", reason or f"it answered {status}", extra={"fields": fields}
            )
        denied = _denied(body)
        for held in lines:
            verdict: str | None = None
            if hook is None:
                verdict = None
            elif not answered:
                verdict = None if hook.fail_open else UNANSWERED
            elif status is not None and status >= 400:
                verdict = DENIED
            else:
                verdict = denied.get(held.id)
            self._stats.denied += answered and verdict is not None
            if not held.verdict.done():
                held.verdict.set_result(verdict)

    async def _ask(self, hook: ReviewHook, room: str, lines: list[_Held]) -> tuple[int, bytes]:
        now_ms = self._clock()
        question = {
            "id": fresh_id(now_ms),
            "type": ASK_TYPE,
            "room": room,
            "created": now_ms,
            "lines": [
                {
                    "line": held.id,
                    "person": held.line.member.person,
                    "name": held.line.member.name,
                    "text": held.line.text,
                    "now": held.line.now_ms,
                }
                for held in lines
            ],
        }
        body = orjson.dumps(question)
        headers = {
            "User-Agent": "siyu-live",
            "Content-Type": "application/json",
            "Connection": "close",
            "Siyu-Event": ASK_TYPE,
            "Siyu-Timestamp": str(now_ms),
            "Siyu-Signature": sign(hook.secret, now_ms, body),
        }
        answer = await self._outgoing.post(hook.url, headers, body, body_bytes_max=ANSWER_BYTES_MAX)
        return answer.status, answer.body

    def stats(self) -> ReviewStats:
        """Figures for metrics."""
        return self._stats

    async def close(self) -> None:
        """Ask no more; what is held back is decided as without an answer."""
        posts = [task for desk in self._desks.values() for task in desk.posts]
        for task in posts:
            task.cancel()
        await asyncio.gather(*posts, return_exceptions=True)


def _denied(body: bytes) -> dict[str, str]:
    """The lines that an answer denies, each with the reason to tell its speaker; none when it names none."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    deny = given.get("deny") if isinstance(given, dict) else None
    if isinstance(deny, list):
        deny = dict.fromkeys((one for one in deny if isinstance(one, str)), "")
    if not isinstance(deny, dict):
        return {}
    return {line: _printable(why) or DENIED for line, why in deny.items()}


def _printable(reason: object) -> str:
    if not isinstance(reason, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in reason)[:REASON_CHARACTERS_MAX].strip()
