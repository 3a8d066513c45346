"""Chromium as a WHEP viewer, in the soak run: each way by which media gets to it, and each codec that it knows."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from stream.packet import Codec
from tests.outside import chromium
from tests.stream.media import Clip, make_clip
from tests.stream.webrtc_host import outside_host
from tests.stream.webrtc_stage import WebRtcStage, webrtc_stage

pytestmark = [pytest.mark.soak, pytest.mark.browser]

OFFER = """
async () => {
  const pc = window.pc = new RTCPeerConnection();
  const video = document.createElement("video");
  video.autoplay = video.playsInline = video.muted = true;
  document.body.append(video);
  pc.ontrack = (event) => { video.srcObject = event.streams[0]; };
  for (const kind of ["video", "audio"]) pc.addTransceiver(kind, {direction: "recvonly"});
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}
"""
ANSWER = "(sdp) => pc.setRemoteDescription({type: 'answer', sdp})"
FOUND = """
async () => {
  const stats = [...(await pc.getStats()).values()];
  const video = stats.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video");
  const pair = stats.find((entry) => entry.type === "candidate-pair" && entry.nominated);
  if (!video || !pair) return { frames: 0 };
  const { protocol, address } = stats.find((entry) => entry.id === pair.remoteCandidateId);
  const codec = stats.find((entry) => entry.id === video.codecId)?.mimeType;
  return { frames: video.framesDecoded, lost: video.packetsLost, codec, protocol, address };
}
"""


@pytest.fixture(scope="module")
def plain_clip() -> Clip:
    return make_clip(2, b_frames=0)


@contextlib.asynccontextmanager
async def chromium_page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--autoplay-policy=no-user-gesture-required",
                "--allow-loopback-in-peer-connection",
            ],
        )
        yield await browser.new_page()
        await browser.close()


async def until_frames(page: Page, count: int) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (found := await page.evaluate(FOUND))["frames"] < count:
            await asyncio.sleep(0.2)
    return dict(found)


def candidates(sdp: str) -> set[tuple[str, str]]:
    return {(line.split()[2], line.split()[4]) for line in sdp.split("\r\n") if line.startswith("a=candidate")}


def only(sdp: str, protocol: str, address: str) -> str:
    """The answer with the candidates of one way alone."""
    lines = sdp.split("\r\n")
    kept = [
        line
        for line in lines
        if not line.startswith("a=candidate") or (f" {protocol} " in line and f" {address} " in line)
    ]
    return "\r\n".join(kept)


async def answered(stage: WebRtcStage, page: Page) -> str:
    return stage.whep.join("room", await page.evaluate(OFFER), client="127.0.0.1").sdp


@pytest.mark.parametrize(
    ("protocol", "address"), [("udp", "127.0.0.1"), ("udp", "::1"), ("tcp", "127.0.0.1"), ("tcp", "::1")]
)
async def test_chromium_plays_by_one_way_alone(plain_clip: Clip, protocol: str, address: str) -> None:
    ways = ("127.0.0.1", "::1")
    async with webrtc_stage(host="::", addresses=ways) as stage, chromium_page() as page:
        stage.feed(stage.publish(), plain_clip, ready=20)
        await stage.until_playing()
        sdp = await answered(stage, page)
        assert candidates(sdp) == {(each, at) for each in ("udp", "tcp") for at in ways}
        await page.evaluate(ANSWER, only(sdp, protocol, address))
        found = await until_frames(page, 30)
        assert (found["protocol"], found["address"].strip("[]"), found["lost"]) == (protocol, address, 0)


async def test_chromium_decodes_vp8_of_a_whip_host_as_it_came() -> None:
    codecs = (Codec.H264, Codec.VP8)
    async with webrtc_stage(codecs=codecs) as stage, outside_host("video/VP8") as host, chromium_page() as page:
        await host.publish(stage)
        await stage.until_playing()
        await page.evaluate(ANSWER, await answered(stage, page))
        found = await until_frames(page, 30)
        assert (found["codec"], found["lost"]) == ("video/VP8", 0)
