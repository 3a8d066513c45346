"""Sends webhooks: reads what is due, posts it signed, writes down what became of it.

One delivery of a webhook is under way at a time, so a receiver that hangs delays nobody else's. Answers are read no
further than their first line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from commerce.domain.webhook import EVENT_TYPES, sign
from commerce.errors import Invalid
from commerce.events import Event
from commerce.webhooks_sql import DueDelivery, Webhooks
from gateway.outgoing import DeliveryError, Outgoing

logger = logging.getLogger("siyu.webhooks")

TIMEOUT_S = 10.0
"""For name, connection, request and the answer's first line together."""
UNDER_WAY_MAX = 16
"""Webhooks that are served at once."""
IDLE_S = 30.0
"""How often is looked when nothing said that there is something to send."""
FAILURE_PAUSE_S = 1.0
FORGET_EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class WebhookStats:
    """Figures for metrics: tries that were taken or not, deliveries given up, and those that wait now."""

    delivered: int
    failed: int
    dead: int
    waiting: int


class WebhookSender:
    """Delivers webhooks until closed. ``allow_private`` lets them go to this machine and its network, for trials."""

    def __init__(
        self, webhooks: Webhooks, *, clock: Callable[[], int], allow_private: bool, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._webhooks = webhooks
        self._clock = clock
        self.outgoing = Outgoing(allow_private=allow_private)
        self._timeout_s = timeout_s
        self._wake = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self.delivered = 0
        self.failed = 0
        self.dead = 0
        self.waiting = 0

    def start(self) -> None:
        """Begin, with what was left by the last run."""
        self._loop = asyncio.get_running_loop().create_task(self._run())

    def hear(self, event: Event) -> None:
        """An event of the shop: one that is told outside waits in the store by now."""
        if type(event).__name__ in EVENT_TYPES:
            self._wake.set()

    def wake(self) -> None:
        """Look at once: something waits in the store."""
        self._wake.set()

    def stats(self) -> WebhookStats:
        """Figures for metrics."""
        return WebhookStats(self.delivered, self.failed, self.dead, self.waiting)

    async def close(self) -> None:
        """Stop; what is under way is sent again after the next start."""
        tasks = [*([self._loop] if self._loop else []), *self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def check(self, url: str) -> None:
        """Refuse a url that leads into a private network, as far as can be told now. Raises Invalid."""
        host = urlsplit(url).hostname
        if self.outgoing.allow_private or host is None:
            return
        try:
            await self.outgoing.resolve(host, urlsplit(url).port or 443)
        except DeliveryError as error:
            raise Invalid(str(error), field="url") from error
        except (OSError, TimeoutError):
            # A name that is not there yet is tried at each delivery.
            return

    async def _run(self) -> None:
        forget_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            wait_s = IDLE_S
            try:
                due, next_ms, self.waiting = await self._webhooks.due(UNDER_WAY_MAX + len(self._under_way))
                for delivery in due:
                    if delivery.webhook not in self._under_way and len(self._under_way) < UNDER_WAY_MAX:
                        task = loop.create_task(self._deliver(delivery))
                        self._under_way[delivery.webhook] = task
                        task.add_done_callback(partial(self._ended, delivery.webhook))
                if next_ms is not None:
                    # It may have fallen due since it was read: then look again at once.
                    wait_s = min(IDLE_S, max(0.0, (next_ms - self._clock()) / 1000))
                if loop.time() >= forget_at:
                    forget_at = loop.time() + FORGET_EVERY_S
                    await self._webhooks.forget()
            except Exception:
                # Whatever the store has: merchants' events wait in it and must not wait for the next start.
                logger.exception("webhooks cannot be read; trying again")
                wait_s = FAILURE_PAUSE_S
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that meets the event.
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _ended(self, webhook: str, _task: asyncio.Task[None]) -> None:
        del self._under_way[webhook]
        self._wake.set()

    async def _deliver(self, delivery: DueDelivery) -> None:
        status: int | None = None
        error: str | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._post(delivery)
            if not 200 <= status < 300:
                error = f"the receiver answered {status}"
        except DeliveryError as failure:
            error = str(failure)
        except TimeoutError:
            error = "the receiver did not answer in time"
        except (OSError, ValueError) as failure:
            error = f"the receiver cannot be reached: {type(failure).__name__}"
        self.delivered += error is None
        self.failed += error is not None
        try:
            self.dead += await self._webhooks.mark(delivery, status, error)
        except Exception:
            # It was not written down, so it goes out again: at least once.
            logger.exception("delivery %s was not marked", delivery.id)
            await asyncio.sleep(FAILURE_PAUSE_S)

    async def _post(self, delivery: DueDelivery) -> int:
        """Send one delivery; the status of the answer."""
        body = delivery.body.encode()
        now_ms = self._clock()
        headers = {
            "User-Agent": "siyu-live",
            "Content-Type": "application/json",
            "Connection": "close",
            "Siyu-Event": delivery.type,
            "Siyu-Event-Id": delivery.event,
            "Siyu-Delivery": delivery.id,
            "Siyu-Timestamp": str(now_ms),
            "Siyu-Signature": sign(delivery.secret, now_ms, body),
        }
        return (await self.outgoing.post(delivery.url, headers, body)).status
