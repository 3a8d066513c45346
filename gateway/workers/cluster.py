"""A worker's view of its node: claims rooms for its hosts, and finds rooms that other workers have.

Between the supervisor's link on one side and directory and puller on the other; an `Upstreams` for the puller. At an
edge it stands in front of the origin: the worker that asks first pulls a room for all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from gateway.workers.messages import (
    Claim,
    Fleet,
    Granted,
    Owner,
    Ping,
    Pong,
    Refused,
    Release,
    StreamTold,
    Told,
    ToWorker,
    Welcome,
    Yield,
    Yielded,
)
from stream.directory import PUBLISHER_SILENCE_MS, Directory, StreamEvent
from stream.errors import AlreadyPublishing, PublishRefused
from stream.http_call import Peer
from stream.ingest_pull import Puller, Source, Upstreams
from stream.relay import StreamInfo

logger = logging.getLogger("siyu.workers")

CLAIM_S = 5.0
"""The supervisor answers within a second; without an answer it is gone, and so are we soon."""
UNUSED_S: Final = 10.0
"""A room that was granted and not used within it is given back: the host left in between."""
TELL_S: Final = 10.0
"""How often others hear of the media clock: hosts' clocks and ours drift apart by milliseconds a minute."""


class Link(Protocol):
    """What is asked of the supervisor's link."""

    def send(self, message: msgspec.Struct) -> None:
        """Send one message."""

    def listen(self, receive: Callable[[ToWorker], None]) -> None:
        """Give `receive` what came so far and what comes."""


class Elsewhere(Upstreams, Protocol):
    """Other nodes, where a room may be that no worker here has."""

    def is_elsewhere(self, room: str) -> bool:
        """Whether another node has the room."""


def socket_path(folder: str, worker: int) -> str:
    """Where a worker's Unix socket is."""
    return str(Path(folder) / f"{worker}.sock")


class Cluster:
    """One worker's part.

    `welcome` is the supervisor's first message. `origin`: of an edge. `nodes`: other nodes of the shop.
    """

    def __init__(
        self,
        welcome: Welcome,
        link: Link,
        directory: Directory,
        *,
        clock: Callable[[], int],
        origin: Upstreams | None = None,
        nodes: Elsewhere | None = None,
    ) -> None:
        self.worker = welcome.worker
        self.workers = welcome.workers
        self.owners = dict(welcome.owners)
        self.restarts = [0] * welcome.workers
        self.puller: Puller | None = None
        self.dismiss_peers: Callable[[str], None] = lambda room: None
        """Ends the pulls of other workers from here; set by the inner server."""
        self._folder = welcome.folder
        self._link = link
        self._directory = directory
        self._clock = clock
        self._origin = origin
        self._nodes = nodes
        self._claiming: Counter[str] = Counter()
        self._claims: dict[int, asyncio.Future[Granted | Refused]] = {}
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._timer: asyncio.TimerHandle | None = None
        for room, stream in welcome.told.items():
            self._note(room, stream)

    # — life —

    def start(self, puller: Puller) -> None:
        """Follow the directory."""
        self.puller = puller
        self._directory.on_hosted(self._hosted)
        self._directory.listen(self._stream)
        self._timer = asyncio.get_running_loop().call_later(TELL_S, self._tell_all)

    async def close(self) -> None:
        """Claim no more."""
        for timer in (self._timer, *self._timers.values()):
            if timer is not None:
                timer.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # — hosts —

    async def claim(self, room: str) -> None:
        """Make this worker the room's, for a host that may publish it.

        Raises AlreadyPublishing when the room's host is alive at another worker, PublishRefused without an answer.
        """
        self._claiming[room] += 1
        try:
            if not await self._given_up(room):
                raise AlreadyPublishing(room)
            answer = await self._claim(room, pull=False)
            if isinstance(answer, Refused):
                raise AlreadyPublishing(room)
            self._unused_later(room)
        finally:
            self._claiming[room] -= 1
            if not self._claiming[room]:
                del self._claiming[room]
        if answer.media_ms is not None:
            self._directory.relay(room).go_on_from(answer.media_ms, self._clock())

    def peer(self, worker: int) -> Peer:
        """Where another worker is asked."""
        return Peer("localhost", unix=socket_path(self._folder, worker))

    def is_elsewhere(self, room: str) -> bool:
        """Whether the room can be pulled."""
        if self._origin is not None or self.owners.get(room, self.worker) != self.worker:
            return True
        return self._nodes is not None and self._nodes.is_elsewhere(room)

    def serves(self, room: str) -> bool:
        """Whether other workers may have the room from here."""
        return self.owners.get(room) == self.worker

    # — where to pull —

    async def find(self, room: str) -> Source | None:
        """The worker that has the room, or the origin if that is us, or another node."""
        owner = self.owners.get(room)
        if owner is None and self._origin is not None:
            answer = await self._claim(room, pull=True)
            owner = self.worker if isinstance(answer, Granted) else answer.owner
        if owner is None:
            return None if self._nodes is None else await self._nodes.find(room)
        if owner == self.worker:
            return await self._origin.find(room) if self._origin is not None else None
        return Source(self.peer(owner), f"/live/{room}.flv?delay=low")

    def refused(self, room: str, status: int) -> None:
        """Pass it on to who knows the origin."""
        if self._origin is not None and self.serves(room):
            self._origin.refused(room, status)

    def released(self, room: str) -> None:
        """Give the room back if we had it from the origin."""
        if self._origin is not None and self.serves(room):
            self._origin.released(room)
            self._link.send(Release(room))

    # — what the supervisor says —

    def receive(self, message: ToWorker) -> None:
        """Take one message."""
        match message:
            case Granted() | Refused():
                waiting = self._claims.pop(message.id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case Yield():
                self._spawn(self._yield(message))
            case Owner():
                self._owned(message.room, message.worker)
            case Told():
                self._note(message.room, message.stream)
            case Fleet():
                self.restarts = message.restarts
            case Ping():
                self._link.send(Pong())
            case Welcome():
                logger.error("a second welcome")

    async def _yield(self, message: Yield) -> None:
        """Answer whether our host is gone."""
        self._link.send(Yielded(message.id, await self._given_up(message.room)))

    async def _given_up(self, room: str) -> bool:
        """Whether no host is left here: one that says nothing for half a second from now is let go."""
        publication = self._directory.hosted(room)
        heard_ms = publication.heard_ms if publication is not None else 0
        while not self._directory.give_up(room, self._clock()):
            publication = self._directory.hosted(room)
            if publication is None or publication.heard_ms != heard_ms:
                break
            left_ms = PUBLISHER_SILENCE_MS - (self._clock() - heard_ms)
            await asyncio.sleep(max(left_ms, 1) / 1000)
        return self._directory.hosted(room) is None

    def _owned(self, room: str, owner: int | None) -> None:
        if owner is None:
            self.owners.pop(room, None)
        else:
            self.owners[room] = owner
        if owner == self.worker:
            return
        if owner is None:
            self._directory.elsewhere(room, None, self._clock())
            return
        # A host that is still here has lost its room while this process hung.
        self._directory.dismiss(room, self._clock())
        self.dismiss_peers(room)
        if self.puller is None:
            return
        source = self.puller.source(room)
        if source is None or source.peer != self.peer(owner):
            self.puller.redirect(room)

    def _note(self, room: str, stream: StreamTold) -> None:
        owner = self.owners.get(room)
        if owner is not None and owner != self.worker:
            fields = {name: value for name, value in msgspec.structs.asdict(stream).items() if name != "now_ms"}
            self._directory.elsewhere(room, StreamInfo(**fields), stream.now_ms)

    # — what the directory says —

    def _hosted(self, room: str, here: bool) -> None:
        if here:
            self._forget_timer(room)
            self._directory.elsewhere(room, None, self._clock())
        else:
            # A host that took its own room back has begun by the next turn of the loop.
            asyncio.get_running_loop().call_soon(self._release_unused, room)

    def _stream(self, event: StreamEvent) -> None:
        self._tell(event.room, event.info, event.now_ms)

    def _tell(self, room: str, info: StreamInfo, now_ms: int) -> None:
        if self.serves(room):
            self._link.send(
                Told(
                    room,
                    StreamTold(
                        info.live,
                        info.since_ms,
                        info.video_codec,
                        info.audio_codec,
                        info.width,
                        info.height,
                        info.media_clock_ms,
                        info.away,
                        now_ms,
                    ),
                )
            )

    def _tell_all(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TELL_S, self._tell_all)
        for room, owner in tuple(self.owners.items()):
            if owner == self.worker and self._directory.hosted(room) is not None:
                self._tell(room, self._directory.info(room), self._clock())

    # — inside —

    async def _claim(self, room: str, *, pull: bool) -> Granted | Refused:
        self._number += 1
        number = self._number
        waiting = self._claims[number] = asyncio.get_running_loop().create_future()
        self._link.send(Claim(number, room, pull))
        try:
            async with asyncio.timeout(CLAIM_S):
                answer: Granted | Refused = await waiting
            if isinstance(answer, Granted):
                self.owners[room] = self.worker
            return answer
        except TimeoutError as error:
            text = "The server cannot say who has this room. Try again."
            raise PublishRefused("NetStream.Publish.Failed", text) from error
        finally:
            self._claims.pop(number, None)

    def _unused_later(self, room: str) -> None:
        self._forget_timer(room)
        loop = asyncio.get_running_loop()
        self._timers[room] = loop.call_later(UNUSED_S, self._not_used, room)

    def _forget_timer(self, room: str) -> None:
        timer = self._timers.pop(room, None)
        if timer is not None:
            timer.cancel()

    def _not_used(self, room: str) -> None:
        del self._timers[room]
        self._release_unused(room)

    def _release_unused(self, room: str) -> None:
        if room in self._claiming or room in self._timers:
            # Its next host is at the door already: what is claimed must not be given back behind its back.
            return
        if self._origin is None and self.serves(room) and self._directory.hosted(room) is None:
            self._tell(room, self._directory.info(room), self._clock())
            self._link.send(Release(room))

    def _spawn(self, work: asyncio._CoroutineLike[None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
