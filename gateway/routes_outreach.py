"""Telling customers: messages and their journal, broadcasts, grants of subscribe messages, accounts at channels."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from commerce.callback_crypt import CallbackKeys
from commerce.crm.outreach import ACCOUNT_FIELDS
from commerce.domain.outreach import STAFF_CHANNEL
from commerce.errors import Invalid
from gateway.api import Call, Operation, call_key, page_limit
from gateway.encode import plain
from gateway.parameters import PAGING
from gateway.schemas import Empty, Page
from gateway.schemas_outreach import (
    AccountAnswer,
    BroadcastAnswer,
    BroadcastBody,
    BroadcastView,
    GrantBody,
    MessageBody,
    MessageView,
    SmsAccountBody,
    WecomAccountBody,
    WecomAppBody,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
VIEWER = frozenset({"viewer", "guest"})


def outreach_operations(services: Services) -> list[Operation]:
    """Operations on messages, broadcasts, grants and accounts."""
    return [*_messages(services), *_broadcasts(services), *_accounts(services)]


def _messages(services: Services) -> list[Operation]:
    outreach = services.outreach

    async def message_person(call: Call) -> Empty:
        body: MessageBody = call.body
        who, key = call.who, f"staff/{call.who.person}/{call_key(call)}"
        await outreach.queue(who.merchant, call.path["person"], body.channel, body.purpose, key, body.body)
        return Empty()

    async def list_messages(call: Call) -> Page:
        limit = page_limit(call)
        person, after = call.query.get("person", ""), call.query.get("after", "")
        rows = await outreach.journal(call.who.merchant, person, after, limit)
        items = [plain(_shown(row)) for row in rows]
        return Page(items=items, next=rows[-1]["id"] if len(rows) == limit else None)

    async def grant_messages(call: Call) -> dict[str, int]:
        body: GrantBody = call.body
        return await outreach.granted(call.who.merchant, call.who.person, body.templates)

    paging = {**PAGING, "person": "only to this person"}
    send, grants = "/api/v1/people/{person}/messages", "/api/v1/me/message-grants"
    return [
        Operation(
            "POST", send, "Tell a person something", message_person, MERCHANT, MessageBody, Empty, 202, keyed=True
        ),
        Operation("GET", "/api/v1/messages", "The journal", list_messages, MERCHANT, answer=Page, query=paging),
        Operation("POST", grants, "One more of each", grant_messages, VIEWER, GrantBody, dict[str, int]),
    ]


def _shown(row: dict[str, Any]) -> MessageView:
    return MessageView(
        row["id"],
        row["person"],
        row["channel"],
        row["purpose"],
        row["body"],
        row["state"],
        row["why"],
        row["tries"],
        row["number"],
        row["created_ms"],
        row["next_ms"] if row["state"] == "waiting" else None,
        row["done_ms"],
        row["outcome"],
    )


def _broadcasts(services: Services) -> list[Operation]:
    outreach, crm = services.outreach, services.crm

    async def start_broadcast(call: Call) -> BroadcastAnswer:
        body: BroadcastBody = call.body
        who, condition = call.who, body.condition
        if (condition is None) == (body.segment is None):
            raise Invalid("name a condition or a segment", field="condition")
        if body.segment is not None:
            condition = await crm.segment_json(who.merchant, body.segment)
        made = await outreach.broadcast(who.merchant, who.person, body.name, condition, body.channel, body.body)
        return BroadcastAnswer(made)

    async def list_broadcasts(call: Call) -> list[BroadcastView]:
        return [
            BroadcastView(
                row["id"],
                row["name"],
                row["channel"],
                row["body"],
                row["people"],
                row["upto"] is not None,
                row["counts"],
                row["created_ms"],
            )
            for row in await outreach.broadcasts(call.who.merchant)
        ]

    path = "/api/v1/broadcasts"
    return [
        Operation("POST", path, "Write to a segment", start_broadcast, MERCHANT, BroadcastBody, BroadcastAnswer, 201),
        Operation("GET", path, "Broadcasts", list_broadcasts, MERCHANT, answer=list[BroadcastView]),
    ]


def _accounts(services: Services) -> list[Operation]:
    outreach = services.outreach

    async def set_wecom_account(call: Call) -> Empty:
        body: WecomAccountBody = call.body
        try:
            CallbackKeys(body.token, body.aes_key, body.corpid)
        except ValueError as error:
            raise Invalid(str(error), field="aes_key") from error
        await outreach.set_account(call.who.merchant, "wecom", asdict(body))
        return Empty()

    async def set_wecom_app(call: Call) -> Empty:
        body: WecomAppBody = call.body
        given = {**asdict(body), "agentid": str(body.agentid)}
        await outreach.set_account(call.who.merchant, STAFF_CHANNEL, given)
        return Empty()

    async def set_sms_account(call: Call) -> Empty:
        await outreach.set_account(call.who.merchant, "sms", asdict(call.body))
        return Empty()

    async def read_account(call: Call) -> AccountAnswer:
        channel = call.path["channel"]
        found = await outreach.account(call.who.merchant, channel)
        return AccountAnswer(channel, {name: found[name] for name in ACCOUNT_FIELDS[channel][0]})

    path = "/api/v1/channels"
    return [
        Operation("PUT", f"{path}/wecom", "Account at WeCom", set_wecom_account, MERCHANT, WecomAccountBody, Empty),
        Operation(
            "PUT", f"{path}/{STAFF_CHANNEL}", "Application at WeCom", set_wecom_app, MERCHANT, WecomAppBody, Empty
        ),
        Operation("PUT", f"{path}/sms", "Account for SMS", set_sms_account, MERCHANT, SmsAccountBody, Empty),
        Operation("GET", f"{path}/{{channel}}", "An account", read_account, MERCHANT, answer=AccountAnswer),
    ]
