"""Chromium as a WHEP viewer over a wire that loses packets, for longer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from tests.gateway.test_whep import STATS, hosted, until_live
from tests.harness import LiveServer
from tests.outside import chromium
from tests.stream.lossy_wire import by_chance, lossy_wire

__all__ = ["hosted"]

OFFER = """async (room) => {
  const pc = window.pc = new RTCPeerConnection();
  const video = document.createElement("video");
  video.autoplay = video.playsInline = video.muted = true;
  document.body.append(video);
  pc.ontrack = (event) => { video.srcObject = event.streams[0]; };
  for (const kind of ["video", "audio"]) pc.addTransceiver(kind, {direction: "recvonly"});
  await pc.setLocalDescription();
  const answer = await fetch("/whep/" + room, {
    method: "POST", body: pc.localDescription.sdp, headers: {"Content-Type": "application/sdp"}});
  return await answer.text();
}"""
ANSWER = "(sdp) => pc.setRemoteDescription({type: 'answer', sdp})"


async def picture(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = (await page.evaluate(STATS)).get("video", {})
    return found


async def until_decoded(page: Page, count: int) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (stats := await picture(page)).get("framesDecoded", 0) < count:
            await asyncio.sleep(0.2)
    return stats


@pytest.mark.soak
@pytest.mark.browser
@pytest.mark.parametrize("share", [0.05, 0.2])
async def test_chromium_goes_on_seeing_the_picture_over_a_lossy_wire(hosted: LiveServer, share: float) -> None:
    await until_live(hosted)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
        )
        page = await browser.new_page()
        await page.goto(f"{hosted.base}/healthz")
        sdp = await page.evaluate(OFFER, hosted.room)
        port = int(sdp.split(" typ host")[0].rsplit(" ", 1)[1])
        async with lossy_wire(port, lambda data, from_server: False) as wire:
            await page.evaluate(ANSWER, wire.rewrite(sdp))
            before = await until_decoded(page, 25)
            wire.loses = by_chance(share)
            # 25 pictures a second: 20 s when nothing is lost for good.
            after = await until_decoded(page, before["framesDecoded"] + 500)
            print({name: after.get(name) for name in ("nackCount", "pliCount", "freezeCount", "keyFramesDecoded")})
            assert after["nackCount"] > before["nackCount"]
            assert wire.lost[True] > 100 * share
            if share <= 0.05:
                # Made good by asking again: no picture was given up.
                assert after["pliCount"] == before["pliCount"]
            wire.loses = lambda data, from_server: False
            await until_decoded(page, after["framesDecoded"] + 50)
        await browser.close()
