"""Commands and answers of partners: values for the ledger (``ledger.py``)."""

from dataclasses import dataclass

from commerce.ledger import StartDrop


@dataclass(frozen=True, slots=True)
class OfferCoupon:
    """Let a partner's visitors have a coupon: its terms, and the budget (分) that it is promised out of, once a key."""

    drop: StartDrop
    budget: int
    staff: str
    key: str
    hash: str
