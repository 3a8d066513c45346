"""What Linux tells of a TCP connection (struct tcp_info of linux/tcp.h)."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

TCP_INFO: Final = getattr(socket, "TCP_INFO", 11)
RTT_AT: Final = 68
"""tcpi_rtt: 8 bytes of flags, then the sixteenth 32-bit field; microseconds."""


def tcp_rtt_ms(transport: asyncio.BaseTransport) -> int | None:
    """Give the smoothed round trip in ms, at least 1; None where the system does not tell."""
    raw = transport.get_extra_info("socket")
    if raw is None:
        return None
    try:
        info = raw.getsockopt(socket.IPPROTO_TCP, TCP_INFO, RTT_AT + 4)
    except OSError:
        # Closed by now, or not Linux.
        return None
    if len(info) < RTT_AT + 4:
        return None
    rtt_us: int = struct.unpack_from("=I", info, RTT_AT)[0]
    return max(1, round(rtt_us / 1000))
