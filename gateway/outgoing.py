"""Signed POSTs to addresses that merchants name: bounded in time and bytes, never into a private network unasked.

The name is resolved for each request and the connection goes to the very address that was checked: a name that points
into a private network today is refused today. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from commerce.domain.webhook import address_is_public

RESOLVE_TIMEOUT_S = 3.0
LINE_BYTES_MAX = 4_096
HEADER_LINES_MAX = 100


class DeliveryError(Exception):
    """Why a request failed, in words for the merchant."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status of the answer, and as much of its body as was asked for."""

    status: int
    body: bytes = b""


class Outgoing:
    """The way out. ``allow_private`` lets requests go to this machine and its network, for trials."""

    def __init__(self, *, allow_private: bool) -> None:
        self.allow_private = allow_private

    async def resolve(self, host: str, port: int) -> str:
        """The address to connect to. Raises DeliveryError when one of the name's is private, OSError, TimeoutError."""
        addresses = [host] if _is_address(host) else await _look_up(host, port)
        if not self.allow_private and not all(map(address_is_public, addresses)):
            raise DeliveryError("the url leads into a private network")
        return addresses[0]

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, body_bytes_max: int = 0) -> Answer:
        """Send one request; the caller bounds the time. Reads up to ``body_bytes_max`` bytes of the answer's body.

        Raises DeliveryError, OSError, TimeoutError, ValueError.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        address = await self.resolve(host, port)
        tls = ssl.create_default_context() if secure else None
        reader, writer = await asyncio.open_connection(
            address, port, ssl=tls, server_hostname=host if secure else None, limit=LINE_BYTES_MAX
        )
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": parts.netloc, **headers}.items())
            writer.write(f"POST {target} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            return await _answer(reader, body_bytes_max)
        finally:
            writer.transport.abort()


def _is_address(host: str) -> bool:
    """Whether there is no name to look up, which on a crowded machine may take longer than it is waited for."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _look_up(host: str, port: int) -> list[str]:
    async with asyncio.timeout(RESOLVE_TIMEOUT_S):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def _answer(reader: asyncio.StreamReader, body_bytes_max: int) -> Answer:
    """Read the status line (RFC 9112 section 4), and the body by its length or up to the end of the connection."""
    words = (await reader.readline()).split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit() or len(words[1]) != 3:
        raise DeliveryError("the answer is not HTTP")
    status = int(words[1])
    if not body_bytes_max:
        return Answer(status)
    length: int | None = None
    for _ in range(HEADER_LINES_MAX):
        line = (await reader.readline()).rstrip(b"\r\n")
        if not line:
            break
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit() and len(value.strip()) < 12:
            length = int(value)
    else:
        raise DeliveryError("the answer's head is too long")
    wanted = body_bytes_max if length is None else min(length, body_bytes_max)
    body = b""
    while len(body) < wanted:
        chunk = await reader.read(wanted - len(body))
        if not chunk:
            break
        body += chunk
    return Answer(status, body)
