"""What persons may ask of a shop: told everything, taken back, forgotten; children apart; WeChat's word honoured."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect

from commerce.callback_crypt import CallbackKeys, seal_text, signature
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from commerce.identity.holdings import HELD, held_of
from commerce.identity.phone import Vault
from commerce.identity.privacy import Privacy
from tests.commerce.shop_world import MERCHANT, ROOM, shop_world
from tests.commerce.test_merge import ANN, KEY, Place

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APPID = "wx0123456789abcdef"
KEYS = CallbackKeys("thetoken", AES_KEY, APPID)


class Rights(Place):
    """A place with the rights of its persons."""

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self.privacy = Privacy(world.store, world.shop.ledger, Vault(KEY), clock=world.clock)

    async def member(self) -> str:
        """Somebody with an openid, a phone, a name, consents and an ended order."""
        person = await self.person("guest")
        await self.world.store.write(
            lambda db: (
                db.exec_driver_sql(
                    f"INSERT INTO identity VALUES ('{MERCHANT}', 'wechat', '{APPID}:o{person}', '{person}', 1)"
                ),
                db.exec_driver_sql(f"UPDATE person SET name = '安安' WHERE id = '{person}'"),
            )
        )
        await self.identities.show_phone(MERCHANT, person, ANN)
        for purpose in ("member", "marketing", "profile"):
            await self.identities.consent(MERCHANT, person, purpose, True, "form")
        self.world.clock.advance(1)
        return person

    async def app(self) -> None:
        await self.identities.set_wechat_app(MERCHANT, APPID, "secret", "")
        await self.privacy.set_callback_keys(MERCHANT, APPID, KEYS.token, KEYS.aes_key)

    async def told(self, event: str, openid: str, keys: CallbackKeys = KEYS, **more: str) -> str:
        fields = {"Event": event, "OpenID": openid, "AppID": APPID, "MsgType": "event", **more}
        inner = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
        sealed = seal_text(keys, f"<xml>{inner}</xml>", bytes(16))
        query = {"timestamp": "1", "nonce": "2", "msg_signature": signature(keys.token, "1", "2", sealed)}
        return await self.privacy.event(MERCHANT, query, f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode())

    async def order(self, person: str) -> str:
        await self.world.shop.stock_up(MERCHANT, "k1", 1)
        made = await self.world.shop.create_order(MERCHANT, ROOM, person, f"o-{person}", lines=[("k1", 1, None)])
        return made.order


@pytest.fixture
async def rights(anywhere: Path | str) -> AsyncIterator[Rights]:
    async with shop_world(anywhere) as world:
        yield Rights(world)


async def test_the_export_has_every_row_in_which_the_person_stands(rights: Rights) -> None:
    person, stranger = await rights.member(), await rights.person("wechat")
    await rights.order(person)
    await rights.identities.merge(MERCHANT, person, stranger, "boss", "one human")
    found = await rights.privacy.holdings(MERCHANT, person, person)
    held = found["tables"]
    assert {"person", "identity", "person_phone", "consent", "orders", "hold", "privacy_log"} <= held.keys()
    assert {row["id"] for row in held["person"]} == {person, stranger}
    assert found["left_out"] == {}
    # Neither sealed texts nor who of the staff acted.
    assert not {"sealed", "digest", "by"} & {name for rows in held.values() for row in rows for name in row}
    with_person = await rights.world.query("SELECT * FROM orders WHERE person = :p", p=person)
    assert len(with_person) == len(held["orders"]) == 1


async def test_no_table_with_a_person_in_it_is_left_out_of_the_export(rights: Rights) -> None:
    columns = await rights.world.store.read(
        lambda db: {t: {c["name"] for c in cs} for (_, t), cs in inspect(db).get_multi_columns().items()}
    )
    told = {held.table: held for held in held_of(columns)}
    for table, names in columns.items():
        # And that it is named says what an erasure does to it. A group's owner is an account of the shop.
        assert not {"person", "owner"} & names or table in {*(held.table for held in HELD), "community"}, table
    for held in HELD:
        assert held.table in told
        assert {*held.columns, *held.hidden} <= columns[held.table], held.table
    assert {held.table for held in held_of({**columns, "new": {"person", "secret"}})} - told.keys() == {"new"}


async def test_a_revocation_at_wechat_forgets_what_it_names_and_takes_consent_back(rights: Rights) -> None:
    await rights.app()
    person = await rights.member()
    assert await rights.told("user_authorization_revoke", f"o{person}", RevokeInfo="6") == "revoked"
    found = await rights.identities.person(MERCHANT, person)
    assert found["name"] == "" and found["phone"] is not None
    assert await rights.identities.consents(person) == {"member": True, "marketing": False, "profile": False}
    assert await rights.told("user_authorization_revoke", f"o{person}", RevokeInfo="5,8") == "revoked"
    found = await rights.identities.person(MERCHANT, person)
    assert found["phone"] is None and {one["kind"] for one in found["identities"]} == {"guest", "wechat"}
    # What it means by a code that nobody here knows is everything.
    other = await rights.member()
    assert await rights.told("user_authorization_revoke", f"o{other}", RevokeInfo="301") == "revoked"
    found = await rights.identities.person(MERCHANT, other)
    assert (found["name"], found["phone"]) == ("", None)
    log = await rights.identities.privacy_log(MERCHANT, other, None, 50)
    assert ("forget", "wechat") in {(row["action"], row["by"]) for row in log}


async def test_a_closed_account_is_erased_when_its_last_order_has_ended(rights: Rights) -> None:
    await rights.app()
    person = await rights.member()
    order = await rights.order(person)
    for _ in range(2):
        assert await rights.told("user_authorization_cancellation", f"o{person}") == "closed"
    assert (await rights.identities.person(MERCHANT, person))["name"] == "安安"
    assert await rights.privacy.finish_erasures() == 0
    await rights.world.shop.cancel_order(MERCHANT, person, order)
    assert await rights.privacy.finish_erasures() == 1
    found = await rights.identities.person(MERCHANT, person)
    assert (found["name"], found["phone"], found["identities"]) == ("", None, [])
    assert await rights.privacy.finish_erasures() == 0
    assert await rights.told("user_authorization_cancellation", f"o{person}") == "nothing"


async def test_events_that_are_forged_foreign_or_about_something_else_do_nothing(rights: Rights) -> None:
    person = await rights.member()
    with pytest.raises(NotFound):
        await rights.told("user_authorization_cancellation", f"o{person}")
    await rights.app()
    forged = CallbackKeys("anothertoken", AES_KEY, APPID)
    foreign = CallbackKeys("thetoken", AES_KEY, "wxffffffffffffffff")
    for keys in (forged, foreign):
        with pytest.raises(Refused) as refused:
            await rights.told("user_authorization_cancellation", f"o{person}", keys)
        assert refused.value.code == "bad_signature"
    with pytest.raises(Refused):
        await rights.told("user_authorization_cancellation", f"o{person}", AppID="wx9")
    assert await rights.told("user_enter_tempsession", f"o{person}") == "nothing"
    assert await rights.told("user_authorization_cancellation", "ostranger") == "nothing"
    sealed = seal_text(KEYS, "hello", bytes(16))
    query = {"timestamp": "1", "nonce": "2", "echostr": sealed}
    query["msg_signature"] = signature(KEYS.token, "1", "2", sealed)
    assert await rights.privacy.challenge(MERCHANT, query) == "hello"
    for token, aes_key in (("x", AES_KEY), ("thetoken", "short"), ("the token", AES_KEY)):
        with pytest.raises(Invalid):
            await rights.privacy.set_callback_keys(MERCHANT, APPID, token, aes_key)
    assert (await rights.identities.person(MERCHANT, person))["name"] == "安安"


async def test_a_childs_guardian_is_kept_apart_and_nothing_is_sorted_or_sent(rights: Rights) -> None:
    person = await rights.member()
    await rights.privacy.set_minor(MERCHANT, person, "boss", guardian="王芳", phone="13700137000", agreed=False)
    assert await rights.identities.consents(person) == {"member": False, "marketing": False, "profile": False}
    for purpose in ("member", "marketing", "profile"):
        with pytest.raises(Refused) as refused:
            await rights.privacy.refuse_of_minors(person, purpose)
        assert refused.value.code == "minor"
    stored = await rights.world.query("SELECT * FROM minor")
    assert "王芳" not in str(stored) and "13700137000" not in str(stored)
    await rights.privacy.set_minor(MERCHANT, person, "boss", guardian="王芳", phone="13700137000", agreed=True)
    await rights.privacy.refuse_of_minors(person, "member")
    guardian = await rights.privacy.minor(MERCHANT, person, "boss")
    assert guardian is not None and guardian["phone"] == "+8613700137000"
    log = await rights.identities.privacy_log(MERCHANT, person, None, 50)
    assert "guardian" in {row["action"] for row in log}
    await rights.privacy.grown(MERCHANT, person, "boss")
    await rights.privacy.refuse_of_minors(person, "marketing")
    with pytest.raises(NotFound):
        await rights.privacy.grown(MERCHANT, person, "boss")
    for guardian_name, phone in (("", "13700137000"), ("王芳", "12")):
        with pytest.raises(CommerceError):
            await rights.privacy.set_minor(MERCHANT, person, "boss", guardian=guardian_name, phone=phone, agreed=True)
