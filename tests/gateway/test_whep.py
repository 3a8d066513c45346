"""WHEP over HTTP: RFC 9725's rules without a network, then a whole server with Chromium and aiortc as players."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from playwright.async_api import Page, async_playwright

from stream.packet import Packet
from tests.gateway.rig import Rig, rig
from tests.harness import LiveServer, live_server
from tests.outside import chromium, need
from tests.stream.media import make_clip
from tests.stream.stage import Host

SDP = {"content-type": "application/sdp"}
FRAGMENT = {"content-type": "application/trickle-ice-sdpfrag"}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    """A rig whose room is live: a host that has sent 30 packets."""
    async with rig(tmp_path) as made:
        services = made.application.services
        publication = services.directory.publish(made.shop.room, Host(), services.clock())
        for packet in first_second():
            publication.push(packet, services.clock())
        yield made
        publication.end("over", services.clock())


def first_second() -> list[Packet]:
    clip = make_clip(1, (160, 96), b_frames=0)
    return [*clip.configs, *clip.media[:30]]


async def make_offer(*kinds: str) -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in kinds or ("video", "audio"):
        connection.addTransceiver(kind, direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    text: str = connection.localDescription.sdp
    await connection.close()
    return text


async def post(live: Rig, body: str | bytes, **headers: str) -> httpx.Response:
    return await live.client.post(f"/whep/{live.shop.room}", content=body, headers={**SDP, **headers})


async def test_an_offer_is_answered_with_201_a_location_and_a_tag(live: Rig) -> None:
    answer = await post(live, await make_offer())
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"].startswith("application/sdp")
    assert answer.headers["location"].startswith(f"/whep/{live.shop.room}/")
    assert answer.headers["etag"].startswith('"')
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"location", "etag", "link"} <= exposed
    lines = answer.text.split("\r\n")
    assert "a=ice-lite" in lines
    assert lines.count("a=sendonly") == 2
    assert lines.count("a=setup:passive") == 2
    assert f" {live.application.streaming.webrtc.port} typ host" in answer.text


async def test_a_session_is_ended_by_delete_and_only_once(live: Rig) -> None:
    location = (await post(live, await make_offer())).headers["location"]
    assert (await live.client.delete(location)).status_code == 200
    assert (await live.client.delete(location)).status_code == 404


async def test_trickled_candidates_are_taken_and_an_older_tag_is_not(live: Rig) -> None:
    offer = await make_offer()
    ufrag = offer.split("a=ice-ufrag:")[1].split("\r\n")[0]
    opened = await post(live, offer)
    location, tag = opened.headers["location"], opened.headers["etag"]
    fragment = (
        f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:x\r\nm=video 9 RTP/AVP 0\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n"
    )
    assert (await live.client.patch(location, content=fragment, headers=FRAGMENT)).status_code == 428
    good = await live.client.patch(location, content=fragment, headers={**FRAGMENT, "if-match": tag})
    assert (good.status_code, good.content) == (204, b"")
    stale = await live.client.patch(location, content=fragment, headers={**FRAGMENT, "if-match": '"other"'})
    assert stale.status_code == 412
    wrong = await live.client.patch(location, content=fragment, headers={**SDP, "if-match": tag})
    assert wrong.status_code == 415


async def test_an_ice_restart_gets_new_credentials_and_a_new_tag(live: Rig) -> None:
    opened = await post(live, await make_offer())
    location = opened.headers["location"]
    fragment = "a=ice-ufrag:abcdefgh\r\na=ice-pwd:0123456789012345678901\r\n"
    again = await live.client.patch(location, content=fragment, headers={**FRAGMENT, "if-match": "*"})
    assert again.status_code == 200
    assert again.headers["etag"] != opened.headers["etag"]
    assert "a=ice-ufrag:" in again.text
    assert "a=ice-pwd:" in again.text


async def test_options_says_what_may_be_posted(live: Rig) -> None:
    answer = await live.client.options(f"/whep/{live.shop.room}")
    assert answer.status_code == 204
    assert answer.headers["accept-post"] == "application/sdp"
    assert "authorization" in answer.headers["access-control-allow-headers"]


async def test_a_bad_offer_is_refused_with_a_reason(live: Rig) -> None:
    for offer, status, code in (
        ("<html>", 400, "bad_sdp"),
        (b"v=0\r\n\xff\xff", 400, "bad_sdp"),
        ((await make_offer()).replace("H264", "H265"), 422, "no_h264"),
    ):
        answer = await post(live, offer)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
    assert live.application.streaming.whep.viewers == 0


async def test_an_offer_of_another_type_is_refused(live: Rig) -> None:
    answer = await live.client.post(f"/whep/{live.shop.room}", json={})
    assert answer.status_code == 415


async def test_a_room_that_is_not_there_and_one_that_is_not_live_are_told_apart(live: Rig) -> None:
    assert (await live.client.post("/whep/nowhere", content="v=0", headers=SDP)).status_code == 404
    quiet = await live.client.post(f"/whep/{live.other.room}", content=await make_offer(), headers=SDP)
    assert quiet.status_code == 409
    assert quiet.headers["retry-after"] == "1"


async def test_the_room_tells_its_whep_address(live: Rig) -> None:
    room = (await live.call("GET", f"/rooms/{live.shop.room}")).json()
    assert room["play"]["whep"].endswith(f"/whep/{live.shop.room}")


async def test_with_play_auth_a_viewer_needs_a_token_of_the_room(tmp_path: Path) -> None:
    async with rig(tmp_path, play_auth=True) as made:
        assert (await post(made, "v=0")).status_code == 401
        other = await made.guest(made.other.room)
        assert (await post(made, "v=0", authorization=f"Bearer {other['token']}")).status_code == 403
        guest = await made.guest()
        # Past the door, and no further: the room is not live.
        assert (await post(made, "v=0", authorization=f"Bearer {guest['token']}")).status_code == 409


async def test_candidates_carry_the_public_address(tmp_path: Path) -> None:
    async with rig(tmp_path, udp_host="203.0.113.7") as made:
        services = made.application.services
        publication = services.directory.publish(made.shop.room, Host(), services.clock())
        for packet in first_second():
            publication.push(replace(packet), services.clock())
        answer = await post(made, await make_offer())
        candidates = [line for line in answer.text.split("\r\n") if line.startswith("a=candidate")]
        assert candidates
        assert all(" 203.0.113.7 " in line for line in candidates)
        publication.end("over", services.clock())


# — a whole server —


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server on which ffmpeg broadcasts H.264 without B-frames and AAC over RTMP."""
    ffmpeg = need("ffmpeg")
    with live_server(tmp_path_factory.mktemp("whep")) as server:
        command = [ffmpeg, "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25"]
        command += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100", "-c:v", "libx264", "-bf", "0"]
        command += ["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac", "-f", "flv"]
        host = subprocess.Popen([*command, server.publish_url], stdin=subprocess.DEVNULL)
        try:
            yield server
        finally:
            host.kill()
            host.wait()


async def until_live(server: LiveServer) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while not (await client.get(f"{server.base}/api/v1/rooms/{server.room}")).json()["stream"]["audio"]:
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)


async def test_aiortc_plays_a_room_over_http(hosted: LiveServer) -> None:
    await until_live(hosted)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="recvonly")
    frames = asyncio.Queue[int](100)

    @connection.on("track")
    async def on_track(track: Any) -> None:
        for _ in range(20):
            frames.put_nowait((await track.recv()).width)

    await connection.setLocalDescription(await connection.createOffer())
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{hosted.base}/whep/{hosted.room}", content=connection.localDescription.sdp, headers=SDP
        )
        assert answer.status_code == 201, answer.text
        await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        async with asyncio.timeout(60):
            assert [await frames.get() for _ in range(20)] == [320] * 20
        assert (await client.delete(hosted.base + answer.headers["location"])).status_code == 200
    await connection.close()


PLAY = """
async (room) => {
  const pc = window.pc = new RTCPeerConnection();
  const video = document.createElement("video");
  video.autoplay = video.playsInline = true;
  document.body.append(video);
  const stream = new MediaStream();
  pc.ontrack = (event) => { stream.addTrack(event.track); video.srcObject = stream; };
  pc.addTransceiver("video", {direction: "recvonly"});
  pc.addTransceiver("audio", {direction: "recvonly"});
  await pc.setLocalDescription(await pc.createOffer());
  const answer = await fetch("/whep/" + room, {
    method: "POST", body: pc.localDescription.sdp, headers: {"Content-Type": "application/sdp"}});
  if (answer.status !== 201) throw new Error(await answer.text());
  window.location_ = answer.headers.get("Location");
  await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
}
"""
STATS = """
async () => {
  const found = {};
  for (const entry of (await pc.getStats()).values()) {
    if (entry.type === "inbound-rtp") found[entry.kind] = entry;
  }
  return found;
}
"""


@pytest.mark.browser
async def test_chromium_plays_a_room_with_picture_and_sound(hosted: LiveServer) -> None:
    await until_live(hosted)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        page = await browser.new_page()
        await page.goto(f"{hosted.base}/healthz")
        await page.evaluate(PLAY, hosted.room)
        stats: dict[str, Any] = {}
        async with asyncio.timeout(60):
            while (
                stats.get("video", {}).get("framesDecoded", 0) < 30
                or stats.get("audio", {}).get("packetsReceived", 0) < 20
                or not stats["audio"]["totalAudioEnergy"]
            ):
                await asyncio.sleep(0.2)
                stats = await page.evaluate(STATS)
        assert stats["video"]["frameWidth"] == 320
        assert stats["video"]["packetsLost"] == 0
        assert stats["audio"]["packetsLost"] == 0
        await browser.close()


async def until_true(page: Page, expression: str) -> None:
    """By questions of our own: the page's security policy lets no string be evaluated inside it."""
    async with asyncio.timeout(60):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.1)


@pytest.mark.browser
async def test_the_viewer_page_plays_by_webrtc_when_asked(hosted: LiveServer) -> None:
    await until_live(hosted)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = await browser.new_page()
        await page.goto(f"{hosted.base}/r/{hosted.room}?player=whep")
        playing = "document.getElementById('player').srcObject && document.getElementById('player').currentTime > 0.5"
        await until_true(page, playing)
        assert await page.evaluate("document.getElementById('player').videoWidth") == 320
        await browser.close()


@pytest.mark.browser
async def test_the_viewer_page_falls_back_when_webrtc_cannot_carry_the_stream(tmp_path: Path) -> None:
    ffmpeg = need("ffmpeg")
    with live_server(tmp_path) as server:
        command = [ffmpeg, "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25"]
        command += ["-f", "lavfi", "-i", "sine", "-c:v", "libx264", "-bf", "2", "-preset", "veryfast"]
        command += ["-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac", "-f", "flv", server.publish_url]
        host = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            await until_live(server)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=chromium(),
                    args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
                )
                page = await browser.new_page()
                await page.goto(f"{server.base}/r/{server.room}?player=whep")
                video = "document.getElementById('player')"
                playing = f"!{video}.srcObject && {video}.src.startsWith('blob:') && {video}.videoWidth == 320"
                await until_true(page, playing)
                await browser.close()
        finally:
            host.kill()
            host.wait()
