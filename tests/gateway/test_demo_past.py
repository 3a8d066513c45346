"""The demo's fortnight: lived through the API, it leaves a shop with orders in every state and books that agree."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from commerce.audit_sql import audit
from commerce.domain.day import DAY_MS, day_bounds_ms, day_of
from gateway.clock import system_clock
from gateway.config import Settings
from gateway.demo_past import DAYS, seed_with_past
from gateway.secrets import open_secrets
from tests.gateway.rig import Rig, rig


async def _every(live: Rig, path: str, token: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = (await live.call("GET", f"{path}?limit=100{after and '&after=' + after}", token=token)).json()
        items += page["items"]
        after = page["next"]
    return items


async def test_a_demo_begins_with_a_fortnight_of_orders_members_and_content_that_agrees(tmp_path: Path) -> None:
    # A day's last moment: whatever a demo that is started earlier in the day lives is the beginning of this.
    now_ms = day_bounds_ms(day_of(system_clock()))[1] - 1
    settings = Settings(data=tmp_path / "past" / "data")
    settings.data.mkdir(parents=True)
    shop = await seed_with_past(settings, open_secrets(settings.data), lambda: now_ms)
    boss = shop.merchant_token
    async with rig(tmp_path, filled=settings.data) as live:
        live.clock.stop()
        live.clock.ahead_ms += now_ms - live.clock()
        states = Counter(order["status"] for order in await _every(live, "/orders", boss))
        since = now_ms - DAYS * DAY_MS
        board = (await live.call("GET", f"/board?since={since}&until={now_ms}", token=boss)).json()
        contents = (await live.call("GET", "/contents", token=boss)).json()["items"]
        sellers = (await live.call("GET", "/distributors", token=boss)).json()
    assert {"paid", "fulfilled", "done", "cancelled", "refunded", "partly_refunded"} <= set(states)
    assert sum(states.values()) > 40
    sold = [day for day in board["series"]["rows"] if day["paid"]]
    assert len(sold) >= DAYS - 3 and board["refunded"] > 0
    assert board["k_factor"] > 0 and len(board["by_channel"]) > 4
    assert sum(piece["figures"]["readers"] for piece in contents) > 3
    assert sellers
    findings = audit(settings.data, now_ms=now_ms)
    assert [finding for finding in findings if not finding.ok] == []
