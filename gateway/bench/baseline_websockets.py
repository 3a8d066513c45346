"""The websockets library's own server on uvloop, as a program: does what `gateway/bench/ws_servers.py` says."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

SETTLE_S = 0.5


async def main(port: int, count: int, greeting_bytes: int, payload_bytes: int, seconds: float) -> None:
    """Serve until killed; broadcast for so many seconds once `count` are there."""
    connections: set[ServerConnection] = set()
    greeting, payload = "x" * greeting_bytes, "x" * payload_bytes
    everybody = asyncio.Event()

    async def stay(connection: ServerConnection) -> None:
        connections.add(connection)
        if greeting:
            await connection.send(greeting)
        if len(connections) == count:
            everybody.set()
        await connection.wait_closed()

    async with serve(stay, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4_096):
        await everybody.wait()
        if not seconds:
            await asyncio.Event().wait()
        await asyncio.sleep(SETTLE_S)
        passes, start_s, cpu_s = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start_s < seconds:
            broadcast(connections, payload)
            await asyncio.sleep(0)
            passes += 1
        cpu_s = time.process_time() - cpu_s
        sys.stdout.write(json.dumps({"passes": passes, "cpu_s": cpu_s}) + "\n")
        sys.stdout.flush()
        for connection in connections:
            connection.transport.close()
        await asyncio.Event().wait()


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:5]]
    uvloop.run(main(numbers[0], numbers[1], numbers[2], numbers[3], float(sys.argv[5])))
