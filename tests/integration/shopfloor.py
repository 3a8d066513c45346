"""What the tests of the rush stand on: a live server with its shop, tokens minted by hundreds, and the database."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from commerce.audit_sql import audit
from gateway.app import system_clock
from gateway.auth import Tokens
from gateway.secrets import open_secrets
from tests.harness import LiveServer
from tests.integration.sockets import Crowd, HubClient

DAY_S = 86_400


class Shopfloor:
    """A live server as its shop's staff and its guests see it."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.merchant: str = server.seed["merchant"]
        self.host_token: str = server.seed["host_token"]
        self.other: dict[str, Any] = {}
        """What the seed said of a second merchant, where a test has one."""
        self.second_room = ""
        """Another room of the first merchant, where a test has one."""
        self.key = open_secrets(server.data).key("tokens")

    def token(
        self,
        person: str,
        *,
        role: str = "viewer",
        room: str | None = None,
        merchant: str | None = None,
        ttl_s: int = DAY_S,
        key: bytes | None = None,
    ) -> str:
        """A token as the server would mint it; ``ttl_s`` below 0 is one that has expired."""
        tokens = Tokens(key or self.key, ttl_s=ttl_s, clock=system_clock)
        return tokens.mint(
            person=person,
            name=person[-8:],
            role=role,
            merchant=merchant or self.merchant,
            room=self.server.room if room is None else room,
        )[0]

    def knock(self, crowd: Crowd, person: str, *, since: str | None = None, watch: bool = True) -> HubClient:
        """``person`` at the door of the room."""
        return crowd.knock(self.server.room, self.token(person), person=person, since=since, watch=watch)

    def join(self, crowd: Crowd, person: str, *, since: str | None = None, watch: bool = True) -> HubClient:
        """``person`` in the room."""
        client = self.knock(crowd, person, since=since, watch=watch)
        crowd.settle([client])
        return client

    def join_room(self, crowd: Crowd, room: str, person: str) -> HubClient:
        """``person`` in another room of the merchant."""
        return crowd.join(room, self.token(person, room=room), person=person)

    def host(self, crowd: Crowd) -> HubClient:
        """The host in the room."""
        return crowd.join(self.server.room, self.host_token, person="host")

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """One API request of the host that must succeed."""
        answer = self.server.call(method, path, body, token=token or self.host_token)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def product(
        self, title: str, price: int = 8_800, stock: int = 100, room: str | None = None, token: str | None = None
    ) -> dict[str, Any]:
        """A new product with stock on a room's shelf."""
        body = {"title": title, "price": price, "stock": stock}
        card: dict[str, Any] = self.ask("POST", f"/rooms/{room or self.server.room}/products", body, token)
        return card

    def sale(
        self,
        total: int,
        *,
        per_person: int = 1,
        hold_s: int = 300,
        length_s: int = 3_600,
        start: bool = True,
        room: str | None = None,
        token: str | None = None,
    ) -> str:
        """A new flash sale of ``total`` units of a product of its own, open unless told otherwise; its id."""
        path = f"/rooms/{room or self.server.room}/sales"
        body = {
            "sku": self.product("秒杀品", stock=total, room=room, token=token)["sku"],
            "price": 990,
            "total": total,
            "per_person": per_person,
            "hold_s": hold_s,
            "length_s": length_s,
        }
        sale: str = self.ask("POST", path, body, token)["sale"]
        if start:
            self.ask("POST", f"{path}/{sale}/start", {"countdown_s": 0}, token)
        return sale

    def drop(self, total: int, *, per_person: int = 1, room: str | None = None, token: str | None = None) -> str:
        """A new coupon drop; its id."""
        body = {
            "title": "满减券",
            "reason": "店庆",
            "amount": 100,
            "total": total,
            "per_person": per_person,
            "seconds": 3_600,
        }
        drop: str = self.ask("POST", f"/rooms/{room or self.server.room}/drops", body, token)["drop"]
        return drop

    # The books

    def rows(self, query: str, *parameters: Any) -> list[sqlite3.Row]:
        """Rows of the shop's database, read beside the server or after its end."""
        with contextlib.closing(sqlite3.connect(self.server.data / "shop.db", timeout=60)) as database:
            database.row_factory = sqlite3.Row
            return database.execute(query, parameters).fetchall()

    def holds(self, sale: str) -> dict[str, sqlite3.Row]:
        """All holds of a sale by id."""
        return {row["id"]: row for row in self.rows("SELECT * FROM hold WHERE sale = ?", sale)}

    def assert_books(self) -> None:
        """Every invariant of the ledger holds at this moment."""
        assert [finding for finding in audit(self.server.data) if not finding.ok] == []

    def assert_audited(self) -> None:
        """``siyu audit`` itself says so."""
        done = self.server.run("audit", check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def memory_kib(self) -> int:
        """Resident memory of the server."""
        assert self.server.process is not None
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))
