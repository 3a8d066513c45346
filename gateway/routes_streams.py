"""Live streams as hosts and operators see them: how to publish, what arrives, who watches how, what to do better."""

from __future__ import annotations

from msgspec import to_builtins

from gateway.addresses import Addresses
from gateway.api import STAFF, Call, Operation
from gateway.auth import HOST_ROLES
from gateway.desk import Desk
from gateway.schemas import Page, PublishView, StreamsAnswer
from gateway.services import Services
from gateway.stream_reports import StreamReports


def stream_operations(services: Services, desk: Desk, addresses: Addresses, reports: StreamReports) -> list[Operation]:
    """Operations under /api/v1/streams and /api/v1/rooms/{room}/streams."""

    async def read_streams(call: Call) -> StreamsAnswer:
        room = desk.run(call.who, call.path["room"])
        publish = addresses.publish(call.base_url, room.id, services.access.room_key(room.id))
        view = desk.stream_view(room.id)
        return StreamsAnswer(
            **view,
            viewers=services.hub.stats(room.id).viewers,
            publish=PublishView(**publish),
            players=reports.viewers(room.id),
            health=reports.health(room.id),
        )

    async def list_streams(call: Call) -> Page:
        rooms = [
            room
            for room in services.rooms.of(call.who.merchant)
            if call.who.reach is None or call.who.may_run(room.id, room.merchant)
        ]
        live = [room.id for room in rooms if services.directory.info(room.id).live]
        return Page(items=[to_builtins(reports.report(room)) for room in live])

    return [
        Operation(
            "GET",
            "/api/v1/streams",
            "The merchant's live streams, measured",
            list_streams,
            STAFF,
            answer=Page,
            within="node",
        ),
        Operation(
            "GET",
            "/api/v1/rooms/{room}/streams",
            "State of the stream, how to publish, and what to do better",
            read_streams,
            HOST_ROLES,
            answer=StreamsAnswer,
        ),
    ]
