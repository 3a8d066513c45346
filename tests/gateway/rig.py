"""An application in this process with two seeded merchants, spoken to over ASGI: no port, no waiting."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.app import Application, open_application, system_clock
from gateway.config import Settings
from gateway.secrets import open_secrets
from gateway.seed import Seeded, seed


class Clock:
    """The system's clock plus what a test adds; stopped, only what the test adds."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._stopped_ms: int | None = None

    def __call__(self) -> int:
        return (system_clock() if self._stopped_ms is None else self._stopped_ms) + self.ahead_ms

    def stop(self) -> None:
        """Stand still from now on: a slow machine lets nothing fall due that the test did not."""
        self._stopped_ms = system_clock()


@dataclass
class Rig:
    """The running application and a client for it."""

    application: Application
    client: httpx.AsyncClient
    shop: Seeded
    other: Seeded
    clock: Clock

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """One request under /api/v1."""
        headers: dict[str, str] = {}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        if key is not None:
            headers["idempotency-key"] = key
        return await self.client.request(method, "/api/v1" + path, json=body, headers=headers, **more)

    async def guest(self, room: str | None = None, **fields: Any) -> dict[str, Any]:
        """A guest's token and person."""
        answer = await self.call("POST", "/auth/guest", {"room": room or self.shop.room, **fields})
        assert answer.status_code == 200, answer.text
        guest: dict[str, Any] = answer.json()
        return guest


@dataclass(frozen=True)
class _Template:
    """A seeded data folder that each test copies: seeding takes a second, copying a few milliseconds."""

    folder: Path
    shop: Seeded
    other: Seeded


_templates: list[_Template] = []


async def _template() -> _Template:
    if not _templates:
        folder = Path(tempfile.mkdtemp(prefix="siyu-rig-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        configured = Settings(data=folder / "data")
        secrets = open_secrets(configured.data)
        _templates.append(_Template(configured.data, await seed(configured, secrets), await seed(configured, secrets)))
    return _templates[0]


async def seeded_folder(data: Path) -> Seeded:
    """Make ``data`` a copy of the template; the first merchant's shop."""
    template = await _template()
    shutil.copytree(template.folder, data)
    return template.shop


@contextlib.asynccontextmanager
async def rig(folder: Path, *, filled: Path | None = None, **settings: Any) -> AsyncIterator[Rig]:
    """Seed two merchants, start the application on any RTMP and UDP port, close it at the end.

    ``filled``: the data folder of an earlier one, of which this begins with a copy.
    """
    template = await _template()
    shutil.copytree(filled or template.folder, folder / "data")
    configured = Settings(data=folder / "data", rtmp_port=0, udp_port=0, **settings)
    shop, other = template.shop, template.other
    clock = Clock()
    application = await open_application(configured, http_port=8000, files=1024, clock=clock)
    application.ready = True
    transport = httpx.ASGITransport(app=application.asgi, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", timeout=60) as client:
            yield Rig(application, client, shop, other, clock)
    finally:
        await application.drain()
        await application.close()
