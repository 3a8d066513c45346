"""Which addresses a candidate names for the host that the server listens on."""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

WILDCARDS: Final = frozenset(("0.0.0.0", "::"))  # noqa: S104  # compared, not bound

CANDIDATES_MAX: Final = 8
"""Each costs every client its checks."""


def own_addresses(host: str, family: int) -> list[str]:
    """Give what a candidate says for `host`: itself, or for a wildcard every address of this machine."""
    if host not in WILDCARDS:
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


async def candidate_addresses(host: str, names: Sequence[str]) -> tuple[str, ...]:
    """Resolve what candidates say: `names` (addresses or names), or for none of them what `own_addresses` gives.

    Only addresses that a socket on `host` can be reached by are given. Raises OSError when none is left.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    found: list[str] = []
    for name in names or own_addresses(host, family):
        entries = await loop.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        found += [str(entry[4][0]) for entry in entries]
    fitting = [text for text in dict.fromkeys(found) if host == "::" or (":" in text) == (family == socket.AF_INET6)]
    if not fitting:
        wanted = "IPv6" if family == socket.AF_INET6 else "IPv4"
        text = f"{', '.join(names)} has no {wanted} address, and {host} is {wanted} alone (:: is both)"
        raise OSError(errno.EADDRNOTAVAIL, text)
    return tuple(fitting[:CANDIDATES_MAX])


def unmapped(address: str) -> str:
    """Give an IPv4 address that a socket for both families shows as one of IPv6 (RFC 4291 section 2.5.5.2)."""
    return address.removeprefix("::ffff:") if "." in address else address
