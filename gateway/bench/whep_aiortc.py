"""The baseline of WHEP: aiortc as it comes, a peer connection for each viewer, relaying encoded frames."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import uvloop
from av.packet import Packet as AvPacket

from gateway.bench.made_stream import GOP_S, packets
from gateway.bench.process import Meter
from gateway.bench.rtc_peer import parse_answer, signalling
from gateway.bench.waiting import until, until_told
from stream.packet import Kind, Packet

if TYPE_CHECKING:
    from aiortc.mediastreams import MediaStreamTrack

QUEUE_MAX = 500
"""Frames that wait for one viewer: more than a server that keeps up ever has."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """Encoded frames of one kind on their way to one viewer, and the track that hands them to aiortc."""

    track: MediaStreamTrack
    queue: asyncio.Queue[AvPacket[Any]]


def relayed(kind: str) -> Relayed:
    """Make one for a viewer."""
    from aiortc.mediastreams import MediaStreamTrack

    queue: asyncio.Queue[AvPacket[Any]] = asyncio.Queue(QUEUE_MAX)

    class Track(MediaStreamTrack):
        async def recv(self) -> AvPacket[Any]:
            return await queue.get()

    Track.kind = kind
    return Relayed(Track(), queue)


def aiortc_server(pipe: Connection, count: int, seconds: float) -> None:
    """Serve so many viewers; tells its signalling port and its address, then what it spent."""
    uvloop.run(_aiortc_server(pipe, count, seconds))


async def _aiortc_server(pipe: Connection, count: int, seconds: float) -> None:
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    tracks: list[Relayed] = []
    connections: list[RTCPeerConnection] = []

    async def answer(offer: str) -> str:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)
        for kind in ("video", "audio"):
            tracks.append(relayed(kind))
            connection.addTrack(tracks[-1].track)
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return connection.localDescription.sdp

    server = await signalling(answer)
    pipe.send((server.sockets[0].getsockname()[1], await _own_address()))
    progress = [0]
    feeding = asyncio.create_task(_feed(tracks, progress))
    await until(lambda: sum(connection.connectionState == "connected" for connection in connections) == count)
    await asyncio.sleep(GOP_S)
    before_ms, meter = progress[0], Meter()
    await asyncio.sleep(seconds)
    spent, media_ms = meter.read(), progress[0] - before_ms
    feeding.cancel()
    pipe.send({"cpu_s": spent.cpu_s, "media_s": media_ms / 1000, "seconds up": seconds + GOP_S})
    await until_told(pipe)
    for connection in connections:
        await connection.close()
    server.close()


async def _own_address() -> str:
    """The address of this machine that aiortc's ICE agent uses: it takes no loopback one."""
    from aiortc import RTCConfiguration, RTCPeerConnection

    probe = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    probe.addTransceiver("video")
    await probe.setLocalDescription(await probe.createOffer())
    address = parse_answer(probe.localDescription.sdp).address[0]
    await probe.close()
    return address


async def _feed(tracks: list[Relayed], progress: list[int]) -> None:
    """Hand each frame to every viewer's track at the stream's own pace; `progress` is the media time so far, in ms."""
    start_s = time.monotonic()
    for kind, packet, dts_ms in _av_packets():
        early_s = dts_ms / 1000 - (time.monotonic() - start_s)
        if early_s > 0:
            await asyncio.sleep(early_s)
        progress[0] = dts_ms
        for track in tracks:
            if track.track.kind == kind and not track.queue.full():
                track.queue.put_nowait(packet)


def _av_packets() -> Iterator[tuple[str, AvPacket[Any], int]]:
    for packet in packets(opus=True):
        if not packet.config:
            kind = "video" if packet.kind is Kind.VIDEO else "audio"
            yield kind, _av_packet(packet, kind), packet.dts_ms


def _av_packet(packet: Packet, kind: str) -> AvPacket[Any]:
    # aiortc's packer looks for start codes (H.264 annex B).
    made = AvPacket(b"\0\0\0\x01" + packet.data[4:] if kind == "video" else packet.data)
    made.pts = made.dts = packet.dts_ms
    made.time_base = Fraction(1, 1000)
    return made
