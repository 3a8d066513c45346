"""A shop's products and what they are filed under."""

from __future__ import annotations

from typing import Any

from commerce.changes import Hand
from gateway.api import Call, Operation, page_limit
from gateway.parameters import CURSOR, LIMIT
from gateway.schemas_goods import CategoryBody, ProductPage
from gateway.schemas_members import ProductAnswer
from gateway.services import Services

MERCHANT = frozenset({"merchant"})


def product_operations(services: Services) -> list[Operation]:
    """Operations on products as a whole."""
    catalogue = services.catalogue

    async def list_own_products(call: Call) -> ProductPage:
        limit, query, merchant = page_limit(call), call.query, call.who.merchant
        found = await catalogue.products(merchant, query.get("after", ""), limit, query.get("category"))
        return ProductPage(
            items=found,  # type: ignore[arg-type]
            categories=await catalogue.categories(merchant),
            next=found[-1].product if len(found) == limit else None,
        )

    async def set_category(call: Call) -> Any:
        body: CategoryBody = call.body
        who = call.who
        by = Hand(who.person, body.why)
        return await catalogue.set_category(who.merchant, call.path["product"], body.category, by)

    path = "/api/v1/products"
    asked = {
        "category": "one category; given and empty: those in none",
        "after": CURSOR,
        "limit": LIMIT,
    }
    return [
        Operation("GET", path, "Products by age", list_own_products, MERCHANT, answer=ProductPage, query=asked),
        Operation(
            "PUT",
            f"{path}/{{product}}/category",
            "File a product under a category",
            set_category,
            MERCHANT,
            CategoryBody,
            ProductAnswer,
        ),
    ]
