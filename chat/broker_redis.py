"""The bus between nodes on Redis 7 or Valkey, one server or a cluster: a log for each room, and its shard channel.

Three things happen on their own: *work* on a seat says what waits and catches up with the log, one step after the
other; *ears* hear what is published; the *pulse* tells how many people are here, notices a room that missed something,
and tries to reach a bus that was lost. When the bus has been away for `grace_ms`, rooms that have something to say go
on alone; `chat/seat.py` says how they come back.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Sequence
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from chat.broker import BusStats, Replica
from chat.client_redis import check_url, connect, listener, server_of
from chat.ear_redis import Ear
from chat.entry import Entry, decode_entry, urgent
from chat.errors import BadEntry, BusLost
from chat.limits import BusLimits
from chat.log_redis import WANTED, Gap, GoOn, Nothing, RoomLog, TakeOver
from chat.message import RoomMessage
from chat.seat import Seat

logger = logging.getLogger(__name__)

LOST = (RedisError, OSError, TimeoutError, BusLost)
"""What a bus that does not do its work raises, whatever the reason."""
GAP_TRIES = 3
"""How often a node asks the others for a checkpoint before it takes it that nobody has the room."""
GAP_WAIT_S = 0.3
"""How long they have to write one."""
CATCH_UP_TRIES = 10
"""How often a log that goes on while it is read is read again."""


class Place:
    """A seat and what goes on for it."""

    __slots__ = ("counted_s", "due", "head", "held", "idle_s", "ready", "seat", "sent_s", "urgent", "work")

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.held = False
        self.idle_s = 0.0
        """Since when nobody has been here, by the loop's clock; 0 while somebody is."""
        self.ready: asyncio.Future[None] | None = None
        """For those who wait until the room is in step."""
        self.work: asyncio.Task[None] | None = None
        self.due: asyncio.TimerHandle | None = None
        self.urgent = False
        self.sent_s = 0.0
        self.counted_s = 0.0
        self.head = 0
        """How far the log was when people were last counted."""


class RedisBroker:
    """A Broker for the hubs of several processes.

    `url` is redis://, rediss:// or unix://; a cluster is recognised. Raises ValueError for an address of no use.
    """

    def __init__(self, url: str, *, limits: BusLimits | None = None) -> None:
        check_url(url)
        self.node = secrets.token_hex(6)
        self._url = url
        self._limits = limits or BusLimits()
        self._places: dict[str, Place] = {}
        self._by_channel: dict[str, Place] = {}
        self._client: Redis | RedisCluster | None = None
        self._log: RoomLog | None = None
        self._ears: dict[str, Ear] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pulsing: asyncio.Task[None] | None = None
        self._catching_up = asyncio.Semaphore(self._limits.attaches)
        self._lost_s = 0.0
        """Since when the bus does not answer, by the loop's clock; 0 while it does."""
        self._alone = False
        """Whether it has been away for longer than `grace_ms`."""
        self._parting: asyncio.TimerHandle | None = None
        self._closing = False
        self._epochs = 0
        self._entries_out = self._entries_in = self._bytes_in = 0
        self._losses = self._caught_up = self._restored = self._broken = self._dropped = 0

    # Life

    async def start(self) -> None:
        """Connect; a bus that does not answer is waited for in the background, and rooms begin alone."""
        try:
            await self._connect()
        except LOST as error:
            self._lose(error)
            self._go_alone()
        self._pulsing = self._spawn(self._pulse())

    async def _connect(self) -> RoomLog:
        self._client = await connect(self._url, self._limits)
        self._log = RoomLog(self._client, self.node, self._limits)
        return self._log

    async def close(self) -> None:
        """Finish what is under way, if the bus answers; tell it that nobody is here any more; let go of it."""
        self._closing = True
        if self._pulsing is not None:
            self._pulsing.cancel()
        if self._parting is not None:
            self._parting.cancel()
        for place in tuple(self._places.values()):
            self._settle_waiters(place)
            if place.due is not None:
                place.due.cancel()
            if place.held and not self._lost_s:
                self._spawn(self._leave(place))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._limits.answer_s)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for ear in self._ears.values():
            await ear.close()
        if self._client is not None:
            await self._client.aclose()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of the bus failed", exc_info=error)

    # Broker

    def subscribe(self, room: str, replica: Replica) -> None:
        """Drive `replica` from now on; a second call replaces the first."""
        self.unsubscribe(room)
        place = self._places[room] = Place(Seat(room, self.node, replica, self._limits))
        self._by_channel[RoomLog.channel(room)] = place

    def unsubscribe(self, room: str) -> None:
        """Let go of the room's replica."""
        place = self._places.pop(room, None)
        if place is None:
            return
        del self._by_channel[RoomLog.channel(room)]
        self._dropped += place.seat.dropped
        self._broken += place.seat.broken
        self._settle_waiters(place)
        if place.due is not None:
            place.due.cancel()
        if place.work is not None:
            place.work.cancel()
        if place.held and not self._lost_s:
            self._spawn(self._leave(place))
        place.held = False

    def publish(self, room: str, messages: Sequence[RoomMessage], *, once: str = "") -> None:
        """Send messages to the room; `Broker.publish` says how."""
        place = self._places.get(room)
        if place is None:
            return
        place.seat.say(messages, once, bus_up=not self._lost_s)
        if self._alone:
            self._part(place)
        elif not self._lost_s:
            place.urgent = place.urgent or urgent(messages)
            self._send_soon(place)

    def hold(self, room: str) -> asyncio.Future[None] | None:
        """Keep the replica up to date from now on; None when it is already, or when the bus is away for long."""
        place = self._places[room]
        place.held = True
        place.idle_s = 0.0
        if place.seat.in_step or self._alone or self._closing:
            return None
        if place.ready is None:
            loop = asyncio.get_running_loop()
            place.ready = loop.create_future()
            loop.call_later(self._limits.attach_s, self._settle_waiters, place, place.ready)
            self._wake(place)
        return place.ready

    def release(self, room: str) -> None:
        """Nobody is here any more: after `linger_ms` nothing of the room comes to this node."""
        place = self._places.get(room)
        if place is not None and place.held and not place.idle_s:
            place.idle_s = asyncio.get_running_loop().time()

    def _settle_waiters(self, place: Place, which: asyncio.Future[None] | None = None) -> None:
        """Let in who waits for a room: it is there, or it will not be in time and opens as it is here."""
        ready = place.ready
        if ready is not None and which in (None, ready):
            place.ready = None
            if not ready.done():
                ready.set_result(None)

    # Work on a seat

    def _send_soon(self, place: Place) -> None:
        loop = asyncio.get_running_loop()
        wait_s = 0.0 if place.urgent else place.sent_s + self._limits.tick_ms / 1000 - loop.time()
        if wait_s <= 0:
            self._wake(place)
        elif place.due is None:
            place.due = loop.call_later(wait_s, self._wake, place)

    def _wake(self, place: Place) -> None:
        if place.due is not None:
            place.due.cancel()
            place.due = None
        if place.work is None and self._log is not None and not self._lost_s and not self._closing:
            place.work = self._spawn(self._work(place, self._log))

    async def _work(self, place: Place, log: RoomLog) -> None:
        seat = place.seat
        try:
            while True:
                if seat.has_to_say:
                    await self._say(place, log)
                    # What was said meanwhile waits for the tick, unless it is urgent.
                    if seat.in_step and not place.urgent:
                        break
                elif place.held and not seat.in_step:
                    async with self._catching_up:
                        await self._catch_up(place, log)
                else:
                    break
        except LOST as error:
            self._lose(error)
        finally:
            place.work = None
            if seat.catching_up:
                seat.give_up_catching_up()
        if place.held and not seat.in_step:
            self._wake(place)
        elif seat.has_to_say:
            self._send_soon(place)

    async def _say(self, place: Place, log: RoomLog) -> None:
        """Say what waits, as one entry."""
        seat = place.seat
        entry = seat.next_entry()
        if entry is None:
            return
        place.urgent = False
        place.sent_s = asyncio.get_running_loop().time()
        answer = await log.append(seat.room, entry.number, entry.parts())
        if answer.epoch:
            self._entries_out += 1
            seat.answered(entry)
            if seat.in_step and answer.epoch != seat.epoch:
                seat.begin_catching_up()
        elif place.held:
            async with self._catching_up:
                await self._catch_up(place, log)
        elif await log.make(seat.room, self._new_epoch(), seat.replica.state(), seat.applied_ids()):
            # Nobody knows the room, and nobody is here: its log begins with what this node knows of it.
            seat.forget_applied()

    def _new_epoch(self) -> str:
        self._epochs += 1
        return f"{self.node}.{self._epochs}"

    async def _catch_up(self, place: Place, log: RoomLog) -> None:
        """Bring a room in step with its log, or begin one. Raises what LOST names."""
        seat = place.seat
        seat.begin_catching_up()
        await self._listen(seat.room)
        asked = 0
        for _ in range(CATCH_UP_TRIES):
            found = await log.read(seat.room, seat.epoch, seat.sequence, seat.stamp)
            if isinstance(found, GoOn):
                self._caught_up += bool(found.payloads)
                done = seat.settle(seat.epoch, seat.sequence, seat.stamp, self._entries(found.payloads))
                seat.replica.count(found.people)
            elif isinstance(found, TakeOver):
                done = await self._take_over(place, log, found)
            elif isinstance(found, Gap) and asked < GAP_TRIES:
                asked += 1
                await log.ask(seat.room, found.epoch)
                await asyncio.sleep(GAP_WAIT_S)
                continue
            else:
                done = await self._begin(place, log, found)
            if done:
                place.head = seat.sequence
                # Who waits comes in now, and the others are told with the next pulse.
                place.counted_s = 0.0
                self._settle_waiters(place)
                return
            seat.begin_catching_up()
        raise BusLost(f"the log of room {seat.room} goes on faster than it can be read")

    def _entries(self, payloads: Sequence[bytes]) -> list[Entry]:
        entries = [decode_entry(payload) for payload in payloads]
        self._entries_in += len(entries)
        return entries

    async def _take_over(self, place: Place, log: RoomLog, found: TakeOver) -> bool:
        seat = place.seat
        entries = self._entries(found.payloads)
        last = not found.others
        try:
            seat.replica.restore(found.epoch, found.state, last=last)
        except ValueError as error:
            raise BusLost(f"room {seat.room} is run by nodes of another release: {error}") from error
        seat.replica.count(found.people)
        self._restored += 1
        done = seat.settle(found.epoch, found.sequence, found.stamp, entries)
        if done and found.forked:
            # The bus has forgotten what some of us have seen: offsets of this epoch are no longer one thing each.
            return await self._begin(place, log, Gap(seat.epoch, seat.sequence))
        if done and last:
            self._spawn(self._keep(place))
        return done

    async def _begin(self, place: Place, log: RoomLog, found: Nothing | Gap) -> bool:
        """Begin an epoch with this node's state; False when another node was quicker."""
        seat = place.seat
        epoch = self._new_epoch()
        instead = (found.epoch, found.sequence) if isinstance(found, Gap) else ("", 0)
        if not await log.make(seat.room, epoch, seat.replica.state(), seat.applied_ids(), instead=instead):
            return False
        seat.found(epoch)
        return True

    async def _keep(self, place: Place) -> None:
        """Write down the state as it is now."""
        seat, log = place.seat, self._log
        if log is None or not seat.in_step:
            return
        state = seat.replica.state()
        try:
            await log.keep(seat.room, seat.epoch, seat.sequence, seat.stamp, state)
        except LOST as error:
            self._lose(error)

    # What is heard

    async def _listen(self, room: str) -> None:
        assert self._client is not None and self._log is not None
        channel = RoomLog.channel(room)
        if isinstance(self._client, RedisCluster):
            await self._log.find(room)
        server = server_of(self._client, channel)
        ear = self._ears.get(server)
        if ear is None:
            client = listener(self._client, server, self._url, self._limits)
            ear = self._ears[server] = Ear(client, self._limits, self._hear, self._deaf)
        await ear.add(channel)

    def _hear(self, channel: str, payload: bytes) -> None:
        place = self._by_channel.get(channel)
        if place is None or not place.held:
            return
        self._entries_in += 1
        self._bytes_in += len(payload)
        try:
            self._take(place, decode_entry(payload))
        except BadEntry as error:
            self._broken += 1
            logger.warning("room %s: %s", place.seat.room, error)
        except Exception:
            # A fault of ours at one entry must not end the subscription for all rooms.
            logger.exception("room %s: an entry could not be applied", place.seat.room)

    def _take(self, place: Place, entry: Entry) -> None:
        seat, every = place.seat, self._limits.checkpoint_entries
        before = seat.sequence
        if not entry.sequence:
            if seat.in_step and entry.epoch != seat.epoch:
                self._resync(place)
            elif seat.in_step and entry.data == WANTED and entry.stamp.node != self.node:
                self._spawn(self._keep(place))
        elif not seat.hear(entry):
            self._resync(place)
        elif entry.stamp.node == self.node and seat.sequence > before and not seat.sequence % every:
            self._spawn(self._keep(place))

    def _deaf(self, channels: Sequence[str]) -> None:
        for channel in channels:
            place = self._by_channel.get(channel)
            if place is not None and place.held:
                self._resync(place)

    def _resync(self, place: Place) -> None:
        """Have a room read its log: something was missed."""
        place.seat.in_step = False
        self._wake(place)

    # The pulse

    async def _pulse(self) -> None:
        limits = self._limits
        while not self._closing:
            await asyncio.sleep((limits.reconnect_ms if self._lost_s else limits.count_ms / 4) / 1000)
            now_s = asyncio.get_running_loop().time()
            if self._lost_s:
                await self._try_again(now_s)
                continue
            for place in tuple(self._places.values()):
                if place.held and place.idle_s and now_s - place.idle_s > limits.linger_ms / 1000:
                    self._let_go(place)
                elif place.held and place.seat.in_step and now_s - place.counted_s >= limits.count_ms / 1000:
                    place.counted_s = now_s
                    self._spawn(self._count(place))
                elif (place.held and not place.seat.in_step) or place.seat.has_to_say:
                    self._wake(place)

    def _let_go(self, place: Place) -> None:
        if place.work is None:
            place.held = False
            place.seat.let_go()
            place.seat.replica.count(0)
            place.seat.replica.hear_figures(())
            self._spawn(self._leave(place))

    async def _leave(self, place: Place) -> None:
        """Hear nothing more of a room, and let nobody count who was here."""
        assert self._log is not None and self._client is not None
        channel = RoomLog.channel(place.seat.room)
        try:
            ear = self._ears.get(server_of(self._client, channel))
            if ear is not None:
                await ear.drop(channel)
            await self._log.count(place.seat.room, -1)
        except LOST as error:
            self._lose(error)

    async def _count(self, place: Place) -> None:
        seat, log = place.seat, self._log
        assert log is not None
        try:
            replica = seat.replica
            counted = await log.count(seat.room, replica.viewers, replica.figures(), wanted=replica.looked_at)
        except LOST as error:
            self._lose(error)
            return
        if not place.held:
            return
        seat.replica.count(counted.others)
        seat.replica.hear_figures(counted.figures)
        behind = counted.sequence > seat.sequence and seat.sequence < place.head
        if seat.in_step and (counted.epoch != seat.epoch or behind):
            self._resync(place)
        place.head = counted.sequence

    # The bus goes and comes

    def _lose(self, error: BaseException) -> None:
        if self._lost_s or self._closing:
            return
        loop = asyncio.get_running_loop()
        self._lost_s = loop.time()
        self._losses += 1
        # The kind alone where there is no text: a time-out has none. An address has its password left out.
        logger.warning("the bus is lost: %s", str(error) or type(error).__name__)
        self._parting = loop.call_later(self._limits.grace_ms / 1000, self._go_alone)

    def _go_alone(self) -> None:
        """Let rooms go on without the others: the bus has been away for too long."""
        self._alone = True
        for place in tuple(self._places.values()):
            self._settle_waiters(place)
            if place.seat.owes:
                self._part(place)

    def _part(self, place: Place) -> None:
        if not place.seat.apart:
            logger.warning("room %s goes on alone", place.seat.room)
            place.seat.part(self._new_epoch())

    async def _try_again(self, now_s: float) -> None:
        for place in self._places.values():
            if now_s - place.counted_s > self._limits.count_expires_ms / 1000:
                place.seat.replica.count(0)
                place.seat.replica.hear_figures(())
        try:
            log = self._log or await self._connect()
            await log.ping()
        except LOST as error:
            logger.debug("the bus is still lost: %s", error)
            return
        logger.warning("the bus is back after %.1f s", asyncio.get_running_loop().time() - self._lost_s)
        self._lost_s = 0.0
        self._alone = False
        if self._parting is not None:
            self._parting.cancel()
        for place in tuple(self._places.values()):
            # Nothing may have been missed, but only the log knows.
            place.seat.in_step = False
            if place.held or place.seat.has_to_say:
                self._wake(place)

    # Figures

    def stats(self) -> BusStats:
        """Return the bus's figures."""
        seats = [place.seat for place in self._places.values()]
        held = [place for place in self._places.values() if place.held]
        return BusStats(
            up=int(not self._lost_s and self._log is not None),
            held=len(held),
            alone=sum(place.seat.apart for place in held),
            waiting=sum(seat.waiting for seat in seats),
            entries_out=self._entries_out,
            entries_in=self._entries_in,
            bytes_in=self._bytes_in,
            dropped=self._dropped + sum(seat.dropped for seat in seats),
            lost=self._losses,
            caught_up=self._caught_up,
            restored=self._restored,
            broken=self._broken + sum(seat.broken for seat in seats),
        )
