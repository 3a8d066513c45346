"""Outsiders without a WebSocket: curl reads a room as events or by polling, and misses nothing by coming back."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.harness import LiveServer, live_server
from tests.integration.test_personal import commands
from tests.outside import need

WAIT_S = 60.0
ROUND = 5
"""All have had so many before the next are said: who reads slowly is not given them all in one piece."""
Note = Callable[[dict[str, Any]], None]


class Account:
    """What one client was told, by offset; each event must come once, in order, without a gap."""

    def __init__(self, last: str) -> None:
        self.position = ""
        self.offset = 0
        self.texts: list[str] = []
        self.resumed: list[bool] = []
        self._last = last

    @property
    def done(self) -> bool:
        return bool(self.texts) and self.texts[-1] == self._last

    def take(self, item: dict[str, Any]) -> None:
        if item.get("t") == "room":
            self.resumed.append(item["resumed"])
            for past in item["history"]:
                self.take(past)
            self.offset = max(self.offset, item["offset"])
            self.position = f"{item['epoch']}:{self.offset}"
        elif "o" in item:
            assert not self.offset or item["o"] == self.offset + 1 or not self.position, item
            self.offset = item["o"]
            if self.position:
                self.position = f"{self.position.rpartition(':')[0]}:{self.offset}"
            if item["t"] == "notice":
                self.texts.append(item["text"])


def listen(
    curl: str, server: LiveServer, token: str, account: Account, events_each: int, begun: Callable[[], Any]
) -> None:
    """Read the event stream; hang up after some events and come back by the id of the last one."""
    while not account.done:
        address = f"{server.base}/sse/{server.room}"
        command = [curl, "-sN", "-m", str(WAIT_S), "-H", f"Authorization: Bearer {token}", address]
        if account.position:
            command += ["-H", f"Last-Event-ID: {account.position}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reading:
            assert reading.stdout is not None
            heard = 0
            for line in reading.stdout:
                if line.startswith("data: ["):
                    before = len(account.texts)
                    for item in json.loads(line[6:]):
                        account.take(item)
                    begun()
                    heard += len(account.texts) - before
                if account.done or heard >= events_each:
                    break
            reading.kill()


def ask(curl: str, server: LiveServer, token: str, account: Account, lose_each: int, begun: Callable[[], Any]) -> None:
    """Poll the room; throw some answers away and ask again, and begin anew with `since` now and then."""
    session, number, asked, taken = "", 0, 0, 0
    while not account.done:
        address = f"{server.base}/poll/{server.room}?poll={session}&n={number}&since={account.position}"
        command = [curl, "-s", "-m", str(WAIT_S), "-H", f"Authorization: Bearer {token}", address]
        answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        asked += 1
        if asked % lose_each == 0:
            # As if it had been lost on its way: it is asked for again.
            continue
        for item in answer["items"]:
            account.take(item)
        begun()
        taken += 1
        session, number = ("", 0) if taken % 3 == 0 else (answer["poll"], answer["n"])


def wait_for(accounts: list[Account], told: int) -> None:
    """Wait until all have got so many."""
    deadline = time.monotonic() + WAIT_S
    while any(len(account.texts) < told for account in accounts):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def check(folder: Path, notices: int) -> None:
    curl = need("curl")
    last = f"n{notices - 1}"
    with live_server(folder) as server:
        ways: list[tuple[Any, int]] = [(listen, 5), (listen, 3), (ask, 3), (ask, 2)]
        accounts = [Account(last) for _ in ways]
        there = threading.Barrier(len(ways) + 1)
        with ThreadPoolExecutor(len(ways)) as pool:
            running = []
            for (way, each), account in zip(ways, accounts, strict=True):
                first = threading.Event()

                def begun(first: threading.Event = first) -> None:
                    if not first.is_set():
                        first.set()
                        there.wait(WAIT_S)

                running.append(pool.submit(way, curl, server, server.guest()["token"], account, each, begun))
            there.wait(WAIT_S)
            for number in range(notices):
                commands(server, server.seed["host_token"], {"cmd": "notice", "text": f"n{number}"})
                if number % ROUND == ROUND - 1:
                    wait_for(accounts, number + 1)
            for ending in running:
                ending.result(WAIT_S)
        for account in accounts:
            assert account.texts == [f"n{number}" for number in range(notices)]
            assert account.resumed[0] is False and all(account.resumed[1:]) and len(account.resumed) >= 2


def test_streams_and_polls_that_break_off_miss_nothing_and_get_nothing_twice(tmp_path: Path) -> None:
    check(tmp_path, 20)


@pytest.mark.soak
def test_streams_and_polls_that_break_off_again_and_again_miss_nothing(tmp_path: Path) -> None:
    check(tmp_path, 400)
