"""What buyers send to be made after: decoded one at a time on a thread, kept, and forgotten in time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from commerce.errors import Busy, Invalid
from commerce.periodic import Periodic
from commerce.pictures import Pictures
from commerce.pictures_sql import PictureFacts
from gateway.errors import Problem
from gateway.picture_av import BadPicture, NotPicture, draw

UPLOAD_BYTES_MAX = 4 * 1024 * 1024
"""A photograph as phones send it; the pages make larger ones smaller before they send them."""
WAITING_MAX = 8
"""Files in memory that wait for the thread (32 MiB); who comes then is told to come back."""
RETRY_MS = 1_000
FORGET_S = 3_600.0


class Darkroom:
    """Takes pictures in. ``keep_days``: how long after their last use they are kept, 0 for ever."""

    def __init__(self, pictures: Pictures, *, keep_days: int) -> None:
        self._pictures = pictures
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._waiting = 0
        self._forgetting = Periodic(lambda: pictures.forget(keep_days), FORGET_S, what="old pictures", first_s=60.0)

    def start(self) -> None:
        """Forget in time."""
        self._forgetting.start()

    async def close(self) -> None:
        """End it; a picture under way is not waited for."""
        await self._forgetting.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def take(self, merchant: str, room: str, person: str, data: bytes) -> PictureFacts:
        """Decode and keep a file. Raises ``Problem`` 415, Invalid, Busy, Refused (limit)."""
        if self._waiting >= WAITING_MAX:
            raise Busy("many pictures are being looked at", RETRY_MS)
        self._waiting += 1
        try:
            drawn = await asyncio.get_running_loop().run_in_executor(self._thread, draw, data)
        except NotPicture as error:
            raise Problem(415, "media_type", str(error)) from error
        except BadPicture as error:
            raise Invalid(f"this picture cannot be kept: {error}", field="picture") from error
        finally:
            self._waiting -= 1
        return await self._pictures.add(merchant, room, person, drawn)
