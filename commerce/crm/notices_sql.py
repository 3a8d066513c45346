"""Messages that the shop itself writes to single customers by a template: what they say and how they are kept.

They are ``service``: about what somebody asked, bought or owes. One key, one message.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from commerce.domain.ids import time_prefix

Row = dict[str, Any]

ID_TAIL = 11


def template_body(how: Mapping[str, Any], template: str, said: Mapping[str, str]) -> str:
    """The JSON of a message by a template of ``how["channel"]``; ``how["fields"]`` are the template's field → of what
    is ``said``, ``how["page"]`` where a subscribe message leads.
    """
    data = {name: said[what] or "—" for name, what in how["fields"].items()}
    if how["channel"] == "sms":
        return orjson.dumps({"template": template, "params": data}).decode()
    body: Row = {"template": template, "data": data}
    if how["page"]:
        body["page"] = how["page"]
    return orjson.dumps(body).decode()


def service_row(merchant: str, key: str, now_ms: int) -> Row:
    """What a service message of a key is made of beside its person, channel and body."""
    # By its time like all ids; the key tells messages of one moment apart.
    identifier = time_prefix(now_ms) + sha256(key.encode()).hexdigest()[:ID_TAIL]
    return {"id": identifier, "merchant": merchant, "key": key, "purpose": "service", "now": now_ms}
