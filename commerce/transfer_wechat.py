"""WeChat Pay's merchant transfer (商家转账, user confirms), API v3.

    ask     POST /v3/fund-app/mch-transfer/transfer-bills                        under our out_bill_no, repeatable
    query   GET  /v3/fund-app/mch-transfer/transfer-bills/out-bill-no/{number}   404 NOT_FOUND: nothing is known
    notice  event MCHTRANSFER.BILL.FINISHED, sealed as all callbacks are

States: ACCEPTED, PROCESSING, TRANSFERING, CANCELING (all under way), WAIT_USER_CONFIRM (the person takes it with
``wx.requestMerchantTransfer`` and ``package_info`` within 24 hours), SUCCESS, FAIL, CANCELLED. From ¥2,000 on the
platform asks for the payee's real name, which the shop does not have: a transfer stays below.
"""

from collections.abc import Mapping
from typing import Any

from commerce.errors import CommerceError, Invalid, Refused
from commerce.ledger import Clock
from commerce.payment import CallbackAnswer, SignedMessage
from commerce.payment_wechat_wire import (
    WechatAccount,
    WechatWire,
    acknowledged,
    error_code,
    text_field,
    whole_field,
)
from commerce.transfer import FAILED, OPEN, PAID, WAITING, TransferRequest, TransferState

PATH = "/v3/fund-app/mch-transfer/transfer-bills"
AMOUNT_MAX_FEN = 199_999
REMARK_CHARACTERS_MAX = 32
_KINDS = {
    "ACCEPTED": OPEN,
    "PROCESSING": OPEN,
    "TRANSFERING": OPEN,
    "CANCELING": OPEN,
    "WAIT_USER_CONFIRM": WAITING,
    "SUCCESS": PAID,
    "FAIL": FAILED,
    "CANCELLED": FAILED,
}


class WechatTransfers:
    """Pays persons out of one merchant number, which has a transfer scene."""

    amount_max = AMOUNT_MAX_FEN

    def __init__(self, account: WechatAccount, *, clock: Clock) -> None:
        if account.transfer is None:
            raise ValueError(f"the account {account.name} has no transfer scene")
        self._account = account
        self._scene = account.transfer
        self._wire = WechatWire(account, clock=clock)

    @property
    def name(self) -> str:
        """The account's name in our tables."""
        return self._account.name

    @property
    def merchants(self) -> frozenset[str]:
        """The merchants whose money goes through this account; empty for all."""
        return self._account.merchants

    @property
    def appid(self) -> str:
        """The app in which payees have their openids."""
        return self._account.appid

    async def start(self, request: TransferRequest) -> TransferState:
        """发起转账. Raises Refused (transfer_refused), Busy."""
        body = {
            "appid": self._account.appid,
            "out_bill_no": request.number,
            "transfer_scene_id": self._scene.scene,
            "openid": request.payee,
            "transfer_amount": request.amount,
            "transfer_remark": request.remark[:REMARK_CHARACTERS_MAX],
            "notify_url": self._scene.notify_url,
            "transfer_scene_report_infos": [
                {"info_type": "岗位类型", "info_content": self._scene.post},
                {"info_type": "报酬说明", "info_content": self._scene.reward},
            ],
        }
        answer = await self._wire.ask("POST", PATH, body)
        if answer.status != 200:
            raise self._wire.fault(answer, "transfer_refused")
        given = await self._wire.read(answer)
        if text_field(given, "out_bill_no") != request.number:
            raise Invalid("the payment provider answers about another transfer")
        # The answer to a request does not repeat the amount: it is the one asked for.
        return self._state(given, request.amount)

    async def query(self, number: str) -> TransferState | None:
        """商户单号查询转账单."""
        answer = await self._wire.ask("GET", f"{PATH}/out-bill-no/{number}")
        if answer.status == 404 and error_code(answer) == "NOT_FOUND":
            return None
        if answer.status != 200:
            raise self._wire.fault(answer, "query_refused")
        given = await self._wire.read(answer)
        self._check_account(given)
        return self._state(given, whole_field(given, "transfer_amount"))

    async def parse(self, message: SignedMessage) -> TransferState:
        """A callback, whose resource is sealed."""
        given = await self._wire.open_callback(message.body, message.headers)
        self._check_account(given)
        return self._state(given, whole_field(given, "transfer_amount"))

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """200 ends the repeats."""
        return acknowledged(error)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    def _check_account(self, given: Mapping[str, Any]) -> None:
        if given.get("mch_id") != self._account.mchid:
            raise Refused("merchant_mismatch", "the transfer is of another merchant number")

    def _state(self, given: Mapping[str, Any], amount: int) -> TransferState:
        state = text_field(given, "state")
        if state not in _KINDS:
            raise Invalid(f"nothing is known of a transfer in state {state}")
        package = given.get("package_info")
        confirm = {"mchId": self._account.mchid, "appId": self._account.appid, "package": str(package)}
        return TransferState(
            number=text_field(given, "out_bill_no"),
            kind=_KINDS[state],
            amount=amount,
            provider_number=str(given.get("transfer_bill_no") or ""),
            reason=str(given.get("fail_reason") or ("" if _KINDS[state] != FAILED else state)),
            confirm=confirm if package and _KINDS[state] == WAITING else {},
        )
