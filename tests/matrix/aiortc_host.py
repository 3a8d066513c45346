"""aiortc as a WHIP host: `python -m tests.matrix.aiortc_host URL TOKEN`.

Publishes the film until it is killed, and writes a line each second: by how many milliseconds its own sender reports
put the sound after the picture. A process of its own, because a busy one makes aiortc report nonsense.
"""

from __future__ import annotations

import asyncio
import sys
import time

from tests.matrix.aiortc_peer import VIDEO_CLOCK, FilmPicture, FilmSound, Wire, offer_to, peer
from tests.matrix.material import SAMPLE_RATE

ANSWER_S = 60.0
START_S = 0.5


async def publish(url: str, token: str) -> None:
    """Go on air and say how."""
    connection = peer()
    start_s = time.monotonic() + START_S
    tracks = FilmPicture(start_s), FilmSound(start_s)
    senders = [connection.addTransceiver(track, direction="sendonly").sender for track in tracks]
    await offer_to(connection, url, token, ANSWER_S)
    # Only now both senders have the one transport of the bundle, and nothing was sent yet.
    picture, sound = (Wire(sender, clock) for sender, clock in zip(senders, (VIDEO_CLOCK, SAMPLE_RATE), strict=True))
    while True:
        await asyncio.sleep(1)
        if picture.start_s is not None and sound.start_s is not None:
            print((sound.start_s - picture.start_s) * 1000, flush=True)


if __name__ == "__main__":
    asyncio.run(publish(*sys.argv[1:3]))
