"""What stands in the demo's shop is there on the pages, and every invariant holds over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from commerce.audit_sql import audit
from gateway.demo_shop import CATEGORIES, CUSTOMERS, furnish
from tests.gateway.rig import rig


async def test_the_demos_shop_shows_partners_questions_a_group_and_categories(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        services = live.application.services
        await furnish(services, live.shop)
        await services.attribution.binder.flushed(60.0)
        boss = live.shop.merchant_token

        async def read(path: str) -> Any:
            answer = await live.call("GET", path, token=boss)
            assert answer.status_code == 200, answer.text
            return answer.json()

        [partner] = await read("/partners")
        assert partner["visitors"] == 2 and [one["state"] for one in partner["contracts"]] == ["agreed"]
        [offer] = await read(f"/partners/{partner['partner']}/coupons")
        assert offer["open"]
        questions = (await read("/questions"))["items"]
        assert sorted(one["state"] for one in questions) == ["accepted", "given"]
        [group] = (await read("/communities"))["items"]
        assert group["members"] == len(CUSTOMERS)
        shelf = await read(f"/rooms/{live.shop.room}/products")
        assert {card["category"] for card in shelf} == set(CATEGORIES)
        assert not [one.name for one in audit(tmp_path / "data") if not one.ok]
