"""Offers and answers: what is taken, what is refused and why."""

from collections.abc import Callable

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import OfferRefused
from stream.webrtc_sdp import AUDIO, VIDEO, LocalEnd, Source, agree, answer, ice_fragment

FINGERPRINT = ":".join(["AB"] * 32)
LOCAL = LocalEnd("ufrag", "password", ("192.0.2.1", "198.51.100.7"), 8189, FINGERPRINT)

# Chrome's, cut to what matters: several profiles, retransmission, extensions, a data channel behind.
CHROME = f"""v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:0 PCMU/8000
m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 117 118
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=extmap:1 urn:ietf:params:rtp-hdrext:toffset
a=extmap:5/recvonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:103 H264/90000
a=rtcp-fb:103 nack
a=rtcp-fb:103 nack pli
a=rtcp-fb:103 ccm fir
a=rtcp-fb:103 transport-cc
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
a=rtpmap:107 H264/90000
a=fmtp:107 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:108 rtx/90000
a=fmtp:108 apt=107
a=rtpmap:117 H264/90000
a=fmtp:117 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640034
a=rtpmap:118 H264/90000
a=fmtp:118 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=4d001f
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:2
a=sctp-port:5000
""".replace("\n", "\r\n")


async def aiortc_offer(*kinds: str) -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in kinds:
        connection.addTransceiver(kind, direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    text: str = connection.localDescription.sdp
    await connection.close()
    return text


@pytest.mark.parametrize(("profile", "payload_type"), [("64", 117), ("42", 103), ("4d", 107), (None, 107)])
def test_the_streams_own_profile_is_chosen_else_constrained_baseline(profile: str | None, payload_type: int) -> None:
    video = agree(CHROME, sending=True, profile=profile).track(VIDEO)
    assert video is not None
    assert video.payload_type == payload_type


def test_an_answer_keeps_the_offers_order_and_rejects_what_is_not_ours() -> None:
    offer = agree(CHROME, sending=True, profile="42")
    text = answer(offer, LOCAL, session=7, sources={VIDEO: Source(11, 12, 900), AUDIO: Source(13, None, 900)})
    assert [line for line in text.split("\r\n") if line.startswith("m=")] == [
        "m=audio 8189 UDP/TLS/RTP/SAVPF 111",
        "m=video 8189 UDP/TLS/RTP/SAVPF 103 104",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
    ]
    assert "a=group:BUNDLE 0 1\r\n" in text
    assert "a=ssrc-group:FID 11 12" in text
    assert "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay" in text
    assert "a=rtcp-fb:103 nack pli" in text
    assert "transport-cc" not in text
    assert text.count("a=candidate:") == 4


def test_a_stream_without_sound_is_answered_with_the_picture_alone() -> None:
    offer = agree(CHROME, sending=True, profile="42", audio=False)
    text = answer(offer, LOCAL, session=7, sources={VIDEO: Source(11, 12, 900)})
    assert "m=audio 0 " in text
    assert "a=group:BUNDLE 1\r\n" in text


async def test_aiortc_reads_the_answer_to_its_own_offer() -> None:
    text = await aiortc_offer("video", "audio")
    offer = agree(text, sending=True, profile="64")
    assert {track.kind for track in offer.tracks} == {VIDEO, AUDIO}


def changed(offer: str, old: str, new: str) -> str:
    assert old in offer
    return offer.replace(old, new)


BAD_OFFERS: list[tuple[Callable[[str], str], int, str]] = [
    (lambda offer: "", 400, "bad_sdp"),
    (lambda offer: "v=0\r\n", 400, "bad_sdp"),
    (lambda offer: "<html>", 400, "bad_sdp"),
    (lambda offer: changed(offer, "a=rtpmap", "a=rtpmap:x"), 400, "bad_sdp"),
    (lambda offer: offer + "a=x\r\n" * 20_000, 413, "too_long"),
    (lambda offer: changed(offer, "a=mid:0", "a=mid:0\t"), 400, "bad_sdp"),
    (lambda offer: changed(offer, "a=mid:0", "a=mid:0 a=x"), 400, "bad_sdp"),
    (lambda offer: changed(offer, "H264", "H265"), 422, "no_h264"),
    (lambda offer: changed(offer, "packetization-mode=1", "packetization-mode=0"), 422, "no_h264"),
    (lambda offer: changed(offer, "a=recvonly", "a=sendonly"), 422, "no_video"),
    (lambda offer: changed(offer, "a=rtcp-mux", "a=rtcp-mix"), 422, "no_rtcp_mux"),
    (lambda offer: changed(offer, "a=group:BUNDLE", "a=group:LS"), 422, "no_bundle"),
    (lambda offer: changed(offer, "a=fingerprint:sha-256", "a=fingerprint:md5"), 422, "no_dtls"),
    (lambda offer: changed(offer, "a=ice-pwd", "a=ice-pass"), 422, "no_ice"),
]


@pytest.mark.parametrize(("change", "status", "code"), BAD_OFFERS)
async def test_a_bad_offer_is_refused_with_a_reason(change: Callable[[str], str], status: int, code: str) -> None:
    with pytest.raises(OfferRefused) as refused:
        agree(change(await aiortc_offer("video", "audio")), sending=True, profile="42")
    assert (refused.value.status, refused.value.code) == (status, code)


LINES = CHROME.split("\r\n")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from(["drop", "double", "cut", "junk"])), max_size=6)
)
def test_whatever_an_offer_says_it_is_answered_or_refused(changes: list[tuple[int, str]]) -> None:
    lines = list(LINES)
    for at, change in changes:
        line = lines[at]
        lines[at] = {
            "drop": "",
            "double": f"{line}\r\n{line}",
            "cut": line[: len(line) // 2],
            "junk": f"{line} \u00e9;=:",
        }[change]
    try:
        offer = agree("\r\n".join(line for line in lines if line), sending=True, profile="42")
    except OfferRefused:
        return
    sources = {VIDEO: Source(1, 2, 3), AUDIO: Source(3, None, 4)}
    assert answer(offer, LOCAL, session=1, sources=sources).startswith("v=0")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_refused_and_never_breaks(text: str) -> None:
    with pytest.raises(OfferRefused):
        agree("v=0" + text, sending=True, profile=None)


def test_an_ice_fragment_tells_its_user_name() -> None:
    assert ice_fragment("a=ice-ufrag:abcd\r\na=ice-pwd:x\r\n") == "abcd"
    assert ice_fragment("m=audio 9 RTP/AVP 0\r\na=mid:0\r\n") is None
    for broken in ("hello", "a=ice-ufrag:a\r\n"):
        with pytest.raises(OfferRefused):
            ice_fragment(broken)


@pytest.mark.parametrize("character", ["\x08", "\0", "\x85", "\u2028"])
def test_control_characters_do_not_come_back_in_an_answer(character: str) -> None:
    # Found by fuzzing: a=mid was repeated with what stood in it.
    text = CHROME.replace("a=mid:1", f"a=mid:1{character}")
    with pytest.raises(OfferRefused, match="control characters") as refused:
        agree(text, sending=True)
    assert (refused.value.status, refused.value.code) == (400, "bad_sdp")


def test_a_peer_that_waits_for_the_handshake_is_answered_as_the_one_that_begins_it() -> None:
    for said, answered in (("actpass", "passive"), ("active", "passive"), ("passive", "active")):
        offer = agree(CHROME.replace("a=setup:actpass", f"a=setup:{said}"), sending=True)
        text = answer(offer, LOCAL, session=7, sources={VIDEO: Source(1, 2, 3), AUDIO: Source(4, None, 5)})
        assert text.count(f"a=setup:{answered}\r\n") == 2
