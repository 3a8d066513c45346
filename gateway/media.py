"""What is kept of the streams: recordings and their replay, clips, thumbnails; and the addresses that serve them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from commerce.catalogue import Catalogue
from commerce.errors import CommerceError
from gateway.client import CORS_HEADERS
from gateway.clips import Clips
from gateway.config import Settings
from gateway.errors import Problem, problem_of, problem_response
from gateway.rooms import Rooms
from stream.directory import Directory
from stream.record import Recorder, RecordLimits, ShowEvent
from stream.recorder_disk import DiskLimits, Show
from stream.replay import Replay
from stream.thumbnail import Picture, Thumbnails

logger = logging.getLogger("siyu.media")

_CORS = {name.decode(): value.decode() for name, value in CORS_HEADERS}
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
KEPT = "max-age=86400"
"""Files of an ended show and clips never change, but they may be taken down: a day in a cache is enough."""
BRIEF = "max-age=10"

Refuse = Callable[[str, Any], Problem | None]
"""(room, ASGI scope) → why the bearer of the request's token may not watch; None when they may."""
AskOwner = Callable[[str, Request], Awaitable[Response | None]]
"""(room, request) → what the worker that has the room's host answers; None when that is this one, or it cannot."""


@dataclass(frozen=True, slots=True)
class Media:
    """Recorder, replay, clips and thumbnails of one server."""

    recorder: Recorder
    replay: Replay
    clips: Clips
    thumbnails: Thumbnails
    public: bool
    """Whether anybody may watch: then a shared cache may keep the files."""
    is_elsewhere: Callable[[str], bool]
    """Whether a room's host is live at another worker, which has its picture."""

    async def start(self) -> None:
        """Find what was recorded, then follow the streams. Raises ``OSError``."""
        await self.recorder.start()
        self.thumbnails.listen(self._pictured)
        self.thumbnails.start()
        self.clips.start()

    async def close(self) -> None:
        """End it, the streams having ended: what was recorded is on the disk when this returns."""
        await self.thumbnails.close()
        await self.clips.close()
        self.replay.close()
        await self.recorder.close()

    def _pictured(self, room: str, picture: Picture) -> None:
        self.recorder.cover(room, picture.jpeg)

    # — what the bridge asks —

    def current_show(self, room: str) -> str | None:
        """The show that is being recorded in the room."""
        return self.recorder.current(room)

    def listen(self, callback: Callable[[ShowEvent], None]) -> None:
        """Hear of shows that begin and end."""
        self.recorder.listen(callback)

    # — what clients see —

    def picture_url(self, room: str) -> str:
        """The address of the room's newest picture, of this show or the last; empty when there is none.

        A host that is live at another worker has one ten seconds from its start at the latest.
        """
        here = self.thumbnails.latest(room) is not None or self._covered(room) is not None
        return f"/live/{room}.jpg" if here or self.is_elsewhere(room) else ""

    def _covered(self, room: str) -> Show | None:
        return next((show for show in self.recorder.shows(room) if show.cover), None)

    def show_view(self, show: Show, base: str) -> dict[str, Any]:
        """A show as the API lists it; times in Unix ms, ``from_ms`` and ``to_ms`` on its media clock."""
        address = f"{base}/replay/{show.room}/{show.show}"
        return {
            "show": show.show,
            "started": show.started_ms,
            "ended": show.ended_ms,
            "length_ms": round(show.length_ms),
            "bytes": show.bytes,
            "from_ms": int(show.from_ms or 0),
            "to_ms": int(show.to_ms),
            "url": f"{address}/index.m3u8",
            "thumbnail": f"{address}/cover.jpg" if show.cover else None,
        }

    # — addresses —

    def own_picture(self) -> Route:
        """``/live/ROOM.jpg`` for other workers: the picture of a host that is here."""

        async def picture(request: Request) -> Response:
            return self._picture(request.path_params["room"])

        return Route("/live/{room}.jpg", picture)

    def routes(self, refuse: Refuse, ask_owner: AskOwner | None) -> list[BaseRoute]:
        """``/live/ROOM.jpg``, ``/replay/ROOM/SHOW/FILE`` and ``/clips/ID.mp4``.

        ``refuse`` checks play tokens; ``ask_owner`` has the worker with the room's host answer.
        """

        async def picture(request: Request) -> Response:
            room = request.path_params["room"]
            refused = refuse(room, request.scope)
            if refused is not None:
                return problem_response(refused)
            told = None if ask_owner is None else await ask_owner(room, request)
            return told if told is not None and told.status_code == 200 else self._picture(room)

        async def replay(request: Request) -> Response:
            room, name, file = (request.path_params[part] for part in ("room", "show", "file"))
            refused = refuse(room, request.scope)
            if refused is not None:
                return problem_response(refused)
            show = self.recorder.find(room, name)
            if show is None or not show.bytes:
                return problem_response(Problem(404, "not_found", "there is no such show"))
            return await self._replay(show, file, request.query_params)

        async def clip(request: Request) -> Response:
            try:
                found = await self.clips.of(request.path_params["clip"])
            except CommerceError as error:
                return problem_response(problem_of(error))
            refused = refuse(found.room, request.scope)
            if refused is not None:
                return problem_response(refused)
            path = self.clips.path(found)
            if not path.is_file():
                return problem_response(Problem(404, "not_found", "this clip's file is gone"))
            return self._file(path, "video/mp4", KEPT)

        return [
            Route("/live/{room}.jpg", picture),
            Route("/replay/{room}/{show}/{file}", replay),
            Route("/clips/{clip}.mp4", clip),
        ]

    def _picture(self, room: str) -> Response:
        latest = self.thumbnails.latest(room)
        if latest is not None:
            headers = {**_CORS, "cache-control": self._cache(BRIEF), "x-media-ms": str(latest.media_ms)}
            return Response(latest.jpeg, 200, headers, "image/jpeg")
        show = self._covered(room)
        if show is None:
            return problem_response(Problem(404, "no_picture", "there is no picture of this room yet", retry_ms=10_000))
        return self._file(self.recorder.place(show) / "cover.jpg", "image/jpeg", BRIEF)

    async def _replay(self, show: Show, file: str, query: Mapping[str, str]) -> Response:
        if file == "index.m3u8":
            text = await self.replay.playlist(show, query)
            if text is None:
                return problem_response(Problem(503, "busy", "the replay is not ready, try again", retry_ms=3_000))
            return Response(text, 200, {**_CORS, "cache-control": "no-cache"}, PLAYLIST_TYPE)
        path = self.replay.file(show, file)
        if path is None or not path.is_file():
            return problem_response(Problem(404, "not_found", "there is no such file in this show"))
        kind = "image/jpeg" if path.suffix == ".jpg" else "video/mp4"
        growing = show.ended_ms is None or path.suffix == ".jpg"
        return self._file(path, kind, BRIEF if growing else KEPT)

    def _file(self, path: Any, kind: str, cache: str) -> Response:
        # Starlette answers Range, If-Range and HEAD.
        return FileResponse(path, 200, {**_CORS, "cache-control": self._cache(cache)}, kind)

    def _cache(self, how: str) -> str:
        return f"{'public' if self.public else 'private'}, {how}"


def open_media(
    settings: Settings,
    *,
    directory: Directory,
    catalogue: Catalogue,
    rooms: Rooms,
    clock: Callable[[], int],
    sweeps: bool,
) -> Media:
    """Wire it for one server; nothing starts yet. ``sweeps``: of several workers, the one that removes old shows."""
    limits = RecordLimits(keep_days=settings.record_keep_days, disk=DiskLimits(min_free_bytes=settings.record_min_free))
    recorder = Recorder(
        directory,
        settings.data / "recordings",
        clock=clock,
        record=settings.record,
        shared=settings.workers > 1,
        sweeps=sweeps,
        limits=limits,
    )
    replay = Replay(recorder)
    clips = Clips(
        folder=settings.data / "clips",
        recorder=recorder,
        replay=replay,
        catalogue=catalogue,
        rooms=rooms,
        clock=clock,
        keep_days=settings.record_keep_days,
        min_free_bytes=settings.record_min_free,
    )
    thumbnails = Thumbnails(directory, clock=clock)

    def is_elsewhere(room: str) -> bool:
        return directory.hosted(room) is None and directory.info(room).live

    return Media(recorder, replay, clips, thumbnails, not settings.play_auth, is_elsewhere)
