"""The command ``siyu``: serve, demo, seed, audit, replay, reconcile, migrate, backup, restore and bench."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from commerce.errors import StoreError
from gateway.config import VERSION, Settings, SettingsError, add_arguments, os_error_text, read_settings
from gateway.secrets import SecretError

DATABASE = ("data", "database_url")
SHOPPERS_MAX = 500
"""Simulated shoppers of a demo: they share the machine with the server."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of every sub-command."""
    parser = argparse.ArgumentParser(prog="siyu", description="Private-traffic live commerce in one program.")
    parser.add_argument("--version", action="version", version=f"siyu-live {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the server")
    add_arguments(serve)

    demo = commands.add_parser("demo", help="server, seeded shop, synthetic host and shoppers on this machine")
    add_arguments(demo, ("host", "http_port", "rtmp_port", "data", "log_level", "record"))
    demo.add_argument("--shoppers", type=_shoppers, default=12, help="simulated shoppers, 0 to 500 (default 12)")
    demo.add_argument("--seconds", type=_seconds, default=None, help="stop after this long (default: until Ctrl-C)")

    seed = commands.add_parser("seed", help="a merchant, products, a coupon, a flash sale and a room to try")
    add_arguments(seed, ("host", "http_port", "rtmp_port", "data", "database_url", "public_url"))
    seed.add_argument("--json", action="store_true", help="print ids, keys and tokens as JSON for scripts")

    audit = commands.add_parser("audit", help="check every ledger invariant; exit 1 if one is broken")
    add_arguments(audit, DATABASE)
    audit.add_argument("--json", action="store_true", help="print the findings as JSON")

    replay = commands.add_parser(
        "replay", help="rebuild every balance from its entries and compare; exit 1 if one differs"
    )
    add_arguments(replay, DATABASE)
    replay.add_argument("--json", action="store_true", help="print the findings as JSON")

    reconcile = commands.add_parser("reconcile", help="payment providers' files of a day against the books")
    add_arguments(reconcile, DATABASE)
    reconcile.add_argument("--day", default=None, help="YYYY-MM-DD in Asia/Shanghai (default: yesterday)")
    reconcile.add_argument("--csv", action="store_true", help="print the reports as CSV")
    reconcile.add_argument("--file", default=None, metavar="NAME", help="print a provider's file as it came instead")

    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    add_arguments(migrate, DATABASE)

    backup = commands.add_parser("backup", help="copy the database of a running or stopped server into FILE")
    add_arguments(backup, DATABASE)
    backup.add_argument("file", type=Path, metavar="FILE")
    backup.add_argument("--media", action="store_true", help="copy shows and clips into FILE.media as well")

    restore = commands.add_parser("restore", help="put a backup into an empty data folder or PostgreSQL database")
    add_arguments(restore, DATABASE)
    restore.add_argument("file", type=Path, metavar="FILE")

    bench = commands.add_parser("bench", help="measure, each figure beside its baseline in the same run")
    bench.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="fanout, rss, joins, holds, orders, touches, board, flv, rtmp, whep, delay (default: all)",
    )
    bench.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


def _shoppers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= SHOPPERS_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {SHOPPERS_MAX}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        if arguments.command == "bench":
            from gateway.bench.run import run_benchmarks

            code = run_benchmarks(arguments.names, as_json=arguments.json)
        else:
            code = _run(arguments, read_settings(arguments))
        sys.stdout.flush()
        return code
    except (SettingsError, SecretError, StoreError) as error:
        print(f"siyu {arguments.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output has enough (`siyu audit | head`); what is still buffered must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        print(f"siyu {arguments.command}: {os_error_text(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run_workers(settings: Settings) -> int:
    """The supervisor of several processes; what can be refused is refused before the first is started."""
    from gateway.clock import system_clock
    from gateway.config import refuse_unavailable, tls_context
    from gateway.secrets import open_secrets
    from gateway.workers.supervisor import run_workers

    refuse_unavailable(settings)
    tls_context(settings)
    if settings.origin is None:
        # Made here if need be: of several workers that make it at once, one would read it half written.
        open_secrets(settings.data)

    def say(lines: list[str]) -> None:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    try:
        return run_workers(settings, clock=system_clock, say=say)
    except OSError as error:
        sys.stderr.write(f"siyu: {os_error_text(error)}\n")
        return 1


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Commands that have settings. Imports stand here: ``siyu audit`` need not load a video codec."""
    command = arguments.command
    if command == "serve":
        from gateway.logs import configure_logging
        from gateway.server import run
        from gateway.welcome import print_addresses

        configure_logging(settings.log_level)
        if settings.workers > 1:
            return _run_workers(settings)
        return run(settings, ready=print_addresses)
    if command == "demo":
        from gateway.demo import run_demo

        if arguments.record is None and "SIYU_RECORD" not in os.environ:
            # A demo shows all there is, and its folder goes with it.
            settings = replace(settings, record=True)
        level = settings.log_level if "SIYU_LOG_LEVEL" in os.environ or arguments.log_level else "warning"
        kept = arguments.data is not None or "SIYU_DATA" in os.environ
        return run_demo(settings, shoppers=arguments.shoppers, seconds=arguments.seconds, log_level=level, kept=kept)
    from commerce.store_sql import told

    with told(settings.data):
        return _care(arguments, settings)


def _care(arguments: argparse.Namespace, settings: Settings) -> int:
    """Commands that put a shop into the database, look after it, or carry it elsewhere."""
    command = arguments.command
    if command == "seed":
        from gateway.seed import run_seed

        return run_seed(settings, as_json=arguments.json)
    if command == "audit":
        from gateway.upkeep import run_audit

        return run_audit(settings.database, as_json=arguments.json)
    if command == "replay":
        from gateway.upkeep import run_replay

        return run_replay(settings.database, as_json=arguments.json)
    if command == "reconcile":
        from gateway.upkeep import run_reconcile

        return run_reconcile(settings.database, arguments.day, as_csv=arguments.csv, file=arguments.file)
    from gateway.upkeep import run_backup, run_migrate, run_restore

    if command == "migrate":
        return run_migrate(settings)
    if command == "backup":
        return run_backup(settings, arguments.file, media=arguments.media)
    return run_restore(settings, arguments.file)
