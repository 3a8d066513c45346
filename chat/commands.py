"""Commands: what a handler gets and gives, how a command is performed and answered, and the hub's own commands."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from chat import message
from chat.errors import CloseCode, CommandRefused
from chat.limits import HubLimits
from chat.member import Member
from chat.stats import HubCounters

if TYPE_CHECKING:
    from chat.channel import Channel
    from chat.work import Work

logger = logging.getLogger(__name__)

BUSY_RETRY_MS = 500
"""When to come back after `busy`: work in flight is answered within a few ledger batches."""


class CommandContext(NamedTuple):
    """Where, by whom and when (Unix ms) a command was given; `address` is the client's, empty where nobody knows."""

    room: str
    member: Member
    now_ms: int
    address: str = ""


Answered = Mapping[str, Any] | message.PreparedRefusal | Awaitable[Mapping[str, Any]]
CommandHandler = Callable[[CommandContext, Mapping[str, Any]], Answered]
"""Returns the fields of the answer, or a Future or coroutine of them; refuses by raising CommandRefused.

What is refused a thousand times a second, a handler refuses by returning it, prepared.

A Future costs no task: whoever makes it must settle it. A coroutine runs as a task of the hub, for `command_s` at most.
"""


class Commander(Protocol):
    """Who gives commands: a WebSocket, or a client over HTTP."""

    address: str
    channel: Channel | None
    member: Member | None
    work: Work | None

    def spend_command(self) -> int:
        """Pay for one command; return 0, or the milliseconds until it can be paid."""

    def answer(self, data: bytes) -> None:
        """Send an answer."""

    def close(self, code: int, reason: str) -> None:
        """End the connection."""


class Dispatcher:
    """Perform commands and answer them."""

    def __init__(
        self,
        handlers: Mapping[str, CommandHandler],
        limits: HubLimits,
        counters: HubCounters,
        clock: Callable[[], int],
    ) -> None:
        self._handlers = dict(handlers)
        self._limits = limits
        self._counters = counters
        self._clock = clock
        self._tasks: set[asyncio.Task[Mapping[str, Any]]] = set()

    def perform(self, connection: Commander, command: message.Command) -> None:
        """Run a command's handler, now or as it awaits, and answer it if it has an id.

        A repeated id is neither run nor answered again, unless the first was answered `rate` or `busy`.
        """
        member, channel, work = connection.member, connection.channel, connection.work
        assert member is not None and channel is not None and work is not None
        number = command.id
        if number is not None and number in work.ids:
            return
        now_ms = self._clock()
        if 0 < member.expires_ms <= now_ms:
            connection.close(CloseCode.TOKEN, "token expired")
            return
        retry_ms = connection.spend_command()
        if retry_ms:
            self._refuse(connection, number, CommandRefused("rate", "too many commands", retry_ms=retry_ms))
            return
        if work.in_flight >= self._limits.commands_in_flight:
            self._refuse(connection, number, CommandRefused("busy", "too many commands wait", retry_ms=BUSY_RETRY_MS))
            return
        self._remember(work, number)
        handler = self._handlers.get(command.name)
        if handler is None:
            self._refuse(connection, number, CommandRefused("unknown_command", "there is no such command"))
            return
        try:
            result = handler(CommandContext(channel.room.name, member, now_ms, connection.address), command.args)
            if isinstance(result, message.PreparedRefusal):
                if number is not None:
                    connection.answer(result.to(number))
                return
            if not inspect.isawaitable(result):
                self._answer(connection, number, result)
                return
        except CommandRefused as refused:
            self._refuse(connection, number, refused)
        except Exception:
            logger.exception("command %s failed", command.name)
            self._fail(connection, number)
        else:
            self._await(connection, command, result)

    def _remember(self, work: Work, number: int | None) -> None:
        if number is None:
            return
        work.ids[number] = None
        if len(work.ids) > self._limits.ids_remembered:
            del work.ids[next(iter(work.ids))]

    def _await(self, connection: Commander, command: message.Command, result: Awaitable[Mapping[str, Any]]) -> None:
        work = connection.work
        assert work is not None
        if asyncio.isfuture(result):
            future: asyncio.Future[Mapping[str, Any]] = result
        else:
            if len(self._tasks) >= self._limits.coroutines:
                if inspect.iscoroutine(result):
                    result.close()
                if command.id is not None:
                    work.ids.pop(command.id, None)
                refused = CommandRefused("busy", "the server is busy", retry_ms=BUSY_RETRY_MS)
                self._refuse(connection, command.id, refused)
                return
            task = asyncio.get_running_loop().create_task(self._bounded(result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            future = task
        work.in_flight += 1
        future.add_done_callback(partial(self._settled, connection, command))

    async def _bounded(self, result: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        async with asyncio.timeout(self._limits.command_s):
            return await result

    def _settled(
        self, connection: Commander, command: message.Command, future: asyncio.Future[Mapping[str, Any]]
    ) -> None:
        work = connection.work
        assert work is not None
        work.in_flight -= 1
        if future.cancelled():
            self._refuse(connection, command.id, CommandRefused("busy", "the server stops", retry_ms=BUSY_RETRY_MS))
            return
        error = future.exception()
        if isinstance(error, CommandRefused):
            self._refuse(connection, command.id, error)
        elif isinstance(error, TimeoutError):
            logger.error("command %s took longer than %s s", command.name, self._limits.command_s)
            self._refuse(connection, command.id, CommandRefused("timeout", "it took too long"))
        elif error is not None:
            logger.error("command %s failed", command.name, exc_info=error)
            self._fail(connection, command.id)
        else:
            try:
                self._answer(connection, command.id, future.result())
            except Exception:
                logger.exception("the answer of command %s is no JSON", command.name)
                self._fail(connection, command.id)

    def _answer(self, connection: Commander, number: int | None, fields: Mapping[str, Any]) -> None:
        if number is not None:
            connection.answer(message.answer(number, fields))

    def _refuse(self, connection: Commander, number: int | None, error: CommandRefused) -> None:
        if number is not None:
            connection.answer(message.refusal(number, error))

    def _fail(self, connection: Commander, number: int | None) -> None:
        self._counters.command_errors += 1
        self._refuse(connection, number, CommandRefused("internal", "something went wrong here"))

    def handler(self, name: str) -> CommandHandler:
        """Return a command's handler; raises KeyError."""
        return self._handlers[name]

    async def close(self) -> None:
        """Cancel the commands that still run, and wait for them to end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
