"""Which bus the hub's rooms use: one process's own, or Redis between several."""

from __future__ import annotations

from chat.broker import Broker
from chat.broker_memory import MemoryBroker
from gateway.config import Settings, SettingsError


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
