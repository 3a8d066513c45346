"""What a room's staff read of it second by second, and what the shop's own programs tell its pages."""

from __future__ import annotations

from chat.channel import Channel
from chat.message import Tier
from chat.room_figures import summed
from chat.sink import Kind
from gateway.api import Call, Operation
from gateway.auth import HOST_ROLES
from gateway.desk import Desk
from gateway.encode import encode_json
from gateway.errors import Problem
from gateway.room_figures import Second
from gateway.schemas import Empty
from gateway.schemas_hub import EventBody, FiguresAnswer, SecondView, ServerView, WordView
from gateway.services import Services

EVENT_BYTES_MAX = 4_096
"""Of an event of the shop's own: it is kept in the history, and written to every socket."""
HOT_WORDS = 12
_WAYS = {
    Kind.FRAME.name.lower(): "websocket",
    Kind.DEFLATED.name.lower(): "deflate",
    Kind.EVENT.name.lower(): "sse",
    Kind.POLL.name.lower(): "poll",
}
"""What shop people call the kinds of sockets."""


def figure_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations under /api/v1/rooms/{room}."""
    hub = services.hub

    async def read_figures(call: Call) -> FiguresAnswer:
        room = desk.run(call.who, call.path["room"])
        channel = await hub.attend(room.id)
        return figures_answer(channel, services.room_figures.of(room.id), services.clock())

    async def tell_event(call: Call) -> Empty:
        body: EventBody = call.body
        room = desk.run(call.who, call.path["room"])
        size = len(encode_json(body.data))
        if size > EVENT_BYTES_MAX:
            raise Problem(413, "too_long", f"data has at most {EVENT_BYTES_MAX} bytes as JSON, this has {size}")
        await hub.attend(room.id)
        event = {"t": "custom", "name": body.name, "data": body.data, "now": services.clock()}
        hub.publish(room.id, event, tier=Tier[body.tier], keep=body.keep)
        return Empty()

    path = "/api/v1/rooms/{room}"
    return [
        Operation(
            "POST",
            path + "/events",
            "Tell a room's pages something of the shop's own",
            tell_event,
            HOST_ROLES,
            EventBody,
            Empty,
        ),
        Operation(
            "GET",
            path + "/figures",
            "A room second by second, for its staff",
            read_figures,
            HOST_ROLES,
            answer=FiguresAnswer,
        ),
    ]


def figures_answer(channel: Channel, seconds: list[Second], now_ms: int) -> FiguresAnswer:
    """A room's figures as its staff see them."""
    stats, servers = channel.stats(), channel.servers()
    all_of_it = summed(servers)
    return FiguresAnswer(
        now=now_ms,
        viewers=stats.viewers,
        connections=all_of_it.connections,
        roles=all_of_it.roles,
        ways={_WAYS[kind]: count for kind, count in all_of_it.ways.items()},
        likes=stats.likes,
        chat_lines=all_of_it.chat_lines,
        chat_sampled=all_of_it.chat_sampled,
        messages_out=all_of_it.messages_out,
        dropped=all_of_it.dropped,
        skipping=all_of_it.skipping,
        slow_skipped=all_of_it.slow_skipped,
        held=all_of_it.held,
        tick_ms=stats.tick_ms,
        words=[WordView(word, count) for word, count in channel.hot_words.top(HOT_WORDS, now_ms)],
        servers=[
            ServerView(
                one.server,
                one.viewers,
                one.connections,
                one.chat_lines,
                one.messages_out,
                sum(one.dropped.values()),
                one.skipping,
            )
            for one in servers
        ],
        seconds=[SecondView(one.at, one.viewers, one.lines, one.messages, one.dropped) for one in seconds],
    )
