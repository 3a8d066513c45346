"""Make the captures in tests/stream/fixtures that fuzzing begins from: `python -m tests.stream.make_captures`.

Each is a real session on loopback: aiortc as a WHIP host and as a WHEP player, and Chromium's offers to send and to
receive. rtmp_ffmpeg_publish.bin was made in the same way, by ffmpeg.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from playwright.async_api import async_playwright

from stream.ingest_whip import WhipHost
from stream.output_whep import WhepViewer
from stream.protocol import stun
from tests.outside import chromium
from tests.stream.captures import DATAGRAMS, FOLDER
from tests.stream.media import make_clip
from tests.stream.webrtc_host import outside_host
from tests.stream.webrtc_stage import outside_viewer, webrtc_stage

RTP_KEPT = 40
"""Packets of picture and sound: several frames, one of them a key frame in fragments."""
OTHERS_KEPT = 12
SECONDS = 6

OFFER = """
async (sends) => {
  const pc = new RTCPeerConnection();
  for (const kind of ["video", "audio"]) pc.addTransceiver(kind, {direction: sends ? "sendonly" : "recvonly"});
  await pc.setLocalDescription(await pc.createOffer());
  return pc.localDescription.sdp;
}
"""


def _tap(owner: Any, name: str, take: Callable[[bytes], None]) -> None:
    real = getattr(owner, name)

    def tapped(*arguments: Any) -> Any:
        take(next(argument for argument in arguments if isinstance(argument, bytes)))
        return real(*arguments)

    setattr(owner, name, tapped)


async def capture_datagrams() -> bytes:
    found: list[tuple[int, bytes]] = []
    _tap(WhipHost, "on_rtp", lambda data: found.append((0, data)))
    _tap(WhipHost, "on_rtcp", lambda data: found.append((1, data)))
    _tap(stun, "parse_binding_request", lambda data: found.append((2, data)))
    _tap(WhepViewer, "on_rtcp", lambda data: found.append((3, data)))
    async with webrtc_stage() as stage, outside_host() as host:
        await host.publish(stage)
        await asyncio.sleep(SECONDS / 2)
    async with webrtc_stage() as stage, outside_viewer() as viewer:
        clip = make_clip(2, (160, 96), b_frames=0)
        stage.feed(stage.publish(), clip, ready=30)
        await stage.until_playing()
        await viewer.play(stage)
        await asyncio.sleep(SECONDS / 2)
    kept: list[tuple[int, bytes]] = []
    for kind, most in ((0, RTP_KEPT), (1, OTHERS_KEPT), (2, OTHERS_KEPT), (3, OTHERS_KEPT)):
        kept += [entry for entry in found if entry[0] == kind][:most]
    return b"".join(bytes([kind]) + len(data).to_bytes(2, "big") + data for kind, data in kept)


async def capture_offers() -> dict[str, str]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = await browser.new_page()
        offers = {name: await page.evaluate(OFFER, name == "sends") for name in ("sends", "receives")}
        await browser.close()
    async with outside_host() as host:
        offers["aiortc"] = await host.offer()
    return offers


async def main() -> None:
    for name, text in (await capture_offers()).items():
        (FOLDER / f"offer_{name}.sdp").write_bytes(text.encode())
    DATAGRAMS.write_bytes(await capture_datagrams())


if __name__ == "__main__":
    asyncio.run(main())
