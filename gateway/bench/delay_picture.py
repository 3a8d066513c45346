"""Delay from picture to picture in Chromium: a clock drawn into a canvas, broadcast, and read from what is shown.

The clock's 16 low bits stand as light and dark cells, and below them their opposites. Broadcast by WHIP and watched by
WHEP on one page; the baseline is the same canvas over a peer connection straight to the same page, without a server.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import MutableMapping
from typing import Any

from gateway.bench.outsiders import OutsiderMissing, find_program
from gateway.bench.process import BenchError
from gateway.bench.report import Baseline, Figure
from gateway.bench.served import Served

CHROMIUM_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--mute-audio")
PATIENCE_MS = 60_000
WARM_UP_MS = 3_000
"""The first seconds of a broadcast: bit rate and jitter buffer find their place."""

PAGE = """async ([seconds, warmUp, room, key]) => {
  const CELL = 32, BITS = 16, WIDTH = CELL * BITS, HEIGHT = CELL * 2;
  const clock = () => Math.floor(performance.now()) & 0xffff;
  const canvas = Object.assign(document.createElement('canvas'), {width: WIDTH, height: HEIGHT * 4});
  const paint = canvas.getContext('2d');
  const draw = () => {
    const now = clock();
    for (let bit = 0; bit < BITS; bit++) {
      const on = now >> bit & 1;
      paint.fillStyle = on ? '#fff' : '#000'; paint.fillRect(bit * CELL, 0, CELL, CELL);
      paint.fillStyle = on ? '#000' : '#fff'; paint.fillRect(bit * CELL, CELL, CELL, CELL);
    }
  };
  draw();
  const painting = setInterval(draw, 10);
  const stream = canvas.captureStream(30);
  const glass = Object.assign(document.createElement('canvas'), {width: WIDTH, height: HEIGHT * 4});
  const look = glass.getContext('2d', {willReadFrequently: true});
  const read = video => {
    look.drawImage(video, 0, 0, WIDTH, HEIGHT * 4);
    const pixels = look.getImageData(0, 0, WIDTH, HEIGHT).data;
    let value = 0;
    for (let bit = 0; bit < BITS; bit++) {
      const at = row => pixels[((row * CELL + CELL / 2) * WIDTH + bit * CELL + CELL / 2) * 4];
      if ((at(0) > 127) === (at(1) > 127)) return null;
      value |= (at(0) > 127) << bit;
    }
    return value;
  };
  const watch = async peer => {
    const video = Object.assign(document.createElement('video'), {muted: true, autoplay: true, playsInline: true});
    document.body.append(video);
    const media = new MediaStream();
    peer.ontrack = event => { media.addTrack(event.track); video.srcObject = media; video.play(); };
    return () => new Promise((resolve, reject) => {
      const delays = [];
      const start = performance.now();
      const late = setTimeout(() => reject(new Error('no picture came')), 30000);
      const next = () => {
        const now = performance.now(), shown = read(video);
        if (shown !== null && now - start > warmUp) delays.push((clock() - shown) & 0xffff);
        if (now - start < warmUp + seconds * 1000) return video.requestVideoFrameCallback(next);
        clearTimeout(late);
        video.remove();
        resolve(delays);
      };
      video.requestVideoFrameCallback(next);
    });
  };
  const h264 = RTCRtpReceiver.getCapabilities('video').codecs.filter(codec => codec.mimeType === 'video/H264');
  const gathered = peer => new Promise(resolve => {
    const done = () => peer.iceGatheringState === 'complete' && resolve();
    peer.addEventListener('icegatheringstatechange', done);
    done();
  });
  const post = async (peer, path, headers) => {
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer);
    for (let attempt = 0; attempt < 50; attempt++) {
      const answer = await fetch(path, {method: 'POST', body: peer.localDescription.sdp,
        headers: {'Content-Type': 'application/sdp', ...headers}});
      if (answer.status === 201) {
        await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()});
        return;
      }
      if (answer.status !== 409) throw new Error(path + ' ' + answer.status + ' ' + await answer.text());
      await new Promise(resolve => setTimeout(resolve, 200));
    }
    throw new Error(path + ' did not come on air');
  };
  const send = peer => {
    const sender = peer.addTransceiver(stream.getVideoTracks()[0], {direction: 'sendonly'});
    sender.setCodecPreferences(h264);
  };
  // Straight to the same page.
  const [one, two] = [new RTCPeerConnection(), new RTCPeerConnection()];
  send(one);
  const direct = await watch(two);
  await one.setLocalDescription(await one.createOffer());
  await gathered(one);
  await two.setRemoteDescription(one.localDescription);
  await two.setLocalDescription(await two.createAnswer());
  await gathered(two);
  await one.setRemoteDescription(two.localDescription);
  const straight = await direct();
  one.close(); two.close();
  // By the server.
  const [host, viewer] = [new RTCPeerConnection(), new RTCPeerConnection()];
  send(host);
  await post(host, '/whip/' + room, {Authorization: 'Bearer ' + key});
  viewer.addTransceiver('video', {direction: 'recvonly'});
  viewer.addTransceiver('audio', {direction: 'recvonly'});
  const served = await watch(viewer);
  await post(viewer, '/whep/' + room, {});
  const through = await served();
  host.close(); viewer.close();
  clearInterval(painting);
  return {straight, through};
}"""


def picture_figures(
    server: Served, seconds: float, about: MutableMapping[str, float | int | str]
) -> tuple[Figure, ...]:
    """Measure in Chromium; without it, or without Playwright, nothing, and `about` says so."""
    try:
        found = _in_chromium(server, seconds)
    except OutsiderMissing as missing:
        about["picture to picture"] = f"not measured, as {missing}"
        print(f"siyu bench: picture to picture is not measured: {missing}", file=sys.stderr, flush=True)
        return ()
    if not all(found.values()):
        raise BenchError(f"Chromium could not read the clock: { ({name: len(seen) for name, seen in found.items()}) }")
    about["pictures read in Chromium"] = len(found["through"])
    straight, through = (statistics.median(found[name]) for name in ("straight", "through"))
    baseline = Baseline("straight, without a server, median", straight)
    return (Figure("picture to picture in Chromium, WHIP to WHEP, median", "ms", through, (baseline,)),)


def _in_chromium(server: Served, seconds: float) -> dict[str, list[float]]:
    """The delays of all pictures that could be read. Raises OutsiderMissing."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise OutsiderMissing("Playwright is not installed (siyu-live[dev])") from error
    try:
        chromium = find_program("chromium")
    except OutsiderMissing:
        chromium = find_program("chromium-headless-shell")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        try:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(f"{server.base}/healthz")
            found: dict[str, Any] = page.evaluate(PAGE, [seconds, WARM_UP_MS, server.room, server.stream_key])
        except Error as error:
            raise BenchError(f"Chromium: {error.message.splitlines()[0]}") from error
        finally:
            browser.close()
    return found
