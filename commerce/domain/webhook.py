"""Webhook rules: what is told, how it is signed, when it is tried again, where it must not go.

Signature: hex HMAC-SHA256 with the webhook's secret over ``timestamp "." body``, in the header ``Siyu-Signature`` as
``v1=HEX`` beside ``Siyu-Timestamp`` (Unix milliseconds of this attempt). A receiver checks both, and refuses old ones.
"""

import hmac
import ipaddress
from hashlib import sha256
from urllib.parse import urlsplit

URL_CHARACTERS_MAX = 500
WEBHOOKS_MAX = 10
"""Webhooks of one merchant: each event is stored once for each."""
TRIES_MAX = 12
"""Tries before a delivery is dead: about a day and a half with the back-off below."""
BACK_OFF_FIRST_MS = 5_000
BACK_OFF_MOST_MS = 6 * 3_600_000
EVENT_TYPES = {
    "OrderCreated": "order.created",
    "OrderPaid": "order.paid",
    "OrderCancelled": "order.cancelled",
    "OrderFulfilled": "order.fulfilled",
    "OrderOnItsWay": "order.on_its_way",
    "OrderMaking": "order.making",
    "OrderDone": "order.done",
    "OrderRefunded": "order.refunded",
    "AfterSaleChanged": "aftersale.changed",
    "RepaymentChanged": "credit.repayment",
    "DebtDue": "credit.due",
    "DebtOverdue": "credit.overdue",
    "DebtorReminded": "credit.reminded",
}
"""Events of the shop that are told, and what they are called outside."""
MEDIA_TYPES = frozenset(
    {"stream.published", "stream.unpublished", "stream.played", "stream.stopped", "stream.recorded"}
)
"""Events of the streams. Only who names them is told: each viewer makes two."""
ROOM_TYPES = frozenset({"room.opened", "room.empty", "room.visited"})
"""Events of the rooms' audiences. Only who names them is told: one each few seconds while people come and go."""
DEBT_TYPES = frozenset({"credit.due", "credit.overdue", "credit.reminded"})
REQUEST_TYPES = frozenset({"aftersale.changed", "credit.repayment"}) | DEBT_TYPES
"""Requests after the sale, debts and what is paid of them. Only who names them is told: they are not of an order."""
ORDER_TYPES = frozenset(EVENT_TYPES.values()) - REQUEST_TYPES
"""What a webhook hears that names nothing."""
TYPES = ORDER_TYPES | REQUEST_TYPES | MEDIA_TYPES | ROOM_TYPES
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def sign(secret: str, timestamp_ms: int, body: bytes) -> str:
    """The value of ``Siyu-Signature``."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp_ms}.".encode() + body, sha256).hexdigest()


def url_fault(url: str) -> str | None:
    """What is wrong with an address by its looks, as a sentence, or None."""
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        return f"a url has at most {URL_CHARACTERS_MAX} ASCII characters and no spaces"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "this is not a url"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "a url begins with http:// or https:// and names a host"
    if port == 0 or parts.username is not None or parts.password is not None or parts.fragment:
        return "a url has no user, password, fragment or port 0"
    return None


def address_is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's: neither private, loopback, link-local nor a tunnel to such."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return address_is_public(str(inner))
    return ip.is_global and not ip.is_multicast
