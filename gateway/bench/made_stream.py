"""A made-up stream of 2 Mbit/s: right configurations, random frames; and a host that publishes it into a directory."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

from gateway.bench.clock import system_clock
from gateway.bench.process import BenchError
from stream.directory import Publication
from stream.packet import Codec, Kind, Packet

ROOM = "bench"
BITS_PER_S = 2_000_000
AUDIO_BITS_PER_S = 128_000
FRAMES_PER_S = 25
GOP_FRAMES = 50
GOP_S = GOP_FRAMES / FRAMES_PER_S
KEY_WEIGHT = 8
"""A key frame is as long as so many others."""
AAC_MS = 23
"""1,024 samples at 44.1 kHz."""
OPUS_MS = 20

AVCC = bytes.fromhex("0164000dffe100186764000dacd94141fa1000000300100000030320f142996001000468ef8fcbfdf8f800")
ASC = bytes.fromhex("1210")
"""H.264 High and AAC-LC 44.1 kHz stereo."""
OPUS_HEAD = b"OpusHead" + bytes.fromhex("01023801 80bb0000 0000 00")
"""RFC 7845 section 5.1: version 1, 2 channels, pre-skip 312, 48 kHz."""


def packets(*, opus: bool = False) -> Iterator[Packet]:
    """A stream without end: configurations, then frames in order of time, 2 Mbit/s in all."""
    codec, config, audio_ms = (Codec.OPUS, OPUS_HEAD, OPUS_MS) if opus else (Codec.AAC, ASC, AAC_MS)
    yield Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC)
    yield Packet(Kind.AUDIO, codec, 0, 0, True, True, config)
    noise = random.Random(1).randbytes(BITS_PER_S // 8)  # noqa: S311 - filling, guards nothing
    share = (BITS_PER_S - AUDIO_BITS_PER_S) // 8 * GOP_FRAMES // FRAMES_PER_S // (GOP_FRAMES - 1 + KEY_WEIGHT)
    sound = noise[: AUDIO_BITS_PER_S // 8 * audio_ms // 1000]
    next_audio_ms = number = 0
    while True:
        dts_ms = number * 1000 // FRAMES_PER_S
        key = number % GOP_FRAMES == 0
        size = share * KEY_WEIGHT if key else share
        unit = bytes((0x65 if key else 0x41,)) + noise[: size - 5]
        yield Packet(Kind.VIDEO, Codec.H264, dts_ms, 0, key, False, len(unit).to_bytes(4, "big") + unit)
        number += 1
        while next_audio_ms < dts_ms + 1000 // FRAMES_PER_S:
            yield Packet(Kind.AUDIO, codec, next_audio_ms, 0, True, False, sound)
            next_audio_ms += audio_ms


class Host:
    """A publisher with nothing to close."""

    def close(self, reason: str) -> None:
        """Nobody takes the room over here."""
        raise BenchError(f"the host was closed: {reason}")


async def feed(publication: Publication, *, opus: bool = False) -> None:
    """Publish at the stream's own pace."""
    start_s = time.monotonic()
    for packet in packets(opus=opus):
        early_s = packet.dts_ms / 1000 - (time.monotonic() - start_s)
        if early_s > 0:
            await asyncio.sleep(early_s)
        publication.push(packet, system_clock())
