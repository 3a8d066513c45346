"""Accounts at couriers, from a TOML file: one table for each, named as its callback's address ends.

[dada]
kind = "dada"
app_key = "dada…"
app_secret_file = "dada_secret"     # or app_secret, or app_secret_env
source_id = "73753"
city = "021"
merchants = ["m…"]                  # left out: every merchant's
shops = ["OUTLET=11047059"]         # our stores and their numbers there; those left out have ours
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from commerce.courier_dada import API, Dada, DadaAccount
from gateway.config import SettingsError
from gateway.payment_settings import NAME, RESERVED, Fields, read_tables


def open_couriers(
    path: Path, *, public_url: str | None, clock: Callable[[], int], environment: Mapping[str, str] | None = None
) -> list[Dada]:
    """The accounts of a file, in its order. Raises ``SettingsError``, which says where and what to do."""
    if public_url is None or not public_url.startswith("https://"):
        raise SettingsError("--couriers needs --public-url with https://: couriers call back there")
    found = []
    for name, table in read_tables(path, "--couriers").items():
        where = f"{path} [{name}]"
        if not NAME.fullmatch(name) or name in RESERVED or not isinstance(table, dict):
            raise SettingsError(f"{where}: a name has small letters, digits, - and _, and is none of sandbox, none")
        fields = Fields(table, where, path, os.environ if environment is None else environment)
        if fields.text("kind") != "dada":
            raise SettingsError(f"{where}: kind is dada")
        shops = [one.partition("=") for one in sorted(fields.names("shops"))]
        account = DadaAccount(
            name=name,
            app_key=fields.text("app_key"),
            app_secret=fields.secret("app_secret"),
            source_id=fields.text("source_id"),
            city=fields.text("city"),
            notify_url=f"{public_url.rstrip('/')}/api/v1/couriers/{name}",
            shops={ours: theirs for ours, _, theirs in shops},
            merchants=fields.names("merchants"),
            api=fields.text("api", API),
        )
        fields.refuse_rest()
        found.append(Dada(account, clock=clock))
    return found
