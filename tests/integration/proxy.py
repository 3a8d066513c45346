"""deploy/nginx.conf in front of a server, with the certificate and the ports of a test."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.certificates import make_certificate
from tests.harness import LiveServer, free_port

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"
WHERE = "/usr/sbin:/usr/local/sbin:/usr/bin:/bin:/usr/local/bin"
START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Proxy:
    """A running nginx."""

    server: LiveServer
    plain: str
    secure: str
    certificate: Path
    folder: Path

    @property
    def trust(self) -> ssl.SSLContext:
        """What a client believes who knows the test's certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def access_log(self) -> str:
        return (self.folder / "access.log").read_text()


def need_nginx() -> str:
    """Where nginx is; without it the test is skipped, in CI it fails."""
    path = shutil.which("nginx", path=WHERE)
    if path is not None:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail("nginx is not installed, and CI must not skip what needs it")
    pytest.skip("nginx is not installed")


def write_configuration(folder: Path, gateway_port: int, plain_port: int, secure_port: int) -> Path:
    """The files of deploy/ with the addresses and paths of this machine, and nothing else changed."""
    tls = folder / "tls"
    make_certificate(tls)
    changes = {
        "gateway:8000": f"127.0.0.1:{gateway_port}",
        "listen 80;": f"listen 127.0.0.1:{plain_port};",
        "listen 443 ": f"listen 127.0.0.1:{secure_port} ",
        "/etc/nginx/tls/": f"{tls}/",
        "/tmp/nginx.pid": f"{folder}/nginx.pid",
        "/dev/stderr": f"{folder}/error.log",
        "/dev/stdout": f"{folder}/access.log",
    }
    for source, target in (("nginx.conf", folder / "nginx.conf"), ("nginx-tls.conf", tls / "listen.conf")):
        text = (DEPLOY / source).read_text("utf-8")
        for old, new in changes.items():
            text = text.replace(old, new)
        if source == "nginx.conf":
            # Where a package's nginx keeps bodies belongs to its own user.
            paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
            text = re.sub(r"^http \{", f"http {{ {paths}", text, flags=re.MULTILINE)
            if os.geteuid() == 0:
                text = "user root;\n" + text
        target.write_text(text, "utf-8")
    return folder / "nginx.conf"


TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextlib.contextmanager
def in_front_of(server: LiveServer, folder: Path) -> Iterator[Proxy]:
    """nginx with the repository's configuration until the block ends."""
    program = need_nginx()
    plain_port, secure_port = free_port(), free_port()
    configuration = write_configuration(folder, server.http_port, plain_port, secure_port)
    command = [program, "-p", str(folder), "-c", str(configuration), "-g", "daemon off;"]
    with (folder / "nginx.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    plain, secure = f"http://127.0.0.1:{plain_port}", f"https://127.0.0.1:{secure_port}"
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            assert process.poll() is None, (folder / "nginx.out").read_text()
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{plain}/healthz", timeout=5).status_code == 200:
                    break
            assert time.monotonic() < deadline, (folder / "nginx.out").read_text()
            time.sleep(0.05)
        yield Proxy(server, plain, secure, folder / "tls" / "cert.pem", folder)
    finally:
        process.terminate()
        process.wait(20)
