"""The loop's side of the ledger: who may ask, what is refused at once, and how answers come back."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Any

from commerce.batch_writer_sql import HOT, of_person
from commerce.errors import Busy, CommerceError
from commerce.events import Event
from commerce.ledger import BUSY_RETRY_MS, LATCH_MS, REQUESTS_WAITING_MAX, Claim, Clock, Hold
from commerce.ledger_batch_sql import Latch, Outcome
from commerce.ledger_hot_sql import refusal

Submitted = tuple[Any, "asyncio.Future[Any]"]


class LedgerFront(ABC):
    """A ``Ledger`` in front of a writer that decides; ``kinds`` are the row-wise commands that it knows.

    ``now_person`` says who goes on for a person who was merged away: commands count for that one, and are looked at
    again when they are decided.
    ``on_events`` is called on the loop, after the answers of the batch, with the events that it committed.
    """

    def __init__(
        self,
        kinds: Container[type],
        *,
        clock: Clock,
        on_events: Callable[[Sequence[Event]], None],
        requests_waiting_max: int = REQUESTS_WAITING_MAX,
        now_person: Callable[[str], str] = str,
    ) -> None:
        self._now_person = now_person
        self._kinds = kinds
        self._clock = clock
        self._on_events = on_events
        self._waiting_max = requests_waiting_max
        self._waiting = 0
        self._latches: dict[str, Latch] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.batches = 0
        self.commands = 0
        self.losses = 0
        """How often the writer was lost and replaced: a thread never is."""

    @property
    def waiting(self) -> int:
        """Commands queued or being decided."""
        return self._waiting

    @property
    @abstractmethod
    def ahead_ms(self) -> int:
        """How far the clock that decides is before ours, as far as this process knows it."""

    def now(self) -> int:
        """Unix milliseconds by the clock that decides, as far as this process knows it."""
        return self._clock() + self.ahead_ms

    @abstractmethod
    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the writer; answers go to ``loop``."""

    @abstractmethod
    async def close(self) -> None:
        """Refuse new commands, commit and answer all that are queued, end the writer."""

    @property
    @abstractmethod
    def _open(self) -> bool:
        """Whether there is a writer to ask."""

    @abstractmethod
    def _put(self, command: Any, future: "asyncio.Future[Any]") -> None:
        """Bring a command to the writer."""

    def submit(self, command: Any) -> "asyncio.Future[Any]":
        """Queue a command (on the loop's thread). The future fails at once with Busy or with a latched refusal."""
        loop = self._loop
        if loop is None:
            raise RuntimeError("the ledger was not started")
        if type(command) not in HOT and type(command) not in self._kinds:
            raise TypeError(f"the ledger has no rule for {type(command).__name__}")
        command = of_person(command, self._now_person)
        future = loop.create_future()
        refused = self._refuse(command)
        if refused is not None:
            future.set_exception(refused)
            return future
        self._waiting += 1
        self._put(command, future)
        return future

    def latched(self, merchant: str, room: str, person: str, scope: str) -> str | None:
        """The code with which a sale or drop refuses a person, as of a moment ago; None: ask the ledger."""
        latch = self._latches.get(scope)
        if latch is None or self._clock() >= latch.again_ms:
            return None
        if self._now_person(person) in latch.holders or merchant != latch.merchant or room != latch.room:
            return None
        return latch.code

    def _ask_again(self, scope: str) -> None:
        """Note that somebody whom a hint does not refuse asks now."""
        latch, now_ms = self._latches.get(scope), self._clock()
        if latch is None:
            return
        if now_ms >= latch.lapses_ms:
            del self._latches[scope]
        elif now_ms >= latch.again_ms:
            # The hundreds that come in a rush until this one is answered need not ask as well.
            self._latches[scope] = replace(latch, again_ms=min(now_ms + LATCH_MS, latch.lapses_ms))

    def _refuse(self, command: Any) -> CommerceError | None:
        if self._latches and type(command) in (Hold, Claim):
            scope = command.sale if type(command) is Hold else command.drop
            code = self.latched(command.merchant, command.room, command.person, scope)
            if code is not None:
                return refusal(code)
            self._ask_again(scope)
        if not self._open or self._waiting >= self._waiting_max:
            return Busy(retry_ms=BUSY_RETRY_MS)
        return None

    def _answer(self, requests: Sequence[Submitted], results: Sequence[Any], outcome: Outcome) -> None:
        """Hand out the answers of a batch, on the loop."""
        self._waiting -= len(requests)
        for scope in outcome.unlatched:
            self._latches.pop(scope, None)
        for latch in outcome.latches:
            # By this process's own clock: a hint must not last because two clocks differ.
            ahead_ms = self._clock() - outcome.now_ms
            again_ms, lapses_ms = latch.again_ms + ahead_ms, latch.lapses_ms + ahead_ms
            self._latches[latch.scope] = replace(latch, again_ms=again_ms, lapses_ms=lapses_ms)
        for (_, future), result in zip(requests, results, strict=True):
            if future.done():
                continue
            if isinstance(result, CommerceError):
                future.set_exception(result)
            else:
                future.set_result(result)
        if outcome.events:
            self._on_events(outcome.events)
