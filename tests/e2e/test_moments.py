"""A pin shows at the host's frame, and its explanation plays again from the shelf."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.stage import FRAME_GAPS, TRIES, Theatre, publishing, stood_still, wait_until
from tests.harness import LiveServer, live_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that records, with a host on air."""
    with live_server(tmp_path_factory.mktemp("moments"), flags=["--record"]) as running, publishing(running):
        yield running


@pytest.fixture
def house(browser: Browser, recording: LiveServer) -> Iterator[Theatre]:
    theatre = Theatre(browser, recording)
    yield theatre
    theatre.close()
    unexpected = theatre.watch.unexpected()
    if unexpected:
        sys.stdout.write(recording.log()[-4_000:])
    assert unexpected == []


def test_a_pin_shows_at_its_frame_and_its_clip_plays_from_the_shelf(house: Theatre) -> None:
    server, token = house.server, house.server.seed["host_token"]
    path = f"/rooms/{server.room}"
    viewer = house.person()
    viewer.enter(house.room)
    viewer.picture()
    product = server.call("GET", f"{path}/products").json()[0]["product"]
    shown = """() => {
        const video = document.querySelector('[data-testid="player"]');
        const card = document.querySelector('[data-testid="pinned-card"]');
        return card && video.currentTime * 1000;
    }"""
    viewer.page.evaluate(FRAME_GAPS)
    # Where the picture stands still nobody knows its frame, and the pin shows at once: then another one is looked at.
    for _ in range(TRIES):
        viewer.picture()
        stood_still(viewer.page)
        assert server.call("POST", f"{path}/pin", {"product": product}, token=token).is_success
        at_ms = viewer.page.wait_for_function(shown, polling="raf").json_value()
        moved = not stood_still(viewer.page)
        (card,) = server.call("GET", path).json()["pins"]
        print(f"the pin showed {at_ms - card['media_ms']:.0f} ms after its frame")
        assert server.call("DELETE", f"{path}/pin/{product}", token=token).is_success
        expect(viewer.see("pinned-card")).to_have_count(0)
        if moved:
            assert at_ms >= card["media_ms"] - 100, "before the host said it"
            break
    else:
        pytest.fail("the picture stood still each time")
    assert server.call("POST", f"{path}/pin", {"product": product, "explaining": True}, token=token).is_success
    viewer.page.wait_for_timeout(5_000)  # what the host says of it
    assert server.call("DELETE", f"{path}/pin/{product}", token=token).is_success
    wait_until(lambda: server.call("GET", f"{path}/clips").json()["items"], "the clip")
    (clip,) = server.call("GET", f"{path}/clips").json()["items"]
    viewer.press("shelf-open")
    viewer.see("shelf-sheet").get_by_test_id("shelf-clip").click()
    video = viewer.see("clip-video")
    expect(video).to_be_visible()
    playing = "() => document.querySelector('[data-testid=\"clip-video\"]').currentTime > 0.5"
    viewer.page.wait_for_function(playing)
    length_ms = video.evaluate("video => video.duration * 1000")
    assert abs(length_ms - clip["length_ms"]) <= 100
    assert video.evaluate("video => video.videoWidth") == 540
    # Seeking asks for a range.
    video.evaluate("video => { video.currentTime = video.duration - 1; }")
    viewer.page.wait_for_function("() => document.querySelector('[data-testid=\"clip-video\"]').ended")
    boss = server.seed["merchant_token"]

    def watched() -> list[tuple[str, int]]:
        rows = server.call("GET", "/board", token=boss).json()["by_clip"]
        return [(row["clip"], row["visits"]) for row in rows]

    wait_until(lambda: watched() == [(clip["clip"], 1)], "who watched it, on the board")
