"""The process: listeners, signals, drain and a deadline. uvicorn serves HTTP, but its life is ours (design D1).

SIGTERM: ``/readyz`` fails, listeners close, hosts and viewers are told to come back in paced batches, the ledger
finishes what it acknowledged, what still hangs at the deadline is aborted. A second signal skips to the abort.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

import uvicorn
import uvloop

from commerce.errors import StoreError
from commerce.store_sql import told
from gateway.app import Application, open_application
from gateway.clock import system_clock
from gateway.config import Settings, SettingsError, os_error_text, refuse_unavailable, tls_context
from gateway.edge_app import EdgeApplication, open_edge
from gateway.garbage import settle_collector
from gateway.gate import REQUEST_HEAD_BYTES_MAX
from gateway.http_server import HttpServer
from gateway.secrets import SecretError
from gateway.workers.part import Seat

logger = logging.getLogger("siyu.server")

Server = Application | EdgeApplication

BACKLOG = 4096
KEEP_ALIVE_S = 15
# What is left of the deadline for uvicorn's own farewell after ours.
HTTP_FAREWELL_S = 2
# Cycles of what lived long are rare: connections, rooms and requests let go of one another when they end.
FULL_COLLECTION_S = 300


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one and give it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard or hard == resource.RLIM_INFINITY:
        wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65_536)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening TCP socket, ``shared`` with other workers. Raises ``OSError`` naming the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError as error:
        # Of a name or an address that is not this machine's, no port would help.
        flag = "--http-port" if error.errno in {errno.EADDRINUSE, errno.EACCES} else "--host"
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {reason}; choose another {flag}") from error


async def _open(settings: Settings, *, http_port: int, files: int, seat: Seat | None) -> Server:
    if settings.origin is not None:
        return await open_edge(settings, http_port=http_port, files=files, clock=system_clock, seat=seat)
    with told(settings.data):
        return await open_application(settings, http_port=http_port, files=files, seat=seat)


def _uvicorn(application: Server, settings: Settings) -> HttpServer:
    config = uvicorn.Config(
        application.asgi,
        http=application.gate.door(),
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=HTTP_FAREWELL_S,
        h11_max_incomplete_event_size=REQUEST_HEAD_BYTES_MAX,
        backlog=BACKLOG,
    )
    return HttpServer(config, application.gate, tls_context(settings))


class Signals:
    """SIGTERM and SIGINT as an event; ``hurry`` is set by the second one.

    ``hangup``: SIGHUP, too, as of a terminal that was closed, unless we were told to outlive that (``nohup``).
    """

    def __init__(self, *, hangup: bool = True) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGTERM, signal.SIGINT]
        if hangup and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._caught, number)

    def _caught(self, number: int) -> None:
        logger.info("stopping", extra={"fields": {"signal": signal.Signals(number).name}})
        (self.hurry if self.stop.is_set() else self.stop).set()


async def serve(
    settings: Settings,
    *,
    ready: Callable[[Server], None] | None = None,
    stop: asyncio.Event | None = None,
    leaving: Callable[[], Awaitable[None]] | None = None,
    seat: Seat | None = None,
) -> None:
    """Run the server until a signal (or ``stop``), then ``leaving``, then drain. ``seat``: of a worker among several.

    Raises ``SettingsError`` for what this release cannot do, ``OSError`` when a port is taken, ``StoreError`` when the
    data folder cannot be used.
    """
    refuse_unavailable(settings)
    tls_context(settings)  # before anything is opened: a wrong file is told at once, and in words
    files = raise_file_limit()
    http_socket = listen(settings.host, settings.http_port, shared=seat is not None)
    try:
        application = await _open(settings, http_port=http_socket.getsockname()[1], files=files, seat=seat)
    except BaseException:
        http_socket.close()
        raise
    # Of several processes the supervisor hears it, and starts them anew.
    signals = Signals(hangup=seat is None)
    http = _uvicorn(application, settings)
    http_task = asyncio.create_task(http.serve(sockets=[http_socket]), name="http")
    try:
        await http.came_up(http_task)
        application.ready = True
        if ready is not None:
            ready(application)
        waits = [asyncio.create_task(signals.stop.wait()), http_task]
        if stop is not None:
            waits.append(asyncio.create_task(stop.wait()))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            if wait is not http_task:
                wait.cancel()
    finally:
        if leaving is not None:
            await leaving()
        await _shut_down(application, http, http_task, signals, settings.drain_s)


async def _shut_down(
    application: Server,
    http: HttpServer,
    http_task: asyncio.Task[None],
    signals: Signals,
    deadline_s: float,
) -> None:
    """Leave within ``deadline_s``: drain, then abort what is left, then uvicorn's own shutdown."""
    application.ready = False
    for server in getattr(http, "servers", []):
        server.close()
    drain = asyncio.create_task(application.drain(), name="drain")
    hurry = asyncio.create_task(signals.hurry.wait())
    budget_s = max(0.5, deadline_s - HTTP_FAREWELL_S - 1)
    await asyncio.wait([drain, hurry], timeout=budget_s, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not drain.done():
        logger.warning("the drain did not end in time; aborting what is left")
        drain.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await drain
    for connection in list(http.server_state.connections):
        transport = connection.transport
        if transport is not None and getattr(connection, "cycle", None) is None:
            transport.abort()
    http.should_exit = True
    done, _ = await asyncio.wait([http_task], timeout=HTTP_FAREWELL_S + 1)
    if not done:
        http.force_exit = True
        for connection in list(http.server_state.connections):
            connection.transport.abort()
        http_task.cancel()
        await asyncio.wait([http_task], timeout=1)
    await application.close()
    logger.info("stopped")


def freeze_start_up() -> None:
    """Have the garbage collector leave alone what start-up made, and look through all only now and then."""
    settle_collector()
    _collect_later()


def _collect_later() -> None:
    asyncio.get_running_loop().call_later(FULL_COLLECTION_S, _collect_all)


def _collect_all() -> None:
    gc.collect()
    _collect_later()


def run(settings: Settings, *, ready: Callable[[Server], None] | None = None) -> int:
    """Serve on uvloop; the process's exit code. Raises ``SettingsError``, ``SecretError``, ``StoreError``."""

    def settled(application: Server) -> None:
        freeze_start_up()
        if ready is not None:
            ready(application)

    try:
        uvloop.run(serve(settings, ready=settled))
    except OSError as error:
        sys.stderr.write(f"siyu: {os_error_text(error)}\n")
        return 1
    except (SettingsError, SecretError, StoreError):
        raise
    except Exception:
        # Through the log and not as Python shows it: a log has one form, and no secret in it.
        logger.critical("ended by an error of ours", exc_info=True)
        return 1
    return 0
