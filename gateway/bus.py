"""What joins this process to others: the bus of the hub's rooms, and the book of who has which stream."""

from __future__ import annotations

import logging

from chat.broker import Broker
from chat.broker_memory import MemoryBroker
from gateway.config import Settings, SettingsError
from gateway.edge import parse_origin
from gateway.nodes import Nodes
from gateway.services import Services

logger = logging.getLogger("siyu.nodes")

PULL_TOKEN_S = 60
"""Of a token with which another node is asked for a stream: it is shown at once."""


def open_bus(settings: Settings) -> Broker:
    """The bus that the settings ask for; it connects when the hub starts. Raises ``SettingsError``."""
    if settings.redis_url is None:
        return MemoryBroker()
    try:
        from chat.broker_redis import RedisBroker
    except ModuleNotFoundError as error:
        raise SettingsError("--redis-url needs the package redis: pip install 'siyu-live[redis]'") from error
    try:
        return RedisBroker(settings.redis_url)
    except ValueError as error:
        raise SettingsError(f"--redis-url: {error}") from error


def node_url(settings: Settings, http_port: int) -> str | None:
    """Where other nodes reach this one; None when that is not known. Raises ``SettingsError``."""
    if settings.node_url is not None:
        parse_origin(settings.node_url, flag="--node-url")
        return settings.node_url.rstrip("/")
    if settings.host in {"0.0.0.0", "::"}:  # noqa: S104  # compared, not bound
        return None
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{http_port}"


def open_nodes(services: Services, node: str, http_port: int) -> Nodes | None:
    """The other nodes on the same Redis; None: there is no Redis, or this node does not know its own address."""
    settings = services.settings
    if settings.redis_url is None:
        return None
    url = node_url(settings, http_port)
    if url is None:
        logger.warning("streams of other servers are not played here, nor ours there: say --node-url")
        return None
    from gateway.nodes_redis import RedisBook

    def mint(room: str) -> str:
        found = services.rooms.get(room)
        return str(services.access.mint_play(found, PULL_TOKEN_S)["token"])

    book = RedisBook(settings.redis_url, node)
    return Nodes(book, services.directory, node=node, url=url, mint=mint, clock=services.clock)
