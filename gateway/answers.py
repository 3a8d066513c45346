"""What commerce grants, as clients read it: one place, so that the API and the hub say the same words."""

from __future__ import annotations

from typing import Any

import segno
from starlette.responses import Response

from commerce.events import OrderView
from commerce.ledger import CouponGranted, HoldGranted
from commerce.ledger_moments import Seated
from commerce.payment import PaymentOpened
from commerce.payments import Paying
from gateway.client import CORS_HEADERS
from gateway.encode import plain
from gateway.schemas import CouponAnswer, HoldAnswer
from gateway.schemas_moments import SeatAnswer
from gateway.schemas_payments import PaymentView


def hold_answer(granted: HoldGranted) -> HoldAnswer:
    """Units held: ``expires`` is Unix milliseconds, ``price`` 分 per unit."""
    return HoldAnswer(hold=granted.hold, quantity=granted.quantity, price=granted.price, expires=granted.expires_ms)


def seat_answer(seated: Seated) -> SeatAnswer:
    """A seat in a group: one unit held."""
    return SeatAnswer(team=seated.team, hold=seated.hold, quantity=1, price=seated.price, expires=seated.expires_ms)


def coupon_answer(granted: CouponGranted) -> CouponAnswer:
    """A coupon caught: ``expires`` is Unix milliseconds, ``amount`` and ``threshold`` 分."""
    return CouponAnswer(
        coupon=granted.coupon,
        title=granted.title,
        amount=granted.amount,
        threshold=granted.threshold,
        expires=granted.expires_ms,
        percent=granted.percent,
    )


def order_answer(order: OrderView, *, staff: bool = False) -> dict[str, Any]:
    """An order; who is credited for it is the merchant's matter and not the buyer's, so only ``staff`` reads that.

    The pickup code is the buyer's alone: it proves at the counter who came.
    """
    view: dict[str, Any] = plain(order)
    if not staff:
        view.pop("decision", None)
    elif view["delivery"] is not None:
        view["delivery"].pop("code", None)
    return view


def paying_answer(paying: Paying) -> dict[str, Any]:
    """The order, and how its buyer goes on: a code is drawn here, so that no page needs a library for it."""
    answer: dict[str, Any] = {"order": order_answer(paying.order)}
    if paying.opened is not None:
        answer["payment"] = plain(opened_view(paying.provider, paying.opened))
    return answer


def opened_view(provider: str, opened: PaymentOpened) -> PaymentView:
    """How a payer goes on at a provider."""
    code = opened.fields.get("code_url")
    qr = None if code is None else segno.make(code, error="m").svg_data_uri(scale=6, border=4)
    return PaymentView(provider, opened.method, dict(opened.fields), qr)


def csv_answer(sheet: str, name: str) -> Response:
    """A file for a spreadsheet; the byte order mark tells it that this is UTF-8."""
    headers = {key.decode(): value.decode() for key, value in CORS_HEADERS}
    headers["content-disposition"] = f'attachment; filename="{name}"'
    return Response(sheet.encode("utf-8-sig"), 200, headers, "text/csv; charset=utf-8")


def page_of(rows: list[Any], limit: int) -> dict[str, Any]:
    """One page of a list whose cursor is the last row's ``id``."""
    last = rows[-1] if len(rows) == limit else None
    return {"items": rows, "next": last["id"] if isinstance(last, dict) else getattr(last, "id", None)}
