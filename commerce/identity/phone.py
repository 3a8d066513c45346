"""Phone numbers: read as E.164 (ITU-T E.164), sealed for keeping, hashed with a key for finding, masked for showing.

+8613800138022  ─ digest ─▶  HMAC-SHA256(key, merchant ∥ number)       finds the person, says nothing without the key
                ─ seal ───▶  nonce (12) ∥ AES-256-GCM, in base64       opened only for who may see it, and logged
                ─ masked ─▶  138****0022
"""

import base64
import binascii
import hashlib
import hmac
import os

import phonenumbers
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from commerce.errors import Invalid

REGION = "CN"
"""Where a number without a country code is from."""
PHONE_CHARACTERS_MAX = 32
"""E.164 has 15 digits; the rest is what people write between them."""
_NONCE_BYTES = 12
_SHOWN_AHEAD, _SHOWN_BEHIND = 3, 4


def read_phone(text: str, region: str = REGION) -> str:
    """Give a number as E.164 (``+8613800138022``). Raises ``Invalid`` for what cannot be a number of its country."""
    if not isinstance(text, str) or not 0 < len(text.strip()) <= PHONE_CHARACTERS_MAX:
        raise Invalid("a phone number is missing or too long", field="phone")
    try:
        number = phonenumbers.parse(text.strip(), region)
    except phonenumbers.NumberParseException as error:
        raise Invalid(
            "this is no phone number; write one of another country with + and its code", field="phone"
        ) from error
    if number.extension or not phonenumbers.is_valid_number(number):
        raise Invalid("there is no such phone number in its country", field="phone")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def masked(e164: str) -> str:
    """Show a number without its middle: ``138****0022``, one of another country as ``+65 8****4567``."""
    number = phonenumbers.parse(e164)
    digits = phonenumbers.national_significant_number(number)
    # A short number shows less of itself, so that something is always hidden.
    ahead = min(_SHOWN_AHEAD, len(digits) // 4)
    behind = min(_SHOWN_BEHIND, len(digits) // 3)
    if number.country_code == 86 and len(digits) == 11:
        ahead, behind = _SHOWN_AHEAD, _SHOWN_BEHIND
    hidden = f"{digits[:ahead]}****{digits[len(digits) - behind :]}"
    return hidden if number.country_code == 86 else f"+{number.country_code} {hidden}"


class Vault:
    """Seals short secrets (phone numbers, an app's secret) under one 32-byte key; ``bound`` ties them to their row."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(key, b"seal", hashlib.sha256))
        self._index = hmac.digest(key, b"index", hashlib.sha256)

    def digest(self, merchant: str, e164: str) -> str:
        """Give the keyed hash of a merchant's number, 64 hex digits: two merchants' lists cannot be compared."""
        return hmac.digest(self._index, f"{merchant}\x00{e164}".encode(), hashlib.sha256).hex()

    def seal_phone(self, merchant: str, e164: str) -> str:
        """Encrypt a merchant's number."""
        return self.seal(e164, f"phone/{merchant}")

    def open_phone(self, merchant: str, sealed: str) -> str:
        """Decrypt a merchant's number. Raises ``Invalid``."""
        return self.open(sealed, f"phone/{merchant}")

    def seal(self, plain: str, bound: str) -> str:
        """Encrypt; what is sealed opens only with the same ``bound``."""
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, plain.encode(), bound.encode())).decode()

    def open(self, sealed: str, bound: str) -> str:
        """Decrypt. Raises ``Invalid`` when the secret is another one, or the text is another row's."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise Invalid("this cannot be opened with the server's secret: restore secret.key of this shop") from error
