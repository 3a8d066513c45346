"""Phones that run the mini-program sample under Node, as the server gives it away."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import queue
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
from playwright._impl._driver import compute_driver_executable

from gateway.miniprogram_archive import FOLDER
from tests.harness import LiveServer

ANSWER_S = 60.0
PHONE = Path(__file__).with_name("phone.mjs")


def node() -> str:
    """The Node that comes with Playwright, which the tests have in any case."""
    return str(compute_driver_executable()[0])


def unpack(server: LiveServer, folder: Path, templates: str = "") -> Path:
    """The sample as the server gives it away, for its own room; ``templates``: the id of each message it may offer."""
    answer = httpx.get(f"{server.base}/miniprogram.zip", params={"room": server.room}, timeout=60)
    assert answer.status_code == 200, answer.text
    ZipFile(io.BytesIO(answer.content)).extractall(folder)
    # The developer tools take the files for modules as they are; Node wants to be told.
    (folder / FOLDER / "package.json").write_text('{"type": "module"}', "utf-8")
    config = folder / FOLDER / "config.js"
    # A server with an address of its own names that one; these phones are on the same machine.
    text = re.sub('BASE = "[^"]*"', f'BASE = "{server.base}"', config.read_text("utf-8"))
    config.write_text(re.sub(r'(show|sale|order): ""', rf'\1: "{templates}"', text), "utf-8")
    return folder / FOLDER


class Phone:
    """One phone with the mini-program; what it is told concerns the page on top."""

    def __init__(self, folder: Path) -> None:
        command = [node(), str(PHONE), str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ids = itertools.count(1)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._kept: dict[int, dict[str, Any]] = {}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(json.loads(line))

    def tell(self, **order: Any) -> int:
        """Give an order and do not wait for its end; returns what ``end`` takes."""
        assert self._process.stdin is not None
        number = next(self._ids)
        self._process.stdin.write(json.dumps({"id": number, **order}) + "\n")
        self._process.stdin.flush()
        return number

    def end(self, number: int) -> Any:
        """What an order came to."""
        while number not in self._kept:
            answer = self._answers.get(timeout=ANSWER_S)
            self._kept[answer["id"]] = answer
        answer = self._kept.pop(number)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def call(self, method: str, *args: Any) -> Any:
        """What a method of the page comes to: a tap is one."""
        return self.end(self.tell(call=method, args=args))

    def open(self, page: str, **query: str) -> dict[str, Any]:
        """Open a page by its path in app.json; what it shows once it has loaded."""
        self.end(self.tell(open=page, query=query))
        return self.screen()

    def tap(self, method: str, value: Any = None, **dataset: Any) -> dict[str, Any]:
        """Tap what is bound to ``method``, with its ``data-…``; what the page on top shows then."""
        self.call(method, {"currentTarget": {"dataset": dataset}, "detail": {"value": value}})
        return self.screen()

    def back(self) -> dict[str, Any]:
        """Leave the page on top; what the one below shows."""
        self.end(self.tell(back=True))
        return self.screen()

    def bearer(self, **answers: Any) -> None:
        """How the phone's bearer answers WeChat's sheets from now on; the names stand in ``phone.mjs``."""
        self.end(self.tell(bearer=answers))

    def network(self, state: str) -> None:
        """``on``, ``off``, ``deaf`` or ``plain``."""
        self.end(self.tell(network=state))

    def screen(self) -> dict[str, Any]:
        """What the page shows."""
        shown: dict[str, Any] = self.end(self.tell(data=True))
        return shown

    def sees(self, what: Callable[[dict[str, Any]], Any]) -> Any:
        """What is found on the screen, as soon as it is there; ``what`` gets ``room`` of the page's data."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            screen = self.screen()
            found = what(screen["room"])
            if found or time.monotonic() > deadline:
                assert found, screen
                return found
            time.sleep(0.05)

    def shows(self, name: str, value: str) -> None:
        """Wait until a value of the page's own data is this."""
        deadline = time.monotonic() + ANSWER_S
        while (shown := self.screen())[name] != value:
            assert time.monotonic() < deadline, shown
            time.sleep(0.05)

    def lines(self) -> list[str]:
        """The chat on the screen."""
        return [line["text"] for line in self.screen()["room"].get("lines", [])]

    def say(self, text: str) -> None:
        """Type and send a line."""
        self.call("onText", {"detail": {"value": text}})
        self.call("onSend")

    def close(self) -> None:
        """Switch off."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(ANSWER_S)
        finally:
            self._process.kill()


@contextlib.contextmanager
def pocket(folder: Path) -> Iterator[Phone]:
    """A phone on which nothing is open yet."""
    opened = Phone(folder)
    try:
        yield opened
    finally:
        opened.close()


@contextlib.contextmanager
def phone(folder: Path, **query: str) -> Iterator[Phone]:
    """A phone that opened the room by a card with this query."""
    with pocket(folder) as opened:
        opened.open("pages/room/room", **query)
        opened.sees(lambda room: room.get("title"))
        yield opened
