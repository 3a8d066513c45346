"""The seeded shop as its staff set it up for the phones: calls by the seed's tokens, and what they sell."""

from __future__ import annotations

import itertools
import time
from typing import Any

from tests.harness import LiveServer

_KEYS = itertools.count(1)


class Shop:
    """The seed's shop on a server, by the hands of its merchant."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.room = str(server.room)

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        """One call as the merchant, or by another's token; its answer."""
        staff = token or self.server.seed["merchant_token"]
        key = f"shop-{next(_KEYS)}" if method == "POST" else None
        answer = self.server.call(method, path, body, token=staff, key=key)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json() if answer.content else None

    def goods(self, title: str, price: int, stock: int = 50, **terms: Any) -> str:
        """New goods on the shelf; their SKU."""
        body = {"title": title, "price": price, "stock": stock, **terms}
        return str(self.ask("POST", f"/rooms/{self.room}/products", body)["sku"])

    def order(self, order: str) -> dict[str, Any]:
        """An order as the shop sees it."""
        found: dict[str, Any] = self.ask("GET", f"/orders/{order}")["order"]
        return found

    def newest(self) -> dict[str, Any]:
        """The order that was made last."""
        return self.order(self.ask("GET", "/orders?limit=1")["items"][0]["order"])

    def store(self, name: str, lat: float, lng: float, **terms: Any) -> str:
        """A store; its id."""
        body = {"name": name, "address": f"{name} 1 号", "lat": lat, "lng": lng, **terms}
        return str(self.ask("POST", "/outlets", body)["outlet"])

    def group_sale(self, sku: str, size: int = 2) -> str:
        """A group buy that is open; its sale."""
        body = {"sku": sku, "price": 700, "total": 6, "mode": "team", "team_size": size, "team_s": 3600}
        sale = str(self.ask("POST", f"/rooms/{self.room}/sales", body)["sale"])
        self.ask("POST", f"/rooms/{self.room}/sales/{sale}/start", {"countdown_s": 0})
        return sale

    def event(self, title: str, **terms: Any) -> str:
        """An event in two days; its id."""
        now = int(time.time() * 1000)
        times = {"starts": now + 172_800_000, "ends": now + 180_000_000, "closes": now + 86_400_000}
        return str(
            self.ask("POST", "/events", {"title": title, "place": "西湖", "places": 5, **times, **terms})["event"]
        )
