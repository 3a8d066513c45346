"""What the library shares plays: a clip of an explanation and a past show, opened by a link that brings its token."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.stage import NO_PICTURE, Person, Theatre, wait_until
from tests.harness import LiveServer, live_server
from tests.integration.outsiders import publishing

pytestmark = [pytest.mark.browser, pytest.mark.soak]

SHOWN_S = 20
EXPLAINED_S = 5.0


@dataclass(frozen=True)
class Library:
    """A server with a show that is over, the clip of what was explained in it, and the links that share both."""

    server: LiveServer
    clip: str
    sku: str
    clip_url: str
    show_url: str


def call(server: LiveServer, method: str, path: str, body: Any = None) -> Any:
    answer = server.call(method, path, body, token=server.seed["merchant_token"])
    assert answer.status_code < 300, answer.text
    return answer.json()


def piece(server: LiveServer, title: str, **what: Any) -> str:
    """A published piece of the library, and a link that shares it; the link's path."""
    body = {"kind": "video", "title": title, "category": "讲解", "room": server.room, "sharers": "everybody"}
    made = call(server, "POST", "/contents", body | what)["content"]
    call(server, "POST", f"/contents/{made}/publish", {"version": 1})
    link = call(server, "POST", f"/contents/{made}/links", {"channel": "朋友圈"})
    return str(link["url"]).removeprefix(server.base)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with live_server(tmp_path_factory.mktemp("library"), flags=["--record", "--play-auth"]) as server:
        path = f"/rooms/{server.room}"
        card = server.call("GET", f"{path}/products").json()[0]
        with publishing(server.publish_url, seconds=SHOWN_S, gop=25) as host:
            wait_until(lambda: server.call("GET", path).json()["stream"]["live"], "the host on air")
            call(server, "POST", f"{path}/pin", {"product": card["product"], "explaining": True})
            wait_until(lambda: lengths(server)[0] > EXPLAINED_S * 1000, "what the host says of it")
            call(server, "DELETE", f"{path}/pin/{card['product']}")
            host.wait(60)
        wait_until(lambda: server.call("GET", f"{path}/clips").json()["items"], "the clip")
        server.stop()
        server.start()
        wait_until(lambda: shows(server)[0]["ended"], "the show's end")
        (clip,) = server.call("GET", f"{path}/clips").json()["items"]
        clip_url = piece(server, "怎么冲泡", clips=[clip["clip"]], skus=[card["sku"]])
        show_url = piece(server, "昨晚的直播", show=shows(server)[0]["show"])
        yield Library(server, clip["clip"], card["sku"], clip_url, show_url)


def shows(server: LiveServer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = server.call("GET", f"/rooms/{server.room}/shows").json()["items"]
    return items


def lengths(server: LiveServer) -> list[int]:
    """How much of each show is recorded, ms; the newest first."""
    return [one["length_ms"] for one in shows(server)] or [0]


@pytest.fixture
def reader(browser: Browser, library: Library) -> Iterator[Person]:
    theatre = Theatre(browser, library.server)
    theatre.watch.expect(NO_PICTURE, r"status of 401")
    yield theatre.person()
    theatre.close()
    if theatre.watch.unexpected():
        sys.stdout.write(library.server.log()[-4_000:])
    assert theatre.watch.unexpected() == []


def moves(reader: Person, testid: str) -> None:
    """Wait until two pictures that were seen differ: a player whose clock runs over a frozen picture does not pass."""
    seen = """(testid) => {
        const video = document.querySelector(`[data-testid="${testid}"]`);
        if (!video || !(video.videoWidth > 0) || video.readyState < 2) return false;
        const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 64 });
        const pen = canvas.getContext('2d');
        pen.drawImage(video, 0, 0, 64, 64);
        const now = pen.getImageData(0, 0, 64, 64).data;
        window.firstPicture ??= { at: video.currentTime, now };
        const far = now.reduce((sum, value, n) => sum + (Math.abs(value - window.firstPicture.now[n]) > 24), 0);
        return video.currentTime > window.firstPicture.at + 0.5 && far > 100;
    }"""
    reader.page.evaluate("() => { delete window.firstPicture; }")
    reader.page.wait_for_function(seen, arg=testid, polling=100)


def links(library: Library, url: str) -> int:
    """How often a shared link was used, by the log of touches."""
    rows = call(library.server, "GET", "/links")
    return next(int(one["uses"]) for one in rows if url.endswith(f"s={one['token']}"))


def test_a_shared_clip_plays_and_who_watched_it_came_by_the_link(reader: Person, library: Library) -> None:
    reader.open(library.clip_url)
    expect(reader.see("piece-title")).to_have_text("怎么冲泡")
    video = reader.see("piece-clip")
    video.evaluate("video => { video.muted = true; return video.play(); }")
    moves(reader, "piece-clip")
    assert video.evaluate("video => video.duration") >= EXPLAINED_S - 1
    wait_until(lambda: links(library, library.clip_url) == 2, "the touches of reading and of watching")

    def watched() -> list[tuple[str, int]]:
        rows = call(library.server, "GET", "/board")["by_clip"]
        return [(row["clip"], row["visits"]) for row in rows]

    wait_until(lambda: watched() == [(library.clip, 1)], "who watched it, on the board")
    expect(reader.see("piece-goods")).to_be_visible()


def test_a_shared_show_plays_in_the_room_it_was_in(reader: Person, library: Library) -> None:
    reader.open(library.show_url)
    reader.press("piece-replay")
    expect(reader.see("replay-video")).to_be_visible()
    moves(reader, "replay-video")
    assert links(library, library.show_url) >= 1
    rows = [one for one in call(library.server, "GET", "/contents")["items"] if one["title"] == "昨晚的直播"]
    assert rows[0]["figures"]["readers"] == 1
