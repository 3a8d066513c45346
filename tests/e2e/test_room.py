"""A room as its viewers and its host see it: picture, chat, pins, notices."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, PHONE, Theatre

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desktop"])
def test_the_picture_moves_soon_after_the_page_opens(theatre: Theatre, size: tuple[int, int]) -> None:
    viewer = theatre.person(size)
    opened = time.monotonic()
    viewer.open(theatre.room)
    viewer.picture()
    print(f"picture moving for half a second {time.monotonic() - opened:.2f} s after the page was asked for")
    video = viewer.see("player")
    assert video.evaluate("video => video.videoWidth") == 540
    before = video.evaluate("video => video.currentTime")
    viewer.page.wait_for_timeout(1_000)
    assert video.evaluate("video => video.currentTime") > before
    expect(viewer.see("connection-state")).to_have_attribute("data-state", "open")
    expect(viewer.page.locator("#live-badge")).to_have_attribute("data-live", "true")
    layout = viewer.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert layout[0] <= layout[1], "the page is wider than the screen"


def test_a_line_of_one_viewer_shows_at_another_and_markup_stays_text(theatre: Theatre) -> None:
    lin, mei = theatre.person(name="小林"), theatre.person(DESK, "en-GB", name="Mei")
    lin.enter(theatre.room)
    mei.enter(theatre.room)
    text = '<img src=x onerror="alert(1)"><b>粗体</b> & “引号” {{7*7}} 😀'
    lin.say(text)
    line = mei.read("引号")
    expect(line.locator(".text")).to_have_text(text)
    expect(line.locator(".name")).to_have_text("小林")
    assert line.locator(".text *").count() == 0
    expect(lin.read("引号")).to_have_attribute("data-own", "true")
    mei.say("hello")
    expect(lin.read("hello").locator(".name")).to_have_text("Mei")


def test_likes_and_viewers_are_counted_for_all(theatre: Theatre) -> None:
    one, other = theatre.person(), theatre.person()
    one.enter(theatre.room)
    other.enter(theatre.room)
    expect(one.see("viewers")).to_have_text("2")
    for _ in range(5):
        one.press("like")
    expect(other.see("likes")).to_have_text("5")
    other.page.close()
    expect(one.see("viewers")).to_have_text("1")


def test_the_host_signs_in_with_the_password_and_a_wrong_one_is_refused(theatre: Theatre) -> None:
    theatre.watch.expect(r"status of 401 .*auth/login")
    login = theatre.server.seed["logins"]["host"]
    console = theatre.person(DESK)
    console.open(f"/host/{theatre.server.room}")
    console.see("login-name").fill(login["login"])
    console.see("login-password").fill("not the password")
    console.press("login-submit")
    expect(console.page.locator(".form-problem")).to_have_text("账号或密码不对")
    console.see("login-password").fill(login["password"])
    console.press("login-submit")
    expect(console.see("live-state")).to_have_attribute("data-live", "true")
    key = theatre.server.seed["publish"]["stream_key"]
    expect(console.see("stream-key")).not_to_contain_text(key[-8:])
    console.press("stream-key-show")
    expect(console.see("stream-key")).to_have_text(key)
    console.picture()


def test_what_the_host_pins_and_says_shows_at_the_viewers_until_it_is_taken_away(theatre: Theatre) -> None:
    product = theatre.server.seed["products"][1]
    viewers = [theatre.person(), theatre.person(DESK, "en-GB")]
    for viewer in viewers:
        viewer.enter(theatre.room)
    console = theatre.person(DESK)
    console.sign_in(f"/host/{theatre.server.room}", theatre.server.seed["logins"]["host"])
    console.press(f"pin-{product['product']}")
    for viewer in viewers:
        expect(viewer.see("pinned-card", product=product["product"])).to_contain_text(product["title"])
    console.press(f"explain-{product['product']}")
    expect(viewers[0].see("pinned-card")).to_contain_text("讲解中")
    expect(viewers[1].see("pinned-card")).to_contain_text("On now")
    latecomer = theatre.person()
    latecomer.enter(theatre.room)
    expect(latecomer.see("pinned-card", product=product["product"])).to_be_visible()
    console.press(f"unpin-{product['product']}")
    for viewer in [*viewers, latecomer]:
        expect(viewer.see("pinned-card")).to_have_count(0)
    console.see("notice-input").fill("今晚八点 <b>加场</b>")
    console.press("notice-send")
    for viewer in viewers:
        expect(viewer.page.locator(".line.notice .text")).to_have_text("今晚八点 <b>加场</b>")


def test_a_line_that_the_host_recalls_leaves_every_screen(theatre: Theatre) -> None:
    noisy, other = theatre.person(name="手滑"), theatre.person()
    noisy.enter(theatre.room)
    other.enter(theatre.room)
    console = theatre.person(DESK)
    console.enter(f"/host/{theatre.server.room}#token={theatre.server.seed['host_token']}")
    noisy.say("说错了的话")
    expect(other.read("说错了的话")).to_have_count(1)
    line = console.read("说错了的话")
    expect(line).to_have_count(1)
    line.hover()
    line.locator('[data-testid="recall"]').click()
    for person in (console, other, noisy):
        expect(person.read("说错了的话")).to_have_count(0)


def test_a_muted_viewer_is_told_so_and_nobody_reads_them(theatre: Theatre) -> None:
    noisy, other = theatre.person(name="吵吵"), theatre.person()
    noisy.enter(theatre.room)
    other.enter(theatre.room)
    console = theatre.person(DESK)
    console.enter(f"/host/{theatre.server.room}#token={theatre.server.seed['host_token']}")
    # What is in the address is in the history and in screenshots: the token does not stay there.
    assert "token" not in console.page.url
    noisy.say("第一句")
    line = console.read("第一句")
    expect(line).to_have_count(1)
    line.hover()
    line.locator('[data-testid="mute"]').click()
    console.told("吵吵")
    # At once, and not only after they have typed for nothing.
    expect(noisy.see("chat-input")).to_have_attribute("placeholder", re.compile(r"禁言中，\d+:\d\d 后可发言"))
    noisy.told("禁言")
    noisy.say("第二句")
    noisy.told("禁言")
    other.say("第三句")
    expect(other.read("第三句")).to_have_count(1)
    expect(other.read("第二句")).to_have_count(0)


def test_the_watch_over_errors_sees_a_script_that_the_policy_refuses(theatre: Theatre) -> None:
    viewer = theatre.person()
    viewer.enter(theatre.room)
    viewer.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.head.append(script);
        }"""
    )
    viewer.page.wait_for_timeout(200)
    assert viewer.page.evaluate("() => window.ran") is None
    (complaint,) = theatre.watch.unexpected()
    assert "Content Security Policy" in complaint
    theatre.watch.expect("Content Security Policy")
