"""Telling customers something outside the room: messages, broadcasts to a segment, grants, accounts at channels.

A message is written with a key and waits in the store; ``gateway/messenger.py`` sends it. Whether somebody may get it
is judged when its turn comes, not when it is written: consent may be taken back in between.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from commerce.attribution.links_sql import Transaction
from commerce.catalogue_checks import title
from commerce.crm import accounts_sql, messages_sql, results_sql, tags_sql
from commerce.crm.messages_sql import Due
from commerce.crm.results_sql import Task
from commerce.crm.service import checked
from commerce.domain.condition import read_condition
from commerce.domain.ids import AFTER_ALL
from commerce.domain.outreach import CHANNELS, PURPOSES, STAFF_CHANNEL
from commerce.errors import Invalid, NotFound
from commerce.fresh_ids import fresh_id, fresh_ids
from commerce.identity.merge_sql import survivor
from commerce.identity.phone import Vault
from commerce.store_sql import Store

Row = dict[str, Any]

KEY_CHARACTERS_MAX = 160
BODY_BYTES_MAX = 8_192
TEXT_CHARACTERS_MAX = 1_000
FIELDS_MAX = 20
FILL_MAX = 500
"""Messages of a broadcast written in one transaction."""
ACCOUNT_FIELDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "wecom": (("corpid",), ("secret", "token", "aes_key")),
    "sms": (("key", "sign_name"), ("secret",)),
    STAFF_CHANNEL: (("corpid", "agentid"), ("secret",)),
}
"""Of an account: what may be shown, and what is sealed."""
SETTING_CHARACTERS_MAX = 128


class Outreach:
    """Messages of all merchants of one database; every method is scoped to one. ``clock``: Unix milliseconds."""

    def __init__(self, store: Store, vault: Vault, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self.wake: Callable[[], None] = lambda: None

    # --- messages --------------------------------------------------------------------------------------------------

    async def queue(self, merchant: str, person: str, channel: str, purpose: str, key: str, body: Any) -> None:
        """Write one message; the same key again changes nothing. Raises Invalid, NotFound."""
        row = message_row(merchant, person, channel, purpose, key, body, self._clock())

        def write(db: Transaction) -> None:
            messages_sql.put(db, [{**row, "person": tags_sql.known(db, merchant, person)}])

        await self._store.write(write)
        self.wake()

    async def journal(self, merchant: str, person: str, before: str, limit: int) -> list[Row]:
        """What was said to whom, newest first; ``person`` empty for everybody."""

        def read(db: Transaction) -> list[Row]:
            who = survivor(db, person) if person else ""
            return messages_sql.journal(db, merchant, who, before or AFTER_ALL, limit)

        return [{**row, "body": orjson.loads(row["body"])} for row in await self._store.read(read)]

    async def claim(self, limit: int) -> list[Due]:
        """Take what is due."""
        now_ms = self._clock()
        return await self._store.write(lambda db: messages_sql.claim(db, now_ms, limit))

    async def next_due(self) -> int | None:
        """When the next message is due."""
        return await self._store.read(messages_sql.next_due)

    async def done(self, message: Due, number: str) -> None:
        """The provider took it."""
        await self._store.write(lambda db: messages_sql.done(db, message, number, self._clock()))

    async def tasks(self) -> list[Task]:
        """The tasks at WeCom that are to be asked for now."""
        now_ms = self._clock()
        return await self._store.write(lambda db: results_sql.claim(db, now_ms))

    async def told(self, task: Task, outcomes: Mapping[str, str]) -> int:
        """WeCom says what became of a task's messages; of how many that was news."""
        return await self._store.write(lambda db: results_sql.told(db, task, outcomes))

    async def refused(self, message: Due, why: str) -> None:
        """The provider takes it for nobody."""
        await self._store.write(lambda db: messages_sql.refused(db, message, why, self._clock()))

    async def later(self, message: Due, why: str, wait_ms: int, *, limited: bool) -> bool:
        """Try again then; whether it is given up. ``limited``: a provider's limit, which is nobody's fault."""
        now_ms = self._clock()
        next_ms = now_ms + wait_ms
        return await self._store.write(
            lambda db: messages_sql.later(db, message, why, next_ms, now_ms, limited=limited)
        )

    def number(self, message: Due) -> str:
        """The number of a text message, whole: for the adapter alone. Raises Invalid."""
        return self._vault.open_phone(message.merchant, message.address)

    # --- grants ----------------------------------------------------------------------------------------------------

    async def granted(self, merchant: str, person: str, templates: Sequence[str]) -> dict[str, int]:
        """A person granted one more message of each template; what is left of each. Raises NotFound, Invalid."""
        for template in templates:
            if not 0 < len(template) <= 64 or not template.isascii() or not template.isprintable():
                raise Invalid("a template's id has 1 to 64 ASCII characters", field="templates")
        now_ms = self._clock()

        def write(db: Transaction) -> dict[str, int]:
            openids = messages_sql.openids_of(db, merchant, survivor(db, person))
            for template in templates:
                messages_sql.grant(db, merchant, openids[:1], template, 1, now_ms)
            return messages_sql.grants(db, merchant, openids)

        return await self._store.write(write)

    # --- broadcasts ------------------------------------------------------------------------------------------------

    async def broadcast(self, merchant: str, staff: str, name: str, condition: Any, channel: str, body: Any) -> str:
        """Write to all who meet a condition now, as marketing; its id. Raises Invalid."""
        checked(condition)
        identifier = self._id()
        message_row(merchant, "", channel, "marketing", identifier, body, 0)
        row = {
            "id": identifier,
            "merchant": merchant,
            "name": title(name, "name"),
            "condition": orjson.dumps(condition).decode(),
            "channel": channel,
            "body": orjson.dumps(body).decode(),
            "staff": staff,
        }
        await self._store.write(lambda db: accounts_sql.add_broadcast(db, now=self._clock(), **row))
        self.wake()
        return identifier

    async def broadcasts(self, merchant: str) -> list[Row]:
        """A merchant's broadcasts, newest first, with how many messages of each are in which state."""

        def read(db: Transaction) -> list[Row]:
            rows = accounts_sql.broadcasts(db, merchant)
            return [{**row, "counts": messages_sql.counts(db, merchant, row["id"])} for row in rows]

        return [{**row, "body": orjson.loads(row["body"])} for row in await self._store.read(read)]

    async def fill(self) -> bool:
        """Write some more messages of a broadcast that is not all written; whether there may be more."""
        row = await self._store.read(accounts_sql.filling)
        if row is None:
            return False
        now_ms = self._clock()
        condition = read_condition(orjson.loads(row["condition"]))
        merchant, body = row["merchant"], orjson.loads(row["body"])
        # Judged as of when it was sent off: who comes to meet it while it is written is not among them by chance.
        people = await self._store.read(
            lambda db: tags_sql.members(db, merchant, condition, row["created_ms"], row["upto"], FILL_MAX)
        )
        ids = sorted(fresh_ids(now_ms, len(people)))
        rows = [
            message_row(
                merchant, person, row["channel"], "marketing", f"{row['id']}/{person}", body, now_ms, identifier
            )
            for identifier, (person, _) in zip(ids, people, strict=True)
        ]
        upto = people[-1][0] if len(people) == FILL_MAX else None

        def write(db: Transaction) -> None:
            messages_sql.put(db, rows)
            accounts_sql.filled(db, row["id"], upto, len(rows))

        await self._store.write(write)
        return True

    # --- accounts --------------------------------------------------------------------------------------------------

    async def set_account(self, merchant: str, channel: str, given: Mapping[str, str]) -> None:
        """Keep a merchant's account at a channel; secrets are sealed. Raises Invalid."""
        if channel not in ACCOUNT_FIELDS:
            raise Invalid("a channel with an account is one of " + ", ".join(ACCOUNT_FIELDS), field="channel")
        shown, sealed = ACCOUNT_FIELDS[channel]
        for name in (*shown, *sealed):
            value = given.get(name, "")
            if not 0 < len(value) <= SETTING_CHARACTERS_MAX or not value.isprintable():
                raise Invalid(f"{name} is text of 1 to {SETTING_CHARACTERS_MAX} characters", field=name)
        settings = orjson.dumps({name: given[name] for name in shown}).decode()
        secret = orjson.dumps({name: given[name] for name in sealed}).decode()
        row = {"merchant": merchant, "channel": channel, "settings": settings}
        row["sealed"] = self._vault.seal(secret, f"{merchant}/{channel}")
        await self._store.write(lambda db: accounts_sql.set_account(db, now=self._clock(), **row))
        self.wake()

    async def account(self, merchant: str, channel: str) -> dict[str, str]:
        """A merchant's account with its secrets in the open: for the adapters alone. Raises NotFound."""
        row = await self._store.read(lambda db: accounts_sql.account(db, merchant, channel))
        if row is None:
            raise NotFound(f"this shop has no account for {channel} yet")
        secret = orjson.loads(self._vault.open(row["sealed"], f"{merchant}/{channel}"))
        return {**orjson.loads(row["settings"]), **secret}

    def _id(self) -> str:
        return fresh_id(self._clock())


def message_row(
    merchant: str,
    person: str,
    channel: str,
    purpose: str,
    key: str,
    body: Any,
    now_ms: int,
    identifier: str | None = None,
) -> Row:
    """A message as it is written. Raises Invalid for what its channel cannot carry."""
    if channel not in CHANNELS:
        raise Invalid("channel is one of " + ", ".join(CHANNELS), field="channel")
    if purpose not in PURPOSES:
        raise Invalid("purpose is one of " + ", ".join(PURPOSES), field="purpose")
    if not 0 < len(key) <= KEY_CHARACTERS_MAX:
        raise Invalid(f"a message's key has 1 to {KEY_CHARACTERS_MAX} characters", field="key")
    fault = _body_fault(channel, body)
    if fault is not None:
        raise Invalid(fault, field="body")
    stored = orjson.dumps(body).decode()
    if len(stored.encode()) > BODY_BYTES_MAX:
        raise Invalid(f"a message has at most {BODY_BYTES_MAX} bytes", field="body")
    return {
        "id": identifier or fresh_id(now_ms),
        "merchant": merchant,
        "person": person,
        "channel": channel,
        "purpose": purpose,
        "key": key,
        "body": stored,
        "now": now_ms,
    }


def _body_fault(channel: str, body: Any) -> str | None:
    if not isinstance(body, dict):
        return "a message is an object"
    if channel == "wecom":
        texts = {name: body.get(name, "") for name in ("text", "title", "url")}
        if set(body) - set(texts) or not all(isinstance(text, str) for text in texts.values()) or not texts["text"]:
            return 'a WeCom message is {"text": …}, perhaps with "title" and "url"'
        if len(texts["text"]) > TEXT_CHARACTERS_MAX or (texts["url"] and not texts["url"].startswith("https://")):
            return f"a text has at most {TEXT_CHARACTERS_MAX} characters, a url begins with https://"
        return None
    field = "data" if channel == "subscribe" else "params"
    fields, template, page = body.get(field, {}), body.get("template"), body.get("page", "")
    if set(body) - {"template", field, "page"} or not isinstance(template, str) or not 0 < len(template) <= 64:
        return f'this message is {{"template": ID, "{field}": {{NAME: TEXT}}}}'
    if not isinstance(page, str) or not isinstance(fields, dict) or len(fields) > FIELDS_MAX:
        return f"{field} are at most {FIELDS_MAX} texts"
    good = all(isinstance(name, str) and isinstance(text, str) and len(text) <= 200 for name, text in fields.items())
    return None if good else f"{field} are texts of at most 200 characters"
