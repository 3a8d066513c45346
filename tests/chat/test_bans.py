"""Bans go with the devices of whom they keep out."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from chat.entry import decode_messages, encode_message
from chat.limits import RoomLimits
from chat.member import Member
from chat.message import Ban
from chat.moderation import DEVICES_PER_BAN, BanList, ChatGate

LIMITS = RoomLimits()


def test_whoever_comes_with_a_banned_persons_device_is_kept_out_until_the_ban_is_lifted() -> None:
    gate = ChatGate(LIMITS, 0)
    ann, eve = (
        Member("ann", "Ann", "viewer", None, 0, device="d1"),
        Member("eve", "Eve", "viewer", None, 0, device="d1"),
    )
    bob = Member("bob", "Bob", "viewer", None, 0, device="d2")
    gate.rule(Ban("ann", 1_000, ("d1",)))
    assert [gate.barred_until_ms(who, 0) for who in (ann, eve, bob)] == [1_000, 1_000, 0]
    assert gate.barred_until_ms(dataclasses.replace(eve, role="host"), 0) == 0
    assert gate.barred_until_ms(eve, 1_000) == 0
    gate.rule(Ban("ann", 0))
    assert [gate.barred_until_ms(who, 0) for who in (ann, eve)] == [0, 0]


def test_a_longer_ban_keeps_the_devices_and_a_ninth_device_costs_the_first() -> None:
    bans = BanList(LIMITS)
    bans.put("ann", 1_000, ["d0"])
    bans.put("ann", 2_000, [f"d{number}" for number in range(1, DEVICES_PER_BAN + 1)])
    assert bans.until_ms("x", 0, "d0") == 0
    assert bans.until_ms("x", 0, f"d{DEVICES_PER_BAN}") == 2_000
    assert bans.listed(0) == [{"person": "ann", "until": 2_000, "devices": DEVICES_PER_BAN}]


def test_devices_come_along_to_other_nodes() -> None:
    gate, other = ChatGate(LIMITS, 0), ChatGate(LIMITS, 0)
    gate.rule(Ban("ann", 1_000, ("d1", "d2")))
    other.restore(gate.state())
    assert other.bans.until_ms("eve", 0, "d2") == 1_000
    (message,), _ = decode_messages(b"[" + encode_message(Ban("ann", 5, ("d1",))) + b"]")
    assert message == Ban("ann", 5, ("d1",))
    # As a node of the version before writes it.
    older = {key: value for key, value in gate.state().items() if key != "ban_devices"}
    other.restore(older)
    assert other.bans.until_ms("ann", 0) == 1_000 and other.bans.until_ms("eve", 0, "d2") == 0


steps = st.tuples(
    st.sampled_from(["ann", "bob", "eve"]),
    st.sampled_from([0, 5, 9]),
    st.lists(st.sampled_from("abcdefghijkl"), max_size=5),
)


@settings(max_examples=100)
@given(st.lists(steps, max_size=12))
def test_every_device_belongs_to_one_ban_that_is_there(changes: list[tuple[str, int, list[str]]]) -> None:
    bans = BanList(LIMITS)
    for person, until_ms, devices in changes:
        bans.put(person, until_ms, devices)
        theirs = bans.devices()
        assert set(theirs) <= set(bans.state())
        assert bans._person_of == {device: who for who, all_of in theirs.items() for device in all_of}
        assert all(len(all_of) == len(set(all_of)) <= DEVICES_PER_BAN for all_of in theirs.values())
