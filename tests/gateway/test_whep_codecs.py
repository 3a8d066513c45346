"""Codecs beside H.264 in Chromium: what a host sends is what a WHEP viewer decodes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright

from tests.gateway.test_whep import PLAY, STATS, outsider
from tests.harness import live_server

CODEC = """
async () => {
  const stats = [...(await pc.getStats()).values()];
  const video = stats.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video");
  return stats.find((entry) => entry.id === video.codecId).mimeType;
}
"""


@pytest.mark.soak
@pytest.mark.browser
async def test_chromium_decodes_av1_of_an_enhanced_rtmp_host(tmp_path: Path) -> None:
    chromium = outsider("chromium")
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
                    executable_path=chromium,
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
