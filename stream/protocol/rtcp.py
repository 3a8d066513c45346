"""RTCP: reports, feedback and farewells.

Pure. Sources: RFC 3550 section 6 (SR, RR, SDES, BYE), RFC 4585 section 6 (NACK, PLI), RFC 5104 section 4.3.1 (FIR),
RFC 5761 section 4 (telling RTP from RTCP on one port).

    |V=2|P|   RC    |      PT       |    length in words less one   |
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from stream.errors import RtpError

COMPOUND_BYTES_MAX: Final = 1500
NACKED_MAX: Final = 512
"""Sequence numbers in one feedback packet: more than a viewer can use while it still matters."""

_SR, _RR, _SDES, _BYE, _RTPFB, _PSFB = 200, 201, 202, 203, 205, 206
_NTP_EPOCH_S: Final = 2_208_988_800
"""From 1900 to 1970 (RFC 5905 section 6)."""


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one source; `fraction` of 256 since its last report."""

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last_sr: int
    delay_since_sr: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """Where a source's RTP clock stands at the time `ntp` (64 bits, RFC 5905)."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What a receiver got."""

    ssrc: int
    blocks: tuple[ReportBlock, ...]


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets that `media` is asked to send again."""

    media: int
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """PLI or FIR: `media` is asked for a key frame."""

    media: int


@dataclass(frozen=True, slots=True)
class Bye:
    """These sources leave."""

    ssrcs: tuple[int, ...]


Report = SenderReport | ReceiverReport | Nack | KeyRequest | Bye


def is_rtcp(data: bytes) -> bool:
    """Whether an RTP or RTCP datagram is the latter (RFC 5761 section 4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


def parse_rtcp(data: bytes) -> list[Report]:
    """Read a compound packet; kinds that say nothing to us are left out. Raises RtpError when it is broken."""
    if not 4 <= len(data) <= COMPOUND_BYTES_MAX:
        raise RtpError("an RTCP packet has 4 to 1500 bytes")
    found: list[Report] = []
    at = 0
    while at < len(data):
        if at + 4 > len(data) or data[at] >> 6 != 2:
            raise RtpError("the RTCP header is broken")
        count, kind = data[at] & 31, data[at + 1]
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            raise RtpError("the RTCP packet is cut off")
        body = data[at + 4 : end]
        if data[at] & 0x20:
            if not body or not 0 < body[-1] <= len(body):
                raise RtpError("the RTCP padding is broken")
            body = body[: -body[-1]]
        try:
            found += _parse_one(kind, count, body)
        except struct.error as error:
            raise RtpError("the RTCP packet is cut off") from error
        at = end
    return found


def _parse_one(kind: int, count: int, body: bytes) -> list[Report]:
    if kind == _SR:
        ssrc, ntp, timestamp, packets, octets = struct.unpack_from("!IQIII", body)
        return [SenderReport(ssrc, ntp, timestamp, packets, octets, _blocks(body, 24, count))]
    if kind == _RR:
        (ssrc,) = struct.unpack_from("!I", body)
        return [ReceiverReport(ssrc, _blocks(body, 4, count))]
    if kind == _BYE:
        return [Bye(struct.unpack_from(f"!{count}I", body))]
    if kind == _RTPFB and count == 1:
        return [_parse_nack(body)]
    if kind == _PSFB and count == 1:
        return [KeyRequest(struct.unpack_from("!II", body)[1])]
    if kind == _PSFB and count == 4:
        (media,) = struct.unpack_from("!I", body, 8)
        return [KeyRequest(media)]
    return []


def _blocks(body: bytes, at: int, count: int) -> tuple[ReportBlock, ...]:
    out = []
    for index in range(count):
        ssrc, loss, highest, jitter, last, delay = struct.unpack_from("!IIIIII", body, at + 24 * index)
        lost = loss & 0xFFFFFF
        out.append(
            ReportBlock(ssrc, loss >> 24, lost - (1 << 24) if lost >> 23 else lost, highest, jitter, last, delay)
        )
    return tuple(out)


def _parse_nack(body: bytes) -> Nack:
    (media,) = struct.unpack_from("!I", body, 4)
    wanted: list[int] = []
    for at in range(8, len(body) - 3, 4):
        first, mask = struct.unpack_from("!HH", body, at)
        wanted.append(first)
        wanted += [(first + 1 + bit) & 0xFFFF for bit in range(16) if mask >> bit & 1]
        if len(wanted) > NACKED_MAX:
            break
    return Nack(media, tuple(wanted[:NACKED_MAX]))


def ntp_of(unix_ms: int) -> int:
    """Give the 64-bit NTP time of Unix milliseconds."""
    return ((unix_ms // 1000 + _NTP_EPOCH_S) << 32) + (unix_ms % 1000 << 32) // 1000


def _packet(count: int, kind: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def sender_report(report: SenderReport) -> bytes:
    """Write a sender report without blocks."""
    body = struct.pack("!IQIII", report.ssrc, report.ntp, report.timestamp, report.packets, report.octets)
    return _packet(0, _SR, body)


def receiver_report(ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    """Write a receiver report."""
    body = struct.pack("!I", ssrc)
    for block in blocks:
        loss = block.fraction << 24 | min(block.lost, 0x7FFFFF) & 0xFFFFFF
        body += struct.pack(
            "!IIIIII", block.ssrc, loss, block.highest, block.jitter, block.last_sr, block.delay_since_sr
        )
    return _packet(len(blocks), _RR, body)


def source_description(ssrc: int, name: str) -> bytes:
    """Write a CNAME; sources of one name are played in sync (RFC 3550 section 6.5.1)."""
    item = bytes((1, len(name))) + name.encode()
    body = struct.pack("!I", ssrc) + item
    return _packet(1, _SDES, body + bytes(4 - len(body) % 4))


def picture_loss(ssrc: int, media: int) -> bytes:
    """Write a PLI."""
    return _packet(1, _PSFB, struct.pack("!II", ssrc, media))


def full_intra_request(ssrc: int, media: int, count: int) -> bytes:
    """Write a FIR; `count` grows with each new request."""
    return _packet(4, _PSFB, struct.pack("!IIII", ssrc, 0, media, (count & 0xFF) << 24))


def nack(ssrc: int, media: int, sequences: Iterable[int]) -> bytes:
    """Write a NACK; up to 16 numbers after one share its entry."""
    left = sorted(set(sequences))
    if left and left[-1] - left[0] > 0x8000:
        # They lie on both sides of the wrap.
        left.sort(key=lambda number: (number + 0x8000) & 0xFFFF)
    body = struct.pack("!II", ssrc, media)
    while left:
        first = left.pop(0)
        mask = 0
        while left and (left[0] - first) & 0xFFFF <= 16:
            mask |= 1 << ((left.pop(0) - first) & 0xFFFF) - 1
        body += struct.pack("!HH", first, mask)
    return _packet(1, _RTPFB, body)


def goodbye(ssrcs: Sequence[int]) -> bytes:
    """Write a BYE."""
    return _packet(len(ssrcs), _BYE, struct.pack(f"!{len(ssrcs)}I", *ssrcs))
