"""What Locust loads: users, shape, options. ``make load`` runs it against a server of its own (docs/load.md).

By hand: ``locust -f loadtest/locustfile.py --host http://127.0.0.1:8000 --siyu-seed seed.json``.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest.options import (
    ALLOW_HOST,
    HOST_TOKEN,
    OPTIONS,
    REPORT,
    ROOM,
    SEED,
    Option,
    OptionsError,
    check_host,
    read_target,
)
from loadtest.shape import Show, set_scale
from loadtest.tally import Row, Tally, table
from loadtest.users import Chatter, CouponCatcher, Host, Rusher, Viewer, Visitor
from loadtest.verdict import Check, judge_seen, verdict

__all__ = ["Chatter", "CouponCatcher", "Host", "Rusher", "Show", "Viewer"]

BAD_USAGE = 2
TALLY_FIELD = "siyu_tally"
JUDGE_TIMEOUT_S = 15.0
"""For the room's view at the end, when the server has nothing else to do."""


class Broken(AssertionError):
    """A question of the verdict whose answer is no; the text has its figures."""


def _destination(option: Option) -> str:
    return option.flag.removeprefix("--").replace("-", "_")


def _add_options(parser: LocustArgumentParser) -> None:
    for option in OPTIONS:
        parser.add_argument(
            option.flag,
            env_var=option.variable,
            default="",
            help=option.text,
            include_in_web_ui=False,
            is_secret=option is HOST_TOKEN,
        )


def _prepare(environment: Environment, **_: Any) -> None:
    """Check host and target before the first user exists; Locust would only log what a listener raises."""
    options = environment.parsed_options
    assert options is not None

    def given(option: Option) -> str:
        return str(getattr(options, _destination(option)) or "")

    try:
        environment.host = check_host(environment.host, given(ALLOW_HOST))
        target = read_target(given(SEED), given(ROOM), given(HOST_TOKEN))
    except OptionsError as error:
        sys.stderr.write(f"loadtest: {error}\n")
        sys.exit(BAD_USAGE)
    Visitor.target = Host.target = target
    for kind in (Viewer, Chatter, CouponCatcher, Rusher, Host):
        kind.host = environment.host
    if isinstance(environment.runner, MasterRunner):
        events.quit.add_listener(partial(_report, environment))  # type: ignore[no-untyped-call]


def _begin(environment: Environment, **_: Any) -> None:
    Visitor.tally.clear()
    environment.process_exit_code = None
    if not isinstance(environment.runner, WorkerRunner):
        set_scale(environment.parsed_options)


def _send_tally(client_id: str, data: dict[str, Any]) -> None:
    data[TALLY_FIELD] = dict(Visitor.tally)
    Visitor.tally.clear()


def _add_tally(client_id: str, data: dict[str, Any]) -> None:
    Visitor.tally.update(data.get(TALLY_FIELD, {}))


def rows(environment: Environment) -> list[Row]:
    """Our times from Locust's own statistics."""
    entries = sorted(environment.stats.entries.values(), key=lambda entry: (entry.method, entry.name))
    made = []
    for entry in entries:
        timed = entry.num_requests - entry.num_none_requests > 0
        quantiles = [entry.get_response_time_percentile(part) if timed else None for part in (0.5, 0.95, 0.99)]
        made.append(Row(f"{entry.method} {entry.name}", entry.num_requests, *quantiles))
    return made


def _end(environment: Environment, **_: Any) -> None:
    """Report, unless the show was refused before anybody came; a worker leaves that to its master, and a master waits
    for what its workers send last."""
    if not isinstance(environment.runner, MasterRunner | WorkerRunner) and Visitor.tally:
        _report(environment)


def _report(environment: Environment, **_: Any) -> None:
    """Print our table and write the counts."""
    seconds = time.time() - environment.stats.total.start_time
    tally = Tally(Visitor.tally)
    print(table(tally, rows(environment), seconds), flush=True)
    options = environment.parsed_options
    file = str(getattr(options, _destination(REPORT), "") or "")
    if not file:
        _judge(environment, tally)
    else:
        total = environment.stats.total
        body = {
            "seconds": seconds,
            "requests": total.num_requests,
            "failures": total.num_failures,
            "tally": dict(tally),
        }
        Path(file).write_text(json.dumps(body), "utf-8")


def _judge(environment: Environment, tally: Tally) -> None:
    """Was anything oversold? Told in the terminal, in a row a question of Locust's page, and by the exit code.

    ``make load`` asks for a report instead and judges by itself, with the database.
    """
    address = f"{environment.host}/api/v1/rooms/{Visitor.target.room}"
    try:
        with urlopen(address, timeout=JUDGE_TIMEOUT_S) as answer:  # noqa: S310 - http or https, by check_host
            room = json.loads(answer.read())
        checks = judge_seen(tally, sales=room["sales"], drops=room["drops"])
    except (OSError, ValueError) as error:
        checks = [Check("the room can be asked what it sold", False, str(error))]
    for check in checks:
        environment.events.request.fire(  # type: ignore[no-untyped-call]
            request_type="VERDICT",
            name=check.question,
            response_time=None,
            response_length=0,
            exception=None if check.ok else Broken(check.figures),
            context={},
        )
    well, text = verdict(checks)
    if not well:
        environment.process_exit_code = 1
    print(text, "  (for the books: siyu audit --data FOLDER)", sep="\n", flush=True)


for _hook, _listener in (
    (events.init_command_line_parser, _add_options),
    (events.init, _prepare),
    (events.test_start, _begin),
    (events.report_to_master, _send_tally),
    (events.worker_report, _add_tally),
    (events.test_stop, _end),
):
    _hook.add_listener(_listener)  # type: ignore[no-untyped-call]  # Locust's has no annotations
