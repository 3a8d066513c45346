"""A show in a room full of viewers: chat over the room's cap, notices, a flash sale; and what its viewers saw."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.bench.herd import browser_request
from gateway.bench.process import Child
from tests.integration.masses import Seen, audience, mark, percentile, raw_audience, raw_writer
from tests.integration.pinned import CLIENTS, SERVERS
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import PATIENCE_S, Crowd, HubClient

CHATTERS = 250
"""Who chat: each may say two lines a second."""
HOLDS_PER_S = 100
NOTICE_S = 0.5
RAW_PASSES = 20
SETTLE_S = 2.0
"""After the joins, whose count is told once a second, and after the show."""
JOINS_PER_S = 1_500
"""Under the 2,000 a second that the hub lets in."""


@dataclass
class Show:
    """What was done, and what came of it."""

    viewers: int
    stalled: int
    seconds: float
    notices: int = 0
    lines: int = 0
    holds: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    commands_ms: list[float] = field(default_factory=list)
    """Of commands that the loop answers."""
    holds_ms: list[float] = field(default_factory=list)
    """Of commands that a synced commit answers."""
    chat_delays_ms: list[float] = field(default_factory=list)
    joined_s: float = 0.0
    seen: Seen | None = None
    raw: Seen | None = None
    raw_pass_ms: float = 0.0

    def words(self) -> str:
        """All of it, for people."""
        assert self.seen is not None
        lines = [
            f"{self.viewers} viewers (in within {self.joined_s:.1f} s), {self.stalled} who never read, "
            f"{self.seconds:.0f} s: {self.lines / self.seconds:.0f} lines a second offered, "
            f"{len(self.chat_delays_ms) / self.seconds:.0f} seen, {self.notices} notices, {self.holds} holds, "
            f"answers {dict(self.answers)}",
            *(
                f"{name}: median {percentile(delays_ms, 0.5):.1f} ms, 99 of 100 {percentile(delays_ms, 0.99):.1f} ms"
                for name, delays_ms in (
                    ("P0 to each viewer", self.seen.delays_ms),
                    ("chat to a viewer", self.chat_delays_ms),
                    ("commands", self.commands_ms),
                    ("holds", self.holds_ms),
                )
            ),
        ]
        if self.raw is not None:
            lines.append(
                f"one raw write pass over as many sockets: {self.raw_pass_ms:.0f} ms, at the viewers 99 of 100 "
                f"{self.raw.p99_ms():.0f} ms: P0 is {self.seen.p99_ms() / self.raw.p99_ms():.2f} times that"
            )
        return "\n".join(lines)


class _Stage:
    """The people who act, in this process; the viewers are in another."""

    def __init__(self, shop: Shopfloor, crowd: Crowd, show: Show) -> None:
        self.show = show
        self.crowd = crowd
        self._sent: dict[tuple[int, int], tuple[float, list[float]]] = {}
        crowd.answered = self._answered
        self.host = shop.host(crowd)
        self.watcher = shop.join(crowd, "watcher")
        self.chatters = [shop.knock(crowd, f"chatter-{number}", watch=False) for number in range(CHATTERS)]
        crowd.settle(self.chatters)

    def send(self, client: HubClient, cmd: str, **arguments: Any) -> int:
        number = client.send(cmd, **arguments)
        took_ms = self.show.commands_ms if cmd in ("chat.send", "notice") else self.show.holds_ms
        self._sent[id(client), number] = time.monotonic(), took_ms
        return number

    def _answered(self, client: HubClient, number: int, answer: dict[str, Any]) -> None:
        sent = self._sent.pop((id(client), number), None)
        if sent is None:
            return
        sent_s, took_ms = sent
        took_ms.append((time.monotonic() - sent_s) * 1000)
        self.show.answers["ok" if answer.get("ok") else answer["error"]["code"]] += 1

    def pump(self, until: Callable[[], bool]) -> None:
        """Let the people read and write until then, and note when each line came to the one who watches."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline_s, f"the show stands still: {len(self._sent)} commands have no answer"
            self.crowd.pump(0.002)
            self._look()

    def rest(self, seconds: float) -> None:
        """Go on reading for a while."""
        end_s = time.monotonic() + seconds
        self.pump(lambda: time.monotonic() >= end_s)

    def chat(self, seconds: float, lines_per_s: int) -> None:
        """Talk for a while, and forget what was heard of it."""
        speakers, said, start_s = itertools.cycle(self.chatters), 0, time.monotonic()
        while (at_s := time.monotonic() - start_s) < seconds:
            while said < at_s * lines_per_s:
                next(speakers).send("chat.send", text=_line())
                said += 1
            self.rest(0.002)
        self.show.chat_delays_ms.clear()

    def _look(self) -> None:
        now_ms = time.monotonic() * 1000
        while self.watcher.events:
            event = self.watcher.events.popleft()
            if event["t"] == "chat":
                self.show.chat_delays_ms.append(now_ms - float(event["text"].split()[1]))

    @property
    def all_answered(self) -> bool:
        return not self._sent


def play_show(
    shop: Shopfloor,
    viewers: int,
    seconds: float,
    lines_per_s: int,
    *,
    raw: bool = False,
    stalled: int = 0,
    chat_first_s: float = 0.0,
    notice_s: float = NOTICE_S,
) -> Show:
    """Fill the room, play the show, and with `raw` write to as many sockets in a bare loop after it.

    Beside the viewers there are so many who are `stalled`: they join and never read again. For `chat_first_s` there is
    only chat, and nothing is measured. The host says something each `notice_s`.
    """
    show = Show(viewers, stalled, seconds)
    room = shop.server.room
    requests = [
        # Without compression, as the viewers look for marks in what they read.
        _uncompressed(browser_request(f"/ws/{room}?token={shop.token(f'viewer-{number:012}')}"))
        for number in range(viewers + stalled)
    ]
    doors = (shop.server.http_port, requests[stalled:], JOINS_PER_S, requests[:stalled])
    sale = shop.sale(total=100_000, per_person=900, start=False)
    with (
        Crowd(shop.server.http_port) as crowd,
        Child(audience, *doors) as child,
    ):
        stage = _Stage(shop, crowd, show)
        stage.pump(child.waiting)
        show.joined_s = child.receive().wall_s
        stage.rest(SETTLE_S)
        stage.chat(chat_first_s, lines_per_s)
        _act(stage, sale, lines_per_s, notice_s)
        stage.pump(lambda: stage.all_answered)
        stage.rest(SETTLE_S)
        child.tell()
        stage.pump(child.waiting)
        show.seen = child.receive()
        assert stage.watcher.closed is None
        assert not [client for client in stage.chatters if client.closed is not None]
    if raw:
        _write_raw(show)
    return show


def _line() -> str:
    """A line of chat with the time at which it was said."""
    return f"多少钱 {time.monotonic() * 1000:.1f} 求链接"


def _uncompressed(request: bytes) -> bytes:
    return b"\r\n".join(line for line in request.split(b"\r\n") if not line.startswith(b"Sec-WebSocket-Extensions"))


def _act(stage: _Stage, sale: str, lines_per_s: int, notice_s: float) -> None:
    show = stage.show
    speakers, buyers = itertools.cycle(stage.chatters), itertools.cycle(reversed(stage.chatters))
    start_s = time.monotonic()
    started: int | None = None
    open_s = 0.0
    while (at_s := time.monotonic() - start_s) < show.seconds:
        if show.notices <= at_s / notice_s:
            stage.send(stage.host, "notice", text=mark(show.notices))
            show.notices += 1
        while show.lines < at_s * lines_per_s:
            stage.send(next(speakers), "chat.send", text=_line())
            show.lines += 1
        if at_s > show.seconds / 3 and started is None:
            started = stage.send(stage.host, "sale.start", sale=sale, countdown_s=0)
        if started in stage.host.answers:
            open_s = open_s or at_s
        while open_s and show.holds < (at_s - open_s) * HOLDS_PER_S:
            stage.send(next(buyers), "sale.hold", sale=sale, quantity=1, key=f"k{show.holds}")
            show.holds += 1
        stage.rest(0.002)


def _write_raw(show: Show) -> None:
    assert show.seen is not None
    notice_bytes = 150
    with Child(raw_writer, show.viewers, notice_bytes, RAW_PASSES, cpus=SERVERS) as writer:
        port = writer.receive()
        with Child(raw_audience, port, show.viewers, cpus=CLIENTS) as readers:
            readers.receive()
            writer.receive()
            writer.tell()
            took_ms = writer.receive()
            readers.tell()
            show.raw = readers.receive()
            show.raw_pass_ms = percentile(took_ms, 0.5)
