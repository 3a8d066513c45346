"""A host goes live from a browser: devices, preview, level, WHIP, and back again by itself after a break."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.stage import DESK, GONE, NO_PICTURE, NO_SESSION, Person, Theatre, wait_until
from tests.harness import LiveServer, live_server

pytestmark = pytest.mark.browser

RETURN_MS = 120_000
"""From the server's return to the picture: a session that is given up for dead, and the host's pause between tries."""
BREAK_MS = 12_000
"""Longer than the server listens to silence, and than the page waits for a path."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server without a host."""
    with live_server(tmp_path_factory.mktemp("studio")) as running:
        yield running


@pytest.fixture
def house(browser: Browser, empty: LiveServer) -> Iterator[Theatre]:
    theatre = Theatre(browser, empty)
    theatre.watch.expect(NO_PICTURE, NO_SESSION)
    yield theatre
    theatre.close()
    assert theatre.watch.unexpected() == []


def in_the_studio(house: Theatre) -> Person:
    """The host before the camera, preview running."""
    host = house.person(DESK)
    host.open(f"/studio/{house.server.room}#token={house.server.seed['host_token']}")
    expect(host.see("go-live")).to_be_visible()
    host.page.wait_for_function("() => document.querySelector('#preview').videoWidth > 0")
    return host


def live(host: Person, timeout_ms: int) -> None:
    expect(host.see("live-state")).to_have_attribute("data-live", "true", timeout=timeout_ms)


def camera(host: Person) -> str:
    """What the preview shows, by the device's own name."""
    label: str = host.page.evaluate("() => document.querySelector('#preview').srcObject.getVideoTracks()[0].label")
    return label


def test_a_host_chooses_a_camera_sees_the_level_and_goes_live(house: Theatre) -> None:
    host = in_the_studio(house)
    button = host.see("go-live")
    assert button.evaluate("e => e.getBoundingClientRect().bottom <= innerHeight"), "the button is below the fold"
    assert host.page.locator("#camera option").count() == 3
    first = camera(host)
    other = host.page.locator("#camera option").last.inner_text()
    host.page.locator("#camera").select_option(label=other)
    host.page.wait_for_function(
        "label => document.querySelector('#preview').srcObject.getVideoTracks()[0].label === label", arg=other
    )
    assert first != other
    # The fake microphone beeps once a second.
    host.page.wait_for_function("() => document.querySelector('#level').value > 0.02", polling=20)
    button.click()
    live(host, RETURN_MS)
    viewer = house.person()
    viewer.open(house.room)
    viewer.picture(timeout_ms=RETURN_MS)
    expect(host.see("sending")).to_contain_text("Mbps")
    host.page.locator("#camera").select_option(label=first)
    host.page.wait_for_function(
        "label => document.querySelector('#preview').srcObject.getVideoTracks()[0].label === label", arg=first
    )
    viewer.picture()
    button.click()
    expect(host.see("live-state")).to_have_attribute("data-live", "false")
    server = house.server
    wait_until(lambda: not server.call("GET", f"/rooms/{server.room}").json()["stream"]["live"], "the end")


@pytest.mark.parametrize("end", ["stop", pytest.param("kill", marks=pytest.mark.soak)])
def test_the_host_is_live_again_by_itself_after_the_server_s_restart(house: Theatre, end: str) -> None:
    house.watch.expect(GONE, r"whip.* status of 503|status of 404")
    host = in_the_studio(house)
    host.press("go-live")
    live(host, RETURN_MS)
    viewer = house.person()
    viewer.open(house.room)
    viewer.picture(timeout_ms=RETURN_MS)
    getattr(house.server, end)()
    expect(host.see("live-state")).to_have_attribute("data-live", "false", timeout=RETURN_MS)
    house.server.start()
    live(host, RETURN_MS)
    viewer.picture(timeout_ms=RETURN_MS)
    host.press("go-live")


@pytest.mark.soak
def test_the_host_is_live_again_by_itself_after_a_break_of_the_network(house: Theatre) -> None:
    house.watch.expect(GONE, r"status of 40[49]")
    host = in_the_studio(house)
    host.press("go-live")
    live(host, RETURN_MS)
    process = house.server.process
    assert process is not None
    # Not a packet comes through, and nobody says why: as in a lift.
    process.send_signal(signal.SIGSTOP)
    host.page.wait_for_timeout(BREAK_MS)
    expect(host.see("live-state")).to_have_attribute("data-live", "false", timeout=RETURN_MS)
    process.send_signal(signal.SIGCONT)
    live(host, RETURN_MS)
    viewer = house.person()
    viewer.open(house.room)
    viewer.picture(timeout_ms=RETURN_MS)


def test_a_second_device_is_told_who_is_in_the_way_and_takes_over_when_the_first_ends(house: Theatre) -> None:
    house.watch.expect(r"status of 409")
    first, second = in_the_studio(house), in_the_studio(house)
    first.press("go-live")
    live(first, RETURN_MS)
    second.press("go-live")
    # A device that stood still for half a second gives way: which of the two is told is the machine's affair.
    told: list[Person] = []
    while not told:
        first.page.wait_for_timeout(100)
        told = [one for one in (first, second) if "别的设备" in one.see("said").inner_text()]
    other = first if told[0] is second else second
    other.press("go-live")
    live(told[0], RETURN_MS)
