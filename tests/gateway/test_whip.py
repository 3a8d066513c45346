"""WHIP over HTTP: who may broadcast, then a whole server with Chromium as the host."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, VideoStreamTrack
from playwright.async_api import async_playwright, expect

from tests.gateway.rig import Rig, rig
from tests.gateway.test_whep import SDP, first_second
from tests.harness import LiveServer, live_server
from tests.outside import chromium
from tests.stream.fuzz_targets import OFFERS, flipped
from tests.stream.stage import Host


@pytest.fixture
async def quiet(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as made:
        yield made


async def make_offer() -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver(VideoStreamTrack(), direction="sendonly")
    connection.addTransceiver(AudioStreamTrack(), direction="sendonly")
    await connection.setLocalDescription(await connection.createOffer())
    text: str = connection.localDescription.sdp
    await connection.close()
    return text


async def post(made: Rig, token: str | None, body: str, room: str | None = None) -> httpx.Response:
    headers = {**SDP, **({"authorization": f"Bearer {token}"} if token else {})}
    return await made.client.post(f"/whip/{room or made.shop.room}", content=body, headers=headers)


async def test_only_the_rooms_key_and_its_hosts_token_may_broadcast(quiet: Rig) -> None:
    shop = quiet.shop
    guest = await quiet.guest()
    assert (await post(quiet, None, "v=0")).status_code == 401
    assert (await post(quiet, "wrong", "v=0")).status_code == 401
    assert (await post(quiet, guest["token"], "v=0")).status_code == 403
    assert (await post(quiet, quiet.other.host_token, "v=0")).status_code == 403
    assert (await post(quiet, quiet.other.stream_key, "v=0")).status_code == 401
    assert (await post(quiet, shop.stream_key, "v=0", room="nowhere")).status_code == 401
    # Past the door: the offer is none.
    for good in (shop.stream_key, shop.host_token):
        assert (await post(quiet, good, "v=0")).status_code == 400


async def test_a_room_has_one_host_until_it_is_silent_or_leaves(quiet: Rig) -> None:
    offer = await make_offer()
    opened = await post(quiet, quiet.shop.stream_key, offer)
    assert opened.status_code == 201, opened.text
    assert "a=recvonly" in opened.text
    assert opened.headers["location"].startswith(f"/whip/{quiet.shop.room}/")
    # The time in which the first one could fall silent does not pass.
    quiet.clock.stop()
    again = await post(quiet, quiet.shop.stream_key, offer)
    assert (again.status_code, again.json()["code"]) == (409, "live")
    assert (await quiet.client.delete(opened.headers["location"])).status_code == 200
    assert (await post(quiet, quiet.shop.stream_key, offer)).status_code == 201


async def test_a_host_that_reloads_its_page_takes_its_room_over_at_the_first_try(quiet: Rig) -> None:
    offer = await make_offer()
    first = await post(quiet, quiet.shop.stream_key, offer)
    assert first.status_code == 201
    # The first connection is not closed, and still looks alive.
    second = await post(quiet, quiet.shop.stream_key, offer)
    assert second.status_code == 201, second.text
    assert (await quiet.client.delete(first.headers["location"])).status_code == 404
    assert (await quiet.client.delete(second.headers["location"])).status_code == 200


PUBLISH = """
async ([room, key]) => {
  const pc = window.pc = new RTCPeerConnection();
  const media = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}, audio: true});
  for (const track of media.getTracks()) pc.addTransceiver(track, {direction: "sendonly"});
  await pc.setLocalDescription(await pc.createOffer());
  const answer = await fetch("/whip/" + room, {method: "POST", body: pc.localDescription.sdp,
    headers: {"Content-Type": "application/sdp", "Authorization": "Bearer " + key}});
  if (answer.status !== 201) throw new Error(await answer.text());
  await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
}
"""


async def watch_flv(server: LiveServer, seconds: float) -> bytes:
    """What an FLV viewer gets in that time."""
    body = bytearray()
    url = f"{server.base}/live/{server.room}.flv"
    async with httpx.AsyncClient(timeout=60) as client, client.stream("GET", url) as answer:
        assert answer.status_code == 200
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        async for chunk in answer.aiter_bytes():
            body += chunk
            if loop.time() > end:
                break
    return bytes(body)


def decoded(body: bytes) -> dict[str, Any]:
    """Frames of picture and sound in an FLV file, the picture's width and key frames."""
    found: dict[str, Any] = {"video": 0, "audio": 0, "width": 0, "keys": 0, "loud": 0.0}
    with av.open(io.BytesIO(body), "r", format="flv") as container:
        for packet in container.demux():
            if packet.stream.type == "video" and packet.is_keyframe and packet.size:
                found["keys"] += 1
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    found["video"] += 1
                    found["width"] = max(found["width"], frame.width)
                elif isinstance(frame, av.AudioFrame):
                    found["audio"] += 1
                    found["loud"] = max(found["loud"], float(np.abs(frame.to_ndarray()).max()))
    return found


@pytest.mark.browser
async def test_flv_viewers_see_and_hear_a_host_in_chromium(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium(),
                args=[
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-background-networking",
                    "--use-fake-device-for-media-stream",
                    "--use-fake-ui-for-media-stream",
                ],
            )
            page = await browser.new_page()
            await page.goto(f"{server.base}/healthz")
            await page.evaluate(PUBLISH, [server.room, server.seed["stream_key"]])
            found = decoded(await watch_flv(server, 6))
            await browser.close()
        assert found["width"] >= 320
        assert found["video"] > 40
        assert found["audio"] > 40
        assert found["loud"] > 0.01
        # A browser makes key frames only when it is asked.
        assert found["keys"] >= 2


@pytest.mark.browser
async def test_a_host_goes_live_and_stops_on_the_studio_page(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium(),
                args=[
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-background-networking",
                    "--use-fake-device-for-media-stream",
                    "--use-fake-ui-for-media-stream",
                ],
            )
            page = await browser.new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(f"{server.base}/studio/{server.room}#token={server.seed['host_token']}")
            await page.get_by_test_id("go-live").click()
            live = page.get_by_test_id("live-state")
            await expect(live).to_have_attribute("data-live", "true", timeout=60_000)
            found = decoded(await watch_flv(server, 3))
            assert found["video"] > 10
            assert await page.locator("#camera option").count() >= 1
            await page.get_by_test_id("go-live").click()
            await expect(live).to_have_attribute("data-live", "false")
            async with asyncio.timeout(60), httpx.AsyncClient() as client:
                while (await client.get(f"{server.base}/api/v1/rooms/{server.room}")).json()["stream"]["live"]:
                    await asyncio.sleep(0.1)
            await browser.close()
        assert complaints == []


@pytest.mark.parametrize("way", ["whip", "whep"])
async def test_broken_bodies_are_answered_and_leave_no_session_and_no_host_behind(quiet: Rig, way: str) -> None:
    services, webrtc = quiet.application.services, quiet.application.streaming.webrtc
    publication = None
    if way == "whep":
        publication = services.directory.publish(quiet.shop.room, Host(), services.clock())
        for packet in first_second():
            publication.push(packet, services.clock())
    headers = {**SDP, "authorization": f"Bearer {quiet.shop.stream_key}"}
    tasks = len(asyncio.all_tasks())
    answered = set()
    for number in range(120):
        chance = random.Random(number)
        body = flipped(chance.choice(OFFERS), chance) if number % 4 else chance.randbytes(number)
        answer = await quiet.client.post(f"/{way}/{quiet.shop.room}", content=body, headers=headers)
        answered.add(answer.status_code)
        if answer.status_code == 201:
            assert (await quiet.client.delete(answer.headers["location"])).status_code == 200
        else:
            assert answer.status_code in {400, 413, 422} and answer.json()["code"] != "internal", (number, answer.text)
    assert {201, 400, 422} <= answered
    assert webrtc.stats().connections == 0
    assert services.directory.origins() == {}
    if publication is not None:
        publication.end("over", services.clock())
    async with asyncio.timeout(60):
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.02)
