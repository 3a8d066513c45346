"""What tills book: a sale and its refund when their takings were told, and what counts of drawers found.

till sale    the tenders' accounts, discounts 6001.07    6001.06 sales without tax, 2221.01 tax
             6401.04 cost                                1406
till refund  6001.08, 2221.01                            the tenders' accounts
             1406                                        6401.04
till count   6602.02 what is missing                     1001    (the other way round, when there is more)
banked       1002 (see books_settled.py)                 1001
"""

from collections.abc import Iterable

from commerce.domain.chart import (
    AT_TILLS,
    CASH_DIFFERENCES,
    DRAWERS,
    TAX,
    TENDER_PLACES,
    TILL_COST,
    TILL_DISCOUNTS,
    TILL_RETURNS,
    TILL_SALES,
)
from commerce.postings import both, posting


def tender_part() -> str:
    """What came in at tills, and went out, by tender; the receipt stands where an order does."""
    places = " ".join(f"WHEN '{tender}' THEN '{place}'" for tender, place in TENDER_PLACES.items())
    return posting(
        "till tender", "t.booked_ms", f"CASE t.tender {places} END", "t.amount", "t.ref", "t.receipt",
        "pos_tender AS t", "t.merchant = :merchant",
    )  # fmt: skip


def till_parts() -> Iterable[str]:
    """The other postings of tills, a statement each."""
    sold = ("s.id", "s.id", "pos_receipt AS s", "s.merchant = :merchant")
    for account, amount in (
        (TILL_SALES, "s.tax - s.amount - s.discount"),
        (TILL_DISCOUNTS, "s.discount"),
        (TAX, "-s.tax"),
    ):
        yield posting("till sale", "s.booked_ms", f"'{account}'", amount, *sold)
    yield from both("till sale", "s.booked_ms", f"'{TILL_COST}'", f"'{AT_TILLS}'", "s.cost", *sold)
    back = ("b.id", "b.receipt", "pos_refund AS b", "b.merchant = :merchant")
    for account, amount in ((TILL_RETURNS, "b.amount - b.tax"), (TAX, "b.tax")):
        yield posting("till refund", "b.booked_ms", f"'{account}'", amount, *back)
    yield from both("till refund", "b.booked_ms", f"'{AT_TILLS}'", f"'{TILL_COST}'", "b.cost", *back)
    count = ("c.id", "''", "till_close AS c", "c.merchant = :merchant")
    yield from both("till count", "c.at_ms", f"'{DRAWERS}'", f"'{CASH_DIFFERENCES}'", "c.difference", *count)
