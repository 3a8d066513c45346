"""Who is asking: JSON Web Tokens (RFC 7519, HS256) for viewers and staff, made and checked in one place."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import jwt
import orjson

from commerce.domain.org import Reach, Scope

AUDIENCE = "siyu"
PLAY_AUDIENCE = "siyu-play"
"""Of tokens that open playback and nothing else."""
TOKEN_CHARACTERS_MAX = 2_048
DEVICE_CHARACTERS = 16
"""Of a device's name: 64 bits tell a merchant's devices apart."""
NOT_OURS = "this is not one of our tokens"
EXPIRED = "this token has expired: sign in again, or ask for a new one"
LEFT = "this account has left the organisation"
STAFF_ROLES = frozenset({"merchant", "host", "guide", "assistant"})
HOST_ROLES = frozenset({"merchant", "host", "assistant"})
MODERATOR = "moderator"
"""Keeps order in a room's chat and nothing else: an account of the shop, but none that reads or sells."""
ACCOUNT_ROLES = STAFF_ROLES | {MODERATOR}

Clock = Callable[[], int]


class TokenError(Exception):
    """A token that does not open the door; ``expired`` and ``revoked`` tell the client to get a new one."""

    def __init__(self, message: str, *, expired: bool = False, revoked: bool = False) -> None:
        super().__init__(message)
        self.expired = expired
        self.revoked = revoked

    @property
    def code(self) -> str:
        """The word for programs, docs/errors.md."""
        return "token_expired" if self.expired else "token_revoked" if self.revoked else "token"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says. ``room`` None means every room of the merchant (staff)."""

    person: str
    name: str
    role: str
    merchant: str
    room: str | None
    expires_ms: int
    scene: str | None = None
    known: bool = False
    """Has bought from the merchant before."""
    issued_ms: int = 0
    device: str = ""
    """What the bearer's device is called: the same for all who come with it, and no use to anybody else."""
    scope: Scope | None = None
    """What an account with a seat in the organisation reaches, as it is now."""

    @property
    def staff(self) -> bool:
        return self.role in STAFF_ROLES

    @property
    def account(self) -> bool:
        """Whether the bearer signs in as one of the shop's own people, and is no customer."""
        return self.role in ACCOUNT_ROLES

    @property
    def reach(self) -> Reach | None:
        """The part of the merchant's orders and customers that staff may see; None: all of them.

        An account without a seat has its room's, or all if it has no room; but a guide without a seat has nobody's.
        """
        if self.scope is not None:
            return None if self.scope.whole else Reach(self.scope.node, self.room or "")
        if self.room is not None or self.role == "guide":
            return Reach("", self.room or "")
        return None

    def may_enter(self, room: str, merchant: str) -> bool:
        """Whether the bearer belongs into ``room`` of ``merchant``."""
        if self.scope is not None and not self.scope.may_enter(room):
            return False
        return self.merchant == merchant and (self.room is None or self.room == room)

    def may_run(self, room: str, merchant: str) -> bool:
        """Whether the bearer may pin, drop and sell in ``room``."""
        if self.scope is not None and not self.scope.may_run(room):
            return False
        return self.role in HOST_ROLES and self.may_enter(room, merchant)

    def may_keep(self, room: str, merchant: str) -> bool:
        """Whether the bearer keeps order in the chat of ``room``."""
        if self.scope is not None and not self.scope.may_keep(room):
            return False
        return (self.role in HOST_ROLES or self.role == MODERATOR) and self.may_enter(room, merchant)


@dataclass(frozen=True, slots=True)
class PlayPass:
    """What a good token says of who watches: ``token`` is a play token's id, empty for one of a person.

    ``staff`` is not subject to a room's revocations: whoever revokes goes on watching.
    """

    token: str
    person: str
    merchant: str
    room: str | None
    issued_ms: int
    expires_ms: int
    staff: bool = False
    scope: Scope | None = None

    def may_enter(self, room: str, merchant: str) -> bool:
        """Whether it is good for ``room`` of ``merchant``."""
        if self.scope is not None and not self.scope.may_enter(room):
            return False
        return self.merchant == merchant and (self.room is None or self.room == room)


class Tokens:
    """Mint and check tokens with one key."""

    def __init__(
        self,
        key: bytes,
        *,
        ttl_s: int,
        clock: Clock,
        now_person: Callable[[str], str] = str,
        scope_of: Callable[[str, str], Scope | None] = lambda merchant, staff: None,
        appointed: Callable[[str, str, str], str] = lambda merchant, room, person: "",
    ) -> None:
        """``now_person`` says who goes on for a bearer who was found to be somebody known.

        ``scope_of`` says what an account of a merchant reaches, None when it has no seat in an organisation;
        ``appointed`` what somebody was made in a room of a merchant, empty when nothing.
        """
        self.appointed = appointed
        self._now_person = now_person
        self._scope_of = scope_of
        self._key = key
        self._ttl_s = ttl_s
        self._clock = clock

    def mint(
        self,
        *,
        person: str,
        name: str,
        role: str,
        merchant: str,
        room: str | None,
        scene: str | None = None,
        known: bool = False,
        device: str | None = None,
    ) -> tuple[str, int]:
        """A token and the Unix time in ms at which it ends; of ``device`` it holds a name that tells nothing."""
        now_ms = self._clock()
        now_s = now_ms // 1000
        body = {
            "aud": AUDIENCE,
            "sub": person,
            "nam": name,
            "rol": role,
            "mer": merchant,
            # To the millisecond (RFC 7519 section 2 allows it): what is revoked before now is compared with it.
            "iat": now_ms / 1000,
            "exp": now_s + self._ttl_s,
        }
        if room is not None:
            body["roo"] = room
        if scene is not None:
            body["sce"] = scene
        if known:
            body["kno"] = True
        if device:
            digest = hmac.new(self._key, b"device\0" + merchant.encode() + b"\0" + device.encode(), sha256)
            body["dev"] = digest.hexdigest()[:DEVICE_CHARACTERS]
        return jwt.encode(body, self._key, algorithm="HS256"), (now_s + self._ttl_s) * 1000

    def mint_play(self, *, token: str, merchant: str, room: str, expires_ms: int) -> str:
        """A token that plays ``room`` and opens nothing else; ``token`` is its id, by which it can be revoked."""
        body = {
            "aud": PLAY_AUDIENCE,
            "jti": token,
            "mer": merchant,
            "roo": room,
            "iat": self._clock() / 1000,
            "exp": expires_ms // 1000,
        }
        return jwt.encode(body, self._key, algorithm="HS256")

    def read(self, token: str) -> Claims:
        """The claims of ``token``. Raises ``TokenError``."""
        body = self._decode(token, (AUDIENCE,))
        try:
            claims = _claims(body)
        except (KeyError, TypeError, ValueError) as error:
            raise TokenError(NOT_OURS) from error
        if claims.account:
            return self.seated(claims)
        now_person = self._now_person(claims.person)
        return claims if now_person == claims.person else replace(claims, person=now_person)

    def seated(self, claims: Claims) -> Claims:
        """Staff with what their seat reaches now, whatever it was when they signed in. Raises ``TokenError``."""
        scope = self._scope_of(claims.merchant, claims.person)
        if scope is None:
            return claims
        if scope.gone:
            raise TokenError(LEFT, revoked=True)
        return replace(claims, role=scope.right.door, room=None, scope=scope)

    def read_play(self, token: str) -> PlayPass:
        """Who watches with ``token``: a play token's bearer, or a person. Raises ``TokenError``."""
        body = self._decode(token, (AUDIENCE, PLAY_AUDIENCE))
        try:
            if body["aud"] == PLAY_AUDIENCE:
                return PlayPass(
                    token=str(body["jti"]),
                    person="",
                    merchant=str(body["mer"]),
                    room=str(body["roo"]),
                    issued_ms=_ms(body["iat"]),
                    expires_ms=_ms(body["exp"]),
                )
            claims = _claims(body)
        except (KeyError, TypeError, ValueError) as error:
            raise TokenError(NOT_OURS) from error
        if claims.account:
            claims = self.seated(claims)
        times = (claims.issued_ms, claims.expires_ms)
        return PlayPass("", claims.person, claims.merchant, claims.room, *times, claims.account, claims.scope)

    def _decode(self, token: str, audiences: tuple[str, ...]) -> dict[str, Any]:
        """The body of a token that is ours and has not expired. Raises ``TokenError``."""
        if not token:
            raise TokenError("a token is missing: send it as 'Authorization: Bearer …' or ?token=")
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise TokenError(NOT_OURS)
        try:
            body = self._own_body(token, audiences)
            if body is None:
                # The expiry is compared with our own clock below: PyJWT would read the system's.
                options = {"verify_exp": False, "verify_iat": False}
                body = jwt.decode(
                    token,
                    self._key,
                    algorithms=["HS256"],
                    audience=audiences,
                    options=options,  # type: ignore[arg-type]
                )
            expires_ms = _ms(body["exp"])
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
            raise TokenError(NOT_OURS) from error
        if expires_ms <= self._clock():
            raise TokenError(EXPIRED, expired=True)
        return body

    def _own_body(self, token: str, audiences: tuple[str, ...]) -> dict[str, Any] | None:
        """The body of a token exactly as `mint` writes it (RFC 7515 section 5.2); None leaves it to PyJWT to judge.

        PyJWT takes 38 µs for it, a seventh of a join, as it looks at each character of any token there may be.
        """
        signed, _, signature = token.encode().rpartition(b".")
        head, _, payload = signed.partition(b".")
        if head != _OWN_HEAD:
            return None
        made = urlsafe_b64encode(hmac.digest(self._key, signed, "sha256")).rstrip(b"=")
        if not hmac.compare_digest(made, signature):
            return None
        body: dict[str, Any] = orjson.loads(urlsafe_b64decode(payload + b"=="))
        return body if body["aud"] in audiences else None


_OWN_HEAD = jwt.encode({}, bytes(32), algorithm="HS256").partition(".")[0].encode()
"""What every token of ours begins with."""


def _claims(body: dict[str, Any]) -> Claims:
    """Raises ``KeyError``, ``TypeError``, ``ValueError``."""
    return Claims(
        person=str(body["sub"]),
        name=str(body["nam"]),
        role=str(body["rol"]),
        merchant=str(body["mer"]),
        room=body.get("roo"),
        expires_ms=_ms(body["exp"]),
        scene=body.get("sce"),
        known=body.get("kno") is True,
        issued_ms=_ms(body["iat"]),
        device=str(body.get("dev", "")),
    )


def _ms(seconds: Any) -> int:
    """Unix milliseconds of a NumericDate (RFC 7519 section 2). Raises ``TypeError``, ``ValueError``."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e12:
        raise ValueError("this is no time")
    return round(seconds * 1000)
