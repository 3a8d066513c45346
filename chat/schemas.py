"""The hub's own commands and events as msgspec structs: what is checked on the way in, and what clients are promised.

`gateway/hub_contract.py` makes /asyncapi.json of these. A command's struct holds its arguments, without `id` and `cmd`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from chat.errors import CommandRefused
from chat.limits import RoomLimits
from chat.moderation import FOR_EVER_MS

_LIMITS = RoomLimits()

MUTE_SECONDS_MAX = 30 * 24 * 3600
"""Longest mute: thirty days; who should stay away longer is banned."""
Person = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(min_length=1, max_length=_LIMITS.text_chars)]
# Blanks around a text are taken away before it is measured, so what comes may be longer.
RawText = Annotated[str, Meta(min_length=1, max_length=4 * _LIMITS.text_chars)]
Reason = Annotated[str, Meta(max_length=60)]
ItemId = Annotated[str, Meta(min_length=1, max_length=64)]
Word = Annotated[str, Meta(min_length=1, max_length=_LIMITS.word_chars)]
Option = Annotated[str, Meta(min_length=1, max_length=_LIMITS.option_chars)]
Millis = Annotated[int, Meta(ge=0, le=FOR_EVER_MS, description="Unix milliseconds")]
Count = Annotated[int, Meta(ge=0)]
Audience = Literal["everyone", "followers", "members", "staff"]


class Nothing(Struct):
    """No fields."""


# Commands


class ChatSend(Struct):
    text: RawText


class Like(Struct):
    n: Annotated[int, Meta(ge=1)] = 1


class Ack(Struct):
    to: Count


class MuteCommand(Struct):
    person: Person
    seconds: Annotated[int, Meta(ge=1, le=MUTE_SECONDS_MAX)]
    shadow: bool = False


class PersonCommand(Struct):
    person: Person


class KickCommand(Struct):
    person: Person
    reason: Reason = ""


class BanCommand(Struct):
    person: Person
    until_ms: Annotated[int, Meta(ge=1, le=FOR_EVER_MS, description="Unix milliseconds; none: for ever")] | None = None
    reason: Reason = ""


class SlowCommand(Struct):
    seconds: Annotated[int, Meta(ge=0, le=_LIMITS.slow_s_max, description="0: off")]


class AudienceCommand(Struct):
    who: Audience


class WordsCommand(Struct):
    words: Annotated[list[Word], Meta(max_length=_LIMITS.words)]
    mode: Literal["replace", "add", "remove"] = "replace"


class RecallCommand(Struct):
    offset: Annotated[int, Meta(ge=1, le=FOR_EVER_MS)]


class TextCommand(Struct):
    text: RawText


class AnnounceCommand(Struct):
    text: RawText
    seconds: Annotated[int, Meta(ge=1, le=86_400, description="how long it is shown")] = 60


class QuestionCommand(Struct):
    question: ItemId


class AnswerCommand(Struct):
    question: ItemId
    text: Annotated[str, Meta(max_length=4 * _LIMITS.text_chars)] = ""


class PollCommand(Struct):
    poll: ItemId


class PollStart(Struct):
    title: Annotated[str, Meta(min_length=1, max_length=100)]
    options: Annotated[list[Option], Meta(min_length=2, max_length=_LIMITS.poll_options)]
    seconds: Annotated[int, Meta(ge=5, le=_LIMITS.poll_s_max, description="ends by itself after")] | None = None


class VoteCommand(Struct):
    poll: ItemId
    option: Count


# Answers


class ChatAnswer(Struct, omit_defaults=True):
    sampled: bool = False


class MuteAnswer(Struct):
    until: int


class BanAnswer(Struct):
    until: int | None


class BanView(Struct):
    person: str
    until: int | None
    devices: int
    """How many devices the ban extends to."""


class BansAnswer(Struct):
    bans: list[BanView]


class KeeperView(Struct):
    """Somebody who was appointed; `everywhere`: for more rooms than this one, which is the merchant's affair."""

    person: str
    name: str
    role: Literal["assistant", "moderator"]
    everywhere: bool


class KeepersAnswer(Struct):
    moderators: list[KeeperView]


class WordsAnswer(Struct):
    words: list[str]


class Asker(Struct):
    person: str
    name: str


class QuestionView(Struct):
    question: str
    from_: Asker = msgspec.field(name="from")
    text: Text
    now: Millis


class QuestionAnswer(Struct):
    question: str


class QuestionsAnswer(Struct):
    questions: list[QuestionView]


class PollView(Struct):
    poll: str
    title: str
    options: list[str]
    votes: list[int]
    state: Literal["open", "ended"]
    started: Millis
    ends: Millis | None = None
    """When it ends by itself."""


class PollAnswer(Struct):
    poll: PollView


# Events


class Sender(Struct):
    person: str
    name: str
    role: str


class Standing(Sender):
    """Who somebody is in the room, as only they are told."""

    muted: Annotated[int, Meta(ge=0, le=FOR_EVER_MS)] | None = None
    """Until when they may not write (Unix ms); a mute in the shadow is never told."""


class RulesView(Struct):
    audience: Audience
    slow_s: int


class Said(Struct):
    """A text that staff put into the room."""

    text: Text
    from_: Sender = msgspec.field(name="from")
    now: Millis


class Announcement(Said):
    until: Millis = msgspec.field()


class ChatEvent(Said, tag_field="t", tag="chat"):
    o: int | None = None


class EpochEvent(Struct, tag_field="t", tag="epoch"):
    epoch: str


class LikesEvent(Struct, tag_field="t", tag="likes"):
    n: Count


class ViewersEvent(Struct, tag_field="t", tag="viewers"):
    n: Count


class NoticeEvent(Said, tag_field="t", tag="notice"):
    o: int = msgspec.field()


class AnnouncementEvent(Struct, tag_field="t", tag="announcement"):
    announcement: Announcement
    o: int


class PinnedEvent(Struct, tag_field="t", tag="pinned"):
    pinned: Said | None
    o: int


class RulesEvent(Struct, tag_field="t", tag="rules"):
    rules: RulesView
    o: int


class RecallEvent(Struct, tag_field="t", tag="recall"):
    offset: int
    o: int


class QuestionsEvent(Struct, tag_field="t", tag="questions"):
    n: Count


class AnsweredEvent(Said, tag_field="t", tag="answered"):
    question: QuestionView = msgspec.field()
    o: int = msgspec.field()
    text: Annotated[str, Meta(max_length=_LIMITS.text_chars, description="empty: answered aloud")] = msgspec.field()


class PollEvent(Struct, tag_field="t", tag="poll"):
    poll: PollView
    o: int


class VotesEvent(Struct, tag_field="t", tag="votes"):
    poll: str
    votes: list[int]


class YouEvent(Struct, tag_field="t", tag="you"):
    """Who you are here from now on: appointed, dismissed, given another seat, muted, or free to write again."""

    you: Standing


class KickEvent(Struct, tag_field="t", tag="kick"):
    reason: str
    a: int | None = None


class PolledClose(Struct):
    """Why a polled room is over: a close code of the hub."""

    code: int
    reason: str


class PolledRoom(Struct, omit_defaults=True):
    """What happened in a room since the last answer, in order; ask again with `poll` and `n`."""

    poll: str
    n: int
    items: list[dict[str, Any]]
    close: PolledClose | None = None


COMMANDS: dict[str, tuple[type[Struct], type[Struct]]] = {
    "chat.send": (ChatSend, ChatAnswer),
    "like": (Like, Nothing),
    "ack": (Ack, Nothing),
    "mute": (MuteCommand, MuteAnswer),
    "unmute": (PersonCommand, Nothing),
    "kick": (KickCommand, Nothing),
    "ban": (BanCommand, BanAnswer),
    "unban": (PersonCommand, Nothing),
    "bans.list": (Nothing, BansAnswer),
    "moderator.add": (PersonCommand, Nothing),
    "moderator.remove": (PersonCommand, Nothing),
    "moderators.list": (Nothing, KeepersAnswer),
    "chat.slow": (SlowCommand, Nothing),
    "chat.audience": (AudienceCommand, Nothing),
    "words.list": (Nothing, WordsAnswer),
    "words.set": (WordsCommand, Nothing),
    "recall": (RecallCommand, Nothing),
    "notice": (TextCommand, Nothing),
    "announce": (AnnounceCommand, Nothing),
    "notice.pin": (TextCommand, Nothing),
    "notice.unpin": (Nothing, Nothing),
    "question.ask": (TextCommand, QuestionAnswer),
    "question.list": (Nothing, QuestionsAnswer),
    "question.answer": (AnswerCommand, Nothing),
    "question.drop": (QuestionCommand, Nothing),
    "poll.start": (PollStart, PollAnswer),
    "poll.vote": (VoteCommand, Nothing),
    "poll.end": (PollCommand, Nothing),
}
"""Arguments and answer of each of the hub's own commands."""
EVENTS: dict[str, type[Struct]] = {
    "epoch": EpochEvent,
    "chat": ChatEvent,
    "likes": LikesEvent,
    "viewers": ViewersEvent,
    "notice": NoticeEvent,
    "announcement": AnnouncementEvent,
    "pinned": PinnedEvent,
    "rules": RulesEvent,
    "recall": RecallEvent,
    "questions": QuestionsEvent,
    "answered": AnsweredEvent,
    "poll": PollEvent,
    "votes": VotesEvent,
    "kick": KickEvent,
    "you": YouEvent,
}
"""Each of the hub's own events."""

T = TypeVar("T")


def arguments(kind: type[T], args: Mapping[str, Any]) -> T:
    """Return a command's arguments as `kind`. Raises CommandRefused `invalid`."""
    try:
        return msgspec.convert(args, kind)
    except msgspec.ValidationError as error:
        raise CommandRefused("invalid", str(error)) from None
