"""Sends webhooks: reads what is due, posts it signed, writes down what became of it.

One delivery of a webhook is under way at a time, so a receiver that hangs delays nobody else's. The name of a receiver
is resolved for each try and the connection goes to the very address that was checked: a name that points into a private
network today is refused today. Redirects are not followed, answers are read no further than their first line.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from commerce.domain.webhook import EVENT_TYPES, address_is_public, sign
from commerce.errors import Invalid
from commerce.events import Event
from commerce.webhooks_sql import DueDelivery, Webhooks

logger = logging.getLogger("siyu.webhooks")

TIMEOUT_S = 10.0
"""For name, connection, request and the answer's first line together."""
RESOLVE_TIMEOUT_S = 3.0
UNDER_WAY_MAX = 16
"""Webhooks that are served at once."""
STATUS_LINE_BYTES_MAX = 4_096
IDLE_S = 30.0
"""How often is looked when nothing said that there is something to send."""
FAILURE_PAUSE_S = 1.0
FORGET_EVERY_S = 600.0


class DeliveryError(Exception):
    """Why a try failed, in words for the merchant."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class WebhookSender:
    """Delivers webhooks until closed. ``allow_private`` lets them go to this machine and its network, for trials."""

    def __init__(
        self, webhooks: Webhooks, *, clock: Callable[[], int], allow_private: bool, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._webhooks = webhooks
        self._clock = clock
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._wake = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self.delivered = 0
        self.failed = 0

    def start(self) -> None:
        """Begin, with what was left by the last run."""
        self._loop = asyncio.get_running_loop().create_task(self._run())

    def hear(self, event: Event) -> None:
        """An event of the shop: one that is told outside waits in the store by now."""
        if type(event).__name__ in EVENT_TYPES:
            self._wake.set()

    async def close(self) -> None:
        """Stop; what is under way is sent again after the next start."""
        tasks = [*([self._loop] if self._loop else []), *self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def check(self, url: str) -> None:
        """Refuse a url that leads into a private network, as far as can be told now. Raises Invalid."""
        host = urlsplit(url).hostname
        if self._allow_private or host is None:
            return
        try:
            await self._resolve(host, urlsplit(url).port or 443)
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
                due, next_ms = await self._webhooks.due(UNDER_WAY_MAX + len(self._under_way))
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
            await self._webhooks.mark(delivery, status, error)
        except Exception:
            # It was not written down, so it goes out again: at least once.
            logger.exception("delivery %s was not marked", delivery.id)
            await asyncio.sleep(FAILURE_PAUSE_S)

    async def _resolve(self, host: str, port: int) -> str:
        """The address to connect to. Raises DeliveryError when one of the name's is private, OSError, TimeoutError."""
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not self._allow_private and not all(map(address_is_public, addresses)):
            raise DeliveryError("the url leads into a private network")
        return addresses[0]

    async def _post(self, delivery: DueDelivery) -> int:
        """Send one delivery; the status of the answer (RFC 9112 section 4)."""
        parts = urlsplit(delivery.url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        address = await self._resolve(host, port)
        tls = ssl.create_default_context() if secure else None
        reader, writer = await asyncio.open_connection(
            address, port, ssl=tls, server_hostname=host if secure else None, limit=STATUS_LINE_BYTES_MAX
        )
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            writer.write(self._request(delivery, parts.netloc, target))
            await writer.drain()
            words = (await reader.readline()).split(None, 2)
            if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit() or len(words[1]) != 3:
                raise DeliveryError("the answer is not HTTP")
            return int(words[1])
        finally:
            writer.transport.abort()

    def _request(self, delivery: DueDelivery, netloc: str, target: str) -> bytes:
        body = delivery.body.encode()
        now_ms = self._clock()
        head = {
            "Host": netloc,
            "User-Agent": "siyu-live",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Siyu-Event": delivery.type,
            "Siyu-Event-Id": delivery.event,
            "Siyu-Delivery": delivery.id,
            "Siyu-Timestamp": str(now_ms),
            "Siyu-Signature": sign(delivery.secret, now_ms, body),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        return f"POST {target} HTTP/1.1\r\n{lines}\r\n".encode() + body
