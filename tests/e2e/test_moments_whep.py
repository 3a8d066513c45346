"""What a WHEP viewer's page knows of the frame on its screen, measured by pictures that say their own number."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from statistics import median

import av
import pytest
from playwright.sync_api import Browser

from tests.e2e.stage import FRAME_GAPS, TRIES, Theatre, stood_still, wait_until
from tests.harness import LiveServer, live_server
from tests.outside import need

pytestmark = pytest.mark.browser

FRAME_MS = 40
PINS = 3
BAR = 16
"""Pixels across one bit of the frame's number; 16 bits, the lowest on the left."""
READ = """(video) => {
    const canvas = document.createElement("canvas");
    canvas.width = 256;
    canvas.height = 1;
    const ink = canvas.getContext("2d", { willReadFrequently: true });
    ink.drawImage(video, 0, 72, 256, 1, 0, 0, 256, 1);
    const { data } = ink.getImageData(0, 0, 256, 1);
    let number = 0;
    for (let bit = 0; bit < 16; bit++) number |= (data[4 * (16 * bit + 8)] > 128) << bit;
    return number;
}"""


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a host whose pictures are bars: each picture's number, in binary."""
    with live_server(tmp_path_factory.mktemp("counting")) as server:
        bars = f"geq=lum='16+219*mod(floor(N/pow(2,floor(X/{BAR}))),2)':cb=128:cr=128"
        command = [need("ffmpeg"), "-loglevel", "error", "-re", "-f", "lavfi"]
        command += ["-i", f"color=black:size=256x144:rate={1000 // FRAME_MS},format=yuv420p,{bars}"]
        command += ["-f", "lavfi", "-i", "sine", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]
        command += ["-g", "25", "-c:a", "aac", "-f", "flv", server.publish_url]
        host = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            wait_until(lambda: server.call("GET", f"/rooms/{server.room}").json()["stream"]["live"], "the host on air")
            yield server
        finally:
            host.kill()
            host.wait()


@pytest.fixture
def house(browser: Browser, counting: LiveServer) -> Iterator[Theatre]:
    theatre = Theatre(browser, counting)
    yield theatre
    theatre.close()
    unexpected = theatre.watch.unexpected()
    if unexpected:
        sys.stdout.write(counting.log()[-4_000:])
    assert unexpected == []


def first_frame_ms(server: LiveServer) -> int:
    """The media time of picture 0, by what an FLV player is told of some later one."""
    with av.open(f"{server.base}/live/{server.room}.flv", timeout=60) as source:
        frame = next(source.decode(video=0))
        line = frame.to_ndarray(format="gray")[72]
        assert frame.time is not None
        number = sum(int(line[BAR * bit + BAR // 2] > 128) << bit for bit in range(16))
        return round(frame.time * 1000) - number * FRAME_MS


def test_the_player_knows_the_media_time_of_the_frame_on_the_screen(house: Theatre) -> None:
    viewer = house.person()
    viewer.open("/merchant")
    play = """async (room) => {
        const { WhepPlayer } = await import("/static/player_whep.js");
        const video = document.createElement("video");
        video.muted = video.playsInline = true;
        document.body.append(video);
        const player = new WhepPlayer({ video, room });
        player.start();
        const look = READ;
        const found = [];
        while (found.length < 25) {
            await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
            const ms = player.mediaMs();
            if (ms !== null) found.push([look(video), ms]);
        }
        player.stop();
        return found;
    }""".replace("READ", READ)
    for _ in range(TRIES):
        zero_ms = first_frame_ms(house.server)
        found = viewer.page.evaluate(play, house.server.room)
        # A host that stood still goes on at another place of the media time: then all is looked at anew.
        if first_frame_ms(house.server) == zero_ms:
            break
    errors_ms = [ms - (zero_ms + number * FRAME_MS) for number, ms in found]
    print(f"wrong by {min(errors_ms):.0f} to {max(errors_ms):.0f} ms, {median(errors_ms):.0f} in the middle")
    # Reading the picture takes a while, in which the next one may have come.
    assert abs(median(errors_ms)) <= FRAME_MS


def test_a_pin_shows_at_its_frame_on_webrtc(house: Theatre) -> None:
    server, token = house.server, house.server.seed["host_token"]
    path = f"/rooms/{server.room}"
    viewer = house.person()
    viewer.enter(f"{house.room}?player=whep")
    viewer.picture()
    assert viewer.page.evaluate("document.querySelector('[data-testid=\"player\"]').srcObject !== null")
    product = server.call("GET", f"{path}/products").json()[0]["product"]
    shown = """() => {
        const card = document.querySelector('[data-testid="pinned-card"]');
        return card && { number: (READ)(document.querySelector('[data-testid="player"]')) };
    }""".replace("READ", READ)
    gone = "() => !document.querySelector('[data-testid=\"pinned-card\"]')"
    viewer.page.evaluate(FRAME_GAPS)
    errors_ms: list[float] = []
    for _ in range(TRIES * PINS):
        stood_still(viewer.page)
        assert server.call("POST", f"{path}/pin", {"product": product}, token=token).is_success
        number = viewer.page.wait_for_function(shown, polling="raf").json_value()["number"]
        (card,) = server.call("GET", path).json()["pins"]
        if not stood_still(viewer.page):
            errors_ms.append(first_frame_ms(server) + number * FRAME_MS - card["media_ms"])
        assert server.call("DELETE", f"{path}/pin/{product}", token=token).is_success
        viewer.page.wait_for_function(gone)
        if len(errors_ms) == PINS:
            break
    print("pins showed so long after their frames, in ms:", *errors_ms)
    assert len(errors_ms) == PINS, "the picture stood still nearly all the time"
    assert min(errors_ms) >= -2 * FRAME_MS, "before the host said it"
    # The best of them, as the machine may stand still; a page that knows no frame shows them by the network's time.
    assert min(errors_ms) <= 500
