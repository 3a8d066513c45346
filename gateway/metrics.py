"""/metrics: the parts' counters in Prometheus' text format.

Each part counts in a plain ``stats()`` dataclass; this walks their fields. Names ending in ``_total`` by their kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from stream.renditions import RenditionStats

if TYPE_CHECKING:
    from gateway.app import Application

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


@dataclasses.dataclass(frozen=True, slots=True)
class HostFigures:
    """Hosts with a good key that were refused: their merchant was live in as many rooms as it may."""

    refused: int


class _Parts:
    """A collector over an application, read at the moment of the scrape."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def collect(self) -> Iterable[Metric]:
        application = self._application
        services = application.services
        yield from figures("http", application.gate.counts)
        yield from figures("hub", services.hub.totals())
        yield from figures("bus", services.hub.bus_stats())
        yield from figures("rtmp", application.streaming.rtmp.stats())
        yield from figures("rtmp_ingest", application.streaming.rtmp_ingest.stats())
        yield from figures("stream", services.directory.stats())
        yield from figures("stream_health", application.reports.stats())
        yield from figures("record", services.media.recorder.stats())
        yield from figures("record_disk", services.media.recorder.disk.stats)
        yield from figures("clips", services.media.clips.stats())
        yield from figures("thumbnails", services.media.thumbnails.stats())
        yield from figures("playback_hls", application.streaming.hls.stats())
        renditions = application.streaming.renditions
        yield from figures("renditions", RenditionStats() if renditions is None else renditions.stats())
        for name, output in application.streaming.outputs.items():
            yield from figures(f"playback_{name[1:]}", output.stats())
        yield from figures("webrtc", application.streaming.webrtc.stats())
        yield from figures("playback_whep", application.streaming.whep.stats())
        yield from figures("whip", application.streaming.whip.stats())
        yield from figures("playback_wsflv", application.streaming.websocket_flv.stats())
        yield from figures("playback_rtmp", application.streaming.rtmp_output.stats())
        yield from figures("plays", application.streaming.visits.stats())
        yield from figures("hosts", HostFigures(application.streaming.hosts_refused))
        yield from figures("publish_hook", services.publish_hook.stats())
        yield from figures("webhooks", services.sender.stats())
        yield from figures("media_events", services.media_events.stats())
        ledger = services.shop.ledger
        yield from figures("ledger", LedgerFigures(ledger.waiting, ledger.batches, ledger.commands))
        yield from figures("touches", services.attribution.stats())


def render_metrics(application: Application) -> bytes:
    """The exposition text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Parts(application))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return generate_latest(registry)
