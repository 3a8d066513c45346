"""What a load test is told: which room, whose tokens, which host it may aim at. No Locust here, so tests import it.

Each option of the locustfile has an environment variable; the seed file is the output of ``siyu seed --json``.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

SEED_BYTES_MAX = 1_048_576
"""A seed's JSON is 2 KB; a larger file is another file."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the locustfile: flag, environment variable, help."""

    flag: str
    variable: str
    text: str


SEED = Option("--siyu-seed", "SIYU_LOAD_SEED", "JSON of `siyu seed --json`: room and tokens in one file")
ROOM = Option("--siyu-room", "SIYU_LOAD_ROOM", "the room, when there is no seed file")
HOST_TOKEN = Option("--siyu-host-token", "SIYU_LOAD_HOST_TOKEN", "who starts drops and sales; without one nobody does")
ALLOW_HOST = Option("--siyu-allow-host", "SIYU_LOAD_ALLOW_HOST", "one host name beside loopback that may be loaded")
REPORT = Option("--siyu-report", "SIYU_LOAD_REPORT", "file for our counts as JSON, written at the end")
OPTIONS = (SEED, ROOM, HOST_TOKEN, ALLOW_HOST, REPORT)


class OptionsError(ValueError):
    """An option that cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the users need to know: the room, and the token that starts drops and sales ('' when nobody does)."""

    room: str
    host_token: str = field(default="", repr=False)


def read_target(seed: str | None, room: str | None, host_token: str | None) -> Target:
    """The target from a seed file, or from room and token. Raises ``OptionsError``."""
    found: dict[str, object] = {}
    if seed:
        path = Path(seed)
        try:
            if path.stat().st_size > SEED_BYTES_MAX:
                raise OptionsError(f"{SEED.flag}: {seed} has more than {SEED_BYTES_MAX} bytes")
            loaded = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise OptionsError(f"{SEED.flag}: {seed} cannot be read as JSON: {error}") from error
        if not isinstance(loaded, dict):
            raise OptionsError(f"{SEED.flag}: {seed} holds no object; make it with `siyu seed --json`")
        found = loaded
    where = room or found.get("room")
    if not isinstance(where, str) or not where:
        raise OptionsError(f"name the room: {SEED.flag} FILE, or {ROOM.flag} ROOM (environment {ROOM.variable})")
    token = host_token or found.get("host_token") or ""
    if not isinstance(token, str):
        raise OptionsError(f"{SEED.flag}: host_token is no text")
    return Target(where, token)


def check_host(url: str | None, allowed: str | None) -> str:
    """``url`` without its trailing slash, if it is on loopback or its host is ``allowed``. Raises ``OptionsError``.

    A load test is an attack on whoever did not ask for it, so another machine must be named twice.
    """
    parts = urlsplit(url or "")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise OptionsError(f"--host is an address like http://127.0.0.1:8000, not {url!r}")
    name = parts.hostname
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        loopback = name == "localhost"
    if not loopback and name != (allowed or "").lower():
        raise OptionsError(
            f"{name} is not this machine: a load test runs on loopback only, or on the host of {ALLOW_HOST.variable}"
        )
    return f"{parts.scheme}://{parts.netloc}"
