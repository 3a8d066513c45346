"""Who is at the other end of a connection, for ASGI, hub and FLV alike: address, token and cross-origin headers.

A proxy is believed only when its own address is in ``--forwarded-allow-ips``: the client is then the rightmost
address of ``X-Forwarded-For`` that is not itself a trusted proxy (RFC 7239 section 8.1 explains why not the leftmost).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs

from gateway.config import Settings

Headers = Iterable[tuple[bytes, bytes]]

# Playback and API answer to pages of any origin: authority is in the token and never in a cookie.
CORS_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"content-type, retry-after, location, etag, link"),
)
CORS_PREFLIGHT_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    *CORS_HEADERS,
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, content-type, idempotency-key, if-match, last-event-id"),
    (b"access-control-max-age", b"86400"),
)
FORWARDED_HOPS_MAX = 16

_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
"""16 bytes in base64."""
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_EXTENSION = rb"%b(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|\"%b\"))?)*" % ((_TOKEN,) * 4)
_EXTENSIONS = re.compile(rb"%b(?:[ \t]*,[ \t]*%b)*" % (_EXTENSION, _EXTENSION))
_TOKENS = re.compile(rb"%b(?:[ \t]*,[ \t]*%b)*" % (_TOKEN, _TOKEN))
_HANDSHAKE_FORMS = {
    b"sec-websocket-key": _KEY,
    b"sec-websocket-version": re.compile(b"13"),
    b"sec-websocket-extensions": _EXTENSIONS,
    b"sec-websocket-protocol": _TOKENS,
}
"""RFC 6455 sections 4.1 and 9.1."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _header(headers: Headers, name: bytes) -> bytes | None:
    for key, value in headers:
        if key == name:
            return value
    return None


def wants_websocket(headers: Headers) -> bool:
    """Whether a request asks to become a WebSocket (RFC 6455 section 4.2.1); `keep-alive, Upgrade` is legal."""
    upgrade, connection = b"", b""
    for name, value in headers:
        if name == b"upgrade":
            upgrade = value.lower()
        elif name == b"connection":
            # Proxies write a line of their own (RFC 9110 section 5.3).
            connection += b"," + value.lower()
    return upgrade == b"websocket" and b"upgrade" in [part.strip() for part in connection.split(b",")]


def opens_websocket(headers: Headers) -> bool:
    """Whether a request has all that RFC 6455 section 4.2.1 asks of an opening handshake, and each once.

    What it lets through the WebSocket's own parser takes; the rest is told in our words.
    """
    keys = versions = origins = 0
    for name, value in headers:
        form = _HANDSHAKE_FORMS.get(name)
        if form is not None and form.fullmatch(value) is None:
            return False
        keys += name == b"sec-websocket-key"
        versions += name == b"sec-websocket-version"
        origins += name == b"origin"
    return keys == versions == 1 and origins <= 1 and wants_websocket(headers)


def bearer_token(headers: Headers, query: bytes | str) -> str:
    """The token of a request: ``Authorization: Bearer`` (RFC 6750), else ``?token=``, else ''."""
    value = _header(headers, b"authorization")
    if value is not None:
        scheme, _, rest = value.decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return rest.strip()
    text = query.decode("latin-1") if isinstance(query, bytes) else query
    return parse_qs(text).get("token", [""])[0]


def address_prefix(address: ipaddress.IPv6Address) -> str:
    """The /64 that an address is in."""
    return str(ipaddress.ip_network((address, 64), strict=False))


class Clients:
    """Tells the client's address, and who is exempt from the bound on connections."""

    def __init__(self, settings: Settings) -> None:
        self._proxies: Sequence[_Network] = [
            ipaddress.ip_network(entry, strict=False) for entry in settings.forwarded_allow_ips
        ]
        self._loopback_exempt = settings.loopback_exempt

    def _proxy(self, address: str) -> bool:
        if not self._proxies:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)

    def network(self, address: str) -> str:
        """Under what a client's lines are counted: its address, the /64 of an IPv6 one; empty for who is exempt."""
        if self.exempt(address):
            return ""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return ""
        if isinstance(parsed, ipaddress.IPv4Address):
            return address
        return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else address_prefix(parsed)

    def exempt(self, peer: str) -> bool:
        """Whether connections straight from ``peer`` are not bounded: loopback and the trusted proxies."""
        if self._proxy(peer):
            return True
        return self._loopback_exempt and (peer.startswith("127.") or peer == "::1")

    def address(self, peer: str, headers: Headers) -> str:
        """The client's address, given the address ``peer`` of the socket and the request's headers."""
        if not self._proxy(peer):
            return peer
        hops: list[str] = []
        for key, value in headers:
            if key == b"x-forwarded-for":
                hops += [hop.strip() for hop in value.decode("latin-1").split(",")]
        client = peer
        for hop in reversed(hops[-FORWARDED_HOPS_MAX:]):
            try:
                client = str(ipaddress.ip_address(hop))
            except ValueError:
                break
            if not self._proxy(client):
                break
        return client

    def scheme(self, peer: str, headers: Headers, own: str) -> str:
        """Whether the client asked by http or https; ``own`` is how the request came to us (X-Forwarded-Proto)."""
        if not self._proxy(peer):
            return own
        said = (_header(headers, b"x-forwarded-proto") or b"").decode("latin-1").strip().lower()
        return said if said in {"http", "https"} else own
