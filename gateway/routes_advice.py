"""Advice: advisors' skills and hours, customers' questions, answers whose products carry the advisor's token."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from commerce.domain.advisor import Hours
from commerce.domain.outreach import STAFF_CHANNEL
from commerce.errors import NotFound
from gateway.addresses import Addresses
from gateway.api import STAFF, Call, Operation, page_limit
from gateway.desk import Desk
from gateway.errors import Problem
from gateway.parameters import PAGING, choice
from gateway.schemas import Empty
from gateway.schemas_advice import (
    AcceptBody,
    AccountView,
    AdviceAnswer,
    AdviceBody,
    AdviceGoods,
    AdvisorBody,
    AdvisorsAnswer,
    AdvisorView,
    MyQuestions,
    NoticeAnswer,
    NoticeBody,
    OwnAdvisorAnswer,
    OwnAdvisorBody,
    QuestionBody,
    QuestionsAnswer,
    QuestionView,
    StaffQuestion,
    ToldAnswer,
    ToldBody,
    VerdictView,
    WecomAppView,
)
from gateway.services import Services

MANAGERS = frozenset({"merchant"})
VIEWERS = frozenset({"viewer", "guest"})
ANSWERERS = MANAGERS | {"guide", "host"}
STATES = ("", "waiting", "given", "answered", "accepted")
ADVISORS = "/api/v1/advisors"
QUESTIONS = "/api/v1/questions"
ONE = QUESTIONS + "/{question}"


def advice_operations(services: Services, desk: Desk, addresses: Addresses) -> list[Operation]:
    """Operations under /api/v1/advisors and /api/v1/questions."""
    return [
        *_advisors(services),
        *_telling(services),
        *_asking(services, desk, addresses),
        *_answering(services, addresses),
    ]


def _advisors(services: Services) -> list[Operation]:
    advice = services.advice

    async def list_advisors(call: Call) -> AdvisorsAnswer:
        rows = await advice.advisors(call.who.merchant)
        names = ("staff", "name", "skills", "hours", "most", "active", "load", "person", "told", "wecom_user")
        accounts = [
            AccountView(one.id, one.name, one.role)
            for one in await services.catalogue.staff(call.who.merchant)
            if not services.org.has_left(call.who.merchant, one.id)
        ]
        return AdvisorsAnswer([AdvisorView(**{name: row[name] for name in names}) for row in rows], accounts)

    async def set_advisor(call: Call) -> Empty:
        body: AdvisorBody = call.body
        hours = [Hours(span.weekday, span.since, span.until) for span in body.hours]
        await advice.set_advisor(
            call.who.merchant,
            call.path["staff"],
            body.skills,
            hours,
            body.most,
            active=body.active,
            person=body.person,
            wecom_user=body.wecom_user,
        )
        return Empty()

    async def read_own_advisor(call: Call) -> OwnAdvisorAnswer:
        who, person = call.who, call.path["person"]
        await services.people.person(who.merchant, person)
        await services.org.require_person(who.merchant, person, who.reach)
        return OwnAdvisorAnswer(await advice.own_of(who.merchant, person))

    async def set_own_advisor(call: Call) -> Empty:
        body: OwnAdvisorBody = call.body
        await services.people.person(call.who.merchant, call.path["person"])
        await advice.set_own(call.who.merchant, call.path["person"], body.staff)
        return Empty()

    own = "/api/v1/people/{person}/advisor"
    return [
        Operation("GET", ADVISORS, "Advisors and what each has to do", list_advisors, MANAGERS, answer=AdvisorsAnswer),
        Operation("PUT", ADVISORS + "/{staff}", "Skills and hours", set_advisor, MANAGERS, AdvisorBody, Empty),
        Operation(
            "GET",
            own,
            "Whose customer for advice",
            read_own_advisor,
            MANAGERS | {"guide"},
            answer=OwnAdvisorAnswer,
            within="people",
        ),
        Operation("PUT", own, "Name a customer's own advisor", set_own_advisor, MANAGERS, OwnAdvisorBody, Empty),
    ]


def _telling(services: Services) -> list[Operation]:
    """How advisors and askers are told outside the page."""
    advice = services.advice

    async def wecom_app(merchant: str) -> WecomAppView | None:
        try:
            found = await services.outreach.account(merchant, STAFF_CHANNEL)
        except NotFound:
            return None
        return WecomAppView(found["corpid"], int(found["agentid"]))

    async def read_advice_notice(call: Call) -> NoticeAnswer:
        found, app = await advice.notice(call.who.merchant), await wecom_app(call.who.merchant)
        if found is None:
            return NoticeAnswer(None, app=app)
        names = set(NoticeAnswer.__struct_fields__) - {"app"}
        return NoticeAnswer(**{name: found[name] for name in names}, app=app)

    async def set_advice_notice(call: Call) -> Empty:
        await advice.set_notice(call.who.merchant, structs.asdict(call.body))
        return Empty()

    async def read_told(call: Call) -> ToldAnswer:
        told = await advice.told(call.who.merchant, call.who.person)
        return ToldAnswer(told is not None, bool(told))

    async def be_told(call: Call) -> Empty:
        await advice.set_told(call.who.merchant, call.who.person, told=call.body.told)
        return Empty()

    async def open_question(call: Call) -> Empty:
        await advice.open(call.who.merchant, call.path["question"], call.who.person)
        return Empty()

    path = "/api/v1/advice-notice"
    return [
        Operation("GET", path, "How advisors are told", read_advice_notice, MANAGERS, answer=NoticeAnswer),
        Operation("PUT", path, "Tell advisors and askers", set_advice_notice, MANAGERS, NoticeBody, Empty),
        Operation(
            "GET", "/api/v1/me/advisor", "Whether I am told", read_told, ANSWERERS, answer=ToldAnswer, within="people"
        ),
        Operation(
            "PUT", "/api/v1/me/advisor", "Be told of questions", be_told, ANSWERERS, ToldBody, Empty, within="people"
        ),
        Operation("POST", f"{ONE}/open", "I look at it", open_question, ANSWERERS, answer=Empty, within="people"),
    ]


def _asking(services: Services, desk: Desk, addresses: Addresses) -> list[Operation]:
    advice = services.advice

    async def ask(call: Call) -> QuestionView:
        body: QuestionBody = call.body
        who = call.who
        room = desk.entered(who, body.room).id if body.room else ""
        row = await advice.ask(who.merchant, who.person, body.body, body.skill, room)
        return _view({**row, "answers": []}, addresses, call.base_url)

    async def list_my_questions(call: Call) -> MyQuestions:
        who = call.who
        rows = await advice.mine(who.merchant, who.person)
        return MyQuestions(await advice.skills(who.merchant), [_view(row, addresses, call.base_url) for row in rows])

    async def accept_answer(call: Call) -> Empty:
        body: AcceptBody = call.body
        await advice.accept(call.who.merchant, call.path["question"], call.who.person, public=body.public)
        return Empty()

    async def list_public_answers(call: Call) -> list[QuestionView]:
        rows = await advice.public(call.who.merchant, call.query.get("skill", ""))
        return [_view(row, addresses, call.base_url) for row in rows]

    return [
        Operation("POST", QUESTIONS, "Ask an advisor", ask, VIEWERS, QuestionBody, QuestionView, 201),
        Operation("GET", "/api/v1/me/questions", "My questions", list_my_questions, VIEWERS, answer=MyQuestions),
        Operation("POST", f"{ONE}/accept", "Take the answer", accept_answer, VIEWERS, AcceptBody, Empty),
        Operation(
            "GET",
            "/api/v1/answers",
            "What was answered for everybody",
            list_public_answers,
            VIEWERS | STAFF,
            answer=list[QuestionView],
            query={"skill": "one subject"},
        ),
    ]


def _answering(services: Services, addresses: Addresses) -> list[Operation]:
    advice = services.advice

    async def list_questions(call: Call) -> QuestionsAnswer:
        who, limit, state = call.who, page_limit(call), call.query.get("state", "")
        if state not in STATES:
            raise Problem(400, "invalid", "state is one of " + ", ".join(STATES[1:]))
        rows = await advice.page(who.merchant, who.person, who.reach, state, call.query.get("after"), limit)
        told = {verdict["staff"] for row in rows for verdict in row["choice"].get("verdicts", ())}
        names = await services.attribution.names(who.merchant, sorted(told))
        items = [_staff_view(row, addresses, call.base_url, who.person, names) for row in rows]
        return QuestionsAnswer(items, rows[-1]["id"] if len(rows) == limit else None)

    async def answer_question(call: Call) -> Empty:
        body: AdviceBody = call.body
        who = call.who
        # Asked outside of the rooms, the products lead into one of the shop's.
        fallback = next((room.id for room in services.rooms.of(who.merchant)), "")
        await advice.answer(
            who.merchant, call.path["question"], who.person, who.role, who.reach, body.body, body.skus, fallback
        )
        return Empty()

    async def pass_question(call: Call) -> Empty:
        await advice.pass_on(call.who.merchant, call.path["question"], call.who.person)
        return Empty()

    asked = {"state": choice("only these", *STATES[1:]), **PAGING}
    return [
        Operation(
            "GET",
            QUESTIONS,
            "Questions, with who has them and why",
            list_questions,
            ANSWERERS,
            answer=QuestionsAnswer,
            query=asked,
            within="people",
        ),
        Operation(
            "POST", f"{ONE}/answers", "Answer", answer_question, ANSWERERS, AdviceBody, Empty, 201, within="people"
        ),
        Operation("POST", f"{ONE}/pass", "Hand it on", pass_question, ANSWERERS, answer=Empty, within="people"),
    ]


def _answers(row: dict[str, Any], addresses: Addresses, base: str) -> list[AdviceAnswer]:
    return [
        AdviceAnswer(
            one["id"],
            one["name"] or "",
            one["body"],
            [
                AdviceGoods(
                    **{name: goods[name] for name in ("sku", "title", "image", "price", "token")},
                    url=addresses.viewer_page(base, goods["room"], goods["token"]) if goods["room"] else "",
                )
                for goods in one["goods"]
            ],
            one["created_ms"],
        )
        for one in row["answers"]
    ]


def _fields(row: dict[str, Any], addresses: Addresses, base: str) -> dict[str, Any]:
    return {
        "question": row["id"],
        "advisor": row["advisor_name"] or "",
        "answers": _answers(row, addresses, base),
        "created": row["created_ms"],
        "answered": row["answered_ms"],
        **{name: row[name] for name in ("body", "skill", "room", "state")},
    }


def _view(row: dict[str, Any], addresses: Addresses, base: str) -> QuestionView:
    return QuestionView(**_fields(row, addresses, base))


def _staff_view(row: dict[str, Any], addresses: Addresses, base: str, who: str, names: dict[str, str]) -> StaffQuestion:
    verdicts = row["choice"].get("verdicts", ())
    return StaffQuestion(
        **_fields(row, addresses, base),
        person=row["person"],
        name=row["name"] or "",
        mine=row["state"] == "given" and row["advisor"] == who,
        due=row["due_ms"],
        opened=row["opened_ms"],
        why=[VerdictView(one["staff"], names.get(one["staff"], ""), one["word"], one["load"]) for one in verdicts],
    )
