"""Settlements over the API: files in, open items, what is closed by hand, and who may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from commerce.domain.day import DAY_MS, day_of
from gateway.schemas_settlements import ClearingView, ClosedPage, ItemPage, SettlementFilePage, TakenAnswer
from tests.gateway.rig import Rig, rig
from tests.gateway.test_books import good
from tests.gateway.test_webhooks import order


async def take(live: Rig, source: str, query: str, *rows: str, token: str | None = None) -> Any:
    """Send a file; the response."""
    headers = {"authorization": f"Bearer {token or live.shop.merchant_token}"}
    path = f"/api/v1/settlements/files/{source}?{query}"
    return await live.client.post(path, content="\r\n".join(rows).encode(), headers=headers)


async def test_an_accountant_follows_a_payment_to_the_bank_and_closes_what_is_left(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, other = live.shop.merchant_token, live.other.merchant_token
        sold = await order(live)
        day = day_of(live.clock())
        live.clock.ahead_ms += DAY_MS
        answer = await good(live, "POST", "/settlements/fetch", {"provider": "sandbox", "day": day}, token=boss)
        assert msgspec.convert(answer, TakenAnswer).matched == 2
        (way,) = msgspec.convert(await good(live, "GET", "/settlements", token=boss), list[ClearingView])
        assert (way.account, way.open, way.items, way.ages.to_2) == ("1002.01", sold["amount"], 1, sold["amount"])
        today = day_of(live.clock())
        yuan = f"{sold['amount'] // 100 - 1}.{sold['amount'] % 100:02}"
        rows = ("流水号,时间,收入,支出,摘要", f"B1,{today},{yuan},,=payout")
        tried = await take(live, "bank", "name=ICBC&try=1", *rows)
        assert tried.status_code == 200 and tried.json()["file"] == ""
        taken = msgspec.convert((await take(live, "bank", "name=ICBC", *rows)).json(), TakenAnswer)
        assert (taken.lines, taken.matched) == (1, 0)
        page = msgspec.convert(await good(live, "GET", "/settlements/items?account=1002.01", token=boss), ItemPage)
        assert [(one.kind, one.todo) for one in page.items] == [("payout", "wait"), ("bank line", "name")]
        sheet = await live.call("GET", "/settlements/items?format=csv", token=boss)
        assert "'=payout" in sheet.content.decode("utf-8-sig")
        chosen = [{"kind": one.kind, "ref": one.ref} for one in page.items]
        body = {"account": "1002.01", "why": "payout fee", "items": chosen}
        refused = await live.call("POST", "/settlements/closes", body, token=boss)
        assert (refused.status_code, refused.json()["code"]) == (422, "difference")
        done = await good(live, "POST", "/settlements/closes", {**body, "against": "6603.01"}, token=boss)
        assert (done["items"], done["amount"]) == (2, 100)
        assert await good(live, "GET", "/settlements", token=boss) == []
        (closed,) = msgspec.convert(await good(live, "GET", "/settlements/closes", token=boss), ClosedPage).items
        assert (closed.against, closed.why, closed.amount) == ("6603.01", "payout fee", 100)
        files = msgspec.convert(await good(live, "GET", "/settlements/files", token=boss), SettlementFilePage).items
        assert [(one.source, one.name, one.day) for one in files] == [
            ("bank", "ICBC", ""),
            ("provider", "sandbox", day),
        ]
        raw = await live.call("GET", f"/settlements/files/{files[0].id}", token=boss)
        assert raw.content == "\r\n".join(rows).encode()
        assert (await live.call("GET", f"/settlements/files/{files[0].id}", token=other)).status_code == 404
        assert (await good(live, "GET", "/settlements/files", token=other))["items"] == []
        assert (await good(live, "POST", "/settlements/match", token=boss))["matched"] == 0


async def test_bad_files_are_answered_with_what_is_wrong_and_others_may_not_at_all(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        said = await take(live, "bank", "name=ICBC", "number,time,amount", "B1,someday,1.00")
        assert said.status_code == 200 and said.json()["faults"][0]["column"] == "time"
        for source, query in (("bank", "name="), ("bank", "name=x&format=wechat"), ("nobody", "name=x")):
            assert (await take(live, source, query, "number,time,amount", "B1,2027-01-15,1")).status_code == 400
        for form in ("wechat", "alipay"):
            odd = await take(live, "provider", f"name=x&format={form}", 'a,"b', "\0")
            assert odd.status_code == 400
        viewer = (await live.guest())["token"]
        for token in (live.shop.host_token, viewer):
            assert (await live.call("GET", "/settlements", token=token)).status_code == 403
            assert (await take(live, "bank", "name=x", "a", token=token)).status_code == 403
        for source in ("provider", "bank", "courier"):
            sheet = await live.call("GET", f"/settlements/templates/{source}", token=live.shop.merchant_token)
            assert sheet.content.startswith("\ufeff".encode())
