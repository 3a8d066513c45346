"""The files that put the server into the world: container image, compose file, nginx configuration."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")
NGINX = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
SECRETS = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE)["services"][name]
    return found


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
    return found


def stage(name: str) -> list[str]:
    """Return the instructions of one stage of the Dockerfile, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    start = next(i for i, line in enumerate(lines) if re.fullmatch(rf"FROM .* AS {name}", line))
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("FROM ")), len(lines))
    return lines[start:end]


def instruction(name: str, word: str) -> str:
    return next(line.removeprefix(word).strip() for line in stage(name) if line.startswith(word + " "))


def location(path: str) -> str:
    """Return the body of one location of the nginx configuration."""
    found = re.search(rf"location {re.escape(path)} {{(.*?)\n        }}", NGINX, re.DOTALL)
    assert found, path
    return found[1]


def test_compose_runs_the_gateway_nginx_postgresql_redis_and_locust() -> None:
    assert set(services()) == {"gateway", "nginx", "postgres", "redis", "locust"}
    assert service("postgres")["image"] == "postgres:15"
    assert service("redis")["image"] == "redis:7"


def test_a_plain_compose_up_needs_neither_postgresql_nor_redis() -> None:
    assert [name for name, about in services().items() if "profiles" not in about] == ["gateway", "nginx"]
    assert service("postgres")["profiles"] == service("redis")["profiles"] == ["scale"]
    assert service("locust")["profiles"] == ["load"]


def test_every_service_says_how_it_is() -> None:
    for name, about in services().items():
        check = about["healthcheck"]
        assert check["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert {"interval", "timeout", "retries"} <= check.keys(), name


def test_the_gateway_publishes_rtmp_and_webrtc_and_leaves_http_to_nginx() -> None:
    assert service("gateway")["ports"] == ["1935:1935", "8189:8189/udp", "8189:8189"]
    assert service("nginx")["ports"] == ["80:80"]
    assert "ports" not in service("postgres")
    assert "ports" not in service("redis")


def test_the_gateway_listens_on_every_address_of_its_container() -> None:
    command = service("gateway")["command"]
    assert command[:3] == ["serve", "--host", "0.0.0.0"]


def test_the_gateway_believes_forwarded_addresses_only_from_its_own_network() -> None:
    command = service("gateway")["command"]
    subnet = yaml.safe_load(COMPOSE)["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert command[command.index("--forwarded-allow-ips") + 1] == subnet


def test_the_gateway_is_given_longer_than_its_drain_to_stop() -> None:
    assert int(service("gateway")["stop_grace_period"].removesuffix("s")) > 30


def test_every_secret_comes_from_the_environment_and_has_no_default() -> None:
    given = {
        name: value
        for about in services().values()
        for name, value in about.get("environment", {}).items()
        if re.search(r"SECRET|PASSWORD|KEY|TOKEN|_URL", name)
    }
    assert given.keys() >= SECRETS
    assert {name: value for name, value in given.items() if value is not None} == {}
    assert not re.search(r"\$\{\w+:?[-=+]", COMPOSE)


def test_a_plain_compose_up_asks_for_no_variable() -> None:
    assert re.findall(r"(?<!\$)\$[{\w]", COMPOSE) == []


def test_redis_does_not_start_without_its_password() -> None:
    shell, option, script = service("redis")["command"]
    assert (shell, option) == ("sh", "-c")
    unset = subprocess.run(
        ["/bin/sh", "-c", script.replace("$$", "$").replace("/tmp/redis.conf", "/dev/null")],
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert unset.returncode != 0
    assert "REDIS_PASSWORD" in unset.stderr


def test_no_service_gains_privileges_or_runs_as_root_of_the_host() -> None:
    assert not any(about.get("privileged") or about.get("network_mode") for about in services().values())
    assert service("gateway")["cap_drop"] == ["ALL"]
    assert service("gateway")["read_only"] is True


def test_compose_mounts_only_files_that_exist() -> None:
    mounts = [mount for about in services().values() for mount in about.get("volumes", []) if mount.startswith("./")]
    assert mounts
    assert [mount for mount in mounts if not (ROOT / mount.split(":")[0]).is_file()] == []


def test_the_image_runs_as_a_user_who_owns_only_its_data() -> None:
    server = stage("server")
    assert server[0].startswith("FROM python:3.11-slim ")
    assert instruction("server", "USER") == "10001"
    assert instruction("server", "VOLUME") == "/data"
    assert any("install -d -o siyu -g siyu /data" in line for line in server)


def test_the_image_s_last_stage_is_the_server() -> None:
    assert re.findall(r"^FROM .* AS (\w[\w-]*)$", DOCKERFILE, re.MULTILINE)[-1] == "server"


def test_the_image_starts_without_a_shell_so_that_sigterm_arrives() -> None:
    assert json.loads(instruction("server", "ENTRYPOINT")) == ["siyu"]
    assert json.loads(instruction("server", "CMD"))[0] == "serve"
    assert json.loads(instruction("load", "ENTRYPOINT"))[0].endswith("/locust")


def test_the_image_asks_itself_how_it_is_without_curl() -> None:
    check = instruction("server", "HEALTHCHECK")
    command = json.loads(check[check.index("CMD ") + 4 :])
    assert command[:2] == ["python", "-c"]
    assert "/healthz" in command[2]
    compile(command[2], "HEALTHCHECK", "exec")
    assert service("gateway")["healthcheck"]["test"][1:] == command


def test_the_image_holds_every_package_and_pins_what_it_installs() -> None:
    build = stage("build")
    for package in ("stream", "chat", "commerce", "gateway", "loadtest"):
        assert f"COPY {package} {package}" in build
    installs = [line for line in build + stage("load-build") if "pip install" in line]
    assert len(installs) == 2
    assert all("-c constraints.txt" in line for line in installs)


def test_the_build_sees_nothing_but_what_it_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").split()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = [line.split()[1:-1] for line in stage("build") + stage("load") if re.match(r"COPY (?!--from)", line)]
    assert lines[0] == "*"
    assert {name for names in copied for name in names} == allowed
    assert [name for name in allowed if not (ROOT / name).exists()] == []


def test_https_is_one_more_compose_file_and_a_certificate() -> None:
    overlay = yaml.safe_load((ROOT / "deploy" / "compose-tls.yml").read_text("utf-8"))["services"]
    assert set(overlay) == {"nginx"}
    assert overlay["nginx"]["ports"] == ["443:443"]
    targets = {mount.split(":")[1] for mount in overlay["nginx"]["volumes"]}
    assert targets == {f"/etc/nginx/tls/{name}" for name in ("listen.conf", "cert.pem", "key.pem")}
    tls = (ROOT / "deploy" / "nginx-tls.conf").read_text("utf-8")
    assert set(re.findall(r"/etc/nginx/tls/[\w.]+", tls)) < targets
    assert "include /etc/nginx/tls/*.conf;" in NGINX


def test_nginx_hands_live_media_on_as_it_comes() -> None:
    media = location(r"~ ^/live/[^/]+\.(flv|mp4)$")
    for line in ("proxy_buffering off;", "proxy_max_temp_file_size 0;", "proxy_read_timeout 1h;", "gzip off;"):
        assert line in media


@pytest.mark.parametrize("path", ["/live/6f3k.flv", "/live/6f3k.mp4"])
def test_nginx_s_pattern_for_live_media_fits_its_addresses(path: str) -> None:
    pattern = re.search(r"location ~ (\^/live/\S+)", NGINX)
    assert pattern
    assert re.search(pattern[1], path)
    assert not re.search(pattern[1], "/live/6f3k/index.m3u8")


def test_nginx_upgrades_web_sockets_and_leaves_closing_them_to_the_gateway() -> None:
    assert "proxy_set_header Upgrade $http_upgrade;" in NGINX
    assert "proxy_set_header Connection $connection_header;" in NGINX
    assert "proxy_read_timeout 1h;" in location("/ws/")
    # A location with a proxy_set_header of its own would lose those of the server.
    assert not re.search(r"location [^}]*proxy_set_header", NGINX)


def test_nginx_writes_no_query_string_to_its_log() -> None:
    found = re.search(r"log_format plain '(.*)';", NGINX)
    assert found
    assert not re.search(r"\$(request|request_uri|args|query_string|http_referer)\b", found[1])
    assert "error_log /dev/stderr crit;" in NGINX


def test_nginx_keeps_the_metrics_inside() -> None:
    assert "return 404;" in location("= /metrics")


def test_nginx_replaces_a_forwarded_address_that_the_client_made_up() -> None:
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in NGINX


def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin:/usr/local/bin")
    if nginx is None:
        pytest.skip("nginx is not installed, so its own check of deploy/nginx.conf is not run")
    # The name of the gateway is known only inside compose, and the port and the log are not ours to take here.
    local = NGINX.replace("gateway:8000", "127.0.0.1:8000").replace("listen 80;", "listen 127.0.0.1:18080;")
    local = re.sub(r"/tmp/nginx\.pid|/dev/std(?:err|out)", lambda m: str(tmp_path / m[0].replace("/", "_")), local)
    config = tmp_path / "nginx.conf"
    config.write_text(local)
    command = [nginx, "-t", "-p", str(tmp_path), "-c", str(config)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert run.returncode == 0, run.stderr
