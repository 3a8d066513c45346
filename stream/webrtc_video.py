"""What WebRTC does with pictures codec by codec: packets of the room to RTP payloads, frames out of RTP to packets.

H.264 goes both ways, VP8 and AV1 as well (of a host that has no H.264, where that is let in). Nothing is encoded anew.
"""

from collections.abc import Callable
from typing import Final, Protocol

from stream.packet import Codec, Kind, Packet
from stream.protocol import av1, h264, rtp, rtp_av1, rtp_vp8

SENT: Final = (Codec.H264, Codec.VP8, Codec.AV1)
"""What WHEP viewers can be sent."""

SDP_NAMES: Final = {Codec.H264: "H264", Codec.VP8: "VP8", Codec.AV1: "AV1"}


class VideoOut(Protocol):
    """One configuration's packets to payloads."""

    def payloads(self, packet: Packet) -> list[bytes]:
        """Give the RTP payloads of one picture; none when it is broken."""


class _H264Out:
    def __init__(self, config: Packet) -> None:
        self._length_bytes = h264.parse_avcc(config.data).length_bytes
        self._sets = rtp.parameter_sets(config.data)

    def payloads(self, packet: Packet) -> list[bytes]:
        return rtp.h264_payloads(rtp.split_avcc(packet.data, self._length_bytes), self._sets if packet.key else ())


class _Vp8Out:
    def __init__(self, config: Packet) -> None:
        """VP8 has no configuration."""

    def payloads(self, packet: Packet) -> list[bytes]:
        return rtp_vp8.payloads(packet.data)


class _Av1Out:
    def __init__(self, config: Packet) -> None:
        # Behind the av1C's four bytes (AV1 in ISO media files, section 2.3.3).
        self._obus = config.data[4:]

    def payloads(self, packet: Packet) -> list[bytes]:
        return rtp_av1.payloads(packet.data, self._obus, key=packet.key)


_OUT: Final[dict[Codec, Callable[[Packet], VideoOut]]] = {
    Codec.H264: _H264Out,
    Codec.VP8: _Vp8Out,
    Codec.AV1: _Av1Out,
}


def video_out(config: Packet) -> VideoOut | None:
    """Give what makes payloads of a configuration's pictures; None for a codec that WebRTC viewers cannot get.

    The configuration is one that a relay took, so it can be read.
    """
    make = _OUT.get(config.codec)
    return None if make is None else make(config)


class VideoIn:
    """One codec's RTP to packets."""

    codec: Codec

    def __init__(self) -> None:
        self.frames = self.depacketizer()

    def depacketizer(self) -> rtp.Depacketizer:
        """Give a new one: the source is another."""
        raise NotImplementedError

    def renew(self) -> None:
        """Forget what is under way."""
        self.frames = self.depacketizer()

    def packets(self, frame: rtp.Frame, dts_ms: int) -> list[Packet]:
        """Give the packets of a whole frame: its configuration first when that is new; none when it shows nothing.

        Raises ValueError when it is a key frame that no decoder could begin with.
        """
        raise NotImplementedError


class H264In(VideoIn):
    """Access units to AVCC, parameter sets to an avcC record."""

    codec = Codec.H264

    def __init__(self) -> None:
        super().__init__()
        self._sets: dict[int, bytes] = {}
        self._record = b""

    def depacketizer(self) -> rtp.Depacketizer:
        """H.264's."""
        return rtp.H264Depacketizer()

    def packets(self, frame: rtp.Frame, dts_ms: int) -> list[Packet]:
        """Parameter sets are kept out of the frames; they come as a configuration."""
        units = []
        for unit in frame.units:
            kind = unit[0] & 31
            if kind in (rtp.SPS, rtp.PPS):
                self._sets[kind] = unit
            else:
                units.append(unit)
        if not units:
            return []
        out = []
        if frame.key:
            record = h264.make_avcc(self._sets.get(rtp.SPS, b""), self._sets.get(rtp.PPS, b""))
            if record != self._record:
                self._record = record
                out.append(Packet(Kind.VIDEO, Codec.H264, dts_ms, 0, True, True, record))
        data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
        out.append(Packet(Kind.VIDEO, Codec.H264, dts_ms, 0, frame.key, False, data))
        return out


class Vp8In(VideoIn):
    """Frames as they are; VP8 has no configuration."""

    codec = Codec.VP8

    def depacketizer(self) -> rtp.Depacketizer:
        """VP8's."""
        return rtp_vp8.Vp8Depacketizer()

    def packets(self, frame: rtp.Frame, dts_ms: int) -> list[Packet]:
        """One packet."""
        return [Packet(Kind.VIDEO, Codec.VP8, dts_ms, 0, frame.key, False, frame.units[0])]


class Av1In(VideoIn):
    """OBUs with their sizes, and an av1C record of the sequence header."""

    codec = Codec.AV1

    def __init__(self) -> None:
        super().__init__()
        self._record = b""

    def depacketizer(self) -> rtp.Depacketizer:
        """AV1's."""
        return rtp_av1.Av1Depacketizer()

    def packets(self, frame: rtp.Frame, dts_ms: int) -> list[Packet]:
        """The sequence header stays in its key frame; it comes as a configuration as well."""
        out = []
        if frame.key:
            header = next(unit for unit in frame.units if av1.kind_of(unit) == av1.SEQUENCE_HEADER)
            record = av1.make_av1c(header)
            if record != self._record:
                self._record = record
                out.append(Packet(Kind.VIDEO, Codec.AV1, dts_ms, 0, True, True, record))
        data = b"".join(map(av1.sized, frame.units))
        out.append(Packet(Kind.VIDEO, Codec.AV1, dts_ms, 0, frame.key, False, data))
        return out


TAKEN: Final[dict[Codec, Callable[[], VideoIn]]] = {Codec.H264: H264In, Codec.VP8: Vp8In, Codec.AV1: Av1In}
"""What WHIP hosts can send, if they are let."""
