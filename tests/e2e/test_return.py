"""Those who go away and come back: the host, the server, a viewer whose token has lapsed."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.stage import GONE, LAPSED, NO_PICTURE, Host, Person, Theatre, wait_until
from tests.harness import live_server

pytestmark = pytest.mark.browser


def unreloaded(viewer: Person) -> bool:
    """Whether it is still the page on which ``mark`` was called."""
    return bool(viewer.page.evaluate("() => window.mark === true"))


def mark(viewer: Person) -> None:
    """Know this page again."""
    viewer.page.evaluate("() => { window.mark = true; }")


def test_the_picture_comes_back_by_itself_after_the_host_was_killed(theatre: Theatre, host: Host) -> None:
    theatre.watch.expect(NO_PICTURE)
    viewer = theatre.person()
    viewer.enter(theatre.room)
    viewer.picture()
    mark(viewer)
    veil = viewer.page.locator("#veil")
    expect(veil).to_be_hidden()
    host.kill()
    expect(veil).to_have_attribute("data-state", "away")
    expect(veil).to_contain_text("主播暂时离开")
    expect(veil).to_be_visible()
    # The server plays on with the last picture, for a minute.
    viewer.picture()
    expect(veil).to_have_attribute("data-state", "away")
    expect(viewer.see("connection-state")).to_have_attribute("data-state", "open")
    host.start()
    expect(veil).to_have_attribute("data-state", "playing")
    expect(veil).to_be_hidden()
    viewer.picture()
    assert unreloaded(viewer)


def test_page_chat_and_picture_come_back_by_themselves_after_the_server_was_restarted(
    theatre: Theatre, host: Host
) -> None:
    theatre.watch.expect(GONE, NO_PICTURE)
    server = theatre.server
    viewer, other = theatre.person(name="小林"), theatre.person()
    viewer.enter(theatre.room)
    viewer.picture()
    mark(viewer)
    product = server.seed["products"][2]["product"]
    pinned = {"product": product, "explaining": True}
    server.call("POST", f"/rooms/{server.room}/pin", pinned, token=server.seed["host_token"])
    expect(viewer.see("pinned-card", product=product)).to_be_visible()
    try:
        assert server.stop() == 0
        expect(viewer.see("connection-state")).not_to_have_attribute("data-state", "open")
    finally:
        server.start()
    expect(viewer.see("connection-state")).to_have_attribute("data-state", "open")
    expect(viewer.see("pinned-card", product=product)).to_be_visible()
    expect(viewer.see("shelf-item")).to_have_count(4)
    other.enter(theatre.room)
    viewer.say("我还在")
    expect(other.read("我还在").locator(".name")).to_have_text("小林")
    expect(viewer.read("我还在")).to_have_count(1)
    wait_until(lambda: host.on_air, "the host back by itself")
    viewer.picture()
    assert unreloaded(viewer)
    server.call("DELETE", f"/rooms/{server.room}/pin/{product}", token=server.seed["host_token"])
    expect(viewer.see("pinned-card")).to_have_count(0)


TTL_S = "15"
"""Longer than a machine stands still: a token that lapses before it is used is no help to anybody."""


def test_a_viewer_whose_token_lapses_goes_on_with_a_new_one(browser: Browser, tmp_path: Path) -> None:
    with live_server(tmp_path, environment={"SIYU_TOKEN_TTL_S": TTL_S}) as server:
        theatre = Theatre(browser, server)
        theatre.watch.expect(NO_PICTURE)
        theatre.watch.expect(LAPSED)
        viewer, other = theatre.person(name="小林"), theatre.person()
        viewer.enter(theatre.room)
        mark(viewer)
        first = viewer.page.evaluate("room => sessionStorage.getItem(`siyu.token.${room}`)", server.room)
        viewer.say("在吗")
        renewed = "([room, first]) => sessionStorage.getItem(`siyu.token.${room}`) !== first"
        viewer.page.wait_for_function(renewed, arg=[server.room, first])
        expect(viewer.see("connection-state")).to_have_attribute("data-state", "open")
        other.enter(theatre.room)
        viewer.say("还在")
        expect(other.read("还在").locator(".name")).to_have_text("小林")
        # The line from before came once: the connection was resumed, not begun anew.
        expect(viewer.read("在吗")).to_have_count(1)
        # The API is asked with the new token too.
        viewer.press("me")
        expect(viewer.page.locator("dialog[open]")).to_contain_text("还没有订单")
        assert unreloaded(viewer)
        theatre.close()
        assert theatre.watch.unexpected() == []
