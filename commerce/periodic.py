"""Work that is done again and again until closed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from commerce.errors import CommerceError, StoreError

log = logging.getLogger(__name__)


class Periodic:
    """Does ``work`` each ``every_s`` seconds, the first time ``first_s`` after the start (``every_s`` unless given).

    Whatever it raises is said in the log, where it is named ``what``; a database that was away ends nothing for good.
    """

    def __init__(
        self, work: Callable[[], Awaitable[object]], every_s: float, *, what: str, first_s: float | None = None
    ) -> None:
        self._work = work
        self._every_s = every_s
        self._first_s = every_s if first_s is None else first_s
        self._what = what
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._what)

    async def close(self) -> None:
        """End; what is under way is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        await asyncio.sleep(self._first_s)
        while True:
            try:
                await self._work()
            except (CommerceError, StoreError, TimeoutError) as error:
                log.warning("%s: trying again in %g s: %r", self._what, self._every_s, error)
            except Exception:
                log.exception("%s: trying again in %g s", self._what, self._every_s)
            await asyncio.sleep(self._every_s)
