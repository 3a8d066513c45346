"""Who is asking: JSON Web Tokens (RFC 7519, HS256) for viewers and staff, made and checked in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jwt

AUDIENCE = "siyu"
TOKEN_CHARACTERS_MAX = 2_048
STAFF_ROLES = frozenset({"merchant", "host", "guide", "assistant"})
HOST_ROLES = frozenset({"merchant", "host", "assistant"})

Clock = Callable[[], int]


class TokenError(Exception):
    """A token that does not open the door; ``expired`` tells the client to get a new one."""

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


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

    @property
    def staff(self) -> bool:
        return self.role in STAFF_ROLES

    def may_enter(self, room: str, merchant: str) -> bool:
        """Whether the bearer belongs into ``room`` of ``merchant``."""
        return self.merchant == merchant and (self.room is None or self.room == room)

    def may_run(self, room: str, merchant: str) -> bool:
        """Whether the bearer may pin, drop and sell in ``room``."""
        return self.role in HOST_ROLES and self.may_enter(room, merchant)


class Tokens:
    """Mint and check tokens with one key."""

    def __init__(self, key: bytes, *, ttl_s: int, clock: Clock) -> None:
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
    ) -> tuple[str, int]:
        """A token and the Unix time in ms at which it ends."""
        now_s = self._clock() // 1000
        body = {
            "aud": AUDIENCE,
            "sub": person,
            "nam": name,
            "rol": role,
            "mer": merchant,
            "iat": now_s,
            "exp": now_s + self._ttl_s,
        }
        if room is not None:
            body["roo"] = room
        if scene is not None:
            body["sce"] = scene
        if known:
            body["kno"] = True
        return jwt.encode(body, self._key, algorithm="HS256"), (now_s + self._ttl_s) * 1000

    def read(self, token: str) -> Claims:
        """The claims of ``token``. Raises ``TokenError``."""
        if not token:
            raise TokenError("a token is missing: send it as 'Authorization: Bearer …' or ?token=")
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise TokenError("this is not one of our tokens")
        try:
            # The expiry is compared with our own clock below: PyJWT would read the system's.
            options = {"verify_exp": False, "verify_iat": False}
            body = jwt.decode(token, self._key, algorithms=["HS256"], audience=AUDIENCE, options=options)  # type: ignore[arg-type]
            claims = Claims(
                person=str(body["sub"]),
                name=str(body["nam"]),
                role=str(body["rol"]),
                merchant=str(body["mer"]),
                room=body.get("roo"),
                expires_ms=int(body["exp"]) * 1000,
                scene=body.get("sce"),
                known=body.get("kno") is True,
            )
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
            raise TokenError("this is not one of our tokens") from error
        if claims.expires_ms <= self._clock():
            raise TokenError("this token has expired: sign in again", expired=True)
        return claims
