"""Clients of the bus: one for commands, which knows a cluster by itself, one for each server that is listened to."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from chat.limits import BusLimits

CLUSTER_TRIES = 2
"""A command that met a slot on its way to another server is sent there; more tries are ours."""


def check_url(url: str) -> None:
    """Raise ValueError for an address of no use."""
    Redis.from_url(url)


def _options(limits: BusLimits) -> dict[str, Any]:
    # Tries again are ours: only the broker knows what they mean for the order of entries.
    return {
        "socket_timeout": limits.answer_s,
        "socket_connect_timeout": limits.answer_s,
        "retry": Retry(NoBackoff(), 0),
        # RESP2: what is published comes as a plain reply, on every server that speaks Redis.
        "protocol": 2,
    }


async def connect(url: str, limits: BusLimits) -> Redis | RedisCluster:
    """Return a client of a server or of its cluster. Raises RedisError or OSError when there is none that answers."""
    single: Any = Redis.from_url(url, **_options(limits))
    try:
        if not (await single.info("cluster")).get("cluster_enabled"):
            return single  # type: ignore[no-any-return]
    except BaseException:
        await single.aclose()
        raise
    await single.aclose()
    cluster = RedisCluster.from_url(url, **{**_options(limits), "retry": Retry(NoBackoff(), CLUSTER_TRIES)})
    try:
        await cluster.initialize()
    except BaseException:
        await cluster.aclose()
        raise
    return cluster


def server_of(client: Redis | RedisCluster, channel: str) -> str:
    """Return the name of the server that has a channel; empty where there is only one. Raises RedisError."""
    if not isinstance(client, RedisCluster):
        return ""
    node: Any = client.get_node_from_key(channel)
    return str(node.name)


def listener(client: Redis | RedisCluster, server: str, url: str, limits: BusLimits) -> Redis:
    """Return a client for the subscriptions to one server."""
    options = _options(limits)
    if not isinstance(client, RedisCluster):
        return Redis.from_url(url, **options)
    given = client.get_connection_kwargs()
    host, _, port = server.rpartition(":")
    options |= {name: given.get(name) for name in ("username", "password")}
    return Redis(host=host, port=int(port), ssl=url.startswith("rediss:"), **options)
