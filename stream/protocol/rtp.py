"""RTP packets, H.264 and Opus in them, and the order that they have to be brought into.

Pure. Sources: RFC 3550 section 5.1 (header), RFC 8285 section 4.2 (one-byte header extensions), RFC 6184 (H.264:
single NAL units, STAP-A, FU-A), RFC 7587 (Opus: one packet is one payload), RFC 4588 (retransmission payload).

    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    |                           timestamp                           |
    |                             SSRC                              |
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from stream.errors import RtpError

PAYLOAD_BYTES_MAX: Final = 1200
"""With SRTP, UDP and IPv6 headers it fits the smallest path in use (1,280 bytes), as every browser assumes."""

HEADER_BYTES: Final = 12
"""Without contributors and extensions."""

PACKET_BYTES_MAX: Final = 1500
VIDEO_RATE: Final = 90_000
AUDIO_RATE: Final = 48_000

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""A key frame at 30 Mbit/s and one a second; a picture beyond it is garbage."""
FRAME_PACKETS_MAX: Final = FRAME_BYTES_MAX // 400

_STAP_A: Final = 24
_FU_A: Final = 28
_IDR: Final = 5
SPS: Final = 7
PPS: Final = 8
_LEFT_OUT: Final = frozenset((9, 10, 11, 12))
"""Delimiters and filler say nothing in RTP (RFC 6184 section 6.2)."""

_HEADER: Final = struct.Struct("!BBHII")


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """A packet read: `payload` without padding; `extensions` by their id."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse_rtp(data: bytes) -> RtpPacket:
    """Read an RTP packet. Raises RtpError when it is broken."""
    if not 12 <= len(data) <= PACKET_BYTES_MAX:
        raise RtpError("an RTP packet has 12 to 1500 bytes")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise RtpError("not RTP version 2")
    at = 12 + 4 * (first & 15)
    end = len(data)
    if first & 0x10:
        if at + 4 > end:
            raise RtpError("the RTP header extension is cut off")
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    if first & 0x20:
        end -= data[-1]
        if not data[-1]:
            raise RtpError("the RTP padding has no length")
    if at > end:
        raise RtpError("the RTP packet is cut off")
    return RtpPacket(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[at:end])


def rtp_packet(
    payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes, extension: bytes = b""
) -> bytes:
    """Write an RTP packet; `extension` is a whole one-byte extension block (see `extension_block`)."""
    first = 0x90 if extension else 0x80
    second = payload_type | (0x80 if marker else 0)
    head = _HEADER.pack(first, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return head + extension + payload


def extension_block(number: int, value: bytes) -> bytes:
    """Give a header extension of one element (RFC 8285 section 4.2); `number` is 1 to 14, 1 to 16 bytes."""
    body = bytes((number << 4 | len(value) - 1,)) + value
    body += bytes(-len(body) % 4)
    return struct.pack("!HH", 0xBEDE, len(body) // 4) + body


def rtx_payload(sequence: int, payload: bytes) -> bytes:
    """Give the payload of a retransmission: the original sequence number first (RFC 4588 section 4)."""
    return struct.pack("!H", sequence & 0xFFFF) + payload


def unwrap(value: int, near: int, bits: int) -> int:
    """Give the number equal to `value` modulo 2**bits that is nearest to `near`."""
    size = 1 << bits
    return near + ((value - near + size // 2) % size) - size // 2


# -- H.264 out -------------------------------------------------------------------------------------------------------


def split_avcc(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """Give the NAL units of an access unit in AVCC form; what is cut off at the end is left out."""
    at, end = 0, len(data)
    while at + length_bytes < end:
        size = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        if not size or at + size > end:
            return
        yield data[at : at + size]
        at += size


def parameter_sets(record: bytes) -> tuple[bytes, ...]:
    """Give the parameter sets of an avcC record, SPS first (ISO/IEC 14496-15 section 5.3.3)."""
    found: list[bytes] = []
    at = 5
    for mask in (0x1F, 0xFF):
        count = record[at] & mask if at < len(record) else 0
        at += 1
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            nal = record[at + 2 : at + 2 + size]
            if not nal or len(nal) != size:
                return tuple(found)
            found.append(nal)
            at += 2 + size
    return tuple(found)


def h264_payloads(units: Iterable[bytes], sets: Iterable[bytes]) -> list[bytes]:
    """Give the RTP payloads of one access unit, each at most PAYLOAD_BYTES_MAX bytes.

    `sets` (SPS, PPS) go in front of a key frame that does not bring its own: a viewer may begin at any of them.
    """
    kept = [unit for unit in units if unit[0] & 31 not in _LEFT_OUT]
    kinds = {unit[0] & 31 for unit in kept}
    if _IDR in kinds and SPS not in kinds:
        kept = [*sets, *kept]
    payloads: list[bytes] = []
    small: list[bytes] = []
    small_bytes = 1
    for unit in kept:
        if small and small_bytes + 2 + len(unit) > PAYLOAD_BYTES_MAX:
            payloads.append(_aggregate(small))
            small, small_bytes = [], 1
        if len(unit) > PAYLOAD_BYTES_MAX:
            payloads += _fragment(unit)
        elif unit[0] & 31 in (_IDR, 1):
            # A slice of its own: a lost packet costs one slice only.
            if small:
                payloads.append(_aggregate(small))
                small, small_bytes = [], 1
            payloads.append(unit)
        else:
            small.append(unit)
            small_bytes += 2 + len(unit)
    if small:
        payloads.append(_aggregate(small))
    return payloads


def _aggregate(units: list[bytes]) -> bytes:
    """STAP-A (RFC 6184 section 5.7.1); one unit alone goes as it is."""
    if len(units) == 1:
        return units[0]
    importance = max(unit[0] & 0x60 for unit in units)
    parts = [bytes((importance | _STAP_A,))]
    for unit in units:
        parts += (struct.pack("!H", len(unit)), unit)
    return b"".join(parts)


def _fragment(unit: bytes) -> list[bytes]:
    """FU-A (RFC 6184 section 5.8): all but the last of one size, which is what segmentation offload needs."""
    indicator = unit[0] & 0xE0 | _FU_A
    kind = unit[0] & 31
    size = PAYLOAD_BYTES_MAX - 2
    out = []
    for at in range(1, len(unit), size):
        flags = (0x80 if at == 1 else 0) | (0x40 if at + size >= len(unit) else 0)
        out.append(bytes((indicator, flags | kind)) + unit[at : at + size])
    return out


# -- pictures in -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture: H.264's NAL units, or for VP8 one unit with all of it; not `whole` when a part of it was lost."""

    timestamp: int
    units: tuple[bytes, ...]
    whole: bool
    key: bool = False


class Depacketizer:
    """Pictures out of payloads in order; a gap marks the one under way, and the next, as not whole.

    What a payload holds is a codec's own matter: `_take` reads one, `_close` ends a picture.
    """

    def __init__(self) -> None:
        self._units: list[bytes] = []
        self._bytes = 0
        self._packets = 0
        self._key = False
        self._timestamp: int | None = None
        self._broken = False

    def push(self, packet: RtpPacket, *, gap: bool) -> list[Frame]:
        """Take the next packet (`gap`: some before it are lost for good) and give the frames that it completes."""
        done: list[Frame] = []
        if gap:
            self._broken = True
        if self._timestamp is not None and packet.timestamp != self._timestamp:
            # Its last packet, with the marker, was lost, or the sender sets none.
            done += self._finish(lost_end=gap)
            self._broken = gap
        self._timestamp = packet.timestamp
        self._packets += 1
        if packet.payload:
            try:
                self._take(packet.payload)
            except RtpError:
                self._broken = True
        if packet.marker:
            done += self._finish(lost_end=False)
        return done

    def _finish(self, *, lost_end: bool) -> list[Frame]:
        complete = self._close()
        whole = complete and not (self._broken or lost_end)
        units, timestamp, key = tuple(self._units), self._timestamp, self._key
        self._units, self._bytes, self._packets, self._key, self._timestamp = [], 0, 0, False, None
        self._broken = False
        if timestamp is None or (whole and not units):
            return []
        # One of which nothing is left is told as well: what follows builds on it.
        return [Frame(timestamp, units, whole, key)]

    def _take(self, payload: bytes) -> None:
        """Read one payload. Raises RtpError when it is broken."""
        raise NotImplementedError

    def _close(self) -> bool:
        """End the picture; whether it is complete by what its payloads say."""
        raise NotImplementedError

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > FRAME_BYTES_MAX or self._packets > FRAME_PACKETS_MAX:
            raise RtpError("a picture is over the limit")


class H264Depacketizer(Depacketizer):
    """Access units (RFC 6184 section 5.2)."""

    def __init__(self) -> None:
        super().__init__()
        self._fragment: bytearray | None = None

    def _close(self) -> bool:
        complete = self._fragment is None
        self._fragment = None
        return complete

    def _take(self, payload: bytes) -> None:
        kind = payload[0] & 31
        try:
            if kind == _FU_A:
                self._take_fragment(payload)
            elif kind == _STAP_A:
                self._take_aggregate(payload)
            else:
                # A unit of its own; payloads of other packetization modes have kinds that no unit has.
                self._add(payload)
        except RtpError:
            self._fragment = None
            raise

    def _take_aggregate(self, payload: bytes) -> None:
        at = 1
        while at < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            unit = payload[at + 2 : at + 2 + size]
            if not size or len(unit) != size:
                raise RtpError("a STAP-A is cut off")
            self._add(unit)
            at += 2 + size

    def _take_fragment(self, payload: bytes) -> None:
        if len(payload) < 3:
            raise RtpError("a FU-A is cut off")
        flags = payload[1]
        if flags & 0x80:
            self._fragment = bytearray((payload[0] & 0xE0 | flags & 31,))
        if self._fragment is None:
            raise RtpError("a FU-A without its start")
        self._fragment += payload[2:]
        if self._bytes + len(self._fragment) > FRAME_BYTES_MAX:
            raise RtpError("an access unit is over the limit")
        if flags & 0x40:
            unit, self._fragment = bytes(self._fragment), None
            self._add(unit)

    def _add(self, unit: bytes) -> None:
        self._count(len(unit))
        kind = unit[0] & 31
        if not 1 <= kind <= 23:
            raise RtpError("not a NAL unit")
        if kind not in _LEFT_OUT:
            self._units.append(unit)
            self._key = self._key or kind == _IDR


# -- order -----------------------------------------------------------------------------------------------------------


class ReceiveBuffer:
    """Puts one source's packets into order and tells which are missing (RFC 3550 appendix A.1 for the restart rule).

    A packet waits for those before it until `packets_max` wait or the oldest has waited `wait_ms`; then the missing
    ones are given up.
    """

    __slots__ = ("_asked_ms", "_expected", "_first", "_highest", "_last_total", "_waiting", "lost", "received")

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[RtpPacket, int]] = {}
        self._expected: int | None = None
        self._highest = 0
        self._first = 0
        self._asked_ms: dict[int, tuple[int, int]] = {}
        self._last_total = (0, 0)
        self.received = 0
        self.lost = 0
        """Given up."""

    def push(self, packet: RtpPacket, now_ms: int) -> list[tuple[RtpPacket, bool]]:
        """Take a packet and give those that are in order now, each with whether a gap lies before it."""
        expected = self._expected
        if expected is None:
            expected = self._expected = self._first = self._highest = packet.sequence
        number = unwrap(packet.sequence, self._highest, 16)
        if number < expected or number in self._waiting:
            return []
        self.received += 1
        if number - expected > RESTART_PACKETS:
            # The sender began anew, or was away for long: nothing of what is missing will come.
            self._waiting.clear()
            self._asked_ms.clear()
            self.lost += 1
            self._expected = self._highest = number
            self._expected = number + 1
            return [(packet, True)]
        self._highest = max(self._highest, number)
        self._waiting[number] = (packet, now_ms)
        self._asked_ms.pop(number, None)
        return self._take(now_ms)

    def give_up(self, now_ms: int) -> list[tuple[RtpPacket, bool]]:
        """Let time pass: give what has waited too long for what is missing."""
        return self._take(now_ms)

    def missing(self, now_ms: int, again_ms: int, count_max: int) -> list[int]:
        """Give the sequence numbers to ask for now, the oldest first: each again after `again_ms`, ASKS_MAX times."""
        out: list[int] = []
        expected = self._expected
        if expected is None or not self._waiting:
            return []
        for number in range(expected, self._highest):
            if number in self._waiting:
                continue
            asked_ms, times = self._asked_ms.get(number, (-again_ms, 0))
            if times < ASKS_MAX and now_ms - asked_ms >= again_ms:
                self._asked_ms[number] = (now_ms, times + 1)
                out.append(number & 0xFFFF)
                if len(out) == count_max:
                    break
        return out

    def report(self) -> tuple[int, int, int]:
        """Give (fraction lost of 256 since the last call, lost in all, extended highest sequence number)."""
        expected = self._highest - self._first + 1 if self._expected is not None else 0
        before_expected, before_received = self._last_total
        self._last_total = expected, self.received
        due, got = expected - before_expected, self.received - before_received
        fraction = 0 if due <= 0 or got >= due else (due - got) * 256 // due
        return min(fraction, 255), max(0, expected - self.received), self._highest & 0xFFFFFFFF

    def _take(self, now_ms: int) -> list[tuple[RtpPacket, bool]]:
        out: list[tuple[RtpPacket, bool]] = []
        waiting = self._waiting
        expected = self._expected
        if expected is None:
            return out
        gap = False
        while waiting:
            entry = waiting.pop(expected, None)
            if entry is not None:
                out.append((entry[0], gap))
                gap = False
                expected += 1
                continue
            oldest = min(waiting)
            late = now_ms - min(at for _, at in waiting.values()) >= REORDER_WAIT_MS
            if not late and len(waiting) < REORDER_PACKETS_MAX:
                break
            self.lost += oldest - expected
            for number in range(expected, oldest):
                self._asked_ms.pop(number, None)
            expected, gap = oldest, True
        self._expected = expected
        return out


REORDER_WAIT_MS: Final = 250
"""How long a packet waits for one before it: two round trips of a far host with its retransmission."""
REORDER_PACKETS_MAX: Final = 512
"""Packets that wait: more than a key frame of 500 KB."""
RESTART_PACKETS: Final = 3000
"""RFC 3550 appendix A.1, MAX_DROPOUT: a step beyond it is a new beginning."""
ASKS_MAX: Final = 5
"""NACKs for one packet: then it will not come in time."""
