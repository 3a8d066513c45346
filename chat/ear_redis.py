"""Subscriptions to shard channels: one connection and one task for each server that has rooms of ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from chat.errors import BusLost
from chat.limits import BusLimits

logger = logging.getLogger(__name__)


class Ear:
    """Hears the channels of one server. `hear` gets channel and payload; `deaf` the channels that are heard no more."""

    def __init__(
        self,
        client: Redis,
        limits: BusLimits,
        hear: Callable[[str, bytes], None],
        deaf: Callable[[list[str]], None],
    ) -> None:
        self._client = client
        self._limits = limits
        self._hear = hear
        self._deaf = deaf
        self._pubsub: Any = None
        self._channels: dict[str, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._turn = asyncio.Lock()
        """What is asked for one after the other is to reach the server in that order."""

    async def add(self, channel: str) -> None:
        """Return when the channel is heard. Raises BusLost, RedisError or OSError."""
        future = self._channels.get(channel)
        if future is None:
            future = self._channels[channel] = asyncio.get_running_loop().create_future()
            # Whoever waits gets it as well; an error that nobody waits for is told by `deaf`.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                await self._subscribe(channel)
            except BaseException:
                self._channels.pop(channel, None)
                future.cancel()
                raise
        try:
            async with asyncio.timeout(self._limits.answer_s):
                await asyncio.shield(future)
        except TimeoutError:
            raise BusLost("no answer to a subscription") from None

    async def _subscribe(self, channel: str) -> None:
        async with self._turn:
            if self._pubsub is None:
                pubsub: Any = self._client.pubsub()
                await pubsub.connect()
                self._pubsub = pubsub
                self._task = asyncio.get_running_loop().create_task(self._listen(pubsub))
            await self._pubsub.ssubscribe(channel)

    async def drop(self, channel: str) -> None:
        """Hear a channel no more."""
        if self._channels.pop(channel, None) is not None:
            async with self._turn:
                if self._pubsub is not None and channel not in self._channels:
                    await self._pubsub.sunsubscribe(channel)

    async def _listen(self, pubsub: Any) -> None:
        loop = asyncio.get_running_loop()
        limits = self._limits
        heard_s = pinged_s = loop.time()
        try:
            while not self._closed:
                message = await pubsub.get_message(timeout=limits.ping_s)
                now_s = loop.time()
                if message is not None:
                    heard_s = now_s
                    self._take(message)
                elif now_s - heard_s > limits.silent_s:
                    raise BusLost("a subscription is silent")
                if now_s - pinged_s >= limits.ping_s:
                    pinged_s = now_s
                    await pubsub.ping()
        except (RedisError, OSError, BusLost) as error:
            logger.warning("a subscription to the bus ended: %s", error)
        finally:
            await self._end(pubsub)

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "smessage":
            self._hear(message["channel"].decode(), message["data"])
        elif kind == "ssubscribe":
            future = self._channels.get(message["channel"].decode())
            if future is not None and not future.done():
                future.set_result(None)
        elif kind == "sunsubscribe" and (channel := message["channel"].decode()) in self._channels:
            # Not asked for: the channel's slot has moved to another server of the cluster.
            del self._channels[channel]
            self._deaf([channel])

    async def _end(self, pubsub: Any) -> None:
        if self._pubsub is pubsub:
            self._pubsub = None
            self._task = None
        channels, self._channels = self._channels, {}
        for future in channels.values():
            if not future.done():
                future.set_exception(BusLost("the subscription ended"))
        await pubsub.aclose()
        self._deaf(list(channels))

    async def close(self) -> None:
        """End the task and its connection."""
        self._closed = True
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._client.aclose()
