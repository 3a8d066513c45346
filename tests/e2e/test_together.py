"""Draws and groups in the room: opened on the host console, entered and joined by viewers, proved on a page."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, GONE, PATIENCE_MS, Person, Theatre

pytestmark = pytest.mark.browser

ENTRIES_S = 20
"""Long enough for two people on a slow machine; nobody waits for it but the draw itself."""
DRAW_WAIT_MS = (ENTRIES_S + 60) * 1000


def console_of(theatre: Theatre) -> Person:
    console = theatre.person(DESK)
    console.sign_in(f"/host/{theatre.server.room}", theatre.server.seed["logins"]["host"])
    return console


@pytest.mark.soak
def test_a_red_packet_is_opened_entered_by_a_word_drawn_and_proved(theatre: Theatre) -> None:
    viewer, other = theatre.person(name="小雨"), theatre.person(locale="en-GB", name="Mei")
    for person in (viewer, other):
        person.enter(theatre.room)
    console = console_of(theatre)
    console.see("draw-kind").select_option("packet")
    console.see("draw-title").fill("开播红包")
    console.see("draw-pool").fill("8.88")
    console.see("draw-winners").fill("2")
    console.see("draw-seconds").fill(str(ENTRIES_S))
    console.see("draw-task").select_option("comment")
    console.see("draw-word").fill("开播大吉")
    console.press("draw-open")
    expect(viewer.see("draw-enter")).to_contain_text("开播大吉")
    viewer.press("draw-enter")
    expect(viewer.see("draw-entered")).to_contain_text("1 号")
    other.press("draw-enter")
    expect(other.see("draw-entered")).to_contain_text("no. 2")
    expect(console.read("开播大吉")).to_have_count(2)
    expect(console.see("draw-run", state="drawn")).to_contain_text("小**", timeout=DRAW_WAIT_MS)
    draw = console.see("draw-run", state="drawn").first.get_attribute("data-draw")
    proof = theatre.person(locale="en-GB")
    proof.open(f"/draw/{draw}")
    expect(proof.see("proof-seed")).to_have_attribute("data-good", "true")
    expect(proof.see("proof-same")).to_have_attribute("data-good", "true")
    expect(proof.see("proof-page")).to_contain_text("place 2")
    with viewer.context.expect_page() as opened:
        viewer.press("proof")
    own = opened.value.locator('[data-testid="proof-mine"]')
    expect(own).to_contain_text(re.compile("你是 1 号，第 [12] 名，中奖了 ¥[0-9.]+"))
    viewer.press("me")
    expect(viewer.page.locator("dialog")).to_contain_text(re.compile("¥[0-9.]+"))


def test_a_group_is_opened_joined_paid_and_full_in_everybody_s_sight(theatre: Theatre) -> None:
    leader, friend = theatre.person(name="安安"), theatre.person(locale="en-GB", name="Bob")
    for person in (leader, friend):
        person.enter(theatre.room)
    console = console_of(theatre)
    console.see("sale-sku").select_option(theatre.server.seed["products"][3]["sku"])
    console.see("sale-mode").select_option("team")
    console.see("sale-team-size").fill("2")
    console.see("sale-price").fill("19")
    console.see("sale-total").fill("4")
    console.see("sale-countdown").fill("0")
    console.press("sale-start")
    leader.press("team-open")
    leader.press("pay")
    expect(leader.see("paid")).to_be_visible()
    leader.page.locator('[data-testid="order-sheet"] .primary').click()
    expect(leader.see("team-mine")).to_contain_text("1/2")
    expect(friend.see("team-row")).to_contain_text("安**'s group needs 1 more")
    friend.press("team-join")
    expect(friend.see("pay")).to_contain_text("¥19")
    friend.press("pay")
    expect(friend.see("paid")).to_be_visible()
    expect(leader.see("team-mine", state="full")).to_contain_text("拼团成功")
    expect(console.see("sale-detail").filter(has_text="1 个成团")).to_have_count(1)


@pytest.mark.soak
def test_a_lottery_group_is_told_to_its_end_even_to_who_was_away_when_it_was_drawn(own_theatre: Theatre) -> None:
    own_theatre.watch.expect("ERR_INTERNET_DISCONNECTED", GONE)
    leader, friend = own_theatre.person(name="安安"), own_theatre.person(locale="en-GB", name="Bob")
    for person in (leader, friend):
        person.enter(own_theatre.room)
    console = console_of(own_theatre)
    console.see("sale-mode").select_option("team")
    console.see("sale-team-size").fill("2")
    console.page.locator('[name="team_winners"]').fill("1")
    console.see("sale-price").fill("19")
    console.see("sale-total").fill("4")
    console.see("sale-countdown").fill("0")
    console.press("sale-start")
    leader.press("team-open")
    leader.press("pay")
    expect(leader.see("paid")).to_be_visible()
    leader.page.keyboard.press("Escape")
    expect(leader.see("team-mine")).to_contain_text("1/2")
    expect(friend.see("team-card")).to_contain_text("1 drawn get the goods")
    assert friend.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    leader.context.set_offline(True)
    late = own_theatre.person(locale="en-GB", name="Late")
    late.enter(own_theatre.room)
    late.press("team-join")
    late.press("pay")
    expect(late.see("paid")).to_be_visible()
    late.page.keyboard.press("Escape")
    expect(late.see("team-mine", state="full")).to_contain_text("Full and drawn")
    leader.context.set_offline(False)
    expect(leader.see("team-mine", state="full")).to_contain_text("未抽中的全额退款")
    # The money goes back by itself, a moment after the draw.
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while (seen := sorted([first_order(leader), first_order(late)])) != ["paid", "refunded"]:
        assert time.monotonic() < deadline, seen


def first_order(person: Person) -> str:
    """The state of somebody's newest order, as their own page says it."""
    person.press("me")
    state = person.see("my-order").first.get_attribute("data-status")
    person.page.keyboard.press("Escape")
    expect(person.page.locator("dialog")).to_have_count(0)
    return str(state)


def test_a_recurring_sale_by_draw_is_planned_on_the_console(theatre: Theatre) -> None:
    console = console_of(theatre)
    console.see("sale-mode").select_option("draw")
    console.see("sale-opens").select_option("each")
    expect(console.see("sale-countdown")).to_be_hidden()
    console.see("sale-total").fill("2")
    console.press("sale-start")
    row = console.see("plan-run")
    expect(row).to_contain_text("FREQ=WEEKLY;BYDAY=MO,WE,FR")
    expect(row).to_contain_text("10:00")
    row.locator('[data-testid="plan-end"]').click()
    expect(console.see("plan-run")).to_have_count(0)
