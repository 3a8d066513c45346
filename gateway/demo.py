"""``siyu demo``: the whole path on one machine with no other service, and it cleans up after itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import uvloop

from gateway.app import Application
from gateway.clock import system_clock
from gateway.config import Settings
from gateway.demo_end import WATCHED
from gateway.demo_past import seed_with_past
from gateway.demo_shop import furnish
from gateway.encode import encode_json
from gateway.logs import configure_logging
from gateway.secrets import open_secrets
from gateway.seed import Seeded, seed
from gateway.server import Server, serve

CHILD_FAREWELL_S = 5.0


def _free_port(host: str, wanted: int, kind: int = socket.SOCK_STREAM) -> int:
    """``wanted`` when nobody has it, else 0 for any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
            probe.bind((host, wanted))
            return wanted
    except OSError:
        return 0


@contextmanager
def _folder(settings: Settings, kept: bool) -> Iterator[Path]:
    """A folder for the demo: the one that was asked for, or a new one that is removed at the end."""
    if kept:
        yield settings.data
        return
    with tempfile.TemporaryDirectory(prefix="siyu-demo-") as folder:
        yield Path(folder)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _announce(application: Application, seeded: Seeded) -> None:
    addresses = application.addresses
    base = addresses.base
    publish = addresses.publish(base, seeded.room, seeded.stream_key)
    lines = [
        "",
        "  The demo is running.",
        "",
        f"  watch and buy     {addresses.viewer_page(base, seeded.room)}",
        f"  host console      {addresses.host_page(base, seeded.room)}#token={seeded.host_token}",
        f"  merchant's board  {addresses.merchant_page(base)}#token={seeded.merchant_token}",
        "",
        f"  hosts publish to  {publish['server']}  (a synthetic host is live there now)",
        "  Ctrl-C ends everything.",
        "",
    ]
    _say("\n".join(lines))


async def _child(module: str, environment: dict[str, str], line: bytes = b"") -> asyncio.subprocess.Process:
    """Start one of the demo's people in a process of its own: they must not slow the server's loop.

    The pipe to its standard input stays open while we live: its end tells them of ours, even by SIGKILL.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        env={**os.environ, WATCHED: "1", **environment},
        start_new_session=True,  # Ctrl-C reaches us alone; we end them in order
    )
    if line and process.stdin is not None:
        process.stdin.write(line)
        await process.stdin.drain()
    return process


async def _end(processes: list[asyncio.subprocess.Process]) -> None:
    for process in processes:
        if process.returncode is None:
            process.terminate()
    for process in processes:
        try:
            await asyncio.wait_for(process.wait(), CHILD_FAREWELL_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _seeded(settings: Settings) -> Seeded:
    """A shop with a fortnight behind it; a bare one where the data folder or the database is others', too."""
    alone = settings.database_url is None and not (settings.data.exists() and any(settings.data.iterdir()))
    secrets = open_secrets(settings.data)
    if alone:
        _say("  Siyu Live 私域直播 — a shop is opened, and lives its last two weeks in a few seconds …")
    return await (seed_with_past(settings, secrets, system_clock) if alone else seed(settings, secrets))


async def _demo(settings: Settings, *, shoppers: int, seconds: float | None) -> None:
    seeded = await _seeded(settings)
    stop = asyncio.Event()
    up: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
    people: list[asyncio.subprocess.Process] = []

    async def cast() -> None:
        """The people come when the server is up."""
        application = await up
        assert isinstance(application, Application)
        addresses = application.addresses
        await furnish(application.services, seeded)
        here = replace(seeded, api=f"{addresses.base}/api/v1")
        url = addresses.publish(addresses.base, seeded.room, seeded.stream_key)["url"]
        people.append(await _child("gateway.demo_host", {"SIYU_DEMO_URL": url}))
        if shoppers:
            environment = {"SIYU_DEMO_SHOPPERS": str(shoppers)}
            people.append(await _child("gateway.demo_crowd", environment, encode_json(asdict(here)) + b"\n"))
        _announce(application, seeded)
        if seconds is not None:
            await asyncio.sleep(seconds)
            stop.set()

    casting = asyncio.create_task(cast())
    try:
        await serve(settings, ready=up.set_result, stop=stop, leaving=lambda: _end(people))
    finally:
        casting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await casting
        await _end(people)


def run_demo(settings: Settings, *, shoppers: int, seconds: float | None, log_level: str, kept: bool) -> int:
    """The command ``siyu demo``; the exit code. ``kept``: in the data folder of the settings, which stays."""
    configure_logging(log_level)
    with _folder(settings, kept) as folder:
        settings = replace(
            settings,
            origin=None,
            workers=1,
            data=folder,
            http_port=_free_port(settings.host, settings.http_port),
            rtmp_port=_free_port(settings.host, settings.rtmp_port),
            # For UDP and TCP alike.
            udp_port=_free_port(settings.host, _free_port(settings.host, settings.udp_port, socket.SOCK_DGRAM)),
            drain_s=min(settings.drain_s, 8.0),
        )
        uvloop.run(_demo(settings, shoppers=shoppers, seconds=seconds))
        left = f"its shop is kept in {folder}" if kept else "nothing of it is left"
        sys.stdout.write(f"  The demo has ended; {left}.\n")
    return 0
