"""Commands by which a room's audience asks and votes, and with which staff answer and run polls.

Where a store keeps them, a command is answered when it is written down; `chat/floor_store.py` says what counts then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chat import schemas
from chat.commands import CommandContext
from chat.errors import CommandRefused
from chat.floor import Poll
from chat.floor_store import KeptPoll, KeptQuestion, mending, opening
from chat.message import Asked, Event, PollEnded, PollOpened, StateMessage, Tier, Unasked, Vote
from chat.moderation import clean_text
from chat.schemas import arguments
from chat.staff import Answer, Call, new_id

if TYPE_CHECKING:
    from chat.hub import Hub


# Questions


def _ask(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    channel, member = hub.channel(context.room), context.member
    channel.room.questions.check(*hub.ids_of(member.person))
    verdict = channel.gate.judge(
        member, arguments(schemas.TextCommand, args).text, context.now_ms, hub.network(context.address)
    )
    number = new_id()
    answer = {"question": number}
    if verdict.shadow:
        return answer
    asked = Asked(number, member.person, member.name, verdict.text, context.now_ms)
    hub.tell(context.room, asked)
    store = hub.floor_store
    if store is None:
        return answer
    kept = store.ask(context.room, number, asked.person, asked.name, asked.text, asked.now_ms)
    return _answered(kept, answer)


async def _answered(done: Awaitable[None], answer: Mapping[str, Any]) -> Mapping[str, Any]:
    await done
    return answer


def _questions(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    member = context.member
    waiting = hub.channel(context.room).room.questions
    return {"questions": waiting.views(None if member.staff else hub.ids_of(member.person))}


def _answer(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    wanted = arguments(schemas.AnswerCommand, args)
    question = hub.channel(context.room).room.questions.find(wanted.question)
    text = clean_text(wanted.text, hub.limits.room.text_chars) if wanted.text else ""
    body = {
        "t": "answered",
        "question": question.view(),
        "from": context.member.shown(),
        "text": text,
        "now": context.now_ms,
    }
    hub.tell(context.room, Unasked(wanted.question), Event(body, Tier.P1))
    return _forgotten(hub, context.room, wanted.question)


def _drop(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    wanted = arguments(schemas.QuestionCommand, args).question
    question = hub.channel(context.room).room.questions.find(wanted)
    if question.person not in hub.ids_of(context.member.person) and not context.member.staff:
        # The same words as for none: who asks what is between them and staff.
        raise CommandRefused("not_found", "this question does not wait")
    hub.tell(context.room, Unasked(wanted))
    return _forgotten(hub, context.room, wanted)


def _forgotten(hub: Hub, room: str, question: str) -> Answer:
    store = hub.floor_store
    return {} if store is None else _answered(store.unask(room, question), {})


# Polls


def _start_poll(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    wanted = arguments(schemas.PollStart, args)
    limits = hub.limits.room
    options = tuple(clean_text(option, limits.option_chars) for option in wanted.options)
    if len(set(options)) < len(options):
        raise CommandRefused("invalid", "two options are the same")
    present = hub.channel(context.room).room.poll
    if present is not None and not present.ended:
        raise _one_at_a_time()
    title = clean_text(wanted.title, limits.text_chars)
    ends_ms = 0 if wanted.seconds is None else context.now_ms + 1000 * wanted.seconds
    opened = PollOpened(new_id(), title, options, context.now_ms, ends_ms)
    if hub.floor_store is not None:
        return _written_first(hub, context.room, opened)
    hub.tell(context.room, opened)
    return {"poll": Poll(opened, limits).view()}


def _one_at_a_time() -> CommandRefused:
    return CommandRefused("already", "end the poll that is open first")


async def _written_first(hub: Hub, room: str, opened: PollOpened) -> Mapping[str, Any]:
    """Open a poll that can be voted in as soon as it is seen."""
    store = hub.floor_store
    assert store is not None
    other = await store.open_poll(room, opened.poll, opened.title, opened.options, opened.now_ms, opened.ends_ms)
    if other is not None:
        # Nobody here knows of it when its process died before it could tell.
        hub.tell_if_open(room, *opening(other, []))
        raise _one_at_a_time()
    hub.tell_if_open(room, opened)
    return {"poll": Poll(opened, hub.limits.room).view()}


def _vote(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    wanted = arguments(schemas.VoteCommand, args)
    poll = hub.channel(context.room).room.poll
    if poll is None:
        raise CommandRefused("not_found", "there is no such poll")
    person = hub.ids_of(context.member.person)[0]
    poll.check(wanted.poll, person, wanted.option, context.now_ms)
    vote = Vote(wanted.poll, person, wanted.option)
    if hub.ballots is not None:
        return hub.ballots.cast(context.room, vote)
    hub.tell(context.room, vote)
    return {}


def _end_poll(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    wanted = arguments(schemas.PollCommand, args).poll
    poll = hub.channel(context.room).room.poll
    if poll is None or poll.poll != wanted:
        raise CommandRefused("not_found", "there is no such poll")
    if poll.ended:
        raise CommandRefused("closed", "the poll has ended")
    return end_poll(hub, context.room, wanted)


def end_poll(hub: Hub, room: str, poll: str) -> Answer:
    """End a poll, with the result that was written down where there is a store."""
    if hub.floor_store is not None:
        return _ended(hub, room, poll, hub.floor_store.end_poll(room, poll))
    hub.tell(room, PollEnded(poll))
    return {}


async def _ended(hub: Hub, room: str, poll: str, written: Awaitable[Sequence[int] | None]) -> Mapping[str, Any]:
    votes = await written
    # None of it: the room counts what it heard itself, and nobody is asked to vote in it any longer.
    hub.tell_if_open(room, PollEnded(poll, tuple(votes or ())))
    return {}


# Without anybody's command


async def end_overdue(hub: Hub) -> None:
    """End the polls whose time is over."""
    now_ms = hub.clock()
    for room in hub.rooms():
        poll = hub.channel(room).room.poll if hub.is_open(room) else None
        if poll is not None and poll.overdue(now_ms):
            ended = end_poll(hub, room, poll.poll)
            if not isinstance(ended, Mapping):
                await ended


def untold(hub: Hub, room: str, poll: KeptPoll | None, questions: Sequence[KeptQuestion]) -> list[StateMessage]:
    """Return what the people here have to be told to see what was kept of the room's questions and its newest poll."""
    if not occupied(hub, room):
        return []
    shown = hub.channel(room).room
    return mending(shown.poll, shown.questions, poll, questions)


def occupied(hub: Hub, room: str) -> bool:
    """Tell whether somebody is in a room on this node: of other rooms it may know old things only."""
    return hub.is_open(room) and bool(hub.channel(room).people)


CALLS: dict[str, Call] = {
    "question.ask": _ask,
    "question.list": _questions,
    "question.answer": _answer,
    "question.drop": _drop,
    "poll.start": _start_poll,
    "poll.vote": _vote,
    "poll.end": _end_poll,
}
