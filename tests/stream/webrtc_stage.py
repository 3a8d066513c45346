"""A directory with WebRTC in and out on loopback, and aiortc as the client from outside."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from stream.directory import Directory, Publication
from stream.ingest_whip import WhipIngest
from stream.output_whep import WhepLimits, WhepOutput
from stream.packet import Codec, Packet
from stream.webrtc_session import Accepted
from stream.webrtc_transport import TransportLimits, WebRtcTransport
from tests.stream.lossy_wire import LossyWire
from tests.stream.media import Clip
from tests.stream.stage import Host, clock_ms


class WebRtcStage:
    """Directory, UDP port and WHEP of one test."""

    def __init__(
        self,
        limits: TransportLimits | None = None,
        whep: WhepLimits | None = None,
        *,
        worker: int = 0,
        codecs: Sequence[Codec] = (Codec.H264,),
    ) -> None:
        self.ahead_ms = 0
        self.directory = Directory(self.clock)
        self.transport = WebRtcTransport(clock=self.clock, limits=limits, worker=worker)
        self.whep = WhepOutput(self.directory, self.transport, clock=self.clock, limits=whep)
        self.whip = WhipIngest(self.directory, self.transport, clock=self.clock, codecs=codecs)
        self._feeders: list[asyncio.Task[None]] = []

    def clock(self) -> int:
        return clock_ms() + self.ahead_ms

    async def open(self, host: str = "127.0.0.1", addresses: Sequence[str] = ()) -> None:
        await self.transport.start(host, 0, addresses=addresses)
        self.directory.start()

    async def close(self) -> None:
        for feeder in self._feeders:
            feeder.cancel()
        self.whip.close()
        await self.whep.drain()
        self.whep.close()
        await self.transport.close()
        self.directory.close()

    def publish(self, room: str = "room") -> Publication:
        return self.directory.publish(room, Host(), self.clock())

    def feed(self, publication: Publication, clip: Clip, *, ready: int = 0) -> None:
        """Push the clip over and over in real time, its first `ready` packets at once."""

        async def push() -> None:
            start_ms = clock_ms()
            for count, packet in enumerate(clip.looped(60)):
                late_ms = start_ms + packet.dts_ms - clock_ms()
                if late_ms > 0 and count > ready:
                    await asyncio.sleep(late_ms / 1000)
                publication.push(packet, self.clock())

        self._feeders.append(asyncio.create_task(push()))

    async def until_playing(self, room: str = "room") -> None:
        async with asyncio.timeout(60):
            while not ((relay := self.directory.find(room)) and relay.playing):
                await asyncio.sleep(0.01)


class OutsideViewer:
    """aiortc as a WHEP player: counts what it decodes."""

    def __init__(self, *kinds: str) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.frames = {"video": 0, "audio": 0}
        self.sizes: set[tuple[int, int]] = set()
        self.loudest = 0
        self._tasks: list[asyncio.Task[None]] = []
        for kind in kinds or ("video", "audio"):
            self.connection.addTransceiver(kind, direction="recvonly")
        self.connection.on("track", self._on_track)

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def play(self, stage: WebRtcStage, room: str = "room", *, wire: LossyWire | None = None) -> Accepted:
        accepted = stage.whep.join(room, await self.offer(), client="127.0.0.1")
        sdp = accepted.sdp if wire is None else wire.rewrite(accepted.sdp)
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        return accepted

    async def until(self, *, video: int = 0, audio: int = 0, seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while self.frames["video"] < video or self.frames["audio"] < audio:
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.connection.close()

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._count(track)))

    async def _count(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.frames[track.kind] += 1
                if track.kind == "video":
                    self.sizes.add((frame.width, frame.height))  # type: ignore[union-attr]
                else:
                    self.loudest = max(self.loudest, int(abs(frame.to_ndarray()).max()))  # type: ignore[union-attr]


@contextlib.asynccontextmanager
async def webrtc_stage(
    limits: TransportLimits | None = None,
    whep: WhepLimits | None = None,
    *,
    worker: int = 0,
    codecs: Sequence[Codec] = (Codec.H264,),
    host: str = "127.0.0.1",
    addresses: Sequence[str] = (),
) -> AsyncIterator[WebRtcStage]:
    stage = WebRtcStage(limits, whep, worker=worker, codecs=codecs)
    await stage.open(host, addresses)
    try:
        yield stage
    finally:
        await stage.close()


@contextlib.asynccontextmanager
async def outside_viewer(*kinds: str) -> AsyncIterator[OutsideViewer]:
    viewer = OutsideViewer(*kinds)
    try:
        yield viewer
    finally:
        await viewer.close()


def media_packets(clip: Clip) -> list[Packet]:
    return [*clip.configs, *clip.media]
