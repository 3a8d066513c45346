"""A room's publish keys and play tokens."""

from __future__ import annotations

from typing import Any

from gateway.access import KeyView
from gateway.addresses import Addresses
from gateway.api import Call, Operation
from gateway.auth import HOST_ROLES
from gateway.schemas import Empty, PublishView
from gateway.schemas_access import ClosedAnswer, KeyAnswer, KeyBody, PlayTokenAnswer, PlayTokenBody
from gateway.services import Services
from gateway.streaming import Streaming


def access_operations(services: Services, streaming: Streaming, addresses: Addresses) -> list[Operation]:
    """Operations under /api/v1/rooms/{room}/keys and …/play-tokens."""
    access, desk = services.access, services.desk

    def answer(call: Call, view: KeyView) -> KeyAnswer:
        publish = None
        if view.publish_key is not None:
            publish = PublishView(**addresses.publish(call.base_url, call.path["room"], view.publish_key))
        return KeyAnswer(
            key=view.key,
            name=view.name,
            state=view.state,
            live=view.live,
            created=view.created,
            expires=view.expires,
            network=view.network,
            publish=publish,
        )

    async def list_keys(call: Call) -> list[KeyAnswer]:
        room = desk.run(call.who, call.path["room"])
        return [answer(call, view) for view in access.keys(room.id)]

    async def create_key(call: Call) -> KeyAnswer:
        room = desk.run(call.who, call.path["room"])
        body: KeyBody = call.body
        made = await access.create_key(room.id, body.name, expires_ms=body.expires, network=body.network)
        return answer(call, made)

    async def revoke_key(call: Call) -> Empty:
        room = desk.run(call.who, call.path["room"])
        await access.revoke_key(room.id, call.path["key"])
        return Empty()

    async def create_play_token(call: Call) -> Any:
        room = desk.run(call.who, call.path["room"])
        body: PlayTokenBody = call.body
        return PlayTokenAnswer(**access.mint_play(room, body.ttl_s))

    async def revoke_play_token(call: Call) -> ClosedAnswer:
        room = desk.run(call.who, call.path["room"])
        return ClosedAnswer(closed=await streaming.revoke_token(room.id, call.path["id"]))

    async def revoke_play_tokens(call: Call) -> ClosedAnswer:
        room = desk.run(call.who, call.path["room"])
        return ClosedAnswer(closed=await streaming.revoke_all_tokens(room.id))

    keys, tokens = "/api/v1/rooms/{room}/keys", "/api/v1/rooms/{room}/play-tokens"
    hosts = HOST_ROLES
    return [
        Operation("GET", keys, "Publish keys", list_keys, hosts, answer=list[KeyAnswer]),
        Operation("POST", keys, "Make a publish key", create_key, hosts, KeyBody, KeyAnswer, 201),
        Operation("DELETE", keys + "/{key}", "Revoke a publish key", revoke_key, hosts, answer=Empty),
        Operation("POST", tokens, "Make a play token", create_play_token, hosts, PlayTokenBody, PlayTokenAnswer, 201),
        Operation("DELETE", tokens + "/{id}", "Revoke a play token", revoke_play_token, hosts, answer=ClosedAnswer),
        Operation("DELETE", tokens, "Revoke all that were made so far", revoke_play_tokens, hosts, answer=ClosedAnswer),
    ]
