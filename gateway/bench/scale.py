"""How much a benchmark does: each field has an environment twin, ``SIYU_BENCH_SOCKETS`` and so on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

VALUE_MAX = 10_000_000
"""More sockets, seconds or people than any run here is meant for."""


class ScaleError(ValueError):
    """An environment variable that is no count or time above 0."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Counts and seconds; by default a benchmark takes less than 40 s."""

    sockets: int = 4_000
    """Sockets of the fan-out."""
    idle: int = 15_000
    """Viewers who sit there: as many as 20,000 open files allow beside RTMP's share and the reserve."""
    joins: int = 4_000
    """Viewers who come at once: what the hub lets in without a word of waiting."""
    viewers: int = 1_000
    """Viewers of the FLV stream, and players of RTMP."""
    hosts: int = 300
    """Hosts that publish RTMP."""
    rtc_viewers: int = 100
    """Viewers of the WHEP stream that are aiortc's own."""
    rtc_readers: int = 300
    """Viewers of the WHEP stream that only count."""
    seconds: float = 3.0
    """Each rate is measured over this long; the FLV stream runs twice as long and a little more."""
    outstanding: int = 1_000
    """Hold requests that wait for their answer at any time."""
    touches: int = 1_000_000
    """Touches of the board's month."""


def read_scale(environment: Mapping[str, str] | None = None) -> Scale:
    """The scale with what the environment says. Raises ScaleError."""
    source = os.environ if environment is None else environment
    given: dict[str, float] = {}
    for field in fields(Scale):
        name = f"SIYU_BENCH_{field.name.upper()}"
        if name in source:
            given[field.name] = _positive(name, source[name], whole=field.name != "seconds")
    return Scale(**given)  # type: ignore[arg-type]


def _positive(name: str, text: str, *, whole: bool) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = 0
    if not 0 < value < VALUE_MAX:
        raise ScaleError(f"{name}={text}: a {'whole ' if whole else ''}number above 0 is wanted")
    return value
