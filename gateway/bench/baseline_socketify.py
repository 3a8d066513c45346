"""socketify (uWebSockets) as a program: does what `gateway/bench/ws_servers.py` says.

It runs with a folder of its own packages and imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

SETTLE_S = 0.5
TOPIC = "room"
BEHIND_BYTES_MAX = 64 * 1024 * 1024


def main(port: int, count: int, greeting_bytes: int, payload_bytes: int, seconds: float) -> None:
    """Serve until killed; broadcast for so many seconds once `count` are there."""
    # Imported where it is used: who only looks at our modules need not have it.
    from socketify import App, CompressOptions, OpCode

    app = App()
    sockets: list[Any] = []
    greeting, payload = "x" * greeting_bytes, "x" * payload_bytes

    async def shout() -> None:
        await asyncio.sleep(SETTLE_S)
        passes, start_s, cpu_s = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start_s < seconds:
            # What is published in one turn of its loop goes out together: one each turn is one write to each.
            app.publish(TOPIC, payload, OpCode.TEXT)
            passes += 1
            await asyncio.sleep(0)
            while sockets[0].get_buffered_amount():  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.001)
        cpu_s = time.process_time() - cpu_s
        sys.stdout.write(json.dumps({"passes": passes, "cpu_s": cpu_s}) + "\n")
        sys.stdout.flush()
        while any(socket.get_buffered_amount() for socket in sockets):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        for socket in sockets:
            # At once: `end` would wait for close frames from clients that only count.
            socket.close()

    def opened(socket: Any) -> None:
        socket.subscribe(TOPIC)
        sockets.append(socket)
        if greeting:
            socket.send(greeting, OpCode.TEXT)
        if len(sockets) == count and seconds:
            app.loop.ensure_future(shout())

    behaviour = {
        "compression": CompressOptions.DISABLED,
        "idle_timeout": 0,
        "max_backpressure": BEHIND_BYTES_MAX,
        "open": opened,
    }
    app.ws("/*", behaviour)
    app.listen({"port": port, "host": "127.0.0.1"}, lambda _config: None)
    app.run()


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:5]]
    main(numbers[0], numbers[1], numbers[2], numbers[3], float(sys.argv[5]))
