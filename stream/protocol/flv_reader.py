"""An FLV file read as it comes in: bytes in, packets out. The layout stands in `flv`.

Of a file without end only the tag under way is kept. What says nothing to a player is read over, as RTMP does it.
"""

from typing import Final

from stream.errors import ProtocolError
from stream.packet import Kind, Packet
from stream.protocol.flv import parse_audio_body, parse_data_body, parse_video_body

TAG_BYTES_MAX: Final = 8 * 1024 * 1024
"""A key frame of a 50 Mbit/s stream is a tenth of it; what is longer is no stream of ours."""
HEADER_BYTES_MAX: Final = 64
"""The header says its own length, 9 in every file there is (E.2)."""

_HEADER_BYTES: Final = 9
_TAG_HEAD_BYTES: Final = 11
_SIZE_BYTES: Final = 4
_ENCRYPTED: Final = 0x20
_PARSERS: Final = {Kind.AUDIO: parse_audio_body, Kind.VIDEO: parse_video_body, Kind.DATA: parse_data_body}


class FlvReader:
    """One file. `tracks` is known from the first packet on."""

    def __init__(self) -> None:
        self.tracks: frozenset[Kind] = frozenset()
        """What the header promises; a track may come that it does not name."""
        self._pending = bytearray()
        self._started = False

    def receive_data(self, data: bytes) -> list[Packet]:
        """Take bytes and give the packets that they complete. Raises ProtocolError; then the file is of no use."""
        self._pending += data
        if not self._started and not self._header():
            return []
        out: list[Packet] = []
        pending, at = self._pending, 0
        while at + _TAG_HEAD_BYTES <= len(pending):
            size = int.from_bytes(pending[at + 1 : at + 4], "big")
            if size > TAG_BYTES_MAX:
                raise ProtocolError(f"an FLV tag of {size} bytes is over the limit of {TAG_BYTES_MAX}")
            end = at + _TAG_HEAD_BYTES + size
            if end + _SIZE_BYTES > len(pending):
                break
            packet = _packet(pending, at, end)
            if packet is not None:
                out.append(packet)
            at = end + _SIZE_BYTES
        del pending[:at]
        return out

    def _header(self) -> bool:
        """Read the file's header and the first previous-tag size, once they are there."""
        pending = self._pending
        if not b"FLV\x01".startswith(bytes(pending[:4])):
            raise ProtocolError("this is not an FLV file")
        if len(pending) < _HEADER_BYTES:
            return False
        flags, length = pending[4], int.from_bytes(pending[5:9], "big")
        if not _HEADER_BYTES <= length <= HEADER_BYTES_MAX:
            raise ProtocolError(f"an FLV header of {length} bytes")
        if len(pending) < length + _SIZE_BYTES:
            return False
        self.tracks = frozenset(kind for kind, bit in ((Kind.AUDIO, 4), (Kind.VIDEO, 1)) if flags & bit)
        self._started = True
        del pending[: length + _SIZE_BYTES]
        return True


def _packet(data: bytearray, at: int, end: int) -> Packet | None:
    """Read one whole tag; None when it says nothing to a player."""
    first = data[at]
    if first & _ENCRYPTED:
        raise ProtocolError("the FLV file is encrypted")
    try:
        kind = Kind(first & 0x1F)
    except ValueError as error:
        raise ProtocolError(f"there is no FLV tag of type {first & 0x1F}") from error
    # E.4.1: the fourth byte of the time stands behind the other three.
    dts_ms = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
    return _PARSERS[kind](bytes(data[at + _TAG_HEAD_BYTES : end]), dts_ms)
