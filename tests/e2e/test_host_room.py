"""The host keeps a room: figures by the second, a poll, questions, and who may not come back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import PHONE, Person, Theatre

pytestmark = pytest.mark.browser


@pytest.fixture
def console(theatre: Theatre) -> Person:
    """The console on a phone, signed in."""
    host = theatre.person(PHONE)
    host.open(f"/host/{theatre.server.room}#token={theatre.server.seed['host_token']}")
    expect(host.see("connection-state")).to_have_attribute("data-state", "open")
    return host


def test_the_host_sees_who_is_there_and_what_they_talk_about(theatre: Theatre, console: Person) -> None:
    mei, lin = theatre.person(name="小美"), theatre.person(name="小林")
    for viewer in (mei, lin):
        viewer.enter(theatre.room)
        viewer.say("真丝围巾还有吗")
    expect(console.see("room-viewers")).to_have_text("2")
    expect(console.see("words")).to_contain_text("真丝围巾")
    expect(console.see("room-roles")).to_contain_text("观众 2")
    expect(console.see("dropped")).to_have_text("没有")
    assert console.page.locator(".pulse-line").count() == 1
    layout = console.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert layout[0] <= layout[1], "the page is wider than the screen"


def test_a_poll_is_put_voted_on_and_ended(theatre: Theatre, console: Person) -> None:
    mei = theatre.person(name="小美")
    mei.enter(theatre.room)
    console.see("poll-title").fill("下一件讲哪款？")
    console.press("poll-more")
    for number, option in enumerate(("围巾", "茶杯", "蜂蜜"), 1):
        console.see(f"poll-option-{number}").fill(option)
    console.see("poll-seconds").select_option("600")
    console.press("poll-start")
    expect(mei.see("poll-card")).to_contain_text("下一件讲哪款？")
    expect(mei.see("poll-left")).to_be_visible()
    mei.press("vote-1")
    expect(mei.see("vote-1")).to_have_attribute("data-mine", "true")
    expect(mei.see("vote-0")).to_be_disabled()
    expect(console.see("poll-votes-1")).to_have_text("1 票")
    console.press("poll-end")
    expect(mei.see("poll-card")).to_have_attribute("data-state", "ended")
    expect(console.see("poll-start")).to_be_visible()
    # What was voted stays readable, also when another poll came after it.
    console.see("poll-title").fill("？")
    for number, option in enumerate("AB", 1):
        console.see(f"poll-option-{number}").fill(option)
    console.press("poll-start")
    console.press("poll-earlier")
    expect(console.see("poll-past")).to_contain_text("1 票")
    console.press("poll-end")


def test_where_only_followers_may_write_a_viewer_follows_and_sends_by_one_button(
    theatre: Theatre, console: Person
) -> None:
    mei = theatre.person(PHONE, name="小美")
    mei.enter(theatre.room)
    console.see("rule-audience").select_option("followers")
    expect(console.see("rule-audience")).to_have_value("followers")
    mei.say("有货吗")
    mei.told("关注店铺后可以发言")
    layout = mei.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert layout[0] <= layout[1], "the page is wider than the screen"
    mei.press("toast-way")
    expect(console.read("有货吗")).to_be_visible()
    expect(mei.see("chat-input")).to_have_value("")
    console.see("rule-audience").select_option("everyone")
    expect(console.see("rule-audience")).to_have_value("everyone")


@pytest.mark.soak
def test_a_question_waits_for_its_answer_which_all_read(theatre: Theatre, console: Person) -> None:
    mei, lin = theatre.person(name="小美"), theatre.person(name="小林")
    mei.enter(theatre.room)
    lin.enter(theatre.room)
    mei.press("ask")
    mei.say("可以机洗吗")
    expect(console.see("question")).to_contain_text("可以机洗吗")
    assert lin.read("可以机洗吗").count() == 0
    console.see("answer-text").fill("手洗更好")
    console.press("answer")
    expect(lin.read("手洗更好")).to_contain_text("@小美")
    expect(console.see("question")).to_have_count(0)


@pytest.mark.soak
def test_who_is_banned_is_sent_away_and_may_come_back_when_it_is_lifted(theatre: Theatre, console: Person) -> None:
    lin = theatre.person(name="小林")
    lin.enter(theatre.room)
    lin.say("加我微信")
    line = console.read("加我微信")
    line.locator('[data-testid="ban"]').click()
    expect(console.see("bans")).not_to_contain_text("小林")
    line.locator('[data-testid="ban"]').click()
    expect(lin.see("connection-state")).to_have_attribute("data-state", "closed")
    expect(console.see("bans")).to_contain_text("小林")
    console.press("lift")
    expect(console.see("bans")).not_to_contain_text("小林")
    lin.page.reload()
    expect(lin.see("connection-state")).to_have_attribute("data-state", "open")


def test_the_host_makes_a_viewer_a_moderator_beside_their_line_and_dismisses_them(
    theatre: Theatre, console: Person
) -> None:
    mei, lin = theatre.person(PHONE, name="小美"), theatre.person(name="小林")
    for viewer in (mei, lin):
        viewer.enter(theatre.room)
    mei.say("我来帮忙")
    lin.say("加我微信")
    line = console.read("我来帮忙")
    expect(mei.page.locator('[data-testid="mute"]')).to_have_count(0)
    line.locator('[data-testid="appoint"]').click()
    mei.told("撤回")
    expect(console.see("moderators")).to_contain_text("小美")
    # Their tools are beside the lines of the viewer page now, and act.
    said = mei.read("加我微信")
    said.locator('[data-testid="recall"]').click()
    expect(lin.page.get_by_text("加我微信")).to_have_count(0)
    console.see("moderator-dismiss").click()
    expect(mei.page.locator('[data-testid="recall"]')).to_have_count(0)
    expect(console.see("moderators")).not_to_contain_text("小美")
    # The same beside what they say while they are one.
    lin.say("真好看")
    line.locator('[data-testid="appoint"]').click()
    expect(mei.page.locator('[data-testid="recall"]')).not_to_have_count(0)
    mei.say("我是房管了")
    console.read("我是房管了").locator('[data-testid="dismiss"]').click()
    expect(mei.page.locator('[data-testid="recall"]')).to_have_count(0)
    expect(console.see("moderators")).not_to_contain_text("小美")
