"""Run what touches sockets on uvloop, as the server does, and on asyncio's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give each asynchronous test both loops, or those that its module names in LOOPS."""
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    wanted = getattr(getattr(item, "module", None), "LOOPS", tuple(loops))
    return {name: loops[name] for name in wanted}
