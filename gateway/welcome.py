"""What ``siyu serve`` says when it is up: the addresses that a host and a viewer use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gateway.edge_app import EdgeApplication

if TYPE_CHECKING:
    from gateway.app import Application

ROOMS_SHOWN_MAX = 5


def address_lines(application: Application | EdgeApplication) -> list[str]:
    """The lines, without any key: keys are in the host console and in ``siyu seed --json``."""
    return application.lines() if isinstance(application, EdgeApplication) else _shop_lines(application)


def _shop_lines(application: Application) -> list[str]:
    addresses = application.addresses
    base = addresses.base
    server = addresses.publish(base, "", "")["server"]
    lines = [
        f"Siyu Live is up at {base}",
        f"  hosts publish to   {server}  (stream key: in the host console)",
        *([f"  … with TLS         {secure}"] if (secure := addresses.secure_server(base)) else []),
        f"  merchant's board   {addresses.merchant_page(base)}",
    ]
    rooms = list(application.services.rooms)
    for room in rooms[:ROOMS_SHOWN_MAX]:
        lines.append(f"  room {room.title}")
        lines.append(f"    viewers          {addresses.viewer_page(base, room.id)}")
        lines.append(f"    host console     {addresses.host_page(base, room.id)}")
        play = addresses.play(base, room.id)
        lines.append(f"    players          {play['flv']}  {play['mp4']}")
    if not rooms:
        lines.append("  there is no room yet: stop, run 'siyu seed' once, start again")
    elif len(rooms) > ROOMS_SHOWN_MAX:
        lines.append(f"  … and {len(rooms) - ROOMS_SHOWN_MAX} more rooms")
    return lines


def print_addresses(application: Application | EdgeApplication) -> None:
    """Print them on standard output."""
    sys.stdout.write("\n".join(address_lines(application)) + "\n")
    sys.stdout.flush()
