"""HTTP-FLV: `/live/ROOM.flv`, what WeChat's live-player, mpegts.js, VLC and ffmpeg play."""

from stream.directory import Clock, Directory
from stream.fanout import ViewerLimits
from stream.packet import Kind, Packet
from stream.protocol import flv
from stream.relay import ON_METADATA, Relay
from stream.viewer import ProgressiveOutput


class FlvEncoder:
    """Tags of one stream; nothing is held back."""

    content_type = "video/x-flv"

    def __init__(self, relay: Relay) -> None:
        self._configs: dict[Kind, Packet] = {}
        for packet in (relay.metadata, *relay.configs()):
            if packet is not None:
                self._configs[packet.kind] = packet
        self.tracks = tuple(kind for kind in (Kind.VIDEO, Kind.AUDIO) if kind in self._configs)
        self._tags: list[bytes] = []

    def head(self, dts_ms: int) -> bytes:
        """File header with the right track flags, then metadata and configurations."""
        start = flv.header(audio=Kind.AUDIO in self.tracks, video=Kind.VIDEO in self.tracks)
        return start + self.config(dts_ms)

    def config(self, dts_ms: int) -> bytes:
        """Metadata and sequence headers, stamped with the time of the frame that follows."""
        return b"".join([_tag(packet, dts_ms) for packet in self._configs.values() if packet.data])

    def take(self, packet: Packet) -> None:
        """Add one tag."""
        if packet.config or packet.kind is Kind.DATA:
            self._configs[packet.kind] = packet
            if not packet.data:
                return
        self._tags.append(_tag(packet, packet.dts_ms))

    def split(self, packet: Packet) -> bytes:
        """Give the tags before `packet`."""
        data = self.cut()
        self.take(packet)
        return data

    def cut(self) -> bytes:
        """Give the tags so far."""
        data = b"".join(self._tags)
        self._tags.clear()
        return data

    flush = cut


def _tag(packet: Packet, dts_ms: int) -> bytes:
    # ffmpeg takes onMetaData for the file's own only at time 0; at any other it makes a text track of it, and puts
    # that before the picture.
    return flv.tag(packet, 0 if packet.data.startswith(ON_METADATA) and packet.kind is Kind.DATA else dts_ms)


class FlvOutput(ProgressiveOutput):
    """Viewers of HTTP-FLV. A track that turns up late comes as tags; players take it though the header did not say."""

    def __init__(self, directory: Directory, clock: Clock, limits: ViewerLimits | None = None) -> None:
        super().__init__(directory, FlvEncoder, clock=clock, limits=limits, fixed_tracks=False)
