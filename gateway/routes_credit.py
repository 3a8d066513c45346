"""Sale on account: a shop's accounts and their ages, what staff book, one's own statement."""

from __future__ import annotations

from typing import Any

from msgspec import structs
from starlette.responses import Response

from commerce.credit import Credit
from commerce.domain.credit import CreditTerms
from commerce.errors import NotFound
from gateway.answers import csv_answer, opened_view
from gateway.api import CSV_TYPE, SIGNED_IN, Call, Operation, call_key, page_limit
from gateway.parameters import ID_FORM, PAGING, cursor, limit
from gateway.schemas import Empty
from gateway.schemas_credit import (
    CreditBookingBody,
    CreditLineBody,
    CreditNoticeAnswer,
    CreditNoticeBody,
    CreditPage,
    CreditView,
    DunningView,
    ReminderBody,
    ReminderView,
    RepaidAnswer,
    RepayBody,
    RepaymentView,
    StatementOfCredit,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
PATH = "/api/v1/credit"
LIST_MAX = 200
"""Debtors of one answer."""
NOTICE = "/api/v1/credit-notice"


def credit_operations(services: Services) -> list[Operation]:
    """Operations on sale on account."""
    credit = services.shop.credit

    async def list_credit_accounts(call: Call) -> Any:
        limit = page_limit(call)
        rows = await credit.accounts(call.who.merchant, call.query.get("after", ""), limit)
        return {"items": rows, "next": rows[-1].person if len(rows) == limit else None}

    async def export_credit_ages(call: Call) -> Response:
        return csv_answer(await credit.ageing(call.who.merchant), "credit-ages.csv")

    async def set_credit_line(call: Call) -> Any:
        body: CreditLineBody = call.body
        terms = CreditTerms(body.most, body.days, body.name.strip(), body.open)
        return await credit.set_line(call.who.merchant, call.who.person, call.path["person"], terms)

    async def book_credit(call: Call) -> Any:
        body: CreditBookingBody = call.body
        return await credit.book(
            call.who.merchant,
            call.who.person,
            call.path["person"],
            body.kind,
            call_key(call),
            amount=body.amount,
            order=body.order,
            reference=body.reference,
            reason=body.reason,
        )

    async def read_credit_statement(call: Call) -> Any:
        return await _statement(credit, call.who.merchant, call.path["person"])

    async def give_back_again(call: Call) -> Any:
        return await credit.give_back_again(call.who.merchant, call.path["person"], call.path["repayment"])

    one = f"{PATH}/{{person}}"
    return [
        *_own_operations(credit),
        *_dunning(credit),
        *_telling(credit),
        Operation("GET", PATH, "Accounts and ages", list_credit_accounts, MERCHANT, answer=CreditPage, query=PAGING),
        Operation("GET", f"{PATH}/export", "The ageing report as CSV", export_credit_ages, MERCHANT, gives=(CSV_TYPE,)),
        Operation("PUT", one, "Grant a limit", set_credit_line, MERCHANT, CreditLineBody, CreditView),
        Operation("GET", one, "A statement", read_credit_statement, MERCHANT, answer=StatementOfCredit),
        Operation(
            "POST", f"{one}/bookings", "Repaid, given up, given back", book_credit, MERCHANT, CreditBookingBody,
            CreditView, 201, keyed=True,
        ),
        Operation(
            "POST", f"{one}/repayments/{{repayment}}/retry", "Give what was too much back again", give_back_again,
            MERCHANT, answer=list[RepaymentView],
        ),
    ]  # fmt: skip


def _dunning(credit: Credit) -> list[Operation]:
    """Who is late, and asking them."""

    async def list_overdue(call: Call) -> Any:
        most = page_limit(call) if "limit" in call.query else LIST_MAX
        since, _, person = call.query.get("after", "").partition(":")
        return await credit.dunning(call.who.merchant, most, int(since or "0"), person)

    async def remind_debtor(call: Call) -> Any:
        body: ReminderBody = call.body
        return await credit.remind(call.who.merchant, call.who.person, call.path["person"], body.note, call_key(call))

    late = {
        "after": cursor("SINCE:PERSON, the `since` and `person` of the last one", rf"[0-9]{{1,14}}:{ID_FORM}"),
        "limit": limit(LIST_MAX, "how many; 200 when left out"),
    }
    return [
        Operation(
            "GET", f"{PATH}/overdue", "Who is overdue", list_overdue, MERCHANT, answer=list[DunningView], query=late,
        ),
        Operation(
            "POST", f"{PATH}/{{person}}/reminders", "Ask for what is overdue", remind_debtor, MERCHANT, ReminderBody,
            list[ReminderView], 201, keyed=True,
        ),
    ]  # fmt: skip


def _telling(credit: Credit) -> list[Operation]:
    """How debtors are told outside the page."""

    async def read_credit_notice(call: Call) -> CreditNoticeAnswer:
        found = await credit.notice(call.who.merchant)
        if found is None:
            return CreditNoticeAnswer(None)
        return CreditNoticeAnswer(**{name: found[name] for name in CreditNoticeAnswer.__struct_fields__})

    async def set_credit_notice(call: Call) -> Empty:
        await credit.set_notice(call.who.merchant, structs.asdict(call.body))
        return Empty()

    return [
        Operation("GET", NOTICE, "How debtors are told", read_credit_notice, MERCHANT, answer=CreditNoticeAnswer),
        Operation("PUT", NOTICE, "Tell debtors", set_credit_notice, MERCHANT, CreditNoticeBody, Empty),
    ]


def _own_operations(credit: Credit) -> list[Operation]:
    """What a debtor sees and does."""

    async def read_own_credit(call: Call) -> Any:
        try:
            return await _statement(credit, call.who.merchant, call.who.person)
        except NotFound:
            return {"account": None, "debts": [], "entries": [], "repayments": [], "reminders": []}

    async def repay(call: Call) -> Any:
        body: RepayBody = call.body
        paying = await credit.repay(
            call.who.merchant,
            call.who.person,
            body.amount,
            call_key(call),
            order=body.order,
            provider=body.provider,
            method=body.method,
            payer=body.payer,
        )
        opened = paying.opened
        view = None if opened is None else opened_view(paying.repayment.provider, opened)
        return {"repayment": paying.repayment, "payment": view}

    path = f"{PATH}/mine"
    return [
        Operation("GET", path, "Own account", read_own_credit, SIGNED_IN, answer=StatementOfCredit),
        Operation(
            "POST",
            f"{path}/repayments",
            "Pay back through a provider",
            repay,
            SIGNED_IN,
            RepayBody,
            RepaidAnswer,
            keyed=True,
        ),
    ]


async def _statement(credit: Credit, merchant: str, person: str) -> dict[str, Any]:
    account = await credit.account(merchant, person)
    debts, entries = await credit.debts(merchant, person), await credit.statement(merchant, person)
    repayments, reminders = await credit.repayments(merchant, person), await credit.reminders(merchant, person)
    return {
        "account": account, "debts": debts, "entries": entries, "repayments": repayments, "reminders": reminders,
    }  # fmt: skip
