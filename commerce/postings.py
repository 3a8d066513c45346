"""How a posting of the derived books is asked for: one SELECT of moment, account, signed 分, kind, ref and order.

Pure text: the parts are constants of the modules that name them, and every value is bound (``:since``, ``:until``).
"""

# ruff: noqa: S608 - put together of constants.

_AT = "{0} >= :since AND {0} < :until"


def posting(kind: str, at: str, account: str, amount: str, ref: str, order: str, source: str, more: str = "") -> str:
    """One side: ``amount`` on ``account`` (an expression), debits positive."""
    where = _AT.format(at) + (f" AND {more}" if more else "")
    return (
        f"SELECT {at} AS at_ms, {account} AS account, {amount} AS amount, '{kind}' AS kind, {ref} AS ref,"
        f" {order} AS order_id FROM {source} WHERE {where}"
    )


def both(
    kind: str, at: str, debit: str, credit: str, amount: str, ref: str, order: str, source: str, more: str
) -> list[str]:
    """Both sides of one amount."""
    shared = (ref, order, source, more)
    return [
        posting(kind, at, debit, amount, *shared),
        posting(kind, at, credit, f"-({amount})", *shared),
    ]
