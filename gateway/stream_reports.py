"""A stream as its host's console and operators see it: codecs, rates, key frames, viewers by protocol, advice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from gateway.advice import advise
from gateway.schemas import AdviceView, HealthView, StreamReport
from gateway.services import Services
from gateway.streaming import Streaming
from stream.meter import HostLine, Protocol, Reading


@dataclass(frozen=True, slots=True)
class AdviceFigures:
    """Live streams that each piece of advice is for, by its code."""

    advised: dict[str, int]


class StreamReports:
    """Reads directory and outputs at the moment of the question."""

    def __init__(self, services: Services, streaming: Streaming) -> None:
        self._services = services
        self._streaming = streaming

    def viewers(self, room: str) -> dict[str, int]:
        """Players in the room by how they play; HLS counts addresses that asked in the last seconds."""
        streaming = self._streaming
        return {
            "flv": streaming.outputs[".flv"].viewers_in(room),
            "ws_flv": streaming.websocket_flv.viewers_in(room),
            "mp4": streaming.outputs[".mp4"].viewers_in(room),
            "rtmp": streaming.rtmp_output.viewers_in(room),
            "hls": streaming.hls.viewers_in(room),
            "whep": streaming.whep.viewers_in(room),
        }

    def health(self, room: str) -> HealthView:
        """What is measured of the room's host, and what it could do better."""
        directory, now_ms = self._services.directory, self._services.clock()
        publication, relay, info = directory.publication(room), directory.find(room), directory.info(room)
        reading = Reading()
        protocol: Protocol | None = None
        rtt_ms: int | None = None
        if publication is not None:
            reading = publication.meter.reading(now_ms)
            if isinstance(publication.publisher, HostLine):
                protocol, rtt_ms = publication.publisher.protocol, publication.publisher.rtt_ms()
        advice = advise(info, reading, protocol=protocol, rtt_ms=rtt_ms) if publication is not None else []
        return HealthView(
            protocol=protocol,
            rtt_ms=rtt_ms,
            fps=reading.fps,
            video_bps=reading.video_bps,
            audio_bps=reading.audio_bps,
            gop_ms=reading.gop_ms,
            b_frames=reading.b_frames,
            pace=reading.pace,
            silent_ms=reading.silent_ms if publication is not None else None,
            packets_dropped=relay.packets_dropped if relay is not None else 0,
            advice=[AdviceView(one.code, one.level, one.text, one.values) for one in advice],
        )

    def report(self, room: str) -> StreamReport:
        """The room's stream in one piece."""
        view = self._services.desk.stream_view(room)
        return StreamReport(**view, room=room, players=self.viewers(room), health=self.health(room))

    def stats(self) -> AdviceFigures:
        """Give figures for metrics."""
        live = (room.id for room in self._services.rooms if self._services.directory.info(room.id).live)
        return AdviceFigures(dict(Counter(one.code for room in live for one in self.health(room).advice)))
