"""A room's publish keys and play tokens, and the hook that is asked before a broadcast."""

from __future__ import annotations

from typing import Any

from commerce.media_hook_sql import MediaHook
from gateway.access import KeyView
from gateway.addresses import Addresses
from gateway.api import Call, Operation
from gateway.auth import HOST_ROLES
from gateway.errors import Problem
from gateway.schemas import Empty, PublishView
from gateway.schemas_access import (
    ClosedAnswer,
    KeyAnswer,
    KeyBody,
    MediaHookAnswer,
    MediaHookBody,
    PlayTokenAnswer,
    PlayTokenBody,
)
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
        await access.revoke_token(room.id, call.path["id"])
        return ClosedAnswer(closed=await streaming.expel_revoked(room.id))

    async def revoke_play_tokens(call: Call) -> ClosedAnswer:
        room = desk.run(call.who, call.path["room"])
        await access.revoke_all_tokens(room.id)
        return ClosedAnswer(closed=await streaming.expel_revoked(room.id))

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


def hook_operations(services: Services) -> list[Operation]:
    """Operations on the hook that is asked before a host goes live."""
    hooks = services.media_hooks

    def answer(hook: MediaHook, secret: str | None) -> MediaHookAnswer:
        return MediaHookAnswer(
            url=hook.url, timeout_ms=hook.timeout_ms, fail_open=hook.fail_open, created=hook.created_ms, secret=secret
        )

    async def set_media_hook(call: Call) -> MediaHookAnswer:
        body: MediaHookBody = call.body
        await services.sender.check(body.url)
        hook = await hooks.put(call.who.merchant, body.url, timeout_ms=body.timeout_ms, fail_open=body.fail_open)
        return answer(hook, hook.secret)

    async def read_media_hook(call: Call) -> MediaHookAnswer:
        hook = hooks.of(call.who.merchant)
        if hook is None:
            raise Problem(404, "not_found", "there is no media hook")
        return answer(hook, None)

    async def remove_media_hook(call: Call) -> Empty:
        await hooks.delete(call.who.merchant)
        return Empty()

    path, who = "/api/v1/media-hook", frozenset({"merchant"})
    return [
        Operation("PUT", path, "Be asked before a host goes live", set_media_hook, who, MediaHookBody, MediaHookAnswer),
        Operation("GET", path, "Who is asked before a host goes live", read_media_hook, who, answer=MediaHookAnswer),
        Operation("DELETE", path, "Ask nobody any more", remove_media_hook, who, answer=Empty),
    ]
