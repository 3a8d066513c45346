"""Streams pulled from another process: once, on demand, in its time, and for as long as somebody watches."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from stream.directory import Directory, StreamEvent
from stream.errors import ProtocolError
from stream.http_call import Peer
from stream.ingest_pull import Puller, PullLimits, Source, playing
from stream.packet import Kind, Packet
from tests.stream.media import Clip
from tests.stream.stage import Host, Stage, clock_ms

PATIENCE_S = 60.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


class Watcher:
    """A reader that keeps what it is told."""

    def __init__(self, directory: Directory, room: str = "room") -> None:
        self.packets: list[Packet] = []
        self.calls: list[str] = []
        self.relay = directory.relay(room)
        self.relay.attach(self, clock_ms())

    def on_start(self, now_ms: int) -> None:
        self.calls.append("start")
        self.packets += self.relay.gop

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        self.packets.append(packet)

    def on_stop(self, now_ms: int) -> None:
        self.calls.append("stop")

    def on_close(self, now_ms: int) -> None:
        self.calls.append("close")

    def media(self, kind: Kind = Kind.VIDEO) -> list[tuple[int, bytes]]:
        return [(p.dts_ms, p.data) for p in self.packets if p.kind is kind and not p.config]

    def leave(self) -> None:
        self.relay.detach(self)


class Edge:
    """A directory that pulls from a stage, and who finds it."""

    def __init__(self, origin: Stage) -> None:
        self.origin = origin
        self.ahead_ms = 0
        self.there = True
        self.refusals: list[int] = []
        self.gone: list[str] = []
        self.directory = Directory(self.clock)
        limits = PullLimits(retry_first_s=0.02, retry_max_s=0.05)
        self.puller = Puller(self.directory, self, clock=self.clock, limits=limits)
        self.events: list[StreamEvent] = []
        self.directory.listen(self.events.append)
        self.puller.start()

    def clock(self) -> int:
        return clock_ms() + self.ahead_ms

    async def find(self, room: str) -> Source | None:
        return Source(Peer("127.0.0.1", self.origin.port), f"/{room}.flv?delay=low") if self.there else None

    def refused(self, room: str, status: int) -> None:
        self.refusals.append(status)

    def released(self, room: str) -> None:
        self.gone.append(room)

    async def close(self) -> None:
        await self.puller.close()
        self.directory.close()


@pytest.fixture
async def edge(stage: Stage) -> AsyncIterator[Edge]:
    edge = Edge(stage)
    yield edge
    await edge.close()


async def test_a_room_is_pulled_when_somebody_comes_and_once_for_all(stage: Stage, edge: Edge, clip: Clip) -> None:
    await stage.feed(stage.publish(), clip.looped(4))
    assert edge.puller.stats().started == 0
    watchers = [Watcher(edge.directory) for _ in range(20)]
    await until(lambda: all(len(watcher.media()) > 20 for watcher in watchers))
    assert stage.flv.stats().joined == 1 and edge.puller.stats().streams == 1


async def test_frames_come_with_the_bytes_and_the_media_time_of_their_source(
    stage: Stage, edge: Edge, clip: Clip
) -> None:
    here = Watcher(stage.directory)
    publication = stage.publish()
    await stage.feed(publication, clip.looped(4), shift_ms=100_000)
    there = Watcher(edge.directory)
    await until(lambda: there.media())
    await stage.feed(publication, clip.media, shift_ms=104_000)
    for kind in (Kind.VIDEO, Kind.AUDIO):
        await until(partial(lambda kind: there.media(kind)[-1:] == here.media(kind)[-1:], kind))
        came = there.media(kind)
        assert len(came) > 100 and came == here.media(kind)[-len(came) :]
    assert edge.directory.info("room").media_clock_ms == stage.directory.info("room").media_clock_ms


async def test_a_stream_of_one_track_begins_without_waiting_for_the_other(stage: Stage, clip: Clip) -> None:
    await stage.feed(stage.publish(), clip.only(Kind.VIDEO))
    stage.directory.sweep(clock_ms() + 60_000)
    stopped = Edge(stage)
    now_ms = clock_ms()
    stopped.puller.clock = lambda: now_ms
    try:
        watcher = Watcher(stopped.directory)
        await until(lambda: watcher.calls == ["start"])
    finally:
        await stopped.close()


async def test_it_is_let_go_when_nobody_has_watched_for_a_while(stage: Stage, edge: Edge, clip: Clip) -> None:
    await stage.feed(stage.publish(), clip.looped(2))
    watcher = Watcher(edge.directory)
    await until(watcher.media)
    watcher.leave()
    edge.puller.sweep(edge.clock())
    edge.ahead_ms += edge.puller.limits.linger_ms - 5_000
    again = Watcher(edge.directory)
    edge.puller.sweep(edge.clock())
    edge.ahead_ms += edge.puller.limits.linger_ms
    edge.puller.sweep(edge.clock())
    assert edge.gone == [] and stage.flv.viewers == 1
    again.leave()
    edge.puller.sweep(edge.clock())
    edge.ahead_ms += edge.puller.limits.linger_ms
    await until(lambda: edge.gone == ["room"] and stage.flv.viewers == 0)
    assert not edge.directory.info("room").live


async def test_a_cut_connection_is_taken_up_at_the_very_next_frame(stage: Stage, edge: Edge, clip: Clip) -> None:
    here, publication = Watcher(stage.directory), stage.publish()
    await stage.feed(publication, clip.looped(4))
    there = Watcher(edge.directory)
    await until(there.media)
    third = len(clip.media) // 12
    for second in range(4):
        frames = clip.media[second * 3 * third :]
        await stage.feed(publication, frames[:third], shift_ms=4_000)
        await until(lambda: there.media()[-1] == here.media()[-1] and stage.flv.viewers == 1)
        for fanout in stage.flv._fanouts:
            for viewer in fanout.viewers:
                assert viewer.transport is not None
                viewer.transport.abort()
        await until(partial(lambda before: edge.puller.stats().lost > before, second))
        # No key frame is among them, so that all are still there for whoever comes back.
        await stage.feed(
            publication, [p for p in frames[third : 2 * third] if p.kind is Kind.AUDIO or not p.key], 4_000
        )
        await until(lambda: there.media()[-1] == here.media()[-1])
        await stage.feed(publication, frames[2 * third : 3 * third], shift_ms=4_000)
        await until(lambda: there.media()[-1] == here.media()[-1])
    assert there.calls == ["start"] and edge.puller.stats().connected == 5
    assert there.media() == here.media()[-len(there.media()) :], "no frame is lost and none comes twice"


async def test_a_source_started_anew_is_followed_from_its_key_frame_and_time_goes_on(
    stage: Stage, edge: Edge, clip: Clip
) -> None:
    await stage.feed(stage.publish(), clip.looped(30))
    watcher = Watcher(edge.directory)
    await until(watcher.media)
    before = len(watcher.media())
    other = Stage()
    other.node = b"second"
    await other.open()
    try:
        await other.feed(other.publish(), clip.looped(2))
        edge.origin = other
        stage.directory.close()
        await until(lambda: len(watcher.media()) > before + 10)
    finally:
        await other.close()
    assert watcher.calls[:3] == ["start", "stop", "start"]
    times = [time for time, _ in watcher.media()]
    assert times == sorted(set(times))


async def test_a_source_that_stays_away_counts_as_a_host_that_has_left(stage: Stage, edge: Edge, clip: Clip) -> None:
    await stage.feed(stage.publish(), clip.looped(2))
    watcher = Watcher(edge.directory)
    await until(watcher.media)
    edge.there = False
    stage.directory.close()
    await until(lambda: edge.puller.stats().lost == 1)
    edge.puller.sweep(edge.clock())
    assert edge.directory.info("room").live and watcher.calls == ["start"]
    edge.ahead_ms += edge.puller.limits.hold_ms
    edge.puller.sweep(edge.clock())
    assert not edge.directory.info("room").live and watcher.calls == ["start"], "its last picture stands in"
    assert edge.puller.stats().waiting == 1


async def test_who_waits_gets_the_picture_when_the_host_comes(
    stage: Stage, hasty: Stage, edge: Edge, clip: Clip
) -> None:
    edge.origin = hasty
    watcher = Watcher(edge.directory)
    await until(lambda: 404 in edge.refusals)
    edge.origin = stage
    await stage.feed(stage.publish(), clip.looped(2))
    await until(watcher.media)
    assert edge.puller.stats().refused >= 1


async def test_a_source_that_is_no_stream_is_asked_again_and_breaks_nothing(edge: Edge, clip: Clip) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nGIF89a")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    stage, edge.origin = edge.origin, Stage()
    edge.origin.port = server.sockets[0].getsockname()[1]
    watcher = Watcher(edge.directory)
    await until(lambda: edge.puller.stats().connected > 2)
    await stage.feed(stage.publish(), clip.looped(2))
    edge.origin = stage
    await until(watcher.media)
    server.close()
    await server.wait_closed()


async def test_a_host_of_this_process_takes_the_room_from_the_pull(stage: Stage, edge: Edge, clip: Clip) -> None:
    await stage.feed(stage.publish(), clip.looped(30))
    watcher = Watcher(edge.directory)
    await until(watcher.media)
    pulled_ms = watcher.media()[-1][0]
    publication = edge.directory.publish("room", Host(), edge.clock())
    assert edge.gone == ["room"]
    await stage.feed(publication, clip.looped(2))
    times = [time for time, _ in watcher.media()]
    assert times == sorted(set(times)) and times[-1] > pulled_ms
    await until(lambda: stage.flv.viewers == 0)
    assert edge.puller.stats().started == 1, "a room with its host here is not pulled"


async def test_stream_events_are_told_where_the_host_is_and_nowhere_else(stage: Stage, edge: Edge, clip: Clip) -> None:
    await stage.feed(stage.publish(), clip.looped(2))
    watcher = Watcher(edge.directory)
    await until(watcher.media)
    watcher.leave()
    edge.ahead_ms += 1
    edge.puller.drop("room", "enough")
    assert edge.events == []


async def test_an_output_that_cannot_wait_holds_the_room_until_it_plays(stage: Stage, edge: Edge, clip: Clip) -> None:
    await stage.feed(stage.publish(), clip.looped(2))
    async with playing(edge.directory, "room", edge.clock, PATIENCE_S):
        relay = edge.directory.find("room")
        assert relay is not None and relay.playing
        edge.puller.sweep(edge.clock())
        edge.ahead_ms += edge.puller.limits.linger_ms
        edge.puller.sweep(edge.clock())
        assert edge.gone == []


async def test_a_finder_that_fails_is_asked_again(stage: Stage, edge: Edge, clip: Clip) -> None:
    asked = 0
    find = edge.find

    async def fails_first(room: str) -> Source | None:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise ProtocolError("who are you")
        return await find(room)

    edge.find = fails_first  # type: ignore[method-assign]
    await stage.feed(stage.publish(), clip.looped(2))
    watcher = Watcher(edge.directory)
    await until(watcher.media)
