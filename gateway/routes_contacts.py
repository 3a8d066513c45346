"""WeCom: codes to add staff by, and the address that WeCom tells events to."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commerce.callback_crypt import BODY_BYTES_MAX
from gateway.api import ANYONE, NOTICE_TYPES, TEXT_TYPE, Call, Operation
from gateway.schemas_outreach import ContactWayBody, ContactWayView
from gateway.services import Services

ISSUERS = frozenset({"merchant", "guide"})


def contact_operations(services: Services) -> list[Operation]:
    """Operations on contact ways, and WeCom's callback."""
    contacts = services.contacts

    async def add_contact_way(call: Call) -> ContactWayView:
        body: ContactWayBody = call.body
        who = call.who
        made = await contacts.add_way(who.merchant, who.person, who.role, body.name, body.users, body.room)
        return _shown(made)

    async def list_contact_ways(call: Call) -> list[ContactWayView]:
        return [_shown(row) for row in await contacts.ways(call.who.merchant)]

    async def prove_callback(call: Call) -> Response:
        return Response(await contacts.prove(call.path["merchant"], call.query), media_type="text/plain")

    async def hear_wecom(call: Call) -> Response:
        await contacts.hear(call.path["merchant"], call.query, call.raw)
        return Response("success", media_type="text/plain")

    ways, callback = "/api/v1/contact-ways", "/api/v1/wecom/{merchant}"
    return [
        Operation(
            "POST", ways, "A code to add staff by", add_contact_way, ISSUERS, ContactWayBody, ContactWayView, 201
        ),
        Operation("GET", ways, "Codes to add staff by", list_contact_ways, ISSUERS, answer=list[ContactWayView]),
        Operation("GET", callback, "WeCom's trial of the callback's address", prove_callback, gives=(TEXT_TYPE,)),
        Operation(
            "POST",
            callback,
            "Events of WeCom",
            hear_wecom,
            takes=NOTICE_TYPES,
            gives=(TEXT_TYPE,),
            body_bytes_max=BODY_BYTES_MAX,
            roles=ANYONE,
        ),
    ]


def _shown(row: dict[str, Any]) -> ContactWayView:
    return ContactWayView(row["id"], row["name"], row["users"], row["qr_code"], row["link"], row["created_ms"])
