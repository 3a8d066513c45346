"""A stream as a row of tags: what HTTP-FLV, WebSocket-FLV and RTMP have in common."""

from stream.packet import Kind, Packet
from stream.protocol import flv
from stream.relay import ON_METADATA, Source

SOUND_BEFORE_MS = 1_000
"""By how much sound may begin before the picture that it goes with; what was heard longer ago is of another moment."""


class TagEncoder:
    """Tags of one stream, one for each packet; nothing is held back. `tag` says what one looks like."""

    content_type = "video/x-flv"

    def __init__(self, relay: Source) -> None:
        self._configs: dict[Kind, Packet] = {}
        self._heard_ms = next((packet.dts_ms for packet in relay.gop if packet.kind is Kind.AUDIO), relay.sound_ms)
        for packet in (relay.metadata, *relay.configs()):
            if packet is not None:
                self._configs[packet.kind] = packet
        self.tracks = tuple(kind for kind in (Kind.VIDEO, Kind.AUDIO) if kind in self._configs)
        self._tags: list[bytes] = []

    def tag(self, packet: Packet, dts_ms: int) -> bytes:
        """Give one packet's bytes, stamped `dts_ms`."""
        return flv.tag(packet, dts_ms)

    def wrap(self, tags: bytes) -> bytes:
        """Give what is sent for some tags in a row, never none."""
        return tags

    def head(self, dts_ms: int) -> bytes:
        """What comes first, then metadata and configurations."""
        return self.config(dts_ms)

    def config(self, dts_ms: int) -> bytes:
        """Metadata and sequence headers, stamped with the time of the frame that follows.

        The sound's with that of the first that is cached, or of the one before it: it may begin a little earlier than
        the picture, and times never go back.
        """
        tags = self.described(dts_ms)
        return self.wrap(tags) if tags else b""

    def described(self, dts_ms: int) -> bytes:
        """The tags of metadata and sequence headers."""
        heard_ms, sound_ms = self._heard_ms, dts_ms
        if heard_ms is not None and dts_ms - SOUND_BEFORE_MS <= heard_ms < dts_ms:
            sound_ms = heard_ms
        return b"".join(
            [
                self._stamped(packet, sound_ms if packet.kind is Kind.AUDIO else dts_ms)
                for packet in self._configs.values()
                if packet.data
            ]
        )

    def take(self, packet: Packet) -> None:
        """Add one tag."""
        if packet.config or packet.kind is Kind.DATA:
            self._configs[packet.kind] = packet
            if not packet.data:
                return
        elif packet.kind is Kind.AUDIO:
            self._heard_ms = packet.dts_ms
        self._tags.append(self._stamped(packet, packet.dts_ms))

    def split(self, packet: Packet) -> bytes:
        """Give the tags before `packet`."""
        data = self.cut()
        self.take(packet)
        return data

    def cut(self) -> bytes:
        """Give the tags so far."""
        if not self._tags:
            return b""
        data = self.wrap(b"".join(self._tags))
        self._tags.clear()
        return data

    def flush(self, end_ms: int | None = None) -> bytes:
        """Give the tags so far: a tag does not say how long it lasts."""
        return self.cut()

    def _stamped(self, packet: Packet, dts_ms: int) -> bytes:
        # ffmpeg takes onMetaData for the file's own only at time 0; at any other it makes a text track of it, and puts
        # that before the picture.
        describes = packet.kind is Kind.DATA and packet.data.startswith(ON_METADATA)
        return self.tag(packet, 0 if describes else dts_ms)


class FlvEncoder(TagEncoder):
    """An FLV file without end."""

    def head(self, dts_ms: int) -> bytes:
        """File header with the right track flags, then metadata and configurations."""
        start = flv.header(audio=Kind.AUDIO in self.tracks, video=Kind.VIDEO in self.tracks)
        return self.wrap(start + self.described(dts_ms))
