"""All viewers drop at once and come back with `since`: nothing is lost or doubled, and the server stays."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from gateway.bench.process import Child
from tests.harness import live_server
from tests.integration.masses import percentile
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import Crowd, raise_file_limit
from tests.integration.storm import Storm, storm

LINES_PER_S = 5
"""Kept events while they are away: 1,000 of them, the history, are 200 s, longer than any of them is away."""
AFTER_S = 2.0


def blow(folder: Path, count: int) -> None:
    """Let so many come, drop and come back while the room chats."""
    with live_server(folder) as server:
        shop = Shopfloor(server)
        targets = [f"/ws/{server.room}?token={shop.token(f'viewer-{number:012}')}" for number in range(count)]
        addresses = [f"127.{1 + number % 200}.{number // 200 % 250}.7" for number in range(count)]
        with Crowd(server.http_port) as crowd, Child(storm, server.http_port, targets, addresses) as child:
            speakers = itertools.cycle(
                [shop.join(crowd, f"speaker-{number}", watch=False) for number in range(LINES_PER_S)]
            )

            def chat_until_heard(seconds: float = 0.0) -> None:
                """Say lines until the child has said its word, or for a time."""
                end_s, next_s = time.monotonic() + seconds, time.monotonic()
                while time.monotonic() < end_s if seconds else not child.waiting():
                    if time.monotonic() >= next_s:
                        next(speakers).send("chat.send", text="还在吗")
                        next_s += 1 / LINES_PER_S
                    crowd.pump(0.01)

            chat_until_heard()
            assert child.receive() == "in"
            chat_until_heard(1.0)
            child.tell()
            chat_until_heard()
            assert child.receive() == "back"
            chat_until_heard(AFTER_S)
            crowd.idle(1.0)
            child.tell()
            found: Storm = child.receive()
            # Those who stayed were not disturbed, and the server answers.
            answer = next(speakers).command("like", n=1)
            assert answer["ok"]
        assert server.process is not None and server.process.poll() is None
        assert '"level":"error"' not in server.log()
    print(
        f"{count} clients came back: median {percentile(found.recovered_ms, 0.5):.0f} ms, 99 of 100 "
        f"{percentile(found.recovered_ms, 0.99):.0f} ms; {found.refused} joins told to come later, {found.resets} cut, "
        f"{found.lost} lost, {found.doubled} doubled, {found.afresh} began afresh"
    )
    assert len(found.recovered_ms) == count
    assert (found.lost, found.doubled, found.afresh) == (0, 0, 0)
    assert found.last[0] == found.last[1]
    assert set(found.codes) <= {4229}


def test_hundreds_who_drop_at_once_come_back_without_a_gap(tmp_path: Path) -> None:
    blow(tmp_path, 300)


@pytest.mark.soak
def test_8000_who_drop_at_once_come_back_without_a_gap(tmp_path: Path) -> None:
    raise_file_limit(20_000)
    blow(tmp_path, 8_000)
