"""What fuzzing feeds: for each target a function of any bytes, and the captures that it begins from.

A target may raise what the package says that it raises for a peer's fault, and nothing else; what it keeps of the
bytes is checked against its bounds inside. The same functions are run by Hypothesis, by bytes flipped in the captures
and, guided by coverage, by atheris (fuzz_run).
"""

import asyncio
import contextlib
import functools
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from stream.directory import Directory
from stream.errors import AmfError, OfferRefused, PeerError
from stream.ingest_rtmp import RtmpIngest
from stream.ingest_whip import WhipHost, WhipIngest
from stream.output_flv import FlvOutput
from stream.output_hls import HlsOutput
from stream.output_mp4 import Mp4Output
from stream.output_whep import WhepOutput, WhepViewer
from stream.packet import Codec, Kind, Packet
from stream.protocol import amf0, amf3, flv, fmp4, recording, rtcp, rtp, stun
from stream.protocol.rtmp_chunk import write_message
from stream.protocol.rtmp_events import MediaReceived, PlayRequested, PublishRequested, SessionFailed
from stream.protocol.rtmp_session import RtmpSession, State
from stream.relay import RelayLimits
from stream.transcode_audio import AudioPipeline
from stream.webrtc_sdp import AUDIO as AUDIO_TRACK
from stream.webrtc_sdp import VIDEO as VIDEO_TRACK
from stream.webrtc_sdp import LocalEnd, Source, agree, answer, ice_fragment
from stream.webrtc_transport import WebRtcTransport
from stream.whep_stream import WhepStream, WhepTotals
from tests.stream import rtmp_peer
from tests.stream.captures import DATAGRAMS, FOLDER, read_datagrams
from tests.stream.media import ASC, AVCC
from tests.stream.stage import Host
from tests.stream.test_codecs import AV1C, FLAC, HVCC, OPUS, VPCC

START_MS = 1_800_000_000_000
OFFERS = [path.read_bytes() for path in sorted(FOLDER.glob("offer_*.sdp"))]
CAPTURED = list(read_datagrams(DATAGRAMS.read_bytes()))
LOCAL = LocalEnd("ufrag", "password-of-22-characters", ("192.0.2.1",), 8189, "AB:CD")


# -- RTMP and FLV ------------------------------------------------------------------------------------------------------


def rtmp_session(data: bytes) -> None:
    """A peer's bytes from the handshake on; the first says in what pieces they come."""
    if not data:
        return
    session = RtmpSession(rtmp_peer.ENTROPY)
    whole = rtmp_peer.HELLO + data[1:] if data[0] & 1 else data[1:]
    _drive(session, whole, 64 + data[0] * 16)


def rtmp_publishing(data: bytes) -> None:
    """What a host sends once its publish was accepted: chunks of audio, video, data, commands, aggregates."""
    _drive(rtmp_peer.publishing_session(), data, 1460)


def _drive(session: RtmpSession, data: bytes, step: int) -> None:
    failed = False
    for at in range(0, len(data), step):
        session.receive_data(data[at : at + step])
        while found := session.events_received():
            for event in found:
                assert not failed, "an event after the failure"
                failed = isinstance(event, SessionFailed)
                if session.state is State.DECIDING and isinstance(event, PublishRequested):
                    session.accept_publish()
                elif session.state is State.DECIDING and isinstance(event, PlayRequested):
                    session.accept_play()
        session.data_to_send()
        assert session._reader.pending_bytes + session._reader.held_bytes <= at + step


def amf(data: bytes) -> None:
    """Command bodies, AMF0 with AMF3 inside; what can be read can be written and read again."""
    with contextlib.suppress(AmfError):
        values = amf0.decode_all(data, amf3=amf3.decode_one)
        plain = amf0.decode_all(data)
        assert len(values) <= amf0.VALUES_MAX
        if "nan" not in repr(plain):
            assert amf0.decode_all(amf0.encode(*plain)) == plain
    with contextlib.suppress(AmfError):
        amf3.decode_one(data, 0, 1_000)


def flv_bodies(data: bytes) -> None:
    """Tag bodies, each through the relay to every output: (kind, time, length, body) again and again."""
    _run(_relayed(data))


async def _relayed(data: bytes) -> None:
    now = [START_MS]

    def clock() -> int:
        return now[0]

    directory = Directory(clock)
    ingest = RtmpIngest(directory, _nobody)
    feed = ingest.publish("room", Host(), clock())
    viewers = [
        output.viewer("room", low_delay=low_delay)
        for output in (FlvOutput(directory, clock), Mp4Output(directory, clock))
        for low_delay in (False, True)
    ]
    for viewer in viewers:
        viewer.connection_made(Sink())
    hls = HlsOutput(directory, clock=clock)
    room = hls._room("room")
    assert room is not None
    relay = directory.relay("room")
    whep = WhepStream(relay, clock=clock, totals=WhepTotals(), on_empty=lambda stream: None)
    relay.attach(whep, clock(), asks=True)
    at = 0
    while at + 4 <= len(data):
        kind = (Kind.AUDIO, Kind.VIDEO, Kind.VIDEO, Kind.DATA)[data[at] & 3]
        now[0] += data[at + 1]
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 4 + size]
        at += 4 + size
        if body:
            feed.push(MediaReceived(int(kind), now[0] - START_MS, body), clock())
            flv.tracks_left_out(kind, body)
        await asyncio.sleep(0)
    for _ in range(4):
        await asyncio.sleep(0)
    assert relay.gop_bytes <= RelayLimits().gop_bytes_max
    if room.timeline.ready:
        room.timeline.playlist("")
    directory.sweep(now[0] + 6_000)
    feed.end("over", clock())
    hls.close()
    for viewer in viewers:
        viewer.connection_lost(None)
    directory.close()


async def _nobody(request: object) -> None:
    return None


class Sink(asyncio.Transport):
    """A viewer's connection that takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0
        self._closing = False

    def write(self, data: Any) -> None:
        self.taken += len(data)

    def writelines(self, list_of_data: Any) -> None:
        self.taken += sum(map(len, list_of_data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close


# -- WebRTC ------------------------------------------------------------------------------------------------------------


def stun_checks(data: bytes) -> None:
    """A datagram of anybody: ICE checks."""
    with contextlib.suppress(PeerError):
        stun.parse_binding_request(data)


def rtp_host(data: bytes) -> None:
    """Datagrams of a WHIP host, decrypted: RTP and RTCP, in any order."""
    _run(_host(data, "H264"))


def rtp_host_av1(data: bytes) -> None:
    """The same of one that sends AV1."""
    _run(_host(data, "AV1"))


async def _host(data: bytes, codec: str) -> None:
    now = [START_MS]

    def clock() -> int:
        return now[0]

    directory = Directory(clock)
    ingest = WhipIngest(directory, WebRtcTransport(clock=clock), clock=clock)
    # The last one is a browser's, which has every codec.
    offer = agree(OFFERS[-1].decode(), sending=False, profile=None, codecs=[codec])
    video = offer.track(VIDEO_TRACK)
    assert video is not None
    host = WhipHost(ingest, "room", video, offer.track(AUDIO_TRACK), clock())
    host.publication = directory.publish("room", host, clock())
    types = (video.payload_type, host._audio.payload_type if host._audio is not None else 0)
    for kind, datagram in read_datagrams(data):
        now[0] += 5
        with contextlib.suppress(PeerError):
            if kind & 1:
                host.on_rtcp(datagram, clock())
            else:
                # So that most of what comes is of a track that there is.
                known = bytes([datagram[0], datagram[1] & 0x80 | types[kind >> 1 & 1]]) if len(datagram) > 1 else b""
                host.on_rtp(known + datagram[2:], clock())
    assert host._video is not None
    host._on_video(host._video.buffer.give_up(clock() + 10_000), clock())
    assert len(host._video.buffer.missing(clock() + 10_000, 0, 65_536)) <= 65_536
    host.publication.end("over", clock())
    directory.close()


def rtcp_viewer(data: bytes) -> None:
    """Reports of a WHEP player: what it lost, key frames that it wants."""
    _run(_viewer(data))


async def _viewer(data: bytes) -> None:
    directory = Directory(lambda: START_MS)
    output = WhepOutput(directory, WebRtcTransport(clock=lambda: START_MS), clock=lambda: START_MS)
    relay = directory.relay("room")
    stream = WhepStream(relay, clock=lambda: START_MS, totals=output.totals, on_empty=lambda stream: None)
    track = agree(OFFERS[1].decode(), sending=True, profile="42e0").track(VIDEO_TRACK)
    assert track is not None
    viewer = WhepViewer(output, "room", stream, Codec.H264, track, None)
    viewer.cursor = 0
    for _, datagram in read_datagrams(data):
        with contextlib.suppress(PeerError):
            viewer.on_rtcp(datagram, START_MS)
    assert output.totals.resent <= output.limits.resends_per_s_max
    directory.close()


def rtcp_reports(data: bytes) -> None:
    """One compound packet."""
    with contextlib.suppress(PeerError):
        rtcp.parse_rtcp(data)
    with contextlib.suppress(PeerError):
        rtp.parse_rtp(data)


def sdp(data: bytes) -> None:
    """The body of a WHIP or WHEP request, and of a PATCH."""
    text = data.decode("utf-8", "replace")
    for sending in (False, True):
        with contextlib.suppress(OfferRefused):
            agreed = agree(text, sending=sending, profile="42e0" if sending else None)
            sources = {VIDEO_TRACK: Source(1, 2, 3), AUDIO_TRACK: Source(4, None, 5)} if sending else {}
            out = answer(agreed, LOCAL, session=1, sources=sources)
            assert len(out) < 20_000
            assert out.isprintable() or set(out) <= set("\r\n") | {c for c in out if c.isprintable()}
    with contextlib.suppress(OfferRefused):
        ice_fragment(text)


# -- what is read back -------------------------------------------------------------------------------------------------


def sound(data: bytes) -> None:
    """AAC and Opus packets of a host on their way to the other codec: (kind, length, bytes) again and again."""
    pipelines = {Codec.AAC: AudioPipeline(Codec.OPUS), Codec.OPUS: AudioPipeline(Codec.AAC)}
    with contextlib.suppress(ValueError, KeyError, OSError):
        for number, (kind, body) in enumerate(read_datagrams(data)):
            codec = Codec.OPUS if kind & 1 else Codec.AAC
            packet = Packet(Kind.AUDIO, codec, number * 20, 0, True, bool(kind & 2), body)
            for _ in pipelines[codec].take(packet):
                pass


def recorded(data: bytes) -> None:
    """A show's index and files after a crash."""
    with contextlib.suppress(ValueError):
        index, used = recording.parse_index(data)
        assert 0 <= used <= len(data)
        if index.parts:
            recording.playlist(index)
    with contextlib.suppress(ValueError):
        for _, start, end in fmp4.boxes(data):
            assert 0 <= start < end <= len(data)


@dataclass(frozen=True)
class Target:
    """Something to be fuzzed and where it begins."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def _rows(kinds: dict[int, int]) -> bytes:
    """The captured datagrams of some kinds, as other ones."""
    return b"".join(
        bytes([kinds[kind]]) + len(data).to_bytes(2, "big") + data for kind, data in CAPTURED if kind in kinds
    )


def _sent() -> list[MediaReceived]:
    """What ffmpeg sent."""
    events, _ = rtmp_peer.drive(RtmpSession(rtmp_peer.ENTROPY), [rtmp_peer.FFMPEG_PUBLISH])
    return [event for event in events if isinstance(event, MediaReceived)]


def _bodies() -> bytes:
    """ffmpeg's tag bodies in `flv_bodies`' form."""
    numbers = {8: 0, 9: 1, 18: 3}
    return b"".join(
        bytes([numbers[event.kind], 20]) + len(event.body).to_bytes(2, "big") + event.body for event in _sent()
    )


def _codecs() -> list[bytes]:
    """A host of each pair of codecs: configurations, then two frames of each that are none."""
    out = []
    pairs = (
        ((Codec.H264, AVCC), (Codec.AAC, ASC)),
        ((Codec.HEVC, HVCC), (Codec.OPUS, OPUS)),
        ((Codec.AV1, AV1C), (Codec.FLAC, FLAC)),
        ((Codec.VP9, VPCC), (Codec.MP3, b"")),
    )
    for video, audio in pairs:
        rows = b""
        for number in range(3):
            for kind, (codec, config) in ((Kind.VIDEO, video), (Kind.AUDIO, audio)):
                data = b"\0\0\0\5frame" if number else config
                packet = Packet(kind, codec, 0, 0, True, number == 0 and bool(config), data)
                body = flv.body_prefix(packet) + data
                rows += bytes([kind == Kind.VIDEO, 40]) + len(body).to_bytes(2, "big") + body
        out.append(rows)
    return out


def _messages() -> bytes:
    """The same in chunks."""
    return b"".join(write_message(6, event.kind, 1, event.dts_ms, event.body) for event in _sent())


_HEAD = len(rtmp_peer.HELLO)
TARGETS = {
    "rtmp": Target(rtmp_session, (b"\x01" + rtmp_peer.FFMPEG_PUBLISH[_HEAD:], b"\x40" + rtmp_peer.FFMPEG_PUBLISH)),
    "rtmp-media": Target(rtmp_publishing, (_messages(), _messages()[:3_000])),
    "amf": Target(
        amf,
        (
            amf0.encode("connect", 1.0, {"app": "live", "fourCcList": ["av01"], "capsEx": 3.0}),
            amf0.encode("onMetaData", amf0.EcmaArray({"width": 1280.0, "stereo": True, "encoder": "x"})),
            b"\x11\x0a\x0b\x01\x07app\x06\x09live\x01",
        ),
    ),
    "flv": Target(flv_bodies, (_bodies(), _bodies()[:2_000], *_codecs())),
    "stun": Target(stun_checks, tuple(data for kind, data in CAPTURED if kind == 2)),
    "rtp-host-av1": Target(rtp_host_av1, (_rows({0: 0, 1: 1}), _rows({0: 2}), _rows({1: 1}))),
    "rtp-host": Target(rtp_host, (_rows({0: 0, 1: 1}), _rows({0: 2}), _rows({1: 1}))),
    "rtcp-viewer": Target(rtcp_viewer, (_rows({3: 0}),)),
    "rtcp": Target(rtcp_reports, tuple(data for kind, data in CAPTURED if kind in (1, 3))),
    "sdp": Target(sdp, tuple(OFFERS)),
    "sound": Target(sound, (_rows({0: 1}),)),
    "recorded": Target(
        recorded,
        (
            recording.head_line("room", "show", START_MS)
            + recording.init_line(0, recording.Init("avc1.42c01e,mp4a.40.2", 700, 0)),
            fmp4.fragment(1, [(fmp4.VIDEO_TRACK, [fmp4.Sample(0, 3_000, 0, True, b"frame")])]),
        ),
    ),
}


# -- running -----------------------------------------------------------------------------------------------------------


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run on a loop of our own; what a callback raises fails as well, and so does a task that is left behind."""
    loop = _loop()
    broken: list[BaseException] = []
    loop.set_exception_handler(lambda loop, context: broken.append(context.get("exception") or AssertionError(context)))
    loop.run_until_complete(asyncio.wait_for(work, 60))
    left = asyncio.all_tasks(loop)
    assert not left, left
    if broken:
        raise broken[0]


def flipped(seed: bytes, chance: random.Random) -> bytes:
    """A capture with some bytes changed, and now and then a piece doubled, moved or cut off."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 4, 12))):
        if data:
            # Half of them of the capture's own alphabet: text stays text, and gets further in.
            own = data[chance.randrange(len(data))]
            value = own if chance.random() < 0.5 else chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
            data[chance.randrange(len(data))] = value
    how = chance.randrange(6)
    if how == 0 and data:
        del data[chance.randrange(len(data)) :]
    elif how == 1 and data:
        start = chance.randrange(len(data))
        data[start:start] = data[start : start + chance.randrange(1, 200)]
    elif how == 2 and data:
        start = chance.randrange(len(data))
        del data[start : start + chance.randrange(1, 40)]
    return bytes(data)
