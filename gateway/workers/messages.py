"""What supervisor and workers say to one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.config import Settings

LINE_BYTES_MAX: Final = 1024 * 1024
"""The longest is the welcome of a worker that joins thousands of live rooms."""


class _Message(msgspec.Struct, frozen=True, tag_field="is"):
    """One line."""


class StreamTold(msgspec.Struct, frozen=True):
    """A stream's state, as `StreamInfo` has it, at the Unix time `now_ms`."""

    live: bool
    since_ms: int | None
    video_codec: str | None
    audio_codec: str | None
    width: int | None
    height: int | None
    media_clock_ms: int
    away: bool
    now_ms: int


# — to a worker —


class Welcome(_Message, frozen=True, tag="welcome"):
    """The first line: who it is, what to serve, where the workers' Unix sockets are, who has which room."""

    worker: int
    workers: int
    folder: str
    settings: dict[str, Any]
    owners: dict[str, int]
    told: dict[str, StreamTold]


class Granted(_Message, frozen=True, tag="granted"):
    """The room is the worker's; its clock stands at `media_ms`, if it has one."""

    id: int
    media_ms: int | None = None


class Refused(_Message, frozen=True, tag="refused"):
    """The room stays with `owner`; None: it is being decided."""

    id: int
    owner: int | None = None


class Yield(_Message, frozen=True, tag="yield"):
    """Another worker has the room's host at its door: give it up unless yours is alive. Answer `Yielded`."""

    id: int
    room: str


class Owner(_Message, frozen=True, tag="owner"):
    """Who has the room now."""

    room: str
    worker: int | None


class Fleet(_Message, frozen=True, tag="fleet"):
    """How often each worker was started again since the supervisor's start."""

    restarts: list[int]


class Ping(_Message, frozen=True, tag="ping"):
    """Answer `Pong`."""


# — to the supervisor —


class Claim(_Message, frozen=True, tag="claim"):
    """A host wants the room at this worker; `pull`: this worker would pull it from the origin for all."""

    id: int
    room: str
    pull: bool = False


class Yielded(_Message, frozen=True, tag="yielded"):
    """The answer to `Yield`: whether the host is gone."""

    id: int
    gone: bool


class Release(_Message, frozen=True, tag="release"):
    """The room has no host at this worker any more, or is not pulled by it."""

    room: str


class Ready(_Message, frozen=True, tag="ready"):
    """It serves; `lines` are what it would print."""

    lines: list[str]


class Pong(_Message, frozen=True, tag="pong"):
    """Its loop goes round."""


# — both ways —


class Told(_Message, frozen=True, tag="told"):
    """How a room's stream is, where its host is; the supervisor passes it on to the others."""

    room: str
    stream: StreamTold


ToWorker = Welcome | Granted | Refused | Yield | Owner | Told | Fleet | Ping
ToSupervisor = Claim | Yielded | Release | Told | Ready | Pong


def settings_to_dict(settings: Settings) -> dict[str, Any]:
    """Settings as JSON can carry them."""
    fields: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    return fields


def settings_from_dict(fields: dict[str, Any]) -> Settings:
    """The reverse of `settings_to_dict`."""
    return msgspec.convert(fields, Settings, dec_hook=lambda _, text: Path(text))
