"""RTMP hosts: what an RtmpServer's connections receive, as packets into the relay."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from stream.origin import Origin
from stream.packet import Kind, Packet
from stream.protocol.flv import parse_audio_body, parse_data_body, parse_video_body, tracks_left_out
from stream.protocol.rtmp_events import MediaReceived
from stream.rtmp_peers import Publisher, PublishRequest


class Publication(Protocol):
    """A host's hold on a room."""

    def push(self, packet: Packet, now_ms: int) -> None: ...
    def end(self, reason: str, now_ms: int) -> None: ...


class PublicationDirectory(Protocol):
    """Where rooms are published; raises AlreadyPublishing or PublishRefused."""

    def publish(self, room: str, publisher: Publisher, now_ms: int, origin: Origin | None, /) -> Publication: ...


Authorize = Callable[[PublishRequest], Awaitable[Origin | None]]


class RtmpIngest:
    """Hosts of an RtmpServer. `authorize` is awaited for each publish and raises PublishRefused."""

    def __init__(self, directory: PublicationDirectory, authorize: Authorize) -> None:
        self._directory = directory
        self._authorize = authorize
        self.tracks_left_out = 0
        """Tracks of multitrack messages that were read over: a room has one of each kind, number 0."""

    async def authorize(self, request: PublishRequest) -> Origin | None:
        """Check the key and say whose it is. Raises PublishRefused."""
        return await self._authorize(request)

    def publish(self, room: str, publisher: Publisher, now_ms: int, origin: Origin | None = None) -> "RtmpFeed":
        """Give the room to a host. Raises AlreadyPublishing, PublishRefused."""
        return RtmpFeed(self, self._directory.publish(room, publisher, now_ms, origin))


class RtmpFeed:
    """One host's messages on their way into its room."""

    __slots__ = ("_ingest", "_publication")

    def __init__(self, ingest: RtmpIngest, publication: Publication) -> None:
        self._ingest = ingest
        self._publication = publication

    def push(self, media: MediaReceived, now_ms: int) -> bool:
        """Take one tag body; whether it says anything to a player."""
        kind = media.kind
        if kind == Kind.VIDEO:
            packet = parse_video_body(media.body, media.dts_ms)
        elif kind == Kind.AUDIO:
            packet = parse_audio_body(media.body, media.dts_ms)
        else:
            packet = parse_data_body(media.body, media.dts_ms)
        if kind != Kind.DATA and media.body[0] & 0x80:
            self._ingest.tracks_left_out += tracks_left_out(Kind(kind), media.body)
        if packet is None:
            return False
        self._publication.push(packet, now_ms)
        return True

    def end(self, reason: str, now_ms: int) -> None:
        """Give the room back."""
        self._publication.end(reason, now_ms)
