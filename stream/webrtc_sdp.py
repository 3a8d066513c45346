"""SDP offers of WHIP and WHEP clients, and our answers to them.

Parsed by aiortc's module, answered by our own: an ICE-lite agent with one address for all, DTLS passive unless the peer
is, everything bundled (RFC 9725 section 4.2, RFC 8829, RFC 8843, RFC 8839). H.264 in packetization mode 1 and Opus; VP8
and AV1 where the one who asks allows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stream.errors import OfferRefused

if TYPE_CHECKING:
    from aiortc import RTCDtlsFingerprint
    from aiortc.sdp import MediaDescription, SessionDescription

OFFER_BYTES_MAX: Final = 65_536
"""Chrome's offer with every codec has 8 KB."""
SECTIONS_MAX: Final = 16
"""Picture, sound, perhaps a data channel."""
PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
START_KBITS_PER_S: Final = 1500
VIDEO, AUDIO = "video", "audio"
H264: Final = "H264"


@dataclass(frozen=True, slots=True)
class Track:
    """What was agreed on for one kind: payload types, the extension's number (None: not offered)."""

    kind: str
    mid: str
    payload_type: int
    format: str
    parameters: str
    codec: str = ""
    feedback: tuple[str, ...] = ()
    rtx_payload_type: int | None = None
    playout_delay: int | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered, m-lines in its own order."""

    sections: tuple[tuple[str, str, str, str, Track | None], ...]
    """(kind, mid, protocol, first format, track) of each m-line."""
    fingerprints: tuple[RTCDtlsFingerprint, ...]
    remote_ufrag: str
    tracks: tuple[Track, ...] = field(default=())
    connects: bool = False
    """Whether we begin the DTLS handshake: the peer says that it waits for it (RFC 8842 section 5.3)."""

    def track(self, kind: str) -> Track | None:
        """Give what was agreed on for `kind`."""
        return next((track for track in self.tracks if track.kind == kind), None)


@dataclass(frozen=True, slots=True)
class LocalEnd:
    """What an answer says of us: ICE credentials, candidate addresses with the one port, DTLS fingerprint."""

    ufrag: str
    password: str
    addresses: tuple[str, ...]
    port: int
    fingerprint: str
    tcp: bool = False
    """Whether the same port is there for ICE over TCP."""


_LINE_ENDS: Final = str.maketrans("", "", "\r\n\t")


def parse_offer(text: str) -> SessionDescription:
    """Read an offer. Raises OfferRefused 400 when it is not SDP."""
    # Here, as its import looks for the C library by running a program.
    from aiortc.sdp import SessionDescription

    if len(text) > OFFER_BYTES_MAX:
        raise OfferRefused(413, "too_long", f"an offer has at most {OFFER_BYTES_MAX} bytes")
    if not text.startswith("v=0"):
        raise OfferRefused(400, "bad_sdp", "this is not an SDP offer: it has to begin with v=0")
    # The answer repeats names of the offer; and what some take for the end of a line others do not (U+0085, U+2028 …).
    if not text.translate(_LINE_ENDS).isprintable():
        raise OfferRefused(400, "bad_sdp", "this is not an SDP offer: it holds control characters")
    try:
        parsed = SessionDescription.parse(text)
    except (AssertionError, AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise OfferRefused(400, "bad_sdp", "this is not an SDP offer: it cannot be read") from error
    # RFC 5888 section 4: a token. The answer names the sections by it.
    if not all(media.rtp.muxId.isprintable() and " " not in media.rtp.muxId for media in parsed.media):
        raise OfferRefused(400, "bad_sdp", "this is not an SDP offer: a=mid has to be one word")
    if not parsed.media or len(parsed.media) > SECTIONS_MAX:
        raise OfferRefused(400, "bad_sdp", f"an offer has 1 to {SECTIONS_MAX} media sections")
    return parsed


def offers_video(text: str) -> bool:
    """Whether the host that offers `text` wants to send a picture, or to send nothing. Raises OfferRefused 400, 413."""
    sent = {media.kind for media in parse_offer(text).media if media.port and _direction_fits(media, sending=False)}
    return VIDEO in sent or AUDIO not in sent


def takes(text: str, name: str) -> bool:
    """Whether the viewer that offers `text` can be sent a picture of this codec (not H.264). Raises OfferRefused."""
    media = [media for media in parse_offer(text).media if media.kind == VIDEO and media.port]
    return any(_direction_fits(one, sending=True) and _other(one, name) is not None for one in media)


def agree(
    text: str,
    *,
    sending: bool,
    profile: str | None = None,
    codecs: Sequence[str] = (H264,),
    audio: bool = True,
    video: bool = True,
) -> Offer:
    """Choose what to send to (`sending`) or take from the peer that offers `text`.

    `codecs`: names of those that may carry the picture, the first one offered is taken. `profile`: the first byte of
    the stream's H.264 profile in hex ("64"), the nearest offered one is taken. `audio`, `video`: whether there is such
    a track. Raises OfferRefused 400, 413 or 422 with a reason.
    """
    parsed = parse_offer(text)
    wanted = {VIDEO: video, AUDIO: audio}
    sections: list[tuple[str, str, str, str, Track | None]] = []
    tracks: list[Track] = []
    first: MediaDescription | None = None
    for media in parsed.media:
        track = None
        if wanted.get(media.kind) and media.port and _direction_fits(media, sending=sending):
            track = _video(media, codecs, profile, sending=sending) if media.kind == VIDEO else _audio(media)
        if track is not None:
            wanted[media.kind] = False
            tracks.append(track)
            first = first or media
        sections.append((media.kind, media.rtp.muxId or "", media.profile, str(media.fmt[0]), track))
    if first is None or (video and not any(track.kind == VIDEO for track in tracks)):
        _refuse_tracks(parsed, codecs, sending=sending, video=video)
    assert first is not None
    fingerprints, ufrag = _check_transport(parsed, first, tracks)
    assert first.dtls is not None
    return Offer(tuple(sections), fingerprints, ufrag, tuple(tracks), connects=first.dtls.role == "server")


def _direction_fits(media: MediaDescription, *, sending: bool) -> bool:
    direction = media.direction or "sendrecv"
    return direction in ({"recvonly", "sendrecv"} if sending else {"sendonly", "sendrecv"})


def _refuse_tracks(parsed: SessionDescription, codecs: Sequence[str], *, sending: bool, video: bool) -> None:
    verb = "receive" if sending else "send"
    fitting = [media for media in parsed.media if media.port and _direction_fits(media, sending=sending)]
    if video and any(media.kind == VIDEO for media in fitting):
        if H264 in codecs:
            also = "".join(f" or {name}" for name in codecs if name != H264)
            text = f"only H.264 (packetization-mode=1){also} can be used here, and it was not offered"
            raise OfferRefused(422, "no_h264", text)
        raise OfferRefused(422, "codec", f"the stream is {codecs[0]}, which was not offered: play FLV")
    if video:
        raise OfferRefused(422, "no_video", f"the offer has no video section that can {verb}")
    raise OfferRefused(422, "no_opus", f"the offer has no Opus section that can {verb}")


def _check_transport(
    parsed: SessionDescription, first: MediaDescription, tracks: Sequence[Track]
) -> tuple[tuple[RTCDtlsFingerprint, ...], str]:
    bundled = {mid for group in parsed.group if group.semantic == "BUNDLE" for mid in group.items}
    if len(tracks) > 1 and not all(track.mid in bundled for track in tracks):
        raise OfferRefused(422, "no_bundle", "all media have to share one transport: offer a=group:BUNDLE")
    if not first.rtcp_mux:
        raise OfferRefused(422, "no_rtcp_mux", "RTP and RTCP have to share one port: offer a=rtcp-mux")
    if first.dtls is None or not any(f.algorithm.lower() == "sha-256" for f in first.dtls.fingerprints):
        raise OfferRefused(422, "no_dtls", "the offer has no DTLS fingerprint (sha-256) or no a=setup")
    ice = first.ice
    if ice is None or not ice.usernameFragment or not ice.password:
        raise OfferRefused(422, "no_ice", "the offer has no ICE credentials")
    if ice.iceLite:
        raise OfferRefused(422, "ice_lite", "both sides would be ICE-lite: the client has to be a full ICE agent")
    return tuple(first.dtls.fingerprints), str(ice.usernameFragment)


def _video(media: MediaDescription, codecs: Sequence[str], profile: str | None, *, sending: bool) -> Track | None:
    for name in codecs:
        codec = _h264(media, profile) if name == H264 else _other(media, name)
        if codec is not None:
            return _track(media, name, codec, sending=sending)
    return None


def _other(media: MediaDescription, name: str) -> Any:
    """Give the first offered codec of this name; AV1's profile 0 is what every decoder has."""
    for codec in media.rtp.codecs:
        if codec.mimeType.lower() == f"video/{name.lower()}" and str(codec.parameters.get("profile", "0")) == "0":
            return codec
    return None


def _h264(media: MediaDescription, profile: str | None) -> Any:
    best: tuple[int, Any] | None = None
    for codec in media.rtp.codecs:
        if codec.mimeType.lower() != "video/h264" or str(codec.parameters.get("packetization-mode", "0")) != "1":
            continue
        offered = str(codec.parameters.get("profile-level-id", "42e01f")).lower()
        # The stream's own profile, else constrained baseline: browsers decode High whatever the answer says.
        rank = 0 if offered[:2] == profile else 1 if offered.startswith("42e0") else 2 if offered[:2] == "42" else 3
        if best is None or rank < best[0]:
            best = rank, codec
    return None if best is None else best[1]


def _track(media: MediaDescription, name: str, codec: Any, *, sending: bool) -> Track:
    rtx = next(
        (
            other.payloadType
            for other in media.rtp.codecs
            if other.mimeType.lower() == "video/rtx" and other.parameters.get("apt") == codec.payloadType
        ),
        None,
    )
    feedback = {(f.type, f.parameter) for f in codec.rtcpFeedback}
    parameters = []
    if name == H264:
        level = _hex6(str(codec.parameters.get("profile-level-id", "42e01f")))
        parameters += ["level-asymmetry-allowed=1", "packetization-mode=1", f"profile-level-id={level}"]
    if not sending:
        # Chrome begins with 300 kbit/s and takes half a minute to what a shop window needs.
        parameters.append(f"x-google-start-bitrate={START_KBITS_PER_S}")
    known = (("nack", None), ("nack", "pli"), ("ccm", "fir"))
    return Track(
        VIDEO,
        media.rtp.muxId,
        codec.payloadType,
        f"{name}/90000",
        ";".join(parameters),
        name,
        tuple(f"{kind} {what}" if what else kind for kind, what in known if (kind, what) in feedback),
        # A host sends again in its own stream: one less to put together.
        rtx if sending else None,
        _extension(media, PLAYOUT_DELAY) if sending else None,
    )


def _hex6(text: str) -> str:
    """The profile as offered when it is one: it goes into our answer."""
    return text if len(text) == 6 and all(c in "0123456789abcdefABCDEF" for c in text) else "42e01f"


def _audio(media: MediaDescription) -> Track | None:
    for codec in media.rtp.codecs:
        if codec.mimeType.lower() == "audio/opus" and codec.clockRate == 48_000 and codec.payloadType is not None:
            return Track(
                AUDIO, media.rtp.muxId, codec.payloadType, "opus/48000/2", "minptime=10;useinbandfec=1;stereo=1"
            )
    return None


def _extension(media: MediaDescription, uri: str) -> int | None:
    return next((e.id for e in media.rtp.headerExtensions if e.uri == uri and 1 <= e.id <= 14), None)


@dataclass(frozen=True, slots=True)
class Source:
    """What we send of one kind: its SSRCs, and the RTP time at media time 0 (modulo 2**32)."""

    ssrc: int
    rtx_ssrc: int | None
    epoch: int


def answer(offer: Offer, local: LocalEnd, *, session: int, sources: dict[str, Source]) -> str:
    """Write the answer. `sources`: what we send by kind, empty when we receive; `session`: a number of o=."""
    sending = bool(sources)
    family = "IP6" if ":" in local.addresses[0] else "IP4"
    mids = " ".join(track.mid for track in offer.tracks)
    lines = [
        "v=0",
        f"o=siyu {session} 1 IN {family} {local.addresses[0]}",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=group:BUNDLE {mids}",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS siyu",
    ]
    for kind, mid, protocol, first_format, track in offer.sections:
        if track is None:
            lines += [f"m={kind} 0 {protocol} {first_format}", "c=IN IP4 0.0.0.0", "a=inactive"]
            lines += [f"a=mid:{mid}"] if mid else []
            continue
        lines += _accepted(track, protocol, local, family, "active" if offer.connects else "passive")
        lines.append("a=sendonly" if sending else "a=recvonly")
        if sending:
            source = sources[kind]
            ssrc, rtx = source.ssrc, source.rtx_ssrc
            lines.append(f"a=msid:siyu siyu-{kind}")
            # RFC 7273 sections 4.8 and 5.1: the stream's media clock is the reference, and this its RTP time at 0.
            lines += ["a=ts-refclk:local", f"a=mediaclk:direct={source.epoch}"]
            if rtx is not None and track.rtx_payload_type is not None:
                lines += [f"a=ssrc-group:FID {ssrc} {rtx}", f"a=ssrc:{ssrc} cname:siyu", f"a=ssrc:{rtx} cname:siyu"]
            else:
                lines.append(f"a=ssrc:{ssrc} cname:siyu")
    return "\r\n".join(lines) + "\r\n"


def _accepted(track: Track, protocol: str, local: LocalEnd, family: str, setup: str) -> list[str]:
    number = track.payload_type
    rtx = track.rtx_payload_type
    formats = f"{number} {rtx}" if rtx is not None else f"{number}"
    lines = [
        f"m={track.kind} {local.port} {protocol} {formats}",
        f"c=IN {family} {local.addresses[0]}",
        f"a=mid:{track.mid}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        f"a=rtpmap:{number} {track.format}",
        *([f"a=fmtp:{number} {track.parameters}"] if track.parameters else []),
        *(f"a=rtcp-fb:{number} {what}" for what in track.feedback),
    ]
    if rtx is not None:
        lines += [f"a=rtpmap:{rtx} rtx/90000", f"a=fmtp:{rtx} apt={number}"]
    if track.playout_delay is not None:
        lines.append(f"a=extmap:{track.playout_delay} {PLAYOUT_DELAY}")
    lines += [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{setup}",
    ]
    # RFC 8445 section 5.1.2.1: host candidates, type preference 126, the first address first.
    for index, address in enumerate(local.addresses):
        priority = 126 << 24 | (65_535 - index) << 8 | 255
        lines.append(f"a=candidate:{index + 1} 1 udp {priority} {address} {local.port} typ host")
    if local.tcp:
        # Below every UDP candidate; of TCP's the direction preference for passive is 4 (RFC 6544 section 4.2).
        for index, address in enumerate(local.addresses, len(local.addresses)):
            priority = 90 << 24 | (4 << 13 | 8191 - index) << 8 | 255
            lines.append(f"a=candidate:{index + 1} 1 tcp {priority} {address} {local.port} typ host tcptype passive")
    lines.append("a=end-of-candidates")
    return lines


def ice_fragment(text: str) -> str | None:
    """Give the ICE user name of an SDP fragment (RFC 8840 section 9); None when it has none.

    Raises OfferRefused 400 when it is no fragment.
    """
    ufrag = None
    for line in text.splitlines():
        if line and line[1:2] != "=":
            raise OfferRefused(400, "bad_sdp", "this is not an SDP fragment")
        if line.startswith("a=ice-ufrag:"):
            ufrag = line.removeprefix("a=ice-ufrag:").strip()
            if not 4 <= len(ufrag) <= 256:
                raise OfferRefused(400, "bad_sdp", "an ICE user name has 4 to 256 characters (RFC 8839 section 5.4)")
    return ufrag
