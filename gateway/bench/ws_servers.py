"""WebSocket servers of other people, each a program of its own that does what the hub does, without its rules.

    PROGRAM PORT COUNT GREETING_BYTES PAYLOAD_BYTES SECONDS

A client gets a text of so many bytes as it comes (0: none). Once `COUNT` are there, and with `SECONDS` above 0, a text
of `PAYLOAD_BYTES` goes to all again and again for so long, each time to sockets that have taken the last one; then
`{"passes": …, "cpu_s": …}` is written and all are closed. None of them checks a token or keeps a history.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from gateway.bench.outside_play import About, others
from gateway.bench.outsiders import Outsider, find_program, free_port, npm_modules, pip_packages
from gateway.bench.process import BenchError, Child, cores
from gateway.bench.report import Baseline
from gateway.bench.sink import UPGRADE, Received, sink

WS = "ws@8.23.0"
SOCKETIFY = "socketify==0.0.31"
HERE = Path(__file__).parent

NODE_PROGRAM = """
const {{WebSocketServer}} = require({ws});
const [port, count, greetingBytes, payloadBytes, seconds] = process.argv.slice(2).map(Number);
const greeting = Buffer.alloc(greetingBytes, 'x'), payload = Buffer.alloc(payloadBytes, 'x');
const options = {{binary: false}};
const server = new WebSocketServer({{host: '127.0.0.1', port, backlog: 4096, perMessageDeflate: false}});
let passes = 0, before, end;
server.on('connection', client => {{
  if (greetingBytes) client.send(greeting, options);
  if (server.clients.size === count && seconds) setTimeout(begin, 500);
}});
function begin() {{ before = process.cpuUsage(); end = Date.now() + seconds * 1000; shout(); }}
function shout() {{
  if (Date.now() >= end) return finish();
  const [first] = server.clients;
  if (first.bufferedAmount) return setTimeout(shout, 1);
  for (const client of server.clients) client.send(payload, options);
  passes++;
  setImmediate(shout);
}}
function finish() {{
  const spent = process.cpuUsage(before);
  console.log(JSON.stringify({{passes, cpu_s: (spent.user + spent.system) / 1e6}}));
  for (const client of server.clients) client._socket.end();
}}
"""

Start = Callable[[set[int], int, int, int, float], AbstractContextManager[Outsider]]
"""Gets cores, count, greeting's and payload's length, seconds. Raises OutsiderMissing."""


@contextlib.contextmanager
def _program(
    command: list[str], cpus: set[int], *numbers: float, environment: Mapping[str, str] | None = None
) -> Iterator[Outsider]:
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder:
        port = free_port()
        whole = [*command, str(port), *(str(number) for number in numbers)]
        with Outsider(whole, port, folder=Path(folder), cpus=cpus, environment=environment) as server:
            yield server


@contextlib.contextmanager
def websockets_server(cpus: set[int], count: int, greeting: int, payload: int, seconds: float) -> Iterator[Outsider]:
    """The websockets library's own server, on uvloop."""
    command = [sys.executable, str(HERE / "baseline_websockets.py")]
    with _program(command, cpus, count, greeting, payload, seconds) as server:
        yield server


@contextlib.contextmanager
def node_ws(cpus: set[int], count: int, greeting: int, payload: int, seconds: float) -> Iterator[Outsider]:
    """ws on Node.js. Raises OutsiderMissing."""
    modules = npm_modules(WS)
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder:
        script = Path(folder, "server.js")
        script.write_text(NODE_PROGRAM.format(ws=repr(str(modules / "ws"))), encoding="utf-8")
        command = [find_program("node"), str(script)]
        with _program(command, cpus, count, greeting, payload, seconds) as server:
            yield server


@contextlib.contextmanager
def socketify(cpus: set[int], count: int, greeting: int, payload: int, seconds: float) -> Iterator[Outsider]:
    """socketify, a Python module around uWebSockets. Raises OutsiderMissing."""
    packages = pip_packages(SOCKETIFY)
    command = [sys.executable, str(HERE / "baseline_socketify.py")]
    # Its own folder only: what it brings along must not mix with ours.
    environment = {"PYTHONPATH": str(packages)}
    with _program(command, cpus, count, greeting, payload, seconds, environment=environment) as server:
        yield server


SERVERS: dict[str, Start] = {
    "websockets": websockets_server,
    "ws (Node.js)": node_ws,
    "socketify (uWebSockets)": socketify,
}


def beside(about: About, measure: Callable[[Start], float]) -> tuple[Baseline, ...]:
    """Measure each server that can be had, the highest figure first; what is missing and why goes into `about`."""
    return others(about, {name: partial(measure, start) for name, start in SERVERS.items()})


def broadcast_rate(start: Start, count: int, payload_bytes: int, seconds: float) -> float:
    """Sends per CPU second of a server that broadcasts. Raises BenchError."""
    ours, theirs = cores()
    with start(ours, count, 0, payload_bytes, seconds) as server:
        with Child(sink, server.port, count, UPGRADE, cpus=theirs) as clients:
            received: Received = clients.receive()
        words = [line for line in server.said().splitlines() if line.startswith("{")]
    if not words:
        raise BenchError("a server of others has not broadcast")
    found = json.loads(words[0])
    if received.least < found["passes"] * payload_bytes:
        raise BenchError(f"a server of others sent {found['passes']} times, one socket got {received.least} bytes")
    rate: float = found["passes"] * count / found["cpu_s"]
    return rate
