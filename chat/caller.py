"""Commands over HTTP: the same dispatcher as for a WebSocket, the answers in the response.

A caller stands for one client of a person in a room, over all its requests: so a repeated id is not run again but gets
the answer it got, which is what somebody wants who has lost the response.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from chat.errors import CommandRefused
from chat.message import Command, refusal
from chat.moderation import TokenBucket
from chat.work import Work

if TYPE_CHECKING:
    from chat.channel import Channel
    from chat.hub import Hub
    from chat.member import Member


class Caller:
    """One client that gives commands over HTTP."""

    __slots__ = ("_answers", "_bucket", "_hub", "address", "channel", "member", "work")

    def __init__(self, hub: Hub, channel: Channel, member: Member) -> None:
        self.channel: Channel | None = channel
        self.member: Member | None = member
        self.work: Work | None = Work()
        self.address = ""
        self._hub = hub
        limits = hub.limits
        self._bucket = TokenBucket(limits.commands_per_s, limits.commands_burst, hub.clock())
        self._answers: dict[int, asyncio.Future[bytes]] = {}

    def spend_command(self) -> int:
        """Pay for one command; return 0, or the milliseconds until it can be paid."""
        return self._bucket.take(self._hub.clock())

    def answer(self, data: bytes) -> None:
        """Take the answer to a command."""
        future = self._answers.get(orjson.loads(data)["re"])
        if future is not None and not future.done():
            future.set_result(data)

    def close(self, code: int, reason: str) -> None:
        """Refuse what waits: the dispatcher closes whose token has expired."""
        for number, future in self._answers.items():
            if not future.done():
                future.set_result(refusal(number, CommandRefused("token", reason)))

    async def perform(self, commands: list[Command]) -> list[bytes]:
        """Run commands; return the answers of those with an id, in their order."""
        loop = asyncio.get_running_loop()
        waiting: list[tuple[int, asyncio.Future[bytes]]] = []
        for command in commands:
            if command.id is None:
                self._hub.dispatcher.perform(self, command)
                continue
            future = self._answers.get(command.id)
            if future is None:
                future = self._answers[command.id] = loop.create_future()
                self._hub.dispatcher.perform(self, command)
            waiting.append((command.id, future))
        if waiting:
            # A little longer than a command may take: it then says so itself.
            await asyncio.wait([future for _, future in waiting], timeout=self._hub.limits.command_s + 1)
        late = CommandRefused("timeout", "it took too long")
        answers = [future.result() if future.done() else refusal(number, late) for number, future in waiting]
        self._tidy()
        return answers

    def _tidy(self) -> None:
        assert self.work is not None
        for number in list(self._answers):
            # What the dispatcher does not remember (it was answered `rate` or `busy`) is run when it comes again.
            if self._answers[number].done() and number not in self.work.ids:
                del self._answers[number]
