"""Certificates of the tests' own, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.outside import need

LOOPBACK = "DNS:localhost,IP:127.0.0.1"
OTHER = "DNS:live.example.com"


def make_certificate(folder: Path, names: str = LOOPBACK) -> tuple[Path, Path]:
    """A certificate for ``names`` that its own key has signed, and the key; both PEM files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ("-subj", "/CN=localhost", "-addext", f"subjectAltName={names}")
    command = (need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject)
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True, timeout=180)
    return cert, key
