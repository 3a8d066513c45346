"""A show that is over plays again on the viewer page, from the project's own player."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.stage import NO_PICTURE, Person, Theatre, wait_until
from tests.harness import LiveServer, live_server
from tests.integration.outsiders import publishing

pytestmark = pytest.mark.browser

SHOWN_S = 6
"""Two segments of the replay."""


def shows(server: LiveServer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = server.call("GET", f"/rooms/{server.room}/shows").json()["items"]
    return items


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that asks for tokens, with one recorded show that is over."""
    with live_server(tmp_path_factory.mktemp("replay"), flags=["--record", "--play-auth"]) as server:
        with publishing(server.publish_url, seconds=SHOWN_S, gop=25) as host:
            host.wait(60)
        # The host may return: the show ends with the next start, or when nobody has come back for a while.
        wait_until(lambda: shows(server) and shows(server)[0]["length_ms"] > (SHOWN_S - 1) * 1000, "the recording")
        server.stop()
        server.start()
        wait_until(lambda: shows(server)[0]["ended"], "the show's end")
        yield server


@pytest.fixture
def viewer(browser: Browser, over: LiveServer) -> Iterator[Person]:
    theatre = Theatre(browser, over)
    # The player learns from the first refusal that it has to show its token.
    theatre.watch.expect(NO_PICTURE, r"status of 401")
    person = theatre.person()
    yield person
    theatre.close()
    if theatre.watch.unexpected():
        sys.stdout.write(over.log()[-4_000:])
    assert theatre.watch.unexpected() == []


def at_s(viewer: Person) -> float:
    now: float = viewer.see("replay-video").evaluate("video => video.currentTime")
    return now


def until_played(viewer: Person, from_s: float) -> None:
    """Wait until the replay has gone on past ``from_s``."""
    playing = """from => {
        const video = document.querySelector('[data-testid="replay-video"]');
        return video && video.videoWidth === 320 && video.currentTime > from;
    }"""
    viewer.page.wait_for_function(playing, arg=from_s)


def test_who_comes_too_late_watches_the_recorded_show(viewer: Person, over: LiveServer) -> None:
    (show,) = shows(over)
    viewer.enter(f"/r/{over.room}")
    button = viewer.see("replays")
    expect(button).to_be_visible()
    expect(button).to_contain_text("1")
    button.click()
    expect(viewer.see("replay")).to_have_count(1)
    # The only show begins by itself.
    until_played(viewer, 1.0)
    video = viewer.see("replay-video")
    assert abs(video.evaluate("video => video.duration") * 1000 - show["length_ms"]) < 500
    # Back to the beginning, then to the end: nothing is missing on the way.
    video.evaluate("video => { video.currentTime = 0; }")
    until_played(viewer, 0.5)
    video.evaluate("video => { video.currentTime = video.duration - 1.5; }")
    viewer.page.wait_for_function("() => document.querySelector('[data-testid=\"replay-video\"]').ended")
    sound = video.evaluate("video => video.webkitAudioDecodedByteCount")
    assert sound > 0


def test_a_link_opens_one_show_and_closing_the_sheet_stops_it(viewer: Person, over: LiveServer) -> None:
    (show,) = shows(over)
    viewer.enter(f"/r/{over.room}?replay={show['show']}")
    until_played(viewer, 0.5)
    viewer.page.keyboard.press("Escape")
    expect(viewer.see("replay-sheet")).to_have_count(0)
    expect(viewer.see("replays")).to_be_visible()
