"""Clips of explained products: takes requests from the bridge, has them cut one at a time, and tells the catalogue."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from commerce.catalogue import Catalogue
from commerce.catalogue_views import ClipView
from commerce.errors import CommerceError
from commerce.fresh_ids import fresh_id
from gateway.rooms import Rooms
from stream.record import DAY_MS, Recorder
from stream.replay import ClipRefused, Replay

logger = logging.getLogger("siyu.clips")

WAITING_MAX = 100
"""Clips waiting to be cut; each takes a second or so, and a host explains a product for minutes."""
SWEEP_S = 3_600.0
CLIPS_MAX_A_SWEEP = 10_000


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """A product was explained in ``show`` of ``room`` from media time ``start_ms`` to ``end_ms``."""

    room: str
    show: str
    product: str
    start_ms: int
    end_ms: int


@dataclass(slots=True)
class ClipStats:
    """Figures for metrics."""

    waiting: int = 0
    cut: int = 0
    refused: int = 0
    failed: int = 0


class Clips:
    """Cuts clips into ``DATA/clips/ROOM/ID.mp4``, and removes them after ``keep_days`` (0: never)."""

    def __init__(
        self,
        *,
        folder: Path,
        recorder: Recorder,
        replay: Replay,
        catalogue: Catalogue,
        rooms: Rooms,
        clock: Callable[[], int],
        keep_days: int,
        min_free_bytes: int,
    ) -> None:
        self.folder = folder
        self._recorder = recorder
        self._replay = replay
        self._catalogue = catalogue
        self._rooms = rooms
        self._clock = clock
        self._keep_ms = keep_days * DAY_MS
        self._min_free_bytes = min_free_bytes
        self._requests: asyncio.Queue[ClipRequest] = asyncio.Queue(WAITING_MAX)
        self._tasks: list[asyncio.Task[None]] = []
        self._stats = ClipStats()

    def start(self) -> None:
        """Cut and sweep until ``close``."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(), name="clips"), loop.create_task(self._sweep(), name="clips-sweep")]

    async def close(self) -> None:
        """End it; what still waits is not cut."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def request(self, request: ClipRequest) -> None:
        """Have a clip cut, some time soon."""
        try:
            self._requests.put_nowait(request)
        except asyncio.QueueFull:
            self._stats.refused += 1

    async def of(self, clip: str) -> ClipView:
        """A clip. Raises ``NotFound``."""
        return await self._catalogue.clip(clip)

    async def of_room(self, room: str, after: str, limit: int) -> list[ClipView]:
        """The room's clips, newest first."""
        return await self._catalogue.clips(room, after, limit)

    def path(self, clip: ClipView) -> Path:
        """The clip's file."""
        return self.folder / clip.file

    async def remove(self, merchant: str, room: str, clip: str) -> None:
        """Take a clip away at once. Raises ``NotFound``."""
        gone = await self._catalogue.delete_clip(merchant, room, clip)
        await asyncio.to_thread(self._unlink, [gone])

    def stats(self) -> ClipStats:
        """Figures for metrics."""
        self._stats.waiting = self._requests.qsize()
        return self._stats

    async def _run(self) -> None:
        while True:
            request = await self._requests.get()
            fields = {"room": request.room, "product": request.product}
            try:
                await self._make(request)
                self._stats.cut += 1
            except ClipRefused as error:
                self._stats.refused += 1
                logger.info("no clip: %s", error, extra={"fields": fields})
            except (OSError, CommerceError) as error:
                self._stats.failed += 1
                logger.warning("a clip could not be made: %s", error, extra={"fields": fields})
            except Exception:
                self._stats.failed += 1
                logger.exception("a clip could not be made", extra={"fields": fields})

    async def _make(self, request: ClipRequest) -> None:
        """Raises ``ClipRefused``, ``OSError``, ``CommerceError``."""
        room = self._rooms.find(request.room)
        if room is None:
            raise ClipRefused("the room is closed")
        # Recordings may lie on a disk of their own; the clips' may be the ledger's.
        free = shutil.disk_usage(self.folder.parent).free
        if free < self._min_free_bytes or not self._recorder.disk.ready:
            raise ClipRefused("the disk is nearly full")
        clip = fresh_id(self._clock())
        file = f"{room.id}/{clip}.mp4"
        path = self.folder / file
        made = await self._replay.cut(room.id, request.show, request.start_ms, request.end_ms, path)
        try:
            await self._catalogue.add_clip(
                clip,
                room.merchant,
                room.id,
                request.product,
                request.show,
                start_ms=made.start_ms,
                end_ms=made.end_ms,
                length_ms=made.length_ms,
                size=made.bytes,
                file=file,
            )
        except CommerceError:
            path.unlink(missing_ok=True)
            raise

    async def _sweep(self) -> None:
        while True:
            try:
                await self.expire()
            except (OSError, CommerceError):
                logger.exception("old clips were not removed; trying again in an hour")
            await asyncio.sleep(SWEEP_S)

    async def expire(self) -> int:
        """Remove clips past their time; how many."""
        if not self._keep_ms:
            return 0
        before_ms = self._clock() - self._keep_ms
        count = 0
        while count < CLIPS_MAX_A_SWEEP:
            gone = await self._catalogue.expire_clips(before_ms)
            if not gone:
                break
            await asyncio.to_thread(self._unlink, gone)
            count += len(gone)
        return count

    def _unlink(self, clips: list[ClipView]) -> None:
        for clip in clips:
            self.path(clip).unlink(missing_ok=True)
