"""Rooms that people run: who may do what, and what the others see of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from chat.audit import AuditEntry
from chat.errors import CloseCode
from chat.hub import CommandRefused, HubLimits, RoomLimits
from chat.member import Member
from chat.message import Ban, Removal, Rules, Words
from chat.moderation import FOR_EVER_MS
from chat.rights import HEADS, KEEPERS, RIGHTS, STAFF
from chat.rule_store import Restored
from tests.chat.rig import Client, member_of, running

DAY_MS = 24 * 3_600_000


def refused(answer: dict[str, Any]) -> str:
    """The code of an answer that must be a refusal."""
    code: str = answer["error"]["code"]
    return code


async def quiet(client: Client, *kinds: str) -> bool:
    """Whether none of these events reaches a client before the answer to a command of its own."""
    await client.ask("like")
    await asyncio.sleep(0.15)
    await client.ask("like")
    return not any(item.get("t") in kinds for item in client.pending)


async def test_a_banned_person_is_told_is_closed_and_stays_out_until_unbanned() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("ann") as ann:
        assert await host.ask("ban", person="ann", reason="spam") == {"re": 1, "ok": True, "until": None}
        assert (await ann.event("kick"))["reason"] == "spam"
        assert (await ann.closed())[0] == 4403
        async with rig.client("ann") as again:
            assert await again.closed() == (4403, "banned")
        assert (await host.ask("bans.list"))["bans"] == [{"person": "ann", "until": None, "devices": 0}]
        await host.ask("unban", person="ann")
        async with rig.client("ann") as back:
            assert (await back.event("room"))["you"]["person"] == "ann"


async def test_a_ban_with_an_end_ends() -> None:
    async with running() as rig, rig.client("aid.assistant") as aid:
        until_ms = rig.clock() + 60_000
        assert (await aid.ask("ban", person="ann", until_ms=until_ms))["until"] == until_ms
        async with rig.client("ann") as early:
            assert (await early.closed())[0] == 4403
        rig.clock.ahead_ms = 61_000
        async with rig.client("ann") as late:
            assert (await late.event("room"))["t"] == "room"


async def test_a_ban_holds_in_its_own_room_alone() -> None:
    async with running() as rig, rig.client("boss.host") as host:
        await host.ask("ban", person="ann")
        async with rig.client("ann", room="other") as ann:
            assert (await ann.event("room"))["t"] == "room"


async def test_a_removed_person_may_come_back() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("ann") as ann:
        await host.ask("kick", person="ann")
        kick = await ann.event("kick")
        assert kick == {"t": "kick", "reason": "removed", "a": 1}
        assert await ann.closed() == (4403, "removed")
        async with rig.client("ann") as back:
            assert len(await back.read()) == 1
            rig.hub.send_personal("show", "ann", {"t": "order"})
            assert (await back.event("order"))["a"] == 2


async def test_only_the_host_and_the_merchant_ban_for_longer_than_a_day() -> None:
    async with running() as rig, rig.client("aid.assistant") as aid, rig.client("shop.merchant") as shop:
        assert refused(await aid.ask("ban", person="ann")) == "forbidden"
        assert refused(await aid.ask("ban", person="ann", until_ms=rig.clock() + 2 * DAY_MS)) == "forbidden"
        assert refused(await aid.ask("unban", person="ann")) == "forbidden"
        assert (await shop.ask("ban", person="ann", until_ms=rig.clock() + 2 * DAY_MS))["ok"]


async def test_staff_are_not_muted_removed_or_banned() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("aid.assistant"):
        assert refused(await host.ask("ban", person="aid")) == "forbidden"
        assert refused(await host.ask("kick", person="boss")) == "forbidden"
        assert refused(await host.ask("mute", person="aid", seconds=9)) == "forbidden"


async def test_who_is_muted_in_the_shadow_sees_the_own_lines_and_nobody_else_does() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("ann") as ann, rig.client("bob") as bob:
        await host.ask("mute", person="ann", seconds=60, shadow=True)
        assert await ann.ask("chat.send", text="buy at evil.example") == {"re": 1, "ok": True}
        assert (await ann.event("chat"))["text"] == "buy at evil.example"
        await bob.ask("chat.send", text="hello")
        for other in (host, bob):
            assert (await other.event("chat"))["text"] == "hello"
        async with rig.client("cid") as cid:
            assert [line["text"] for line in (await cid.event("room"))["history"]] == ["hello"]
        assert (await ann.ask("question.ask", text="why?"))["question"]
        assert (await host.ask("question.list"))["questions"] == []
        await host.ask("unmute", person="ann")
        await ann.ask("chat.send", text="sorry")
        assert (await bob.event("chat"))["text"] == "sorry"


async def test_slow_mode_asks_a_viewer_to_wait_and_leaves_staff_alone() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("ann") as ann:
        await host.ask("chat.slow", seconds=10)
        assert (await ann.event("rules"))["rules"] == {"audience": "everyone", "slow_s": 10}
        assert (await ann.ask("chat.send", text="one"))["ok"]
        error = (await ann.ask("chat.send", text="two"))["error"]
        assert (error["code"], 9_000 < error["retry_ms"] <= 10_000) == ("slow_mode", True)
        for text in ("a", "b", "c"):
            assert (await host.ask("chat.send", text=text))["ok"]
        rig.clock.ahead_ms = 10_001
        assert (await ann.ask("chat.send", text="three"))["ok"]
        await host.ask("chat.slow", seconds=0)
        assert (await ann.ask("chat.send", text="four"))["ok"]
        async with rig.client("bob") as bob:
            assert (await bob.event("room"))["rules"]["slow_s"] == 0


async def test_a_room_can_be_for_members_or_staff_to_write_in() -> None:
    def known(room: str, token: str) -> Member:
        member = member_of(room, token)
        return Member(member.person, member.name, member.role, None, 0, known=member.person == "old")

    async with (
        running(authenticate=known) as rig,
        rig.client("boss.host") as host,
        rig.client("ann") as ann,
        rig.client("old") as old,
    ):
        await host.ask("chat.audience", who="members")
        assert refused(await ann.ask("chat.send", text="x")) == "members_only"
        assert (await old.ask("chat.send", text="x"))["ok"]
        rig.hub.admit("show", "ann")
        assert (await ann.ask("chat.send", text="x"))["ok"]
        await host.ask("chat.audience", who="staff")
        assert refused(await old.ask("chat.send", text="x")) == "staff_only"
        assert refused(await ann.ask("question.ask", text="x")) == "staff_only"
        assert (await host.ask("chat.send", text="x"))["ok"]
        await host.ask("chat.audience", who="everyone")
        assert (await ann.ask("chat.send", text="x"))["ok"]


async def test_a_room_can_be_for_followers_to_write_in_and_asks_once_who_follows() -> None:
    follow, asked = {"fan"}, list[str]()

    async def follows(member: Member) -> bool:
        asked.append(member.person)
        return member.person in follow

    async with (
        running(follows=follows) as rig,
        rig.client("boss.host") as host,
        rig.client("ann") as ann,
        rig.client("fan") as fan,
    ):
        rig.clock.stop()
        await host.ask("chat.audience", who="followers")
        assert [(await fan.ask("chat.send", text=text))["ok"] for text in "ab"] == [True, True]
        for _ in range(3):
            assert refused(await ann.ask("chat.send", text="x")) == "followers_only"
        assert refused(await ann.ask("question.ask", text="x")) == "followers_only"
        assert (await host.ask("chat.send", text="x"))["ok"]
        assert asked == ["fan", "ann"]
        follow |= {"ann"}
        follow -= {"fan"}
        rig.clock.ahead_ms += 1_000
        assert (await ann.ask("chat.send", text="x"))["ok"]
        rig.clock.ahead_ms += 59_000
        assert refused(await fan.ask("chat.send", text="x")) == "followers_only"
        assert asked == ["fan", "ann", "ann", "fan"]
        # Told by who has seen them follow: nobody is asked.
        rig.hub.channel("show").gate.follows("fan", rig.clock(), on=True)
        assert (await fan.ask("question.ask", text="x"))["ok"]
        assert len(asked) == 4


async def test_where_nobody_can_be_followed_a_room_is_not_for_followers() -> None:
    async with running() as rig, rig.client("boss.host") as host:
        assert refused(await host.ask("chat.audience", who="followers")) == "invalid"


class Kept:
    """A store of decisions."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[bytes, int, str]] = {}

    async def put(self, room: str, name: str, said: bytes, until_ms: int, person: str) -> None:
        self.rows[room, name] = (said, until_ms, person)

    async def remove(self, room: str, name: str) -> None:
        self.rows.pop((room, name), None)


async def test_what_staff_decided_is_kept_and_a_room_opens_with_it() -> None:
    kept = Kept()
    async with running(rule_store=kept) as rig, rig.client("boss.host") as host:
        await host.ask("chat.audience", who="members")
        await host.ask("chat.slow", seconds=30)
        await host.ask("words.set", words=["spam"])
        await host.ask("notice.pin", text="七点抽奖")
        until = (await host.ask("mute", person="ann", seconds=60))["until"]
        await host.ask("mute", person="bob", seconds=60, shadow=True)
        await host.ask("mute", person="cid", seconds=60)
        await host.ask("unmute", person="cid")
        pinned = (await host.event("pinned"))["pinned"]
        now_ms = rig.clock()
    assert {name: (end, person) for (_, name), (_, end, person) in kept.rows.items()} == {
        "rules": (FOR_EVER_MS, ""),
        "words": (FOR_EVER_MS, ""),
        "pinned": (FOR_EVER_MS, ""),
        "mute:ann": (until, "ann"),
        "mute:bob": (kept.rows["show", "mute:bob"][1], "bob"),
    }
    found = Restored.of(said for said, _, _ in kept.rows.values())
    async with running(rule_store=kept) as rig:
        rig.hub.open_room("after", found.sections, rules=found.rules)
        gate = rig.hub.channel("after").gate
        assert (gate.audience, gate.slow_s, gate.words) == ("members", 30, ("spam",))
        assert (gate.muted_until_ms("ann", now_ms), gate.muted_until_ms("bob", now_ms)) == (until, 0)
        with pytest.raises(CommandRefused, match="customers"):
            gate.judge(Member("bob", "bob", "viewer", None, 0), "x", now_ms)
        gate.audience = "everyone"
        assert gate.judge(Member("bob", "bob", "viewer", None, 0), "x", now_ms).shadow
        assert found.sections == {"rules": {"audience": "members", "slow_s": 30}, "pinned": pinned}
        async with rig.client("boss.host") as host:
            await host.ask("words.set", words=[])
            await host.ask("notice.unpin")
    assert {name for _, name in kept.rows} == {"rules", "mute:ann", "mute:bob"}


def test_a_decision_that_cannot_be_read_is_left_out_and_the_others_hold(caplog: pytest.LogCaptureFixture) -> None:
    kept = [b'["rules",{"audience":"staff","slow_s":0},""]', b'["of a later version",{},""]', b"{", b'["mute",{},""]']
    found = Restored.of([*kept, b'["words",{"words":["spam"]},""]'])
    assert found.rules == [Rules("staff", 0), Words(("spam",))]
    assert found.sections == {"rules": {"audience": "staff", "slow_s": 0}}
    assert caplog.text.count("cannot be read") == 3


async def test_the_words_of_a_room_can_be_changed_while_it_runs() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("ann") as ann:
        rig.hub.open_room("words", {}, words=["Bad"])
        assert rig.hub.channel("words").gate.words == ("bad",)
        await host.ask("words.set", words=["加微信", "spam"])
        await ann.ask("chat.send", text="SPAM 加微信 ham")
        assert (await host.event("chat"))["text"] == "**** *** ham"
        await host.ask("words.set", words=["ham"], mode="add")
        await host.ask("words.set", words=["SPAM"], mode="remove")
        assert (await host.ask("words.list"))["words"] == ["ham", "加微信"]
        await ann.ask("chat.send", text="spam 加微信 ham")
        assert (await host.event("chat"))["text"] == "spam *** ***"
        await host.ask("words.set", words=[])
        await ann.ask("chat.send", text="ham")
        assert (await host.event("chat"))["text"] == "ham"


async def test_a_recalled_line_is_gone_for_those_who_come_and_told_to_those_who_are_there() -> None:
    async with running() as rig, rig.client("aid.assistant") as aid, rig.client("ann") as ann:
        await ann.ask("chat.send", text="oops")
        line = await ann.event("chat")
        await ann.ask("chat.send", text="fine")
        assert (await aid.ask("recall", offset=line["o"]))["ok"]
        assert (await ann.event("recall"))["offset"] == line["o"]
        async with rig.client("bob") as bob, rig.client("cid", since="e1:0") as cid:
            fresh, back = await bob.event("room"), await cid.event("room")
            assert back["resumed"] is True
            for first in (fresh, back):
                assert [(event["t"], event["o"]) for event in first["history"]] == [("chat", 2), ("recall", 3)]


@pytest.mark.parametrize("offset", [99, 2])
async def test_what_is_no_chat_line_is_not_recalled(offset: int) -> None:
    async with running() as rig, rig.client("boss.host") as host:
        await host.ask("chat.send", text="a")
        await host.ask("notice", text="b")
        await host.event("notice")
        assert refused(await host.ask("recall", offset=offset)) == "not_found"


async def test_a_pinned_notice_and_an_announcement_are_in_the_snapshot() -> None:
    async with running() as rig, rig.client("boss.host") as host:
        await host.ask("notice.pin", text="  七点抽奖 ")
        await host.ask("announce", text="last call", seconds=30)
        pinned = (await host.event("pinned"))["pinned"]
        assert (pinned["text"], pinned["from"]["role"]) == ("七点抽奖", "host")
        shout = (await host.event("announcement"))["announcement"]
        assert shout["until"] == shout["now"] + 30_000
        async with rig.client("ann") as ann:
            first = await ann.event("room")
            assert (first["pinned"], first["announcement"]) == (pinned, shout)
            await host.ask("notice.unpin")
            assert (await ann.event("pinned"))["pinned"] is None
        async with rig.client("bob") as bob:
            assert (await bob.event("room"))["pinned"] is None


async def test_questions_wait_are_listed_and_are_answered_for_all() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("ann") as ann, rig.client("bob") as bob:
        number = (await ann.ask("question.ask", text="how long is it?"))["question"]
        other = (await bob.ask("question.ask", text="and how wide?"))["question"]
        await host.until(lambda item: item.get("t") == "questions" and item["n"] == 2)
        assert [one["question"] for one in (await host.ask("question.list"))["questions"]] == [number, other]
        assert [one["question"] for one in (await ann.ask("question.list"))["questions"]] == [number]
        assert refused(await ann.ask("question.drop", question=other)) == "not_found"
        assert (await bob.ask("question.drop", question=other))["ok"]
        await host.ask("question.answer", question=number, text="two metres")
        told = await bob.event("answered")
        assert (told["question"]["text"], told["question"]["from"]["person"]) == ("how long is it?", "ann")
        assert (told["text"], told["from"]["person"]) == ("two metres", "boss")
        assert refused(await host.ask("question.answer", question=number)) == "not_found"


async def test_the_queue_of_questions_is_bounded() -> None:
    limits = HubLimits(room=RoomLimits(questions=3, questions_person=2))
    async with running(limits=limits) as rig, rig.client("ann") as ann, rig.client("bob") as bob:
        for text in ("a", "b"):
            assert (await ann.ask("question.ask", text=text))["ok"]
        assert refused(await ann.ask("question.ask", text="c")) == "limit"
        assert (await bob.ask("question.ask", text="c"))["ok"]
        assert refused(await bob.ask("question.ask", text="d")) == "limit"


async def test_a_poll_counts_one_vote_for_each_person() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("ann") as ann, rig.client("bob") as bob:
        poll = (await host.ask("poll.start", title="colour?", options=["red", "blue"]))["poll"]
        assert (await ann.event("poll"))["poll"] == poll
        assert refused(await host.ask("poll.start", title="size?", options=["S", "M"])) == "already"
        assert (await ann.ask("poll.vote", poll=poll["poll"], option=1))["ok"]
        async with rig.client("ann") as twin:
            assert refused(await twin.ask("poll.vote", poll=poll["poll"], option=0)) == "already"
        assert (await bob.ask("poll.vote", poll=poll["poll"], option=1))["ok"]
        await host.until(lambda item: item.get("t") == "votes" and item["votes"] == [0, 2])
        async with rig.client("cid") as cid:
            assert (await cid.event("room"))["poll"]["votes"] == [0, 2]
            await host.ask("poll.end", poll=poll["poll"])
            result = (await cid.event("poll"))["poll"]
            assert (result["state"], result["votes"]) == ("ended", [0, 2])
            assert refused(await cid.ask("poll.vote", poll=poll["poll"], option=0)) == "closed"
        assert refused(await host.ask("poll.end", poll=poll["poll"])) == "closed"


BAD: list[tuple[str, dict[str, Any]]] = [
    ("ban", {}),
    ("ban", {"person": ""}),
    ("ban", {"person": "x" * 65}),
    ("ban", {"person": "ann", "until_ms": 5}),
    ("ban", {"person": "ann", "until_ms": -1}),
    ("ban", {"person": "ann", "until_ms": "tomorrow"}),
    ("ban", {"person": "ann", "reason": "x" * 61}),
    ("unban", {"person": 7}),
    ("kick", {"person": None}),
    ("mute", {"person": "ann"}),
    ("mute", {"person": "ann", "seconds": 0}),
    ("mute", {"person": "ann", "seconds": 1.5}),
    ("mute", {"person": "ann", "seconds": 5, "shadow": "yes"}),
    ("chat.slow", {}),
    ("chat.slow", {"seconds": -1}),
    ("chat.slow", {"seconds": 3_601}),
    ("chat.slow", {"seconds": True}),
    ("chat.audience", {"who": "friends"}),
    ("words.set", {"words": "spam"}),
    ("words.set", {"words": [""]}),
    ("words.set", {"words": [" "]}),
    ("words.set", {"words": ["x" * 33]}),
    ("words.set", {"words": ["a\u202eb"]}),
    ("words.set", {"words": ["a"], "mode": "drop"}),
    ("recall", {"offset": 0}),
    ("recall", {"offset": "1"}),
    ("recall", {"offset": 2**60}),
    ("notice", {"text": ""}),
    ("notice", {"text": "x" * 501}),
    ("announce", {"text": "x", "seconds": 0}),
    ("announce", {"text": "a\nb"}),
    ("notice.pin", {}),
    ("question.ask", {"text": " "}),
    ("question.ask", {"text": ["a"]}),
    ("question.answer", {}),
    ("question.drop", {"question": 1}),
    ("poll.start", {"title": "?", "options": ["one"]}),
    ("poll.start", {"title": "", "options": ["a", "b"]}),
    ("poll.start", {"title": "?", "options": ["a", "a "]}),
    ("poll.start", {"title": "?", "options": [str(n) for n in range(11)]}),
    ("poll.start", {"title": "?", "options": ["a", "x" * 61]}),
    ("poll.vote", {"poll": "p"}),
    ("poll.vote", {"poll": "p", "option": -1}),
    ("poll.end", {"poll": ""}),
]


async def test_bad_arguments_are_refused_and_change_nothing() -> None:
    entries: list[AuditEntry] = []
    async with running(audit=entries.append) as rig, rig.client("boss.host") as host:
        for cmd, arguments in BAD:
            rig.clock.ahead_ms += 1_000
            answer = await host.ask(cmd, **arguments)
            assert answer.get("error", {}).get("code") == "invalid", (cmd, arguments, answer)
        assert await quiet(host, "rules", "notice", "announcement", "pinned", "poll", "recall", "questions")
        assert entries == []


async def test_votes_for_what_there_is_not_are_refused() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("ann") as ann:
        assert refused(await ann.ask("poll.vote", poll="none", option=0)) == "not_found"
        poll = (await host.ask("poll.start", title="?", options=["a", "b"]))["poll"]["poll"]
        assert refused(await ann.ask("poll.vote", poll="none", option=0)) == "not_found"
        assert refused(await ann.ask("poll.vote", poll=poll, option=2)) == "invalid"
        assert refused(await host.ask("poll.end", poll="none")) == "not_found"


@pytest.mark.parametrize("role", ["guest", "viewer", "guide", "moderator", "assistant", "host", "merchant"])
async def test_the_table_of_rights_is_what_the_hub_goes_by(role: str) -> None:
    async with running() as rig, rig.client(f"who.{role}") as client:
        for command, roles in RIGHTS.items():
            rig.clock.ahead_ms += 1_000
            answer = await client.ask(command)
            allowed = not roles or role in roles
            assert (answer.get("error", {}).get("code") != "forbidden") is allowed, command
    assert HEADS < STAFF < KEEPERS


async def test_a_moderator_keeps_order_and_does_not_speak_for_the_shop() -> None:
    entries: list[AuditEntry] = []
    kept = {"mute", "unmute", "kick", "ban", "bans.list", "moderators.list", "chat.slow", "words.list", "recall"}
    assert kept == {name for name, roles in RIGHTS.items() if "moderator" in roles}
    async with running(audit=entries.append) as rig, rig.client("mod.moderator") as mod, rig.client("ann") as ann:
        await ann.ask("chat.send", text="buy elsewhere")
        line = await mod.event("chat")
        question = (await ann.ask("question.ask", text="?"))["question"]
        for cmd, arguments in (
            ("mute", {"person": "ann", "seconds": 60, "shadow": True}),
            ("unmute", {"person": "ann"}),
            ("recall", {"offset": line["o"]}),
            ("chat.slow", {"seconds": 30}),
            ("question.drop", {"question": question}),
            ("ban", {"person": "eve", "until_ms": rig.clock() + 60_000}),
            ("kick", {"person": "ann"}),
        ):
            assert (await mod.ask(cmd, **arguments)).get("ok"), cmd
        assert refused(await mod.ask("ban", person="bob")) == "forbidden"
        assert refused(await mod.ask("ban", person="bob", until_ms=rig.clock() + DAY_MS + 60_000)) == "forbidden"
        assert [one["person"] for one in (await mod.ask("bans.list"))["bans"]] == ["eve"]
    assert {entry.by["role"] for entry in entries} == {"moderator"}
    assert [entry.action for entry in entries][-1] == "kick" and len(entries) == 7


async def test_no_keeper_of_order_acts_on_another_or_on_those_above() -> None:
    others = ("mod2.moderator", "aid.assistant", "boss.host", "shop.merchant")
    async with contextlib.AsyncExitStack() as stack:
        rig = await stack.enter_async_context(running())
        mod = await stack.enter_async_context(rig.client("mod.moderator"))
        for token in others:
            await stack.enter_async_context(rig.client(token))
        for person in ("mod", *(token.partition(".")[0] for token in others)):
            for cmd, more in (("mute", {"seconds": 60}), ("kick", {}), ("ban", {"until_ms": rig.clock() + 60_000})):
                assert refused(await mod.ask(cmd, person=person, **more)) == "forbidden", (cmd, person)


async def test_a_ban_that_another_node_let_pass_does_not_put_staff_out() -> None:
    async with running() as rig, rig.client("boss.host") as host, rig.client("ann") as ann:
        # As it comes over the bus from a node where the host is not.
        for person in ("boss", "ann"):
            rig.hub.tell("show", Ban(person, FOR_EVER_MS), Removal(person, CloseCode.BANNED, "spam"))
        assert (await ann.closed())[0] == 4403
        assert (await host.ask("chat.send", text="still here"))["ok"]


async def test_neither_slow_mode_nor_the_audience_nor_the_cap_binds_a_moderator_and_all_see_who_speaks() -> None:
    limits = HubLimits(room=RoomLimits(chat_per_s=1))
    async with running(limits=limits) as rig, rig.client("boss.host") as host, rig.client("mod.moderator") as mod:
        await host.ask("chat.slow", seconds=60)
        await host.ask("chat.audience", who="staff")
        async with rig.client("ann") as ann:
            while (await ann.event("viewers"))["n"] != 1:
                pass
            for n in range(5):
                answer = await mod.ask("chat.send", text=f"calm {n}")
                assert answer.get("ok") and "sampled" not in answer
                said = await ann.event("chat")
                assert (said["from"]["role"], said["text"]) == ("moderator", f"calm {n}") and "o" in said
            assert refused(await ann.ask("chat.send", text="a")) == "staff_only"


async def test_every_action_of_staff_leaves_an_entry_and_a_viewer_s_none() -> None:
    entries: list[AuditEntry] = []
    async with running(audit=entries.append) as rig, rig.client("boss.host") as host, rig.client("ann") as ann:
        await ann.ask("chat.send", text="a")
        number = (await ann.ask("question.ask", text="b"))["question"]
        await host.ask("chat.send", text="c")
        await host.ask("mute", person="ann", seconds=5)
        await host.ask("ban", person="eve", reason="spam " * 10)
        await host.ask("question.drop", question=number)
        await ann.ask("ban", person="boss")
    assert [(entry.action, entry.person) for entry in entries] == [
        ("mute", "ann"),
        ("ban", "eve"),
        ("question.drop", None),
    ]
    ban = entries[1]
    assert (ban.room, ban.by["person"], ban.detail) == ("show", "boss", {"reason": "spam " * 10})


async def test_a_ban_is_written_down_and_one_that_cannot_be_is_still_a_ban() -> None:
    class Store:
        def __init__(self) -> None:
            self.rows: dict[tuple[str, str], int] = {}

        async def put(
            self, room: str, person: str, until_ms: int, reason: str, by: str, devices: Sequence[str] = ()
        ) -> None:
            if person == "unlucky":
                raise OSError("disk full")
            self.rows[room, person] = until_ms

        async def remove(self, room: str, person: str) -> None:
            self.rows.pop((room, person), None)

    store = Store()
    async with running(ban_store=store) as rig, rig.client("boss.host") as host:
        until_ms = rig.clock() + 60_000
        await host.ask("ban", person="ann", until_ms=until_ms)
        assert store.rows == {("show", "ann"): until_ms}
        await host.ask("unban", person="ann")
        assert store.rows == {}
        assert refused(await host.ask("ban", person="unlucky")) == "internal"
        async with rig.client("unlucky") as out:
            assert (await out.closed())[0] == 4403


async def test_bans_are_bounded_and_none_is_forgotten_for_another() -> None:
    limits = HubLimits(room=RoomLimits(bans=2))
    async with running(limits=limits) as rig, rig.client("boss.host") as host:
        assert (await host.ask("ban", person="a"))["ok"]
        assert (await host.ask("ban", person="b", until_ms=rig.clock() + 1_000))["ok"]
        assert refused(await host.ask("ban", person="c")) == "limit"
        assert (await host.ask("ban", person="a"))["ok"]
        rig.clock.ahead_ms = 2_000
        assert (await host.ask("ban", person="c"))["ok"]
        assert {ban["person"] for ban in (await host.ask("bans.list"))["bans"]} == {"a", "c"}


async def test_an_address_with_many_names_is_slowed_by_either_command() -> None:
    limits = HubLimits(room=RoomLimits(chat_address_burst=2, chat_address_per_s=0.001))
    async with (
        running(limits=limits, network=lambda address: address) as rig,
        rig.client("ann") as ann,
        rig.client("bob") as bob,
        rig.client("eve") as eve,
    ):
        assert (await ann.ask("chat.send", text="a"))["ok"]
        assert (await bob.ask("question.ask", text="b"))["ok"]
        for cmd in ("chat.send", "question.ask"):
            answer = await eve.ask(cmd, text="c")
            assert refused(answer) == "rate" and "network" in answer["error"]["message"]
