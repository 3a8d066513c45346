"""Progressive MP4 in a real browser: Media Source fed with the bytes as fetch gives them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Page, async_playwright

from stream.directory import Publication
from tests.outside import chromium
from tests.stream.media import Clip
from tests.stream.stage import Stage, clock_ms

PAGE = """
<video id="v" muted></video>
<script>
window.failures = [];
window.play = async (url) => {
  const video = document.getElementById("v");
  video.addEventListener("error", () => failures.push("video: " + video.error.message));
  const response = await fetch(url);
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((done) => source.addEventListener("sourceopen", done, {once: true}));
  const buffer = source.addSourceBuffer(response.headers.get("Content-Type"));
  const append = (bytes) => new Promise((done, failed) => {
    buffer.addEventListener("updateend", done, {once: true});
    buffer.addEventListener("error", () => failed(new Error("append")), {once: true});
    buffer.appendBuffer(bytes);
  });
  const reader = response.body.getReader();
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    // Odd splits: a box may be cut anywhere.
    for (let at = 0; at < value.length; at += 777) {
      await append(value.subarray(at, at + 777)).catch((error) => failures.push(String(error)));
    }
    if (video.paused && buffer.buffered.length) {
      video.currentTime = buffer.buffered.start(0);
      video.play().catch((error) => failures.push(String(error)));
    }
  }
};
</script>
"""


@contextlib.contextmanager
def publishing(publication: Publication, *clips: Clip) -> Iterator[None]:
    """Push the clips one after another, over and over, in real time."""

    async def push() -> None:
        start_ms, base_ms = clock_ms(), 0
        while True:
            for clip in clips:
                for packet in (*clip.configs, *clip.media):
                    due_ms = start_ms + base_ms + packet.dts_ms
                    if due_ms > clock_ms():
                        await asyncio.sleep((due_ms - clock_ms()) / 1000)
                    moved = type(packet)(
                        packet.kind,
                        packet.codec,
                        base_ms + packet.dts_ms,
                        packet.cts_ms,
                        packet.key,
                        packet.config,
                        packet.data,
                    )
                    publication.push(moved, clock_ms())
                base_ms += 1000 * round(max(p.dts_ms for p in clip.media) / 1000)

    task = asyncio.create_task(push())
    try:
        yield
    finally:
        task.cancel()


async def advanced_s(page: Page) -> float:
    return float(await page.evaluate("document.getElementById('v').currentTime"))


@contextlib.asynccontextmanager
async def watching(stage: Stage) -> AsyncIterator[Page]:
    """A page of Chromium that plays the room."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
        )
        page = await browser.new_page()
        await page.set_content(PAGE)
        await page.evaluate(f"void play('http://127.0.0.1:{stage.port}/room.mp4')")
        yield page
        await browser.close()


@pytest.mark.browser
async def test_chromium_plays_on_over_a_drop_without_a_hole_in_what_it_holds(stage: Stage, clip: Clip) -> None:
    publication = stage.publish()
    async with watching(stage) as page:
        with publishing(publication, clip):
            await page.wait_for_function("document.getElementById('v').currentTime > 0", timeout=60_000)
            await page.wait_for_function("!document.getElementById('v').paused", timeout=60_000)
        left = await page.evaluate("document.getElementById('v').buffered.end(0)")
        publication.end("gone", clock_ms())
        # What is shown while the host is away is played as well.
        await page.wait_for_function(f"document.getElementById('v').currentTime > {left} + 1", timeout=60_000)
        publication = stage.publish()
        with publishing(publication, clip):
            back = publication.relay.media_clock_ms / 1000
            await page.wait_for_function(f"document.getElementById('v').currentTime > {back} + 2", timeout=60_000)
            assert await page.evaluate("document.getElementById('v').buffered.length") == 1
            assert await page.evaluate("failures") == []


@pytest.mark.browser
async def test_chromium_plays_it_and_goes_on_over_a_new_configuration(
    stage: Stage, clip: Clip, wide_clip: Clip
) -> None:
    publication = stage.publish()
    with publishing(publication, clip, wide_clip):
        async with watching(stage) as page:
            await page.wait_for_function("document.getElementById('v').videoWidth == 642", timeout=60_000)
            first = await advanced_s(page)
            await page.wait_for_function(f"document.getElementById('v').currentTime > {first} + 0.5", timeout=60_000)
            await page.wait_for_function("document.getElementById('v').videoWidth == 320", timeout=60_000)
            assert await page.evaluate("failures") == []
            assert await page.evaluate("document.getElementById('v').webkitAudioDecodedByteCount") > 0
