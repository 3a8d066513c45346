"""What a host sends, measured on packets with times of our choosing."""

import asyncio

import pytest

from stream.meter import Meter, Reading
from stream.packet import Codec, Kind, Packet
from stream.tcp_info import tcp_rtt_ms

FRAME_MS = 40


def play(
    meter: Meter,
    seconds: float,
    *,
    from_ms: int = 0,
    gop_ms: int = 2_000,
    cts_ms: int = 0,
    frame_bytes: int = 5_000,
    speed: float = 1.0,
    sound: bool = True,
) -> int:
    """25 pictures and 50 pieces of sound of 320 bytes a second; the wall clock at the end."""
    now_ms = from_ms
    for media_ms in range(from_ms, from_ms + round(seconds * 1000), FRAME_MS // 2):
        now_ms = from_ms + round((media_ms - from_ms) / speed)
        if media_ms % FRAME_MS == 0:
            key = media_ms % gop_ms == 0
            picture = Packet(Kind.VIDEO, Codec.H264, media_ms, cts_ms, key, False, bytes(frame_bytes))
            meter.note(picture, now_ms)
        if sound:
            meter.note(Packet(Kind.AUDIO, Codec.AAC, media_ms, 0, True, False, bytes(320)), now_ms)
    return now_ms


def test_a_steady_host_reads_as_what_it_sends() -> None:
    meter = Meter(0)
    reading = meter.reading(play(meter, 10))
    assert (reading.fps, reading.video_bps, reading.audio_bps) == (25.0, 1_000_000, 128_000)
    assert (reading.gop_ms, reading.b_frames, reading.silent_ms) == (2_000, False, 0)
    assert reading.pace == pytest.approx(1.0, abs=0.01)


def test_nothing_is_said_before_a_whole_second_was_heard() -> None:
    meter = Meter(0)
    assert meter.reading(0) == Reading()
    assert meter.reading(play(meter, 1.5)).fps is None


@pytest.mark.parametrize("gop_ms", [1_000, 8_000, 20_000])
def test_the_distance_of_key_frames_is_told(gop_ms: int) -> None:
    meter = Meter(0)
    assert meter.reading(play(meter, 41, gop_ms=gop_ms)).gop_ms == gop_ms


def test_a_host_that_makes_no_second_key_frame_is_seen_while_one_waits() -> None:
    meter = Meter(0)
    reading = meter.reading(play(meter, 15, gop_ms=10_000_000))
    assert reading.gop_ms is not None
    assert reading.gop_ms > 14_000


def test_b_frames_are_seen_and_forgotten_when_they_stop() -> None:
    meter = Meter(0)
    assert meter.reading(play(meter, 4, cts_ms=80)).b_frames
    assert not meter.reading(play(meter, 10, from_ms=4_000)).b_frames


def test_a_line_that_is_too_thin_shows_as_pace() -> None:
    meter = Meter(0)
    assert meter.reading(play(meter, 16, speed=0.8)).pace == pytest.approx(0.8, abs=0.02)


def test_a_host_that_falls_silent_loses_pace_and_is_told_as_silent() -> None:
    meter = Meter(0)
    end_ms = play(meter, 10)
    reading = meter.reading(end_ms + 10_000)
    assert reading.silent_ms == 10_000
    assert reading.pace == pytest.approx(0.5, abs=0.03)


def test_a_clock_that_jumps_begins_anew() -> None:
    meter = Meter(0)
    end_ms = play(meter, 10)
    meter.note(Packet(Kind.VIDEO, Codec.H264, 5_000_000, 0, True, False, bytes(10)), end_ms)
    assert meter.reading(end_ms).fps is None
    assert meter.reading(end_ms).gop_ms is None


def test_sound_that_stays_away_reads_as_none_at_all() -> None:
    meter = Meter(0)
    assert meter.reading(play(meter, 10, sound=False)).audio_bps == 0


async def test_the_kernel_tells_the_round_trip_of_a_connection() -> None:
    asked: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        asked.set_result(tcp_rtt_ms(writer.transport))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x")
        rtt_ms = await asyncio.wait_for(asked, 60)
        writer.close()
    assert rtt_ms is not None
    assert rtt_ms >= 1
