"""Which persons are one: pure rules (A15, A16).

wechat    appid:openid         exact
unionid   platform:unionid     joins within one open-platform account
phone     keyed hash           joins all once verified; two different verified numbers never join by themselves
wecom     corp:external_userid joins with the unionid that WeCom tells
guest, device                  never join anybody
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

JOINING = ("unionid", "phone", "wecom")
"""Kinds that make two persons one."""
REVERIFY_MS = 180 * 86_400_000
"""Numbers are given out anew some months after they were given up (二次放号: the carriers wait 90 days): one that
nobody has shown for half a year does not join a stranger to its old owner."""


class Verdict(StrEnum):
    """What comes of a key that a person shows."""

    KNOWN = "known"
    ATTACH = "attach"
    VERIFY = "verify"
    MERGE = "merge"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Phone:
    """A person's number by its digest; ``verified_ms`` None when nobody has shown that it is theirs."""

    digest: str
    verified_ms: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """What a rule needs to know of a person."""

    person: str
    created_ms: int
    phone: Phone | None = None
    kinds: Collection[str] = ()
    distributor: bool = False

    @property
    def verified(self) -> str | None:
        """The digest of the verified number, if there is one."""
        return self.phone.digest if self.phone is not None and self.phone.verified_ms is not None else None


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict; ``cause`` of a conflict is two_phones, second_phone, recycled or two_distributors."""

    verdict: Verdict
    cause: str = ""


def judge(kind: str, digest: str, mine: Known, theirs: Known | None, now_ms: int) -> Ruling:
    """Decide what a key of ``kind`` that ``mine`` showed does; ``theirs`` has it so far (None: nobody).

    ``digest`` is the key's value. A key that ``mine`` has already is KNOWN (a phone is VERIFY: it was shown again).
    """
    if theirs is not None and theirs.person == mine.person:
        return Ruling(Verdict.VERIFY if kind == "phone" else Verdict.KNOWN)
    if kind == "phone" and mine.verified not in (None, digest):
        return Ruling(Verdict.CONFLICT, "second_phone" if theirs is None else "two_phones")
    if theirs is None:
        return Ruling(Verdict.ATTACH)
    if kind not in JOINING:
        raise ValueError(f"{kind} joins nobody")
    if kind == "phone" and _recycled(theirs, now_ms):
        return Ruling(Verdict.CONFLICT, "recycled")
    return refuse_merge(mine, theirs) or Ruling(Verdict.MERGE)


def refuse_merge(one: Known, other: Known) -> Ruling | None:
    """Say why two persons are not made one without a person's decision."""
    if None not in (one.verified, other.verified) and one.verified != other.verified:
        return Ruling(Verdict.CONFLICT, "two_phones")
    if one.distributor and other.distributor:
        return Ruling(Verdict.CONFLICT, "two_distributors")
    return None


def elder_first(one: Known, other: Known) -> tuple[Known, Known]:
    """The survivor and the one who is merged away: by age, then by id."""
    first, second = sorted((one, other), key=lambda known: (known.created_ms, known.person))
    return first, second


def _recycled(owner: Known, now_ms: int) -> bool:
    phone = owner.phone
    if phone is None or phone.verified_ms is None or "wechat" not in owner.kinds:
        return False
    return now_ms - phone.verified_ms > REVERIFY_MS
