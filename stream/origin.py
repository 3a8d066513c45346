"""Who a host is, as far as the relay needs to know: what it showed to be let in, so that it can be let go of again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a broadcast comes from.

    `credential` is the id (never the text) of the key or token that was shown, `name` what people call it,
    `address` the client's address.
    """

    protocol: str
    credential: str
    name: str
    address: str
