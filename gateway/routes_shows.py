"""A room's recorded shows and clips."""

from __future__ import annotations

from gateway.api import ANYONE, Call, Operation
from gateway.auth import HOST_ROLES
from gateway.desk import Desk
from gateway.errors import Problem
from gateway.media import Media
from gateway.rooms import Rooms
from gateway.schemas import Empty, Page

PAGE_DEFAULT = 50
PAGE_MAX = 200


def show_operations(media: Media, rooms: Rooms, desk: Desk) -> list[Operation]:
    """Operations under /api/v1/rooms/{room}/shows and …/clips."""

    async def list_shows(call: Call) -> Page:
        room, limit, after = rooms.get(call.path["room"]), _limit(call), call.query.get("after", "")
        # A show's name sorts by its start.
        found = [show for show in media.recorder.shows(room.id) if show.bytes and (not after or show.show < after)]
        items = [media.show_view(show, call.base_url) for show in found[:limit]]
        return Page(items=items, next=found[limit - 1].show if len(found) > limit else None)

    async def list_clips(call: Call) -> Page:
        room, limit = rooms.get(call.path["room"]), _limit(call)
        found = await media.clips.of_room(room.id, call.query.get("after", ""), limit)
        items = [{**clip.to_json(), "url": call.base_url + clip.to_json()["url"]} for clip in found]
        return Page(items=items, next=found[-1].clip if len(found) == limit else None)

    async def delete_clip(call: Call) -> Empty:
        room = desk.run(call.who, call.path["room"])
        await media.clips.remove(room.merchant, room.id, call.path["clip"])
        return Empty()

    room = "/api/v1/rooms/{room}"
    query = {"after": "the cursor of the page before", "limit": f"entries of a page, 1 to {PAGE_MAX}"}
    return [
        Operation("GET", f"{room}/shows", "Recorded shows, newest first", list_shows, ANYONE, answer=Page, query=query),
        Operation("GET", f"{room}/clips", "Clips of products, newest first", list_clips, answer=Page, query=query),
        Operation("DELETE", room + "/clips/{clip}", "Take a clip down", delete_clip, HOST_ROLES, answer=Empty),
    ]


def _limit(call: Call) -> int:
    """Raises ``Problem`` 400."""
    text = call.query.get("limit", str(PAGE_DEFAULT))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= PAGE_MAX):
        raise Problem(400, "invalid", f"limit is 1 to {PAGE_MAX}")
    return int(text)
