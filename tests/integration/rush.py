"""A rush on a sale or a drop: who attempts what, what each was answered, and whether the books agree to the row."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import Crowd, HubClient

CLEAR_REFUSALS = frozenset({"sold_out", "limit"})


@dataclass(slots=True)
class Attempt:
    """One ``sale.hold`` of one client, and its answer when it has come."""

    client: HubClient
    key: str
    number: int = 0
    answer: dict[str, Any] | None = None

    @property
    def hold(self) -> str | None:
        """The hold it was given."""
        return self.answer["hold"] if self.answer is not None and "error" not in self.answer else None

    @property
    def refusal(self) -> str | None:
        """The code with which it was refused."""
        return self.answer["error"]["code"] if self.answer is not None and "error" in self.answer else None


@dataclass(slots=True)
class Rush:
    """Attempts in the order in which they are sent."""

    sale: str
    attempts: list[Attempt]
    sent: int = 0
    seconds: float = 0.0
    _waiting: dict[tuple[int, int], Attempt] = field(default_factory=dict)

    def answered(self, client: HubClient, number: int, answer: dict[str, Any]) -> None:
        """Take an answer; to be given to the crowd."""
        attempt = self._waiting.pop((id(client), number), None)
        if attempt is not None:
            attempt.answer = answer

    @property
    def unanswered(self) -> int:
        return len(self._waiting)

    def send_one(self) -> None:
        """Send the next attempt."""
        attempt = self.attempts[self.sent]
        attempt.number = attempt.client.send("sale.hold", sale=self.sale, quantity=1, key=attempt.key)
        self._waiting[id(attempt.client), attempt.number] = attempt
        self.sent += 1

    def run(self, crowd: Crowd, *, per_s: int = 6_000, stop: Callable[[], bool] = lambda: False) -> None:
        """Send all attempts at a steady pace and wait for their answers; leave as soon as ``stop()`` says so."""
        began = time.monotonic()
        while self.sent < len(self.attempts):
            due = min(len(self.attempts), int((time.monotonic() - began) * per_s) + 1)
            while self.sent < due:
                self.send_one()
                if stop():
                    return
            crowd.pump(0.001)
            if stop():
                return
        crowd.run(lambda: not self._waiting or stop(), "an answer to every attempt")
        self.seconds = time.monotonic() - began

    def granted(self) -> dict[str, str]:
        """Persons by the holds that were acknowledged to them; a hold is acknowledged to one person only."""
        granted: dict[str, str] = {}
        for attempt in self.attempts:
            if attempt.hold is not None:
                assert granted.setdefault(attempt.hold, attempt.client.person) == attempt.client.person
        return granted

    def refusals(self) -> Counter[str]:
        """How often each code came."""
        return Counter(attempt.refusal for attempt in self.attempts if attempt.refusal is not None)

    def assert_one_answer_per_key(self) -> None:
        """A key that was granted stands for one hold, however often it was sent."""
        holds: dict[tuple[str, str], str] = {}
        for attempt in self.attempts:
            if attempt.hold is not None:
                pair = (attempt.client.person, attempt.key)
                assert holds.setdefault(pair, attempt.hold) == attempt.hold, pair


def plan_attempts(clients: Sequence[HubClient], count: int, randomness: random.Random) -> list[Attempt]:
    """``count`` attempts in random order: each client tries, the others are second keys and repeats of the first."""
    attempts = [Attempt(client, "first") for client in clients]
    while len(attempts) < count:
        client = randomness.choice(clients)
        attempts.append(Attempt(client, randomness.choice(("first", "second", "third"))))
    randomness.shuffle(attempts)
    return attempts


def gather(shop: Shopfloor, crowd: Crowd, count: int, name: str, *, watch: bool = False) -> list[HubClient]:
    """``count`` guests in the room, each on a connection of their own."""
    clients = []
    for start in range(0, count, 200):
        group = [shop.knock(crowd, f"{name}-{n:05d}", watch=watch) for n in range(start, min(count, start + 200))]
        crowd.settle(group)
        clients += group
    return clients


def assert_books_agree(shop: Shopfloor, rush: Rush, total: int) -> None:
    """The database has exactly the holds that clients were told of, one request key each, and the sums to them."""
    granted = rush.granted()
    in_books = shop.holds(rush.sale)
    assert {hold: row["person"] for hold, row in in_books.items()} == granted
    assert {row["quantity"] for row in in_books.values()} <= {1}
    keys = {(attempt.client.person, attempt.key): attempt.hold for attempt in rush.attempts if attempt.hold}
    route = f"hold/{rush.sale}"
    stored = shop.rows("SELECT person, key, answer FROM request WHERE route = ?", route)
    assert {(row["person"], row["key"]): row["answer"] for row in stored} == keys
    [sale] = shop.rows("SELECT * FROM sale WHERE id = ?", rush.sale)
    assert (sale["held"], sale["free"], sale["sold"]) == (len(granted), total - len(granted), 0)


class Talk:
    """Viewers who chat while others rush, within their limits, and the lines that must arrive."""

    LINE_EVERY_S = 0.1

    def __init__(self, talkers: Sequence[HubClient]) -> None:
        self._talkers = list(talkers)
        self._turns = self._lines()
        self._due = 0.0
        self._said: list[tuple[HubClient, int, str]] = []

    def _lines(self) -> Iterator[tuple[HubClient, str]]:
        number = 0
        while True:
            for talker in self._talkers:
                number += 1
                yield talker, f"第 {number} 句"

    def on(self) -> bool:
        """Say the next line when it is time; False, so that it can stand where a rush asks whether to stop."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self.LINE_EVERY_S
            talker, line = next(self._turns)
            self._said.append((talker, talker.send("chat.send", text=line), line))
        return False

    @property
    def said(self) -> list[str]:
        """The lines that were taken: a stall makes a burst of what was said evenly, and that has its limit."""
        return [line for talker, number, line in self._said if "error" not in talker.answers.get(number, {"error": 0})]

    def heard_by(self, client: HubClient) -> bool:
        """Whether all is answered, and a bystander has every line that was taken once, each talker's in order."""
        if not all(number in talker.answers for talker, number, _ in self._said):
            return False
        lines = [event["text"] for event in client.of("chat")]
        assert len(lines) == len(set(lines)), "a line came twice"
        for talker in self._talkers:
            own = [line for speaker, _, line in self._said if speaker is talker and line in set(lines)]
            assert own == [line for line in lines if line in set(own)], "one talker's lines came out of order"
        return sorted(lines) == sorted(self.said)
