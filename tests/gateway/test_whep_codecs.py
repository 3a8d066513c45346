"""Codecs beside H.264 in Chromium: what a host sends is what a WHEP viewer decodes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from playwright.async_api import async_playwright

from tests.gateway.test_whep import PLAY, STATS
from tests.harness import live_server
from tests.integration.outsiders import metric
from tests.outside import chromium

CODEC = """
async () => {
  const stats = [...(await pc.getStats()).values()];
  const video = stats.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video");
  return stats.find((entry) => entry.id === video.codecId).mimeType;
}
"""

BROADCAST = """
async ([room, key]) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 180];
  const context = canvas.getContext("2d");
  let turn = 0;
  setInterval(() => {
    context.fillStyle = `hsl(${turn++ % 360} 80% 50%)`;
    context.fillRect((turn * 3) % 320, (turn * 2) % 180, 40, 40);
  }, 40);
  window.host = new RTCPeerConnection();
  const sender = host.addTransceiver(canvas.captureStream(25).getVideoTracks()[0], {direction: "sendonly"});
  const codecs = RTCRtpSender.getCapabilities("video").codecs.filter((codec) => codec.mimeType === "video/AV1");
  sender.setCodecPreferences(codecs);
  await host.setLocalDescription();
  const headers = {"Content-Type": "application/sdp", Authorization: `Bearer ${key}`};
  const answer = await fetch(`/whip/${room}`, {method: "POST", headers, body: host.localDescription.sdp});
  if (answer.status !== 201) return `${answer.status} ${await answer.text()}`;
  await host.setRemoteDescription({type: "answer", sdp: await answer.text()});
  return "";
}
"""


@pytest.mark.soak
@pytest.mark.browser
@pytest.mark.parametrize("transcode", [True, False])
async def test_a_browser_that_has_av1_alone_broadcasts_it_where_there_is_a_transcoder(
    tmp_path: Path, transcode: bool
) -> None:
    """Who has AV1 gets it as it came, the others re-encoded; without a transcoder the host is told why not."""
    with live_server(tmp_path, flags=["--record", *(["--transcode"] if transcode else [])]) as server:
        async with async_playwright() as playwright, httpx.AsyncClient(timeout=60) as client:
            browser = await playwright.chromium.launch(
                executable_path=chromium(),
                args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
            )
            page, viewer = await browser.new_page(), await browser.new_page()
            await page.goto(f"{server.base}/healthz")
            said = await page.evaluate(BROADCAST, [server.room, server.seed["stream_key"]])
            if not transcode:
                assert said.startswith("422") and "no_h264" in said
                await browser.close()
                return
            assert said == ""
            room = f"{server.base}/api/v1/rooms/{server.room}"
            async with asyncio.timeout(60):
                while not (await client.get(room)).json()["stream"]["live"]:
                    await asyncio.sleep(0.1)
            assert (await client.get(room)).json()["stream"]["video"].startswith("av01.0.")
            # There is no sound to wait for, and the server does for 2 s.
            await asyncio.sleep(2.5)
            await viewer.goto(f"{server.base}/healthz")
            await viewer.evaluate(PLAY, server.room)
            stats: dict[str, Any] = {}
            async with asyncio.timeout(60):
                while stats.get("video", {}).get("framesDecoded", 0) < 30:
                    await asyncio.sleep(0.2)
                    stats = await viewer.evaluate(STATS)
            assert stats["video"]["frameWidth"] == 320
            assert await viewer.evaluate(CODEC) == "video/AV1"
            assert metric(server, "siyu_renditions_active") == 0
            assert await asyncio.to_thread(decoder_of, f"{server.base}/live/{server.room}.flv") == "libdav1d"
            assert await asyncio.to_thread(decoder_of, f"{server.base}/live/{server.room}.mp4") == "h264"
            await browser.close()
        (show,) = server.call("GET", f"/rooms/{server.room}/shows").json()["items"]
        assert (
            await asyncio.to_thread(decoder_of, f"{server.base}/replay/{server.room}/{show['show']}/index.m3u8")
            == "libdav1d"
        )


def decoder_of(url: str) -> str:
    """What PyAV decodes the picture at an address with (Debian's ffprobe does not know AV1 in FLV)."""
    with av.open(url, "r", timeout=120) as source:
        next(source.decode(video=0))
        return source.streams.video[0].codec_context.name


@pytest.mark.soak
@pytest.mark.browser
async def test_chromium_decodes_av1_of_an_enhanced_rtmp_host(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        host = subprocess.Popen([sys.executable, "-m", "tests.gateway.av1_host", server.publish_url])
        try:
            async with asyncio.timeout(60), httpx.AsyncClient() as client:
                while not (await client.get(f"{server.base}/api/v1/rooms/{server.room}")).json()["stream"]["live"]:
                    await asyncio.sleep(0.1)
                # There is no sound to wait for, and the server does for 2 s.
                await asyncio.sleep(2.5)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=chromium(),
                    args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
                )
                page = await browser.new_page()
                await page.goto(f"{server.base}/healthz")
                await page.evaluate(PLAY, server.room)
                stats: dict[str, Any] = {}
                async with asyncio.timeout(60):
                    while stats.get("video", {}).get("framesDecoded", 0) < 30:
                        await asyncio.sleep(0.2)
                        stats = await page.evaluate(STATS)
                assert stats["video"]["frameWidth"] == 320
                assert stats["video"]["packetsLost"] == 0
                assert await page.evaluate(CODEC) == "video/AV1"
                await browser.close()
        finally:
            host.kill()
            host.wait()
