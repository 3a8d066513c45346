"""The relay and the fan-out behind it, driven through every order of events on a manual clock."""

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stream.directory import PUBLISHER_SILENCE_MS, Directory, DirectoryLimits, Publication
from stream.fanout import ViewerLimits
from stream.output_flv import FlvOutput
from stream.packet import Codec, Kind, Packet
from stream.relay import VIDEO_WAIT_MS, RelayLimits
from tests.stream.media import ASC, AVCC, DELIMITER, SILENCE, packets
from tests.stream.stage import Host

FRAME_MS = 40
FRAME_BYTES = 2000
GOP_BYTES_MAX = 100_000
LIMITS = ViewerLimits(buffer_bytes_min=10_000, buffer_bytes_floor=10_000, buffer_ms=100, stall_ms=60_000)


class Pipe(asyncio.Transport):
    """A transport whose other side reads or stalls as the test says; keeps what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = bytearray()
        self.pending = bytearray()
        self.stalled = False
        self.paused = False
        self.closing = self.closed = False
        self.high = 65536
        self.low = 16384
        self.viewer: Any = None

    def write(self, data: Any) -> None:
        assert not self.closed
        if self.closing:
            # The peer is gone, which the protocol is told in a moment.
            return
        self.pending += data
        if not self.stalled:
            self.flow()
        elif not self.paused and len(self.pending) > self.high:
            self.paused = True
            self.viewer.pause_writing()

    def flow(self) -> None:
        self.read += self.pending
        self.pending.clear()
        if self.paused:
            self.paused = False
            self.viewer.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        self.high = high

    def get_write_buffer_size(self) -> int:
        return len(self.pending)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = self.closed = True

    abort = close


class RelayMachine(RuleBasedStateMachine):
    """Hosts come, go and jump; viewers join, leave and stall. Frames carry a number in their data."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.failed.append(context))
        self.failed: list[dict[str, Any]] = []
        self.now_ms = 1_000_000
        limits = DirectoryLimits(relay=RelayLimits(gop_bytes_max=GOP_BYTES_MAX))
        self.directory = Directory(lambda: self.now_ms, limits)
        self.output = FlvOutput(self.directory, lambda: self.now_ms, LIMITS)
        self.publication: Publication | None = None
        self.viewers: list[Pipe] = []
        self.all: list[Pipe] = []
        self.frame = 0
        self.config = 0
        self.raw_ms = 0
        self.keyless_ms: int | None = None
        self.low_delay = False

    @initialize(low_delay=st.booleans(), stalled=st.booleans())
    def begin(self, low_delay: bool, stalled: bool) -> None:
        self.low_delay = low_delay
        self.viewer_joins(False)
        self.host_comes(0, 0)
        self.host_sends(5, True)
        self.viewer_joins(stalled)

    def step(self, action: Any = None) -> None:
        async def act() -> None:
            if action is not None:
                action()
            for _ in range(6):
                await asyncio.sleep(0)

        self.loop.run_until_complete(act())
        assert not self.failed, self.failed

    @precondition(lambda self: self.publication is None)
    @rule(away_ms=st.integers(0, 5000), raw_ms=st.sampled_from((0, 77_000, (1 << 32) - 300)))
    def host_comes(self, away_ms: int, raw_ms: int) -> None:
        self.now_ms += away_ms
        self.raw_ms = raw_ms
        self.keyless_ms = 0
        self.publication = self.directory.publish("room", Host(), self.now_ms)
        self.push_config()
        self.push(Packet(Kind.AUDIO, Codec.AAC, raw_ms, 0, True, True, ASC))

    @precondition(lambda self: self.publication is not None)
    @rule()
    def host_goes(self) -> None:
        publication = self.publication
        assert publication is not None
        self.step(lambda: publication.end("gone", self.now_ms))
        self.publication = None

    @precondition(lambda self: self.publication is not None)
    @rule()
    def host_hangs_and_is_taken_over(self) -> None:
        self.now_ms += PUBLISHER_SILENCE_MS
        self.step()
        self.publication = None
        self.host_comes(0, 0)

    @precondition(lambda self: self.publication is not None)
    @rule(jump_ms=st.sampled_from((-50_000, -1000, 4000, 100_000)))
    def host_jumps(self, jump_ms: int) -> None:
        self.raw_ms = max(0, self.raw_ms + jump_ms)

    @precondition(lambda self: self.publication is not None)
    @rule(frames=st.integers(1, 30), key=st.booleans())
    def host_sends(self, frames: int, key: bool) -> None:
        if self.keyless_ms is not None:
            # A host without a key frame for VIDEO_WAIT_MS is one without a picture: not the subject here.
            self.keyless_ms += frames * FRAME_MS
            key = key or self.keyless_ms >= VIDEO_WAIT_MS
            self.keyless_ms = None if key else self.keyless_ms
        for index in range(frames):
            self.frame += 1
            self.now_ms += FRAME_MS
            self.raw_ms += FRAME_MS
            number = self.frame.to_bytes(4, "big") + self.config.to_bytes(4, "big")
            data = number.ljust(FRAME_BYTES, b"v")
            self.push(Packet(Kind.VIDEO, Codec.H264, self.raw_ms, 0, key and index == 0, False, data))
            self.push(Packet(Kind.AUDIO, Codec.AAC, self.raw_ms, 0, True, False, number))

    @precondition(lambda self: self.publication is not None)
    @rule()
    def host_changes_its_encoder(self) -> None:
        self.push_config()
        self.host_sends(1, True)

    @precondition(lambda self: self.publication is not None)
    @rule(gops=st.integers(1, 3), frames=st.integers(5, 30))
    def host_runs(self, gops: int, frames: int) -> None:
        for _ in range(gops):
            self.host_sends(frames, True)

    @precondition(lambda self: len(self.viewers) < 6)
    @rule(stalled=st.booleans())
    def viewer_joins(self, stalled: bool) -> None:
        pipe = Pipe()
        pipe.stalled = stalled
        pipe.viewer = self.output.viewer("room", low_delay=self.low_delay)
        self.viewers.append(pipe)
        self.all.append(pipe)
        self.step(lambda: pipe.viewer.connection_made(pipe))

    @precondition(lambda self: self.viewers)
    @rule(data=st.data())
    def viewer_leaves(self, data: Any) -> None:
        pipe = data.draw(st.sampled_from(self.viewers))
        pipe.closing = True
        self.viewers.remove(pipe)
        self.step(lambda: pipe.viewer.connection_lost(None))

    @precondition(lambda self: self.viewers)
    @rule(data=st.data(), stalled=st.booleans())
    def viewer_stalls_or_reads(self, data: Any, stalled: bool) -> None:
        pipe = data.draw(st.sampled_from(self.viewers))
        pipe.stalled = stalled
        if not stalled:
            self.step(pipe.flow)

    @precondition(lambda self: self.viewers and self.publication is not None)
    @rule(data=st.data(), frames=st.integers(6, 30))
    def viewer_stalls_for_a_while(self, data: Any, frames: int) -> None:
        pipe = data.draw(st.sampled_from(self.viewers))
        self.time_is_looked_at()
        pipe.stalled = True
        self.host_sends(frames, False)
        pipe.stalled = False
        self.step(pipe.flow)
        self.host_sends(10, False)

    @precondition(lambda self: len(self.viewers) < 6 and self.publication is not None)
    @rule()
    def viewer_joins_just_after_a_key_frame(self) -> None:
        self.host_sends(3, True)
        self.viewer_joins(False)
        self.host_sends(10, False)

    @rule(times=st.integers(1, 40), step_ms=st.sampled_from((10, 50, 400)))
    def time_passes(self, times: int, step_ms: int) -> None:
        for _ in range(times):
            self.now_ms += step_ms
            self.step(lambda: self.directory.fill(self.now_ms))

    @rule()
    def time_is_looked_at(self) -> None:
        for fanout in tuple(self.output._fanouts):
            fanout.tick(self.now_ms)

    def push_config(self) -> None:
        self.config += 1
        record = AVCC + self.config.to_bytes(4, "big")
        self.push(Packet(Kind.VIDEO, Codec.H264, self.raw_ms, 0, True, True, record))

    def push(self, packet: Packet) -> None:
        publication = self.publication
        assert publication is not None
        packet = replace(packet, dts_ms=packet.dts_ms % (1 << 32))
        self.step(lambda: publication.push(packet, self.now_ms))

    @invariant()
    def memory_is_bounded(self) -> None:
        relay = self.directory.find("room")
        assert relay is None or relay.gop_bytes <= GOP_BYTES_MAX + FRAME_BYTES
        for pipe in self.viewers:
            # Limit, the cached GOP that comes first, its heads, one window (30 frames can come as one).
            assert len(pipe.pending) <= 10_000 + 2 * GOP_BYTES_MAX + 10_000

    def teardown(self) -> None:
        for pipe in self.viewers:
            pipe.stalled = False
            pipe.flow()
        for pipe in self.all:
            check(bytes(pipe.read))
        for pipe in self.viewers:
            pipe.closing = True
            pipe.viewer.connection_lost(None)
        assert self.output.viewers == 0
        self.loop.close()


def check(response: bytes) -> None:
    """Check one viewer's stream: it begins, and after each gap goes on, at a key frame; times never go back."""
    if not response:
        return
    head, _, body = response.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return
    found = packets(body)
    last: dict[Kind, int] = {}
    numbers = {Kind.VIDEO: 0, Kind.AUDIO: 0}
    config = b""
    for packet in found:
        assert packet.dts_ms >= last.get(packet.kind, 0)
        last[packet.kind] = packet.dts_ms
        if packet.config:
            config = packet.data if packet.kind is Kind.VIDEO else config
            continue
        if packet.data == SILENCE:
            continue
        if packet.data.startswith(DELIMITER):
            # The last key frame once more, while the host is away.
            assert packet.key
            assert packet.data[len(DELIMITER) + 4 :][:4] == config[len(AVCC) :]
            continue
        number = int.from_bytes(packet.data[:4], "big")
        before, numbers[packet.kind] = numbers[packet.kind], number
        assert number > before
        assert config == AVCC + packet.data[4:8]
        if packet.kind is Kind.VIDEO and number != before + 1:
            assert packet.key
        if packet.kind is Kind.AUDIO:
            # Never sound that runs ahead of a picture that was dropped.
            assert numbers[Kind.VIDEO] == number


RelayMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRelay = RelayMachine.TestCase
