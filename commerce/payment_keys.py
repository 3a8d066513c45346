"""RSA with SHA-256 and AES-256-GCM as WeChat Pay and Alipay use them, over ``cryptography``.

Both sign with RSASSA-PKCS1-v1_5 over SHA-256 and write signatures in base64; Alipay calls it RSA2.
"""

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from commerce.errors import Refused

RSA_BITS_MIN = 2048


class KeyFault(ValueError):
    """A key or certificate cannot be used; the text says which and why."""


def _pem(text: str, kind: str) -> bytes:
    """PEM as it is, or the bare base64 that Alipay's console gives, with its frame."""
    if "-----BEGIN" in text:
        return text.encode()
    body = "".join(text.split())
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n".encode()


def private_key(text: str) -> RSAPrivateKey:
    """An RSA key of ours: PEM, or base64 of PKCS#8 or PKCS#1. Raises KeyFault."""
    for kind in ("PRIVATE KEY", "RSA PRIVATE KEY"):
        try:
            key = serialization.load_pem_private_key(_pem(text, kind), None)
        except (ValueError, TypeError):
            continue
        if isinstance(key, RSAPrivateKey) and key.key_size >= RSA_BITS_MIN:
            return key
        raise KeyFault(f"the private key must be RSA with at least {RSA_BITS_MIN} bits")
    raise KeyFault("the private key is neither PEM nor base64 of one without a password")


def public_key(text: str) -> RSAPublicKey:
    """A provider's RSA key: PEM, bare base64, or a certificate. Raises KeyFault."""
    try:
        if "BEGIN CERTIFICATE" in text:
            key = x509.load_pem_x509_certificate(text.encode()).public_key()
        else:
            key = serialization.load_pem_public_key(_pem(text, "PUBLIC KEY"))  # type: ignore[assignment]
    except ValueError as error:
        raise KeyFault("the public key is neither PEM, base64 of one, nor a certificate") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise KeyFault(f"the public key must be RSA with at least {RSA_BITS_MIN} bits")
    return key


def sign(key: RSAPrivateKey, text: bytes) -> str:
    """Base64 of the RSA-SHA256 signature."""
    return base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def verify(key: RSAPublicKey, text: bytes, signature: str) -> None:
    """Raise Refused (bad_signature) unless ``signature`` is of ``text``."""
    try:
        key.verify(base64.b64decode(signature, validate=True), text, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise Refused("bad_signature", "the message is not signed by the payment provider") from error


def open_sealed(key: bytes, nonce: str, sealed: str, associated: str) -> bytes:
    """What AEAD_AES_256_GCM sealed (RFC 5116; the tag is the last 16 bytes). Raises Refused (bad_signature)."""
    try:
        return AESGCM(key).decrypt(nonce.encode(), base64.b64decode(sealed, validate=True), associated.encode())
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise Refused("bad_signature", "the message is not sealed with this account's APIv3 key") from error
