"""Accounts at payment providers, from a TOML file: one table for each, named as its callback's address ends.

    [wechat]                                    [alipay]
    kind = "wechat"                             kind = "alipay"
    appid = "wx…"                               app_id = "2021…"
    mchid = "1900…"                             seller_id = "2088…"
    serial = "3775B6…"                          private_key_file = "alipay_key.pem"
    private_key_file = "apiclient_key.pem"      public_key_file = "alipay_public.pem"
    api_v3_key_file = "api_v3_key"              merchants = ["m…"]          # left out: every merchant's
    public_key_id = "PUB_KEY_ID_…"
    public_key_file = "pub_key.pem"             # these two left out: the platform's certificates are fetched
    transfer_scene = "1005"                     # the account may pay commission out (商家转账); left out: it may not
    transfer_post = "推广员"                    # 岗位类型 and 报酬说明 of that scene
    transfer_reward = "推广佣金"

A secret ``X`` stands in the file as ``X``, in another as ``X_file`` (beside this one), or in the environment as
``X_env``. Nothing of it is ever logged.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from commerce.payment import NAME_CHARACTERS_MAX
from commerce.payment_alipay import API as ALIPAY_API
from commerce.payment_alipay import Alipay, AlipayAccount
from commerce.payment_keys import KeyFault, private_key, public_key
from commerce.payment_wechat import WechatPay
from commerce.payment_wechat_wire import API as WECHAT_API
from commerce.payment_wechat_wire import API_V3_KEY_BYTES, TransferScene, WechatAccount
from gateway.config import SettingsError

ACCOUNTS_MAX = 64
FILE_BYTES_MAX = 65_536
REPORT_CHARACTERS_MAX = 32
"""info_content of a transfer's scene, as the platform's document says."""
RESERVED = frozenset({"sandbox", "none"})
NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{NAME_CHARACTERS_MAX - 1}}}")

Account = WechatPay | Alipay


def open_accounts(
    path: Path, *, public_url: str | None, clock: Callable[[], int], environment: Mapping[str, str] | None = None
) -> list[Account]:
    """The accounts of a file, in its order. Raises ``SettingsError``, which says where and what to do."""
    if public_url is None or not public_url.startswith("https://"):
        raise SettingsError("--payments needs --public-url with https://: providers call back there")
    tables = read_tables(path, "--payments")
    accounts = []
    for name, table in tables.items():
        where = f"{path} [{name}]"
        if not NAME.fullmatch(name) or name in RESERVED or not isinstance(table, dict):
            raise SettingsError(f"{where}: a name has small letters, digits, - and _, and is none of sandbox, none")
        fields = Fields(table, where, path, os.environ if environment is None else environment)
        notify_url = f"{public_url.rstrip('/')}/api/v1/payments/{name}"
        try:
            accounts.append(_account(name, fields, notify_url, public_url, clock))
        except KeyFault as error:
            raise SettingsError(f"{where}: {error}") from error
        fields.refuse_rest()
    return accounts


def read_tables(path: Path, flag: str) -> dict[str, Any]:
    """The tables of a file that a flag names. Raises ``SettingsError``."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise SettingsError(f"{flag} {path} is longer than {FILE_BYTES_MAX} bytes")
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{flag} {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{flag} {path} is not TOML: {error}") from error
    if not 0 < len(tables) <= ACCOUNTS_MAX:
        raise SettingsError(f"{flag} {path} has 1 to {ACCOUNTS_MAX} tables, one for each account")
    return tables


def _account(name: str, fields: Fields, notify_url: str, public_url: str, clock: Callable[[], int]) -> Account:
    """One account. Raises SettingsError, KeyFault."""
    kind = fields.text("kind")
    merchants = fields.names("merchants")
    if kind == "wechat":
        api_v3_key = fields.secret("api_v3_key").encode()
        if len(api_v3_key) != API_V3_KEY_BYTES:
            raise SettingsError(f"{fields.where}: the APIv3 key has {API_V3_KEY_BYTES} bytes")
        public_key_id = fields.text("public_key_id", "")
        return WechatPay(
            WechatAccount(
                name=name,
                appid=fields.text("appid"),
                mchid=fields.text("mchid"),
                serial=fields.text("serial"),
                key=private_key(fields.secret("private_key")),
                api_v3_key=api_v3_key,
                notify_url=notify_url,
                public_key_id=public_key_id,
                public_key=public_key(fields.secret("public_key")) if public_key_id else None,
                merchants=merchants,
                api=fields.text("api", WECHAT_API),
                transfer=_scene(fields, f"{public_url.rstrip('/')}/api/v1/transfers/{name}"),
            ),
            clock=clock,
        )
    if kind == "alipay":
        return Alipay(
            AlipayAccount(
                name=name,
                app_id=fields.text("app_id"),
                seller_id=fields.text("seller_id"),
                key=private_key(fields.secret("private_key")),
                public_key=public_key(fields.secret("public_key")),
                notify_url=notify_url,
                return_url=fields.text("return_url", public_url),
                merchants=merchants,
                api=fields.text("api", ALIPAY_API),
            ),
            clock=clock,
        )
    raise SettingsError(f"{fields.where}: kind is wechat or alipay")


def _scene(fields: Fields, notify_url: str) -> TransferScene | None:
    """What commission is paid out as, where the account may transfer to persons (商家转账)."""
    scene = fields.text("transfer_scene", "")
    if not scene:
        return None
    if not scene.isascii() or not scene.isdigit():
        raise SettingsError(f'{fields.where}: transfer_scene is the number of a scene, such as "1005"')
    post, reward = fields.text("transfer_post", "推广员"), fields.text("transfer_reward", "推广佣金")
    if max(len(post), len(reward)) > REPORT_CHARACTERS_MAX:
        raise SettingsError(
            f"{fields.where}: transfer_post and transfer_reward have {REPORT_CHARACTERS_MAX} characters"
        )
    return TransferScene(scene, post, reward, notify_url)


class Fields:
    """A table whose fields are taken one by one; what is left over is a mistake."""

    def __init__(self, table: Mapping[str, Any], where: str, path: Path, environment: Mapping[str, str]) -> None:
        self._left = dict(table)
        self.where = where
        self._folder = path.parent
        self._shared = bool(path.stat().st_mode & stat.S_IROTH)
        self._environment = environment

    def text(self, name: str, otherwise: str | None = None) -> str:
        """A text of the table."""
        value = self._left.pop(name, otherwise)
        if not isinstance(value, str) or (otherwise is None and not value):
            raise SettingsError(f'{self.where}: {name} = "…" is missing')
        return value

    def names(self, name: str) -> frozenset[str]:
        """A list of texts, empty when left out."""
        value = self._left.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise SettingsError(f'{self.where}: {name} = ["…", "…"] is a list of ids')
        return frozenset(value)

    def secret(self, name: str) -> str:
        """A secret: here, in a file, or in the environment."""
        given = [form for form in (name, f"{name}_file", f"{name}_env") if form in self._left]
        if len(given) != 1:
            raise SettingsError(f"{self.where}: give one of {name}_file, {name}_env or {name}")
        form, value = given[0], self.text(given[0])
        if form.endswith("_file"):
            path = self._folder / value
            try:
                return path.read_text("ascii").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{self.where}: {form} {path} cannot be read") from error
        if form.endswith("_env"):
            if not self._environment.get(value):
                raise SettingsError(f"{self.where}: {form}: the environment has no {value}")
            return self._environment[value].strip()
        if self._shared:
            raise SettingsError(f"{self.where}: everybody may read this file, and {form} stands in it: chmod 640 it")
        return value

    def refuse_rest(self) -> None:
        """Raise SettingsError for fields that nobody asked for: a misspelt one is no default."""
        if self._left:
            raise SettingsError(f"{self.where}: unknown {', '.join(sorted(self._left))}")
