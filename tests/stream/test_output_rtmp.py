"""RTMP play, with outside players and by hand."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from stream.directory import Directory, Publication
from stream.fanout import ViewerLimits
from stream.output_rtmp import RtmpEncoder
from stream.packet import Codec, Kind, Packet
from stream.protocol import amf0
from stream.protocol.flv import parse_audio_body, parse_video_body
from stream.protocol.rtmp_chunk import ChunkReader, Message
from stream.protocol.rtmp_session import CHUNK_BYTES_OUT
from stream.rtmp_peers import RtmpLimits
from tests.outside import need
from tests.stream.media import ASC, AVCC, DELIMITER, Clip
from tests.stream.rtmp_peer import HELLO, SERVER_HANDSHAKE_BYTES, command
from tests.stream.rtmp_stage import PATIENCE_S, TOKEN, RtmpStage, rtmp_stage, run
from tests.stream.stage import HASTY, Host, clock_ms

TO_PLAY = command("createStream", 2, None)


def play(name: str = "room", stream_id: int = 1) -> bytes:
    return command("play", 3, None, name, -2.0, stream_id=stream_id)


def connect(app: str = "live", **more: amf0.Value) -> bytes:
    return command("connect", 1, {"app": app, "tcUrl": "rtmp://127.0.0.1/live", **more})


class Player:
    """A raw client that reads messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.chunks = ChunkReader()
        self.seen: list[Message] = []

    @classmethod
    async def to(cls, port: int, *data: bytes) -> "Player":
        player = cls(*await asyncio.open_connection("127.0.0.1", port))
        player.writer.write(HELLO + b"".join(data))
        async with asyncio.timeout(PATIENCE_S):
            await player.reader.readexactly(SERVER_HANDSHAKE_BYTES)
        return player

    async def more(self) -> bool:
        """Read once; whether the connection goes on."""
        async with asyncio.timeout(PATIENCE_S):
            data = await self.reader.read(65_536)
        self.chunks.feed(data)
        while (message := self.chunks.next_message()) is not None:
            self.seen.append(message)
        return bool(data)

    async def until(self, word: bytes) -> None:
        while not any(word in message.body for message in self.seen):
            assert await self.more(), f"closed before {word!r}"

    async def rest(self) -> None:
        while await self.more():
            pass
        self.writer.close()

    @property
    def codes(self) -> list[str]:
        return codes_of(self.seen)

    def packets(self) -> list[Packet]:
        return media_of(self.seen)


def codes_of(seen: list[Message]) -> list[str]:
    values = [amf0.decode_all(message.body) for message in seen if message.type_id == 20]
    return [str(found[-1]["code"]) for found in values if isinstance(found[-1], dict)]


def media_of(seen: list[Message]) -> list[Packet]:
    found = []
    for message in seen:
        parse = {8: parse_audio_body, 9: parse_video_body}.get(message.type_id)
        packet = parse(message.body, message.timestamp_ms) if parse else None
        if packet is not None:
            assert message.stream_id == 1
            found.append(packet)
    return found


def frames(found: list[Packet], kind: Kind = Kind.VIDEO) -> list[Packet]:
    return [packet for packet in found if packet.kind is kind and not packet.config]


async def broadcast(stage: RtmpStage, clip: Clip, publication: Publication) -> None:
    """The clip over and over, about as fast as it is to be shown, until it is cancelled."""
    await stage.feed(publication, clip.configs)
    base_ms = 0
    while True:
        for packet in clip.media:
            publication.push(replace(packet, dts_ms=base_ms + packet.dts_ms), clock_ms())
            if packet.kind is Kind.VIDEO:
                await asyncio.sleep(0.02)
        base_ms += 4000


# -- outside players ---------------------------------------------------------------------------------------------------


async def watch(stage: RtmpStage, clip: Clip, *program: str) -> str:
    """Run an outside player while a host is live; what it wrote."""
    need(program[0])
    task = asyncio.create_task(broadcast(stage, clip, stage.publish()))
    try:
        code, out, said = await run(*program)
    finally:
        task.cancel()
    assert code == 0, said
    return out


async def test_ffprobe_plays_picture_and_sound(clip: Clip) -> None:
    async with rtmp_stage(ViewerLimits()) as stage:
        entries = ("-show_entries", "stream=codec_name,width,sample_rate", "-of", "csv=p=0")
        out = await watch(stage, clip, "ffprobe", "-v", "error", *entries, stage.url())
        assert out.split() == ["h264,320", "aac,44100"]


async def test_ffmpeg_decodes_what_it_plays_without_an_error(clip: Clip) -> None:
    async with rtmp_stage(ViewerLimits()) as stage:
        command_line = ("ffmpeg", "-v", "error", "-xerror", "-i", stage.url(), "-t", "2", "-f", "framecrc", "-")
        out = await watch(stage, clip, *command_line)
        rows = [line.split(",") for line in out.splitlines() if line[:1] in "01"]
        for track in "01":
            times = [int(row[1]) for row in rows if row[0] == track]
            assert len(times) > 40
            assert times == sorted(times)


async def test_pyav_plays_in_a_process_of_its_own(clip: Clip) -> None:
    script = (
        "import av, sys\n"
        "with av.open(sys.argv[1], timeout=60) as source:\n"
        "    kinds = {packet.stream.type for packet, _ in zip(source.demux(), range(60))}\n"
        "print(*sorted(kinds))\n"
    )
    async with rtmp_stage(ViewerLimits()) as stage:
        assert await watch(stage, clip, sys.executable, "-c", script, stage.url()) == "audio video\n"


async def test_rtmpdump_records_what_the_host_sends_until_the_host_is_gone(clip: Clip, tmp_path: Path) -> None:
    need("rtmpdump")
    file = tmp_path / "dump.flv"
    async with rtmp_stage(ViewerLimits()) as stage:
        publication = stage.publish()
        await stage.feed(publication, clip.packets)
        recording = asyncio.create_task(run("rtmpdump", "--live", "-q", "-r", stage.url(), "-o", str(file)))
        await stage.until_players(1)
        await stage.feed(publication, clip.packets, 4000)
        publication.end("test", clock_ms())
        stage.directory.close()
        await recording
    code, out, said = await run(
        "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", str(file)
    )
    assert (code, sorted(out.split())) == (0, ["aac", "h264"]), said


# -- by hand -----------------------------------------------------------------------------------------------------------


async def test_a_player_gets_the_opening_in_order_and_the_cached_pictures_at_once(clip: Clip) -> None:
    async with rtmp_stage() as stage:
        await stage.feed(stage.publish(), clip.packets)
        player = await Player.to(stage.port, connect(), TO_PLAY, play())
        while len(frames(player.packets())) < 20:
            await player.more()
        begun = [message for message in player.seen if message.type_id == 4]
        assert [message.body for message in begun] == [b"\0\0\0\0\0\1"]
        assert player.codes == ["NetConnection.Connect.Success", "NetStream.Play.Reset", "NetStream.Play.Start"]
        opening = [message for message in player.seen if message.type_id in (8, 9, 18)]
        assert opening[0].body == amf0.encode("|RtmpSampleAccess", True, True)
        assert b"onMetaData" in opening[1].body
        packets = player.packets()
        assert [(packet.kind, packet.config) for packet in packets[:2]] == [(Kind.VIDEO, True), (Kind.AUDIO, True)]
        assert frames(packets)[0].key
        player.writer.close()


async def test_all_players_get_the_very_same_bytes(clip: Clip) -> None:
    async with rtmp_stage() as stage:
        publication = stage.publish()
        await stage.feed(publication, clip.packets)
        players = [await Player.to(stage.port, connect(), TO_PLAY, play()) for _ in range(3)]
        await stage.until_players(3)
        await stage.feed(publication, clip.packets, 4000)
        publication.end("test", clock_ms())
        stage.directory.close()
        for player in players:
            await player.rest()
        seen = [[message for message in player.seen if message.type_id in (8, 9)] for player in players]
        assert len(seen[0]) > 100
        assert seen[0] == seen[1] == seen[2]


async def test_when_the_host_is_gone_for_good_players_are_told(clip: Clip) -> None:
    async with rtmp_stage() as stage:
        publication = stage.publish()
        await stage.feed(publication, clip.packets)
        player = await Player.to(stage.port, connect(), TO_PLAY, play())
        await player.until(b"onMetaData")
        publication.end("test", clock_ms())
        await player.rest()
        assert b"\0\1\0\0\0\1" in [message.body for message in player.seen if message.type_id == 4]
        assert player.codes[-1] == "NetStream.Play.UnpublishNotify"


async def test_players_stay_while_the_host_returns_and_times_never_go_back(clip: Clip) -> None:
    async with rtmp_stage() as stage:
        first = stage.publish()
        await stage.feed(first, clip.packets)
        player = await Player.to(stage.port, connect(), TO_PLAY, play())
        await player.until(b"onMetaData")
        first.end("test", clock_ms())
        second = stage.publish()
        await stage.feed(second, clip.packets)
        second.end("test", clock_ms())
        await player.rest()
        shown = frames(player.packets())
        assert len(shown) > 110
        times = [packet.dts_ms for packet in shown]
        assert times == sorted(times)
        assert stage.output.stats().joined == 1


async def test_who_waits_for_a_host_in_vain_is_told_that_there_is_none() -> None:
    async with rtmp_stage(HASTY) as stage:
        player = await Player.to(stage.port, connect(), TO_PLAY, play("nobody"))
        await player.rest()
        assert player.codes[-1] == "NetStream.Play.StreamNotFound"
        await stage.until_players(0)


@pytest.mark.parametrize("where", ["name", "app", "tcUrl"])
async def test_a_token_lets_in_wherever_it_stands(clip: Clip, where: str) -> None:
    async with rtmp_stage() as stage:
        await stage.feed(stage.publish("private"), clip.packets)
        token = f"?token={TOKEN}"
        hello = connect("live" + token if where == "app" else "live")
        if where == "tcUrl":
            hello = command("connect", 1, {"app": "live", "tcUrl": "rtmp://h/live" + token})
        player = await Player.to(stage.port, hello, TO_PLAY, play("private" + (token if where == "name" else "")))
        await player.until(b"onMetaData")
        player.writer.close()


@pytest.mark.parametrize("name", ["private", "private?token=wrong"])
async def test_without_the_right_token_play_is_refused(name: str) -> None:
    async with rtmp_stage() as stage:
        player = await Player.to(stage.port, connect(), TO_PLAY, play(name))
        await player.rest()
        assert player.codes[-1] == "NetStream.Play.Failed"
        assert stage.server.stats().rejected == 1


async def test_a_second_stream_of_a_connection_cannot_play(clip: Clip) -> None:
    async with rtmp_stage() as stage:
        await stage.feed(stage.publish(), clip.packets)
        player = await Player.to(stage.port, connect(), TO_PLAY, TO_PLAY, play(stream_id=2))
        await player.rest()
        assert player.codes[-1] == "NetStream.Play.StreamNotFound"


async def test_what_players_ask_besides_is_answered_and_changes_nothing(clip: Clip) -> None:
    async with rtmp_stage() as stage:
        publication = stage.publish()
        await stage.feed(publication, clip.packets)
        asked = command("FCSubscribe", 4, None, "room") + command("getStreamLength", 5, None, "room")
        player = await Player.to(stage.port, connect(), asked, TO_PLAY, play())
        await player.until(b"onMetaData")
        player.writer.write(
            command("pause", 0, None, True, 0.0, stream_id=1)
            + command("pause", 0, None, False, 0.0, stream_id=1)
            + command("seek", 0, None, 1000.0, stream_id=1)
            + b"\x02\0\0\0\0\0\x0a\x04\0\0\0\0"
            + b"\0\3\0\0\0\1\0\0\x0b\xb8"
        )  # the last is SetBufferLength
        for word in (b"Pause.Notify", b"Unpause.Notify", b"Seek.Notify"):
            await player.until(word)
        await stage.feed(publication, clip.packets, 4000)
        while len(frames(player.packets())) < 100:
            await player.more()
        assert stage.server.stats().playing == 1
        player.writer.close()


async def test_a_player_can_stop_and_play_another_room_on_its_connection(clip: Clip) -> None:
    async with rtmp_stage() as stage:
        await stage.feed(stage.publish("one"), clip.packets)
        await stage.feed(stage.publish("two"), clip.packets)
        player = await Player.to(stage.port, connect(), TO_PLAY, play("one"))
        await player.until(b"onMetaData")
        player.writer.write(command("deleteStream", 0, None, 1.0))
        await player.until(b"Play.Stop")
        await stage.until_players(0)
        player.seen.clear()
        player.writer.write(TO_PLAY + play("two"))
        await player.until(b"onMetaData")
        assert stage.output.viewers_in("two") == 1
        player.writer.close()


def heavy(seconds: int) -> Iterator[Packet]:
    """1 MB a second, a key frame each second, numbered frames."""
    yield Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC)
    yield Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, True, ASC)
    for index in range(seconds * 25):
        data = index.to_bytes(4, "big").ljust(40_000, b"v")
        yield Packet(Kind.VIDEO, Codec.H264, index * 40, 0, index % 25 == 0, False, data)
        yield Packet(Kind.AUDIO, Codec.AAC, index * 40, 0, True, False, b"a")


def test_a_slow_player_goes_on_at_a_key_frame_and_holds_nobody_up() -> None:
    async def scene() -> None:
        async with rtmp_stage() as stage:
            publication = stage.publish()
            media = list(heavy(60))
            await stage.feed(publication, media[:60])
            slow, quick = [await Player.to(stage.port, connect(), TO_PLAY, play()) for _ in range(2)]
            await slow.until(b"Play.Start")
            reading = asyncio.create_task(quick.rest())
            await stage.until_players(2)
            for at in range(60, len(media), 50):
                await stage.feed(publication, media[at : at + 50])
                await asyncio.sleep(0.01)
            assert stage.output.stats().paused == 1
            catching = asyncio.create_task(slow.rest())
            async with asyncio.timeout(PATIENCE_S):
                while stage.output.stats().paused:
                    await asyncio.sleep(0.01)
            await stage.feed(publication, [replace(p, dts_ms=p.dts_ms + 60_000) for p in media[2:] if p.dts_ms < 4000])
            publication.end("test", clock_ms())
            await asyncio.gather(reading, catching)
            # The host is away at the end: its last key frame comes again, behind a delimiter of its own.
            shown = [packet for packet in frames(quick.packets()) if not packet.data.startswith(DELIMITER)]
            numbers = [int.from_bytes(packet.data[:4], "big") for packet in shown]
            assert len(numbers) > 1400
            assert all((after - before) % 1500 == 1 for before, after in zip(numbers, numbers[1:], strict=False))  # noqa: RUF007
            kept = [packet for packet in frames(slow.packets()) if not packet.data.startswith(DELIMITER)]
            assert len(kept) < len(numbers)
            for before, after in zip(kept, kept[1:], strict=False):  # noqa: RUF007
                assert after.key or after.dts_ms - before.dts_ms == 40

    uvloop.run(scene())


async def test_a_player_that_asks_without_reading_is_cut(clip: Clip) -> None:
    async with rtmp_stage() as stage:
        publication = stage.publish()
        media = list(heavy(20))
        await stage.feed(publication, media[:60])
        player = await Player.to(stage.port, connect(), TO_PLAY, play())
        await player.until(b"Play.Start")
        player.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await stage.feed(publication, media[60:])
        pings = (b"\x02\0\0\0\0\0\x06\x04\0\0\0\0" + b"\0\6abcd") * 5000
        async with asyncio.timeout(PATIENCE_S):
            while stage.server.stats().connections:
                try:
                    player.writer.write(pings)
                    await player.writer.drain()
                except ConnectionError:
                    break
                await asyncio.sleep(0)
            while stage.server.stats().connections:
                await asyncio.sleep(0.01)
        player.writer.close()


# -- draining ----------------------------------------------------------------------------------------------------------


async def test_draining_tells_players_to_come_back(clip: Clip) -> None:
    async with rtmp_stage() as stage:
        await stage.feed(stage.publish(), clip.packets)
        player = await Player.to(stage.port, connect(), TO_PLAY, play())
        await player.until(b"onMetaData")
        draining = asyncio.create_task(stage.server.drain())
        await player.rest()
        await draining
        assert player.codes[-1] == "NetConnection.Connect.AppShutdown"


@pytest.mark.parametrize("publishes", [True, False])
async def test_a_peer_that_can_reconnect_is_asked_to_and_its_stream_goes_on_until_then(
    clip: Clip, publishes: bool
) -> None:
    async with rtmp_stage(rtmp=RtmpLimits(reconnect_s=60)) as stage:
        publication = None if publishes else stage.publish()
        if publication is not None:
            await stage.feed(publication, clip.packets)
        verb = command("publish", 3, None, "room?key=s3cret-k3y", "live", stream_id=1) if publishes else play()
        peer = await Player.to(stage.port, connect(capsEx=1.0), TO_PLAY, verb)
        await peer.until(b"Publish.Start" if publishes else b"onMetaData")
        draining = asyncio.create_task(stage.server.drain())
        await peer.until(b"ReconnectRequest")
        if publication is None:
            before = stage.server.stats().packets
            peer.writer.write(b"\x04\0\0\0\0\0\4\x08\1\0\0\0" + b"\xaf\x00\x12\x10")
            async with asyncio.timeout(PATIENCE_S):
                while stage.server.stats().packets == before:
                    await asyncio.sleep(0.01)
        else:
            shown = len(frames(peer.packets()))
            await stage.feed(publication, clip.packets, 4000)
            while len(frames(peer.packets())) < shown + 50:
                await peer.more()
        assert not draining.done()
        peer.writer.close()
        await draining


async def test_a_peer_that_was_asked_to_reconnect_and_does_not_is_told_to_go(clip: Clip) -> None:
    async with rtmp_stage(rtmp=RtmpLimits(reconnect_s=0.1)) as stage:
        await stage.feed(stage.publish(), clip.packets)
        peer = await Player.to(stage.port, connect(capsEx=1.0), TO_PLAY, play())
        await peer.until(b"onMetaData")
        draining = asyncio.create_task(stage.server.drain())
        await peer.rest()
        await draining
        assert peer.codes[-2:] == ["NetConnection.Connect.ReconnectRequest", "NetConnection.Connect.AppShutdown"]


# -- the encoder alone -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [4.6, 1193.0])
def test_times_go_on_over_the_extended_field_and_the_wrap(hours: float) -> None:
    """4 h 40 is where 24 bits end, 49.7 days (1193 h) where 32 do."""
    now_ms = 0
    directory = Directory(lambda: now_ms)
    publication = directory.publish("room", Host(), now_ms)
    for packet in heavy(1):
        publication.push(packet, now_ms)
    now_ms = int(hours * 3_600_000)
    frame = Packet(Kind.VIDEO, Codec.H264, now_ms & 0xFFFFFFFF, 0, True, False, b"v" * 10_000)
    encoder = RtmpEncoder(publication.relay)
    sent = []
    for index in range(40):
        step = index * 60_000
        packet = replace(frame, dts_ms=(frame.dts_ms + step) & 0xFFFFFFFF)
        publication.push(packet, now_ms + step)
        newest = publication.relay.gop[-1]
        sent.append(newest.dts_ms & 0xFFFFFFFF)
        encoder.take(newest)
    reader = ChunkReader()
    reader.chunk_bytes = CHUNK_BYTES_OUT
    reader.feed(encoder.cut())
    got = []
    while (message := reader.next_message()) is not None:
        assert len(message.body) == 10_005
        got.append(message.timestamp_ms)
    assert got == sent
    assert min(got) < 0xFFFFFF <= max(got)
