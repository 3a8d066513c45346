"""Which addresses a candidate names for the host that the server listens on."""

import ipaddress
import socket
from typing import Final

CANDIDATES_MAX: Final = 8
"""Each costs every client its checks."""


def own_addresses(host: str, family: int) -> list[str]:
    """Give what a candidate says for `host`: itself, or for a wildcard every address of this machine."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104  # compared
        return [host]
    import ifaddr

    found = [
        str(ip.ip[0] if isinstance(ip.ip, tuple) else ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips
    ]
    usable = [text for text in found if _usable(text) and (":" not in text or family == socket.AF_INET6)]
    return usable[:CANDIDATES_MAX] or ["127.0.0.1"]


def _usable(text: str) -> bool:
    parsed = ipaddress.ip_address(text.partition("%")[0])
    return not (parsed.is_loopback or parsed.is_link_local)
