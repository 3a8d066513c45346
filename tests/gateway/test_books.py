"""Books, closed periods, rates of tax and invoices over the API, and who may."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from commerce.domain.day import DAY_MS, day_of
from gateway.schemas_accounting import BookAnswer, InvoiceView, PostingPage, StockEntryPage
from tests.gateway.rig import Rig, rig
from tests.gateway.test_webhooks import order


async def good(live: Rig, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """The answer of a request that must succeed."""
    answer = await live.call(method, path, body, **more)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def test_a_day_is_read_followed_closed_and_corrected_forward(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss = live.shop.merchant_token
        await good(live, "PUT", "/tax-rates", {"basis_points": 1_300}, token=boss)
        assert (await good(live, "GET", "/tax-rates", token=boss))[0]["basis_points"] == 1_300
        view = await order(live)
        await good(live, "POST", f"/orders/{view['order']}/ship", {"carrier": "顺丰", "number": "1"}, token=boss)
        day = day_of(live.clock())
        live.clock.ahead_ms += 10
        book = msgspec.convert(await good(live, "GET", f"/books?day={day}", token=boss), BookAnswer)
        figures = {one.account: one for one in book.accounts}
        assert book.debit == book.credit > 0
        assert figures["1012.sandbox"].closing == view["amount"]
        assert figures["6001.01"].closing + figures["2221.01"].closing >= view["amount"]
        audited = await good(live, "GET", f"/statements?day={day}", token=boss)
        assert audited["money"]["closing"] == figures["1012.sandbox"].closing
        page = await good(live, "GET", f"/books/entries?day={day}&account=6001.01", token=boss)
        [posting] = msgspec.convert(page, PostingPage).items
        assert (posting.order_id, posting.kind, -posting.amount) == (
            view["order"], "handed over", figures["6001.01"].credit,
        )  # fmt: skip
        sku = view["lines"][0]["sku"]
        moved = msgspec.convert(
            await good(live, "GET", f"/books/stock?day={day}&sku={sku}", token=boss), StockEntryPage
        )
        assert "shipped" in {one.kind for one in moved.items}
        for path in (f"/books?day={day}", f"/books/entries?day={day}", f"/books/stock?day={day}", "/books/chart?"):
            sheet = await live.call("GET", f"{path}&format=csv", token=boss)
            assert sheet.headers["content-type"] == "text/csv; charset=utf-8" and sheet.content.count(b"\r\n") > 2

        early = await live.call("POST", "/books/closes", {"through": day}, token=boss)
        assert (early.status_code, early.json()["code"]) == (422, "not_open")
        live.clock.ahead_ms += 2 * DAY_MS
        closed = await good(live, "POST", "/books/closes", {"through": day}, token=boss)
        assert closed["balances"]["1012.sandbox"] == view["amount"]
        fix = {"debit": "6711", "credit": "1002", "amount": 5, "why": "尾差", "day": day}
        late = await live.call("POST", "/books/corrections", fix, token=boss)
        assert (late.status_code, late.json()["code"]) == (422, "closed")
        await good(live, "POST", "/books/corrections", fix | {"day": late.json()["day"]}, token=boss)
        assert (await good(live, "GET", f"/books?day={day}", token=boss))["closed"] is True


async def test_a_buyer_gets_an_invoice_and_a_red_letter_when_money_goes_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss = live.shop.merchant_token
        view = await order(live)
        path = f"/orders/{view['order']}"
        body = {"title": "思语科技", "tax_number": "91310000MA1K4BX92Q"}
        [blue] = await good(live, "POST", f"{path}/invoice", body, token=view["token"])
        assert blue["state"] == "issued"
        document = await live.call("GET", f"/invoices/{blue['id']}/document", token=view["token"])
        assert document.headers["content-type"].startswith("application/xml") and "思语科技" in document.text
        stranger = (await live.guest())["token"]
        assert (await live.call("GET", f"/invoices/{blue['id']}/document", token=stranger)).status_code == 404
        assert (await live.call("GET", "/invoices", token=stranger)).status_code == 403
        await good(live, "POST", f"{path}/refunds", {"reason": "x"}, token=boss, key="r")
        async with asyncio.timeout(60):
            while True:
                rows = msgspec.convert(
                    await good(live, "GET", f"{path}/invoice", token=view["token"]), list[InvoiceView]
                )
                if [one.state for one in rows if one.kind == "red"] == ["issued"]:
                    break
                await asyncio.sleep(0.02)
        assert len((await good(live, "GET", "/invoices", token=boss))["items"]) == 2
        assert (await good(live, "POST", "/invoices/retry", token=boss))["waiting"] == 0


async def test_the_books_are_the_merchant_s_alone(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        await order(live)
        theirs = await good(live, "GET", "/books", token=live.other.merchant_token)
        assert (theirs["accounts"], theirs["debit"]) == ([], 0)
        guest = (await live.guest())["token"]
        for path in ("/books", "/books/entries", "/books/stock", "/books/chart", "/books/closes", "/tax-rates"):
            for token in (guest, live.shop.host_token):
                assert (await live.call("GET", path, token=token)).status_code == 403
        for query in ("day=x", "day=2026-02-30", "format=pdf", "day=9999-01-01"):
            answer = await live.call("GET", f"/books?{query}", token=live.shop.merchant_token)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), query
        assert (await live.call("GET", "/books/entries?skip=x", token=live.shop.merchant_token)).status_code == 400
