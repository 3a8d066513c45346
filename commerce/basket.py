"""What clients ask of the shop, checked before it becomes a command: orders, drops, keys, numbers within bounds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from commerce.domain.coupon import (
    COUPONS_MAX,
    DROP_SECONDS_MAX,
    GIVING_SECONDS_MAX,
    GROUP_CHARACTERS_MAX,
    PERCENT_MAX,
    WAYS,
    audience_fault,
)
from commerce.domain.custom import FIELDS_MAX, Wanted
from commerce.domain.member import POINTS_MAX
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.order import LINES_MAX, Delivery, WantedLine, delivery_fault
from commerce.domain.pricing import COUPONS_MAX as COUPONS_ON_ORDER_MAX
from commerce.errors import Invalid
from commerce.ledger import KEY_CHARACTERS_MAX, CreateOrder, StartDrop, fingerprint

KEY_RULE = f"a key has 1 to {KEY_CHARACTERS_MAX} characters, none of them NUL"
TITLE_CHARACTERS_MAX = 200
VALID_S_MAX = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Basket:
    """What is bought and how it is paid: a hold and/or lines, coupons, up to so many points and 分 of stored value.

    With ``mall`` the one line is exchanged for the points that it costs there.
    """

    hold: str | None = None
    lines: tuple[WantedLine, ...] = ()
    coupon: str | None = None
    coupons: tuple[str, ...] = ()
    points: int = 0
    stored: int = 0
    delivery: Delivery | None = None
    mall: bool = False
    outlet: str = ""
    """The store that hands it over, where only a price is asked for."""
    way: str = ""
    place: tuple[int, int] | None = None
    """How it is brought and where to (degrees × 10⁶), where only a price is asked for."""
    wanted: Wanted = ()
    """What is wished of the hold's goods."""
    offer: tuple[str, int] | None = None
    """The request whose offer is ordered, and the version that was seen."""

    @property
    def every_coupon(self) -> tuple[str, ...]:
        """All coupons that were named."""
        return (*(() if self.coupon is None else (self.coupon,)), *self.coupons)


@dataclass(frozen=True, slots=True)
class DropTerms:
    """The finer terms of a drop: a percentage, the stack group, for whom, out of whose budget, by which way.

    ``outlets``: the stores where its coupons count; none: where those of its template do, else everywhere.
    """

    percent: int = 0
    stack: str = ""
    audience: str = "all"
    issuer: str = ""
    way: str = "drop"
    outlets: tuple[str, ...] = ()


def wanted_lines(lines: Iterable[WantedLine | Sequence[Any]]) -> tuple[WantedLine, ...]:
    """Lines given as such, or as (sku, quantity, version)."""
    return tuple(line if isinstance(line, WantedLine) else WantedLine(*line) for line in lines)


def check_basket(basket: Basket) -> None:
    """Raise Invalid for a basket that can be no order."""
    if len(basket.lines) > LINES_MAX:
        raise Invalid(f"an order has at most {LINES_MAX} lines")
    if len(basket.every_coupon) > COUPONS_ON_ORDER_MAX:
        raise Invalid(f"an order takes at most {COUPONS_ON_ORDER_MAX} coupons", field="coupons")
    fault = None if basket.delivery is None else delivery_fault(basket.delivery)
    if fault is not None:
        raise Invalid(fault, field="delivery")
    if any(len(wanted) > FIELDS_MAX for wanted in (basket.wanted, *(line.wishes for line in basket.lines))):
        raise Invalid(f"goods have at most {FIELDS_MAX} wishes", field="custom")
    if basket.wanted and basket.hold is None:
        raise Invalid("wishes of goods without a hold go with their line", field="custom")
    if basket.offer is not None and (basket.hold is not None or basket.lines or basket.mall):
        raise Invalid("an offer is ordered alone", field="request")
    if basket.mall and (basket.hold is not None or basket.every_coupon or basket.points or basket.stored):
        raise Invalid("an exchange is one line: its points are set, and no hold or coupons go with it", field="mall")
    within(basket.points, 0, POINTS_MAX, "points")
    within(basket.stored, 0, AMOUNT_MAX, "stored")


def order_command(
    merchant: str,
    room: str,
    person: str,
    key: str,
    basket: Basket,
    decision: Mapping[str, Any] | None,
    entered_ms: int | None,
    card: str | None,
    node: str = "",
) -> CreateOrder:
    """The command that makes an order. Raises Invalid."""
    check_key(key)
    check_basket(basket)
    # What goods were not made to wishes has the hash that it had before there were any.
    body = [(line.sku, line.quantity, line.version, *((line.wishes,) if line.wishes else ())) for line in basket.lines]
    # The attribution may differ between a request and its repeat; what is bought, and how it is paid, may not.
    where: tuple[object, ...] = () if basket.delivery is None else (basket.delivery,)
    if basket.delivery is not None:
        where = (*where, *filter(None, (basket.delivery.outlet, basket.delivery.station, basket.delivery.place)))
    spends = (basket.points, basket.stored) if basket.points or basket.stored else ()
    lines = orjson.dumps(body).decode()
    mall = ("mall",) if basket.mall else ()
    made = (*((basket.wanted,) if basket.wanted else ()), *((basket.offer,) if basket.offer else ()))
    body_hash = fingerprint(room, basket.hold, lines, basket.coupon, *where, *basket.coupons, *spends, *mall, *made)
    return CreateOrder(
        merchant,
        room,
        person,
        key,
        body_hash,
        basket.hold,
        basket.lines,
        basket.every_coupon,
        decision,
        entered_ms,
        card,
        basket.delivery,
        basket.points,
        basket.stored,
        node,
        basket.mall,
        basket.wanted,
        basket.offer,
    )


def drop_command(
    merchant: str,
    room: str,
    title: str,
    reason: str,
    amount: int,
    threshold: int,
    total: int,
    per_person: int,
    seconds: int,
    valid_s: int,
    template: str | None,
    more: DropTerms,
) -> StartDrop:
    """The command that begins a drop or a giving. Raises Invalid."""
    within(amount, 1, AMOUNT_MAX, "amount")
    within(threshold, 0, AMOUNT_MAX, "threshold")
    within(total, 1, COUPONS_MAX, "total")
    within(per_person, 1, COUPONS_MAX, "per_person")
    within(seconds, 1, DROP_SECONDS_MAX if more.way == "drop" else GIVING_SECONDS_MAX, "seconds")
    within(valid_s, 1, VALID_S_MAX, "valid_s")
    check_terms(more)
    if more.way not in WAYS:
        raise Invalid("way is one of " + ", ".join(WAYS), field="way")
    return StartDrop(
        merchant,
        room,
        title[:TITLE_CHARACTERS_MAX],
        reason[:TITLE_CHARACTERS_MAX],
        amount,
        threshold,
        total,
        per_person,
        length_ms=seconds * 1000,
        valid_ms=valid_s * 1000,
        template=template,
        percent=more.percent,
        stack=more.stack,
        audience=more.audience,
        issuer=more.issuer,
        way=more.way,
        outlets=tuple(dict.fromkeys(more.outlets)),
    )


def check_terms(more: DropTerms) -> None:
    """Raise Invalid for a coupon's finer terms that make no sense."""
    within(more.percent, 0, PERCENT_MAX, "percent")
    if len(more.stack) > GROUP_CHARACTERS_MAX or not more.stack.isprintable():
        raise Invalid(f"stack has at most {GROUP_CHARACTERS_MAX} printable characters", field="stack")
    fault = audience_fault(more.audience)
    if fault is not None:
        raise Invalid(fault, field="audience")
    if len(more.issuer) > KEY_CHARACTERS_MAX or not more.issuer.isprintable():
        raise Invalid(f"issuer has at most {KEY_CHARACTERS_MAX} printable characters", field="issuer")


def within(value: int, least: int, most: int, name: str) -> None:
    """Raise Invalid unless a whole number lies between two others."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Invalid(f"{name} is a whole number from {least} to {most}", field=name)


def key_fits(key: str) -> bool:
    """Whether a text is a request key."""
    # SQLite cuts a text from JSON at its first NUL: two keys would become one.
    return 0 < len(key) <= KEY_CHARACTERS_MAX and "\0" not in key


def check_key(key: str) -> None:
    """Raise Invalid unless a text is a request key."""
    if not key_fits(key):
        raise Invalid(KEY_RULE)
