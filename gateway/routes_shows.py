"""A room's recorded shows and clips."""

from __future__ import annotations

from gateway.api import ANYONE, Call, Operation, page_limit
from gateway.auth import HOST_ROLES
from gateway.desk import Desk
from gateway.media import Media
from gateway.parameters import LIMIT, PAGING, cursor
from gateway.rooms import Rooms
from gateway.schemas import Empty, Page

SHOW_FORM = "[0-9a-z]{8}"
"""As ``stream.record.show_name`` names shows."""


def show_operations(media: Media, rooms: Rooms, desk: Desk) -> list[Operation]:
    """Operations under /api/v1/rooms/{room}/shows and …/clips."""

    async def list_shows(call: Call) -> Page:
        room, limit, after = rooms.get(call.path["room"]), page_limit(call), call.query.get("after", "")
        # A show's name sorts by its start.
        found = [show for show in media.recorder.shows(room.id) if show.bytes and (not after or show.show < after)]
        items = [media.show_view(show, call.base_url) for show in found[:limit]]
        return Page(items=items, next=found[limit - 1].show if len(found) > limit else None)

    async def list_clips(call: Call) -> Page:
        room, limit = rooms.get(call.path["room"]), page_limit(call)
        found = await media.clips.of_room(room.id, call.query.get("after", ""), limit)
        items = [{**clip.to_json(), "url": call.base_url + clip.to_json()["url"]} for clip in found]
        return Page(items=items, next=found[-1].clip if len(found) == limit else None)

    async def delete_clip(call: Call) -> Empty:
        room = desk.run(call.who, call.path["room"])
        await media.clips.remove(room.merchant, room.id, call.path["clip"])
        return Empty()

    room = "/api/v1/rooms/{room}"
    shows = {"after": cursor("the last show's name", SHOW_FORM), "limit": LIMIT}
    return [
        Operation("GET", f"{room}/shows", "Recorded shows, newest first", list_shows, ANYONE, answer=Page, query=shows),
        Operation("GET", f"{room}/clips", "Clips of products, newest first", list_clips, answer=Page, query=PAGING),
        Operation("DELETE", room + "/clips/{clip}", "Take a clip down", delete_clip, HOST_ROLES, answer=Empty),
    ]
