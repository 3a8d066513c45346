"""What a supervisor does before and beside its workers: ports, settings on the way, one text of figures."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gateway.config import Settings, SettingsError, refuse_unavailable
from gateway.server import listen
from gateway.workers.exposition import merge
from gateway.workers.link import Link
from gateway.workers.main import WorkerLink, worker_settings
from gateway.workers.messages import (
    LINE_BYTES_MAX,
    Claim,
    Granted,
    Ping,
    Pong,
    ToSupervisor,
    Welcome,
    settings_from_dict,
    settings_to_dict,
)
from gateway.workers.supervisor import hold_ports
from tests.gateway.workers.stage import until

ANY_PORT = Settings(http_port=0, rtmp_port=0)


def test_workers_listen_together_on_ports_that_nobody_else_gets() -> None:
    settings, held = hold_ports(ANY_PORT)
    try:
        assert settings.http_port and settings.rtmp_port
        workers = [listen("127.0.0.1", settings.http_port, shared=True) for _ in range(2)]
        with pytest.raises(OSError, match="--http-port"):
            listen("127.0.0.1", settings.http_port)
        with pytest.raises(OSError, match="--http-port"):
            hold_ports(replace(ANY_PORT, http_port=settings.http_port))
        with pytest.raises(OSError, match="--rtmp-port"):
            hold_ports(replace(ANY_PORT, rtmp_port=settings.http_port))
        for worker in workers:
            worker.close()
    finally:
        for sock in held:
            sock.close()
    _, again = hold_ports(replace(ANY_PORT, http_port=settings.http_port))
    for sock in again:
        sock.close()


def test_settings_reach_a_worker_as_they_are_but_for_its_own_udp_port() -> None:
    settings = Settings(
        data=Path("/a/b"),
        tls_cert=Path("c"),
        tls_key=Path("k"),
        forwarded_allow_ips=("10.0.0.1",),
        workers=4,
        drain_s=2,
    )
    wire = msgspec.json.decode(msgspec.json.encode(settings_to_dict(settings)))
    assert settings_from_dict(wire) == settings
    assert worker_settings(Welcome(3, 4, "/tmp", wire, {}, {})).udp_port == settings.udp_port + 3
    any_port = settings_to_dict(replace(settings, udp_port=0))
    assert worker_settings(Welcome(3, 4, "/tmp", any_port, {}, {})).udp_port == 0


def test_settings_that_several_workers_cannot_use_are_refused() -> None:
    with pytest.raises(SettingsError, match="--workers"):
        Settings(workers=65)
    with pytest.raises(SettingsError, match="--udp-port"):
        Settings(workers=2, udp_port=65535)
    with pytest.raises(SettingsError, match="--workers"):
        refuse_unavailable(Settings(workers=2))
    refuse_unavailable(Settings(workers=2, origin="http://h"))


def test_a_supervisor_loads_none_of_what_its_workers_may_break() -> None:
    heavy = "{'av', 'aiortc', 'starlette', 'uvicorn', 'sqlalchemy', 'websockets', 'h11'}"
    script = f"import sys, gateway.workers.supervisor; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout == "[]\n"


async def test_a_link_carries_messages_both_ways_and_tells_its_end() -> None:
    ours, theirs = socket.socketpair()
    heard: list[ToSupervisor] = []
    gone = asyncio.Event()
    supervisor: Link[ToSupervisor] = Link(ToSupervisor, heard.append, gone.set)
    worker = WorkerLink()
    await supervisor.open(ours)
    supervisor.send(Welcome(1, 2, "/tmp", {}, {"a": 0}, {}))
    welcome = await worker.open(theirs)
    assert (welcome.worker, welcome.owners) == (1, {"a": 0})
    for number in range(500):
        worker.send(Claim(number, "room", pull=bool(number % 2)))
    supervisor.send(Ping())
    await until(lambda: len(heard) == 500)
    assert heard[7] == Claim(7, "room", True)
    told: list[object] = []
    worker.listen(told.append)
    supervisor.send(Granted(7))
    await until(lambda: told == [Ping(), Granted(7)])
    worker.send(Pong())
    await until(lambda: heard[-1] == Pong())
    supervisor.close()
    await until(worker.lost.is_set)
    assert gone.is_set()
    worker.send(Pong())


async def test_a_line_without_an_end_ends_the_link() -> None:
    ours, theirs = socket.socketpair()
    gone = asyncio.Event()
    link: Link[ToSupervisor] = Link(ToSupervisor, lambda _: None, gone.set)
    await link.open(ours)
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    with pytest.raises(OSError):
        for _ in range(LINE_BYTES_MAX // 65_536 + 64):
            await loop.sock_sendall(theirs, b"x" * 65_536)
    assert gone.is_set()
    theirs.close()


def test_figures_of_workers_get_their_label_and_keep_their_own() -> None:
    text = '# HELP a_total a\n# TYPE a_total counter\na_total{of="x"} 1\na_total{of="y"} 2\n# TYPE b gauge\nb 3\n'
    merged = merge({"0": text, "1": text}).decode()
    assert 'a_total{of="x",worker="0"} 1.0' in merged and 'a_total{of="y",worker="1"} 2.0' in merged
    assert 'b{worker="0"} 3.0' in merged and merged.count("# TYPE a_total counter") == 1
