"""The hook that looks at chat lines before they are shown: one for all rooms of a merchant, or one for a room."""

from __future__ import annotations

from commerce.review_hook_sql import ALL_ROOMS, ReviewHook
from gateway.api import Call, Operation
from gateway.desk import Desk
from gateway.errors import Problem
from gateway.schemas import Empty
from gateway.schemas_hub import ReviewHookAnswer, ReviewHookBody
from gateway.services import Services

PLACES = (
    ("/api/v1/review-hook", "all rooms", "review_hook"),
    ("/api/v1/rooms/{room}/review-hook", "one room", "room_review_hook"),
)


def review_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on review hooks."""
    hooks = services.review.hooks

    def place(call: Call) -> str:
        room = call.path.get("room")
        return ALL_ROOMS if room is None else desk.run(call.who, room).id

    def answer(hook: ReviewHook, secret: str | None) -> ReviewHookAnswer:
        return ReviewHookAnswer(
            room=hook.room or None,
            url=hook.url,
            timeout_ms=hook.timeout_ms,
            fail_open=hook.fail_open,
            created=hook.created_ms,
            secret=secret,
        )

    async def set_review_hook(call: Call) -> ReviewHookAnswer:
        body: ReviewHookBody = call.body
        room = place(call)
        await services.sender.check(body.url)
        hook = await hooks.put(call.who.merchant, room, body.url, timeout_ms=body.timeout_ms, fail_open=body.fail_open)
        return answer(hook, hook.secret)

    async def read_review_hook(call: Call) -> ReviewHookAnswer:
        hook = hooks.find(call.who.merchant, place(call))
        if hook is None:
            raise Problem(404, "not_found", "there is no review hook")
        return answer(hook, None)

    async def remove_review_hook(call: Call) -> Empty:
        await hooks.delete(call.who.merchant, place(call))
        return Empty()

    who = frozenset({"merchant"})
    operations = []
    for path, what, name in PLACES:
        operations += [
            Operation(
                "PUT",
                path,
                f"Look at chat lines before they are shown: {what}",
                set_review_hook,
                who,
                ReviewHookBody,
                ReviewHookAnswer,
                name=f"set_{name}",
            ),
            Operation(
                "GET",
                path,
                f"Who looks at chat lines: {what}",
                read_review_hook,
                who,
                answer=ReviewHookAnswer,
                name=f"read_{name}",
            ),
            Operation(
                "DELETE",
                path,
                f"Look at no lines any more: {what}",
                remove_review_hook,
                who,
                answer=Empty,
                name=f"remove_{name}",
            ),
        ]
    return operations
