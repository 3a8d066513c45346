"""/metrics: the parts' counters in Prometheus' text format.

Each part counts in a plain ``stats()`` dataclass; this walks their fields. Names ending in ``_total`` by their kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

# Figures that go up and down; every other figure of a part only grows.
GAUGES = frozenset(
    {
        "connections",
        "up",
        "held",
        "alone",
        "viewers",
        "rooms",
        "queued",
        "streams",
        "publishers",
        "pending",
        "likes",
        "live",
        "holds",
        "waiting",
        "publishing",
        "playing",
        "relays",
        "gop_bytes",
        "paused",
        "recording",
        "shows",
        "resting",
        "queued_bytes",
        "present",
        "tls_handshakes",
        "tls_refusing",
        "free_bytes",
        "aac_rooms",
        "advised",
        "tcp_connections",
        "active",
        "unheard",
    }
)


def figures(prefix: str, stats: Any) -> Iterator[Metric]:
    """One family for each number in ``stats`` (a dataclass); a mapping becomes a family with the label ``of``."""
    for item in dataclasses.fields(stats):
        value = getattr(stats, item.name)
        gauge = item.name in GAUGES
        family: type[CounterMetricFamily | GaugeMetricFamily] = GaugeMetricFamily if gauge else CounterMetricFamily
        name = f"siyu_{prefix}_{item.name}"
        text = f"{prefix}: {item.name.replace('_', ' ')}"
        if isinstance(value, dict):
            metric = family(name, text, labels=["of"])
            for label, number in value.items():
                metric.add_metric([str(label)], float(number))
            yield metric
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield family(name, text, value=float(value))


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerFigures:
    """What the group-commit ledger counts."""

    waiting: int
    batches: int
    commands: int
    losses: int


@dataclasses.dataclass(frozen=True, slots=True)
class HostFigures:
    """Hosts with a good key that were refused: their merchant was live in as many rooms as it may."""

    refused: int


Figures = Iterable[tuple[str, Any]]
"""Prefix and ``stats()`` of each part."""


class _Parts:
    """A collector over the parts, read at the moment of the scrape."""

    def __init__(self, parts: Callable[[], Figures]) -> None:
        self._parts = parts

    def collect(self) -> Iterable[Metric]:
        for prefix, stats in self._parts():
            yield from figures(prefix, stats)


def render_metrics(parts: Callable[[], Figures]) -> bytes:
    """The exposition text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Parts(parts))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return generate_latest(registry)
