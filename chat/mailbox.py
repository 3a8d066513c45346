"""Personal events by way of a store: written down, brought to whoever is here, kept until acknowledged.

    post → store.put (in batches) → look → store.waiting (in batches) → each connection, in order of their sequence
    join ───────────────────────────▶ look

What a connection gets is what it has not acknowledged and was not given before; so an event reaches a person who is
here, one who comes later, on whatever node, and one who comes after a restart, by the same way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from chat.errors import CommandRefused
from chat.limits import MailboxLimits
from chat.message import encode_event
from chat.personal import PersonalStore, Post

if TYPE_CHECKING:
    from chat.sink import Sink

logger = logging.getLogger(__name__)

Place = tuple[str, str]
"""A room and a person."""


class Mailbox:
    """Personal events of all rooms on this node. `find` gives a person's connections in a room."""

    def __init__(self, store: PersonalStore, limits: MailboxLimits, find: Callable[[str, str], Iterable[Sink]]) -> None:
        self._store = store
        self._limits = limits
        self._find = find
        self._posts: dict[tuple[str, str, str], tuple[Post, asyncio.Future[int]]] = {}
        self._writing: dict[tuple[str, str, str], tuple[Post, asyncio.Future[int]]] = {}
        self._silent: set[str] = set()
        """Keys of what is not brought to who is here."""
        self._acks: dict[Place, int] = {}
        self._looks: dict[Place, int] = {}
        """Whose events are to be read, and how often that has failed."""
        self._given: dict[Sink, int] = {}
        """The highest sequence a connection was given; only of those who were given one."""
        self._read_s = 0.0
        """When the store was last read (the loop's clock)."""
        self._later: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def post(
        self, room: str, person: str, body: Mapping[str, Any], key: str, *, deliver: bool = True
    ) -> asyncio.Future[int]:
        """Write an event down and bring it to the person; a key that was written before is that event.

        Without `deliver` who is here is told by other means.

        Returns a future of its sequence. It fails as the store does, or with CommandRefused `busy`; who asks may ask
        again. Raises TypeError for what JSON cannot hold.
        """
        place = (room, person, key)
        known = self._posts.get(place) or self._writing.get(place)
        if known is not None:
            return known[1]
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # Not everybody waits for it: who does gets the error, and it is in the log.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        if len(self._posts) >= self._limits.waiting:
            future.set_exception(CommandRefused("busy", "too many personal events wait to be written"))
            return future
        if not deliver:
            self._silent.add(key)
            future.add_done_callback(lambda _: self._silent.discard(key))
        self._posts[place] = (Post(room, person, key, encode_event(body)), future)
        self._wake()
        return future

    def look(self, room: str, person: str) -> None:
        """Bring a person who is here what waits for them."""
        self._looks.setdefault((room, person), 0)
        self._wake()

    def acknowledge(self, room: str, person: str, to: int) -> None:
        """Take note that the person has all up to and with `to`; what is lost with the process is sent again."""
        place = (room, person)
        if place in self._acks or len(self._acks) < self._limits.waiting:
            self._acks[place] = max(to, self._acks.get(place, 0))
            self._wake()

    def forget(self, sink: Sink) -> None:
        """Let go of a connection that ended."""
        self._given.pop(sink, None)

    def _wake(self) -> None:
        if self._task is None and not self._closing:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        # What comes in the same turn of the loop is one batch.
        await asyncio.sleep(0)
        try:
            while self._posts or self._acks or self._may_read():
                # Nobody has seen what is not written yet, whatever they acknowledge.
                done = await self._acknowledge()
                done = await self._write() and done
                if self._may_read():
                    done = await self._read() and done
                if not done:
                    await asyncio.sleep(self._limits.retry_ms / 1000)
        finally:
            self._task = None
        if self._posts or self._acks:
            self._wake()
        elif self._looks and self._later is None and not self._closing:
            self._later = asyncio.get_running_loop().call_later(self._rest_s(), self._read_later)

    def _rest_s(self) -> float:
        """How long the store is not read yet: in a rush of joins one read is for many."""
        return self._read_s + self._limits.look_ms / 1000 - asyncio.get_running_loop().time()

    def _may_read(self) -> bool:
        return bool(self._looks) and self._rest_s() <= 0

    def _read_later(self) -> None:
        self._later = None
        self._wake()

    def _batch(self, waiting: dict[Any, Any]) -> dict[Any, Any]:
        keys = [key for _, key in zip(range(self._limits.batch), waiting, strict=False)]
        return {key: waiting.pop(key) for key in keys}

    async def _write(self) -> bool:
        batch = self._writing = self._batch(self._posts)
        if not batch:
            return True
        try:
            sequences = await self._store.put([post for post, _ in batch.values()])
        except asyncio.CancelledError:
            self._settle(batch, CommandRefused("busy", "the server stops"))
            raise
        except Exception as error:
            logger.exception("%d personal events could not be written", len(batch))
            self._settle(batch, error)
            return False
        finally:
            self._writing = {}
        for (post, future), sequence in zip(batch.values(), sequences, strict=True):
            if not future.done():
                future.set_result(sequence)
            if post.key not in self._silent and any(self._find(post.room, post.person)):
                self._looks.setdefault((post.room, post.person), 0)
        return True

    def _settle(self, batch: Mapping[Any, tuple[Post, asyncio.Future[int]]], error: BaseException) -> None:
        for _, future in batch.values():
            if not future.done():
                future.set_exception(error)

    async def _acknowledge(self) -> bool:
        batch = self._batch(self._acks)
        if not batch:
            return True
        try:
            await self._store.acknowledge([(room, person, to) for (room, person), to in batch.items()])
        except Exception:
            logger.exception("%d acknowledgements could not be written", len(batch))
            for place, to in batch.items():
                self._acks[place] = max(to, self._acks.get(place, 0))
            return False
        return True

    async def _read(self) -> bool:
        batch = self._batch(self._looks)
        places = [place for place in batch if any(self._find(*place))]
        if not places:
            return True
        self._read_s = asyncio.get_running_loop().time()
        try:
            found = await self._store.waiting(places)
        except Exception:
            logger.exception("the personal events of %d people could not be read", len(places))
            for place, tries in batch.items():
                if tries < self._limits.tries:
                    self._looks[place] = tries + 1
            return False
        for (room, person), events in found.items():
            for sink in tuple(self._find(room, person)):
                self._give(sink, events)
        return True

    def _give(self, sink: Sink, events: Iterable[tuple[int, bytes]]) -> None:
        for sequence, body in events:
            if sequence > self._given.get(sink, 0):
                self._given[sink] = sequence
                sink.deliver(b'%b,"a":%d}' % (body[:-1], sequence))

    async def close(self) -> None:
        """Write what waits, if the store takes it at once; what it does not take was never promised."""
        self._closing = True
        if self._later is not None:
            self._later.cancel()
        task = self._task
        if task is not None:
            await asyncio.wait([task], timeout=self._limits.close_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._settle(self._posts, CommandRefused("busy", "the server stops"))
