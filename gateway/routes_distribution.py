"""Distribution: terms, distributors, rates, what they earn and take out, whose customer somebody is, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from starlette.responses import Response

from commerce.attribution import explain
from commerce.commission_statement_sql import as_csv
from commerce.domain.day import day_of
from commerce.domain.money import yuan
from commerce.errors import NotFound
from gateway.api import ANYONE, NOTICE_TYPES, REPLY_TYPES, SIGNED_IN, Call, Operation, call_key, page_limit
from gateway.auth import Claims
from gateway.client import CORS_HEADERS
from gateway.encode import plain
from gateway.errors import Problem
from gateway.parameters import PAGING, choice, day
from gateway.schemas import Empty, Page
from gateway.schemas_distribution import (
    ApplyBody,
    BindBody,
    CommissionAnswer,
    CountAnswer,
    DistributorAnswer,
    DistributorBody,
    EarningView,
    EnrolBody,
    ExplanationAnswer,
    HandOverAnswer,
    HandOverBody,
    MovementView,
    RateBody,
    RateView,
    StatementDaysAnswer,
    TermsAnswer,
    TermsBody,
    WithdrawalBody,
    WithdrawalView,
    WithdrawBody,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
VIEWER = frozenset({"viewer", "guest"})
DAYS = {
    "since": day("YYYY-MM-DD in Asia/Shanghai, the month's first when left out"),
    "until": day("the last day, today when left out"),
    "format": choice("json (default) or csv", "json", "csv"),
}
SHANGHAI = timedelta(hours=8)


def distribution_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/distribution, …/distributors, …/withdrawals, and a distributor's own."""
    return [*_terms(services), *_distributors(services), *_own(services), *_money(services), *_customers(services)]


def _terms(services: Services) -> list[Operation]:
    distribution = services.distribution

    async def read_terms(call: Call) -> TermsAnswer:
        return TermsAnswer(**(await distribution.terms(call.who.merchant)).to_json())

    async def set_terms(call: Call) -> TermsAnswer:
        given = {name: value for name, value in msgspec.structs.asdict(call.body).items() if value is not None}
        changed = await distribution.set_terms(call.who.merchant, given, call.who.person)
        return TermsAnswer(**changed.to_json())

    async def list_rates(call: Call) -> list[RateView]:
        return [RateView(**plain(rate)) for rate in await distribution.rates(call.who.merchant)]

    async def set_rate(call: Call) -> list[RateView]:
        body: RateBody = call.body
        rates = await distribution.set_rate(call.who.merchant, body.scope, body.target, body.first_bp, body.second_bp)
        return [RateView(**plain(rate)) for rate in rates]

    path, rates = "/api/v1/distribution", "/api/v1/distribution/rates"
    return [
        Operation("GET", path, "The terms", read_terms, MERCHANT, answer=TermsAnswer),
        Operation("PUT", path, "Change terms", set_terms, MERCHANT, TermsBody, TermsAnswer),
        Operation("GET", rates, "The rates", list_rates, MERCHANT, answer=list[RateView]),
        Operation("PUT", rates, "Set a rate", set_rate, MERCHANT, RateBody, list[RateView]),
    ]


def _distributor(row: dict[str, Any]) -> DistributorAnswer:
    return DistributorAnswer(row["person"], row["name"], row["parent"], row["level"], row["state"], row["created_ms"])


def _distributors(services: Services) -> list[Operation]:
    distribution = services.distribution

    async def enrol(call: Call) -> DistributorAnswer:
        body: EnrolBody = call.body
        merchant = call.who.merchant
        await services.people.person(merchant, body.person)
        row = await distribution.enrol(
            merchant, body.person, body.name, parent=body.parent, level=body.level, approved=True
        )
        return _distributor(row)

    async def change_distributor(call: Call) -> DistributorAnswer:
        body: DistributorBody = call.body
        return _distributor(await distribution.change(call.who.merchant, call.path["person"], body.state, body.level))

    async def list_distributors(call: Call) -> Page:
        limit = page_limit(call)
        rows = await distribution.distributors(call.who.merchant, call.query.get("after"), limit)
        items = [{**plain(_distributor(row)), "available": row["available"]} for row in rows]
        return Page(items=items, next=rows[-1]["person"] if len(rows) == limit else None)

    async def apply_as_distributor(call: Call) -> DistributorAnswer:
        body: ApplyBody = call.body
        who = call.who
        return _distributor(
            await distribution.enrol(who.merchant, who.person, body.name, parent=body.parent, approved=False)
        )

    async def read_own_distributor(call: Call) -> DistributorAnswer:
        row = await distribution.own(call.who.merchant, call.who.person)
        return DistributorAnswer(call.who.person, "", None, "", "none", 0) if row is None else _distributor(row)

    path, one = "/api/v1/distributors", "/api/v1/distributors/{person}"
    return [
        Operation("GET", "/api/v1/me/distributor", "What I am", read_own_distributor, VIEWER, answer=DistributorAnswer),
        Operation("POST", path, "Make a distributor", enrol, MERCHANT, EnrolBody, DistributorAnswer, 201),
        Operation("GET", path, "The distributors", list_distributors, MERCHANT, answer=Page, query=PAGING),
        Operation("PATCH", one, "State or level", change_distributor, MERCHANT, DistributorBody, DistributorAnswer),
        Operation(
            "POST", "/api/v1/me/distributor", "Apply", apply_as_distributor, VIEWER, ApplyBody, DistributorAnswer, 201
        ),
    ]


def _earning(row: dict[str, Any]) -> EarningView:
    return EarningView(
        commission=row["id"],
        order=row["order_id"],
        title=row["title"],
        level=row["level"],
        base=row["base"],
        rate=row["rate_of"],
        rate_bp=row["rate_bp"],
        amount=row["amount"],
        reversed=row["reversed"],
        state=row["state"],
        held=row["held"],
        release=row["release_ms"],
        created=row["created_ms"],
        receipt=row["receipt"],
    )


def _withdrawal(row: dict[str, Any], *, own: bool = False) -> WithdrawalView:
    return WithdrawalView(
        row["id"],
        row["person"],
        row["amount"],
        row["state"],
        row["created_ms"],
        row["decided_ms"],
        row["number"],
        row["reason"],
        row["tax"],
        row["provider"],
        msgspec.json.decode(row["confirm"]) if own and row["confirm"] else None,
    )


async def _statement(services: Services, call: Call, person: str) -> CommissionAnswer:
    limit = page_limit(call)
    found = await services.distribution.statement(call.who.merchant, person, call.query.get("after"), limit)
    rows, on = found["rows"], found["balances"]
    return CommissionAnswer(
        distributor=_distributor(found["distributor"]),
        pending=on["commission_pending"],
        frozen=on["commission_frozen"],
        available=on["commission_available"],
        leaving=on["commission_leaving"],
        items=[_earning(row) for row in rows],
        next=rows[-1]["id"] if len(rows) == limit else None,
        withdrawals=[_withdrawal(row, own=person == call.who.person) for row in found["withdrawals"]],
    )


async def _days(services: Services, call: Call, person: str) -> Any:
    """Some days of a distributor, as JSON or for a spreadsheet."""
    today = day_of(services.clock())
    since, until = call.query.get("since", f"{today[:8]}01"), call.query.get("until", today)
    form = call.query.get("format", "json")
    if form not in ("json", "csv"):
        raise Problem(400, "invalid", "format is json or csv")
    found = await services.distribution.days(call.who.merchant, person, since, until)
    if form == "csv":
        headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
        headers["content-disposition"] = f'attachment; filename="commission-{since}-{until}.csv"'
        # The byte order mark tells spreadsheets that it is UTF-8.
        return Response(as_csv(found).encode("utf-8-sig"), 200, headers, "text/csv; charset=utf-8")
    moves = [
        MovementView(at=move.at_ms, **{name: getattr(move, name) for name in MovementView.__struct_fields__[1:]})
        for move in found.moves
    ]
    return StatementDaysAnswer(found.person, found.name, found.since, found.until, found.opening, moves, found.closing)


def _own(services: Services) -> list[Operation]:
    distribution = services.distribution

    async def read_own_days(call: Call) -> Any:
        return await _days(services, call, call.who.person)

    async def read_days(call: Call) -> Any:
        return await _days(services, call, call.path["person"])

    async def read_own_commission(call: Call) -> CommissionAnswer:
        return await _statement(services, call, call.who.person)

    async def read_commission(call: Call) -> CommissionAnswer:
        return await _statement(services, call, call.path["person"])

    async def withdraw(call: Call) -> Any:
        return await distribution.withdraw(call.who.merchant, call.who.person, call.body.amount, call_key(call))

    mine, one = "/api/v1/me/commission", "/api/v1/distributors/{person}/commission"
    return [
        Operation("GET", mine, "What I earn", read_own_commission, VIEWER, answer=CommissionAnswer, query=PAGING),
        Operation("GET", one, "What they earn", read_commission, MERCHANT, answer=CommissionAnswer, query=PAGING),
        Operation(
            "POST",
            "/api/v1/me/withdrawals",
            "Take money out",
            withdraw,
            VIEWER,
            WithdrawBody,
            WithdrawalView,
            201,
            keyed=True,
        ),
        Operation(
            "GET",
            f"{mine}/days",
            "Some days to the cent",
            read_own_days,
            VIEWER,
            answer=StatementDaysAnswer,
            query=DAYS,
        ),
        Operation(
            "GET",
            f"{one}/days",
            "Some days of theirs to the cent",
            read_days,
            MERCHANT,
            answer=StatementDaysAnswer,
            query=DAYS,
        ),
    ]


def _money(services: Services) -> list[Operation]:
    distribution = services.distribution

    async def list_withdrawals(call: Call) -> Page:
        limit = page_limit(call)
        rows = await distribution.withdrawals(call.who.merchant, call.query.get("after"), limit)
        items = [plain(_withdrawal(row)) for row in rows]
        return Page(items=items, next=rows[-1]["id"] if len(rows) == limit else None)

    async def decide_withdrawal(call: Call) -> Any:
        body: WithdrawalBody = call.body
        return await distribution.decide(
            call.who.merchant, call.path["withdrawal"], body.decision, call.who.person, body.number, body.reason
        )

    async def transfer_callback(call: Call) -> Response:
        answer = await distribution.transfers.answer(call.path["provider"], call.raw, call.headers)
        return Response(answer.body, answer.status, media_type=answer.content_type)

    async def list_held(call: Call) -> list[EarningView]:
        return [_earning(row) for row in await distribution.held(call.who.merchant)]

    async def clear_held(call: Call) -> CountAnswer:
        return CountAnswer(await distribution.clear(call.who.merchant, call.path["commission"], call.who.person))

    path = "/api/v1/withdrawals"
    return [
        Operation("GET", path, "Withdrawals", list_withdrawals, MERCHANT, answer=Page, query=PAGING, within="books"),
        Operation(
            "POST", f"{path}/{{withdrawal}}", "Decide one", decide_withdrawal, MERCHANT, WithdrawalBody, WithdrawalView
        ),
        Operation(
            "POST",
            "/api/v1/transfers/{provider}",
            "Callback of who pays commission out",
            transfer_callback,
            ANYONE,
            takes=NOTICE_TYPES,
            gives=REPLY_TYPES,
        ),
        Operation("GET", "/api/v1/commission/held", "Held commission", list_held, MERCHANT, answer=list[EarningView]),
        Operation(
            "POST", "/api/v1/commission/{commission}/clear", "Let it go on", clear_held, MERCHANT, answer=CountAnswer
        ),
    ]


def _customers(services: Services) -> list[Operation]:
    distribution, org = services.distribution, services.org

    def own_guides(who: Claims, role: str, *issuers: str) -> None:
        """Who has a part of the shop gives customers to and takes them from guides of that part alone."""
        if who.reach is None:
            return
        if role != "guide" or not all(org.has_guide(who.scope, who.merchant, issuer) for issuer in issuers):
            raise Problem(404, "not_found", "no such guide")

    async def list_bindings(call: Call) -> list[Any]:
        await org.require_person(call.who.merchant, call.path["person"], call.who.reach)
        return await distribution.bindings(call.who.merchant, call.path["person"])

    async def bind(call: Call) -> Empty:
        body: BindBody = call.body
        await org.require_person(call.who.merchant, call.path["person"], call.who.reach)
        own_guides(call.who, body.role, body.issuer)
        await distribution.bind(call.who.merchant, call.path["person"], body.issuer, body.role, body.reason)
        return Empty()

    async def hand_over(call: Call) -> HandOverAnswer:
        body: HandOverBody = call.body
        own_guides(call.who, body.role, body.of, body.to)
        done = await distribution.hand_over(call.who.merchant, body.role, body.of, body.to, body.reason)
        return HandOverAnswer(done.moved, done.kept)

    async def explain_order(call: Call) -> ExplanationAnswer:
        who, language = call.who, call.query.get("lang", "zh")
        if language not in explain.LANGUAGES:
            raise Problem(400, "invalid", "lang is zh or en")
        decision = await _decision(services, who, call.path["id"])
        if not who.staff and who.person not in explain.candidates(decision):
            raise Problem(404, "not_found", "there is no such order of yours to explain")
        names = await services.attribution.names(who.merchant, sorted(explain.candidates(decision)))
        role_words = {"zh": "另一位推荐人", "en": "another person"}[language]

        def call_them(issuer: str | None, role: str | None) -> str:
            shown = who.staff or issuer == who.person
            name = names.get(issuer or "") or f"…{(issuer or '')[-6:]}"
            return f"{name} ({explain.role_word(role, language)})" if shown else role_words

        said = explain.explain(decision, language, call_them, _shanghai) if decision else []
        partner = ((decision.get("credits") or {}).get("partner") or {}).get("issuer")
        if partner is not None and (who.staff or partner == who.person):
            share = await services.partners.share_of(who.merchant, call.path["id"])
            said += [explain.share_words(share, language, yuan)] if share is not None else []
        return ExplanationAnswer(call.path["id"], said, decision if who.staff else None)

    path = "/api/v1/people/{person}/bindings"
    people = partial(Operation, within="people")
    return [
        people("GET", path, "Whose customer they have been", list_bindings, MERCHANT, answer=list[dict[str, Any]]),
        people("POST", path, "Make them somebody's", bind, MERCHANT, BindBody, Empty, 201),
        people("POST", "/api/v1/hand-overs", "Hand customers over", hand_over, MERCHANT, HandOverBody, HandOverAnswer),
        Operation(
            "GET",
            "/api/v1/orders/{id}/explanation",
            "Who was credited and why, in words",
            explain_order,
            SIGNED_IN | {"partner"},
            answer=ExplanationAnswer,
            query={"lang": choice("zh (default) or en", "zh", "en")},
            within="orders",
        ),
    ]


async def _decision(services: Services, who: Claims, asked: str) -> dict[str, Any]:
    """What was judged of an order, or of a sale at a till, which counts for no part of the organisation.

    Raises ``NotFound``.
    """
    try:
        order = await services.shop.order(who.merchant, asked)
    except NotFound:
        if who.reach is not None:
            raise
        return await services.pos.explained(who.merchant, asked) or {}
    if who.staff:
        await services.org.require_order(who.merchant, asked, who.reach)
    return dict(order.decision or {})


def _shanghai(ms: int) -> str:
    return (datetime.fromtimestamp(ms / 1000, UTC) + SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
