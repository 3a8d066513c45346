"""What the stand-ins of payment providers share: keys, a real HTTP server on loopback, and scripted failures."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import cache

import uvicorn
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from starlette.applications import Starlette


@cache
def key(name: str) -> RSAPrivateKey:
    """A key by its name: making one takes a while."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def signed(private: RSAPrivateKey, text: bytes) -> str:
    """As both providers sign, made here without the code under test."""
    return base64.b64encode(private.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def is_signed(public: RSAPublicKey, text: bytes, signature: str) -> bool:
    """Whether a request of ours is signed as the documents say."""
    try:
        public.verify(base64.b64decode(signature), text, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


@contextlib.asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """Serve an application on a port of loopback; its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listening.close()
