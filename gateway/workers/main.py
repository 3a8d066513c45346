"""A worker's process: ``python -m gateway.workers.main FD``; FD is its end of a socket pair with the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import uvloop

from commerce.errors import StoreError
from gateway.config import Settings, os_error_text
from gateway.logs import configure_logging
from gateway.secrets import SecretError
from gateway.server import Server, freeze_start_up, serve
from gateway.welcome import address_lines
from gateway.workers.cluster import socket_path
from gateway.workers.link import Link
from gateway.workers.messages import Ready, ToWorker, Welcome, settings_from_dict
from gateway.workers.part import Seat

logger = logging.getLogger("siyu.workers")

WELCOME_S = 10.0


class WorkerLink:
    """A worker's end: keeps what comes until somebody listens, and stops the worker when the supervisor is gone."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self._early: asyncio.Queue[ToWorker] = asyncio.Queue()
        self._receive: Callable[[ToWorker], None] = self._early.put_nowait
        self._link: Link[ToWorker] = Link(ToWorker, lambda message: self._receive(message), self.lost.set)

    async def open(self, end: socket.socket) -> Welcome:
        """Speak over ``end``; the first message. Raises TimeoutError, ConnectionError."""
        await self._link.open(end)
        async with asyncio.timeout(WELCOME_S):
            first = await self._early.get()
        if not isinstance(first, Welcome):
            raise ConnectionError("the supervisor did not begin with a welcome")
        return first

    def send(self, message: msgspec.Struct) -> None:
        """Send one message."""
        self._link.send(message)

    def listen(self, receive: Callable[[ToWorker], None]) -> None:
        """Give `receive` what came so far and what comes."""
        while not self._early.empty():
            receive(self._early.get_nowait())
        self._receive = receive


def worker_settings(welcome: Welcome) -> Settings:
    """The node's settings as this worker's: its own UDP port, as a datagram cannot be sent to one of several."""
    settings = settings_from_dict(welcome.settings)
    return replace(settings, udp_port=settings.udp_port + welcome.worker if settings.udp_port else 0)


async def work(end: socket.socket) -> None:
    """Serve until the supervisor says or is gone."""
    link = WorkerLink()
    welcome = await link.open(end)
    settings = worker_settings(welcome)
    configure_logging(settings.log_level, worker=welcome.worker)

    def ready(server: Server) -> None:
        freeze_start_up()
        link.send(Ready(address_lines(server)))

    try:
        await serve(settings, ready=ready, stop=link.lost, seat=Seat(welcome, link))
    finally:
        if link.lost.is_set():
            _tidy(welcome)


def _tidy(welcome: Welcome) -> None:
    """Leave nothing of a supervisor that was killed: the last of its workers takes the folder away."""
    Path(socket_path(welcome.folder, welcome.worker)).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        Path(welcome.folder).rmdir()


def main(descriptor: int) -> int:
    """The exit code: 2 for a setting that cannot be used, as of ``siyu serve``."""
    try:
        uvloop.run(work(socket.socket(fileno=descriptor)))
    except OSError as error:
        sys.stderr.write(f"siyu: {os_error_text(error)}\n")
        return 1
    except (ValueError, SecretError, StoreError) as error:
        # SettingsError among them; the supervisor has tried the settings before.
        sys.stderr.write(f"siyu: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
