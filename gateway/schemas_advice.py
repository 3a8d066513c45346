"""Bodies and answers of advice: advisors, questions, answers."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from commerce.advice import ANSWER_CHARACTERS_MAX, GOODS_MAX, QUESTION_CHARACTERS_MAX
from commerce.domain.advisor import DAY_MINUTES, HOURS_MAX, LOAD_MAX, SKILL_CHARACTERS_MAX, SKILLS_MAX
from gateway.schemas_base import Body, Id, Template, TemplateField

Skill = Annotated[str, Meta(min_length=1, max_length=SKILL_CHARACTERS_MAX)]
Minute = Annotated[int, Meta(ge=0, le=DAY_MINUTES)]


class HoursBody(Body, kw_only=True):
    """A span of a weekday (0 Monday), in minutes from midnight in Shanghai; ``until`` not included."""

    weekday: Annotated[int, Meta(ge=0, le=6)]
    since: Minute
    until: Minute


class AdvisorBody(Body, kw_only=True):
    """What an advisor knows, when they work (none: always), how many questions they take at a time."""

    skills: Annotated[list[Skill], Meta(max_length=SKILLS_MAX)] = field(default_factory=list)
    hours: Annotated[list[HoursBody], Meta(max_length=HOURS_MAX)] = field(default_factory=list)
    most: Annotated[int, Meta(ge=1, le=LOAD_MAX)] = 5
    active: bool = True
    person: Id | None = None
    """Who they are as a customer: where they are told of questions; null leaves it as it is."""
    wecom_user: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$")] | None = (
        None
    )
    """Their userid at WeCom; null leaves it as it is."""


class NoticeBody(Body, kw_only=True):
    """How advisors are told of questions and askers of answers, by a template of a ``channel`` that is set up.

    ``fields``: the template's field → question, skill or time. An advisor has ``open_minutes`` to open a question, and
    gets at most ``most_hour`` messages an hour. An empty template tells nobody of that. With ``by_app`` the shop's
    application at WeCom tells those advisors who have a ``wecom_user``; its card leads to ``app_url``, empty: nowhere.
    """

    channel: Literal["subscribe", "sms"]
    template: Template = ""
    answer_template: Template = ""
    fields: Annotated[dict[TemplateField, Literal["question", "skill", "time"]], Meta(max_length=5)] = field(
        default_factory=dict
    )
    page: Annotated[str, Meta(max_length=128)] = ""
    open_minutes: Annotated[int, Meta(ge=1, le=60)] = 10
    most_hour: Annotated[int, Meta(ge=0, le=60)] = 12
    by_app: bool = False
    app_url: Annotated[str, Meta(max_length=255, pattern=r"^(https://[!-~]+)?$")] = ""


class WecomAppView(Struct):
    """The shop's application at WeCom, as far as it is told again."""

    corpid: str
    agentid: int


class NoticeAnswer(Struct):
    """``channel`` is null while nobody is told outside the page, ``app`` while the shop has no application at WeCom."""

    channel: str | None
    template: str = ""
    answer_template: str = ""
    fields: dict[str, str] = {}
    page: str = ""
    open_minutes: int = 10
    most_hour: int = 12
    by_app: bool = False
    app_url: str = ""
    app: WecomAppView | None = None


class ToldBody(Body, kw_only=True):
    """Whether an advisor wants to be told of questions outside the page."""

    told: bool


class ToldAnswer(Struct):
    """Whether one is an advisor, and wants to be told of questions outside the page."""

    advisor: bool
    told: bool


class OwnAdvisorBody(Body, kw_only=True):
    """Whose customer somebody is for advice; null: their guide's."""

    staff: Id | None


class QuestionBody(Body, kw_only=True):
    """A question, about a skill of those who answer; ``room``: where it is asked, empty outside."""

    body: Annotated[str, Meta(min_length=1, max_length=QUESTION_CHARACTERS_MAX)]
    skill: Annotated[str, Meta(max_length=SKILL_CHARACTERS_MAX)] = ""
    room: Annotated[str, Meta(max_length=64)] = ""


class AdviceBody(Body, kw_only=True):
    """An answer; each of ``skus`` gets the answerer's token."""

    body: Annotated[str, Meta(min_length=1, max_length=ANSWER_CHARACTERS_MAX)]
    skus: Annotated[list[Id], Meta(max_length=GOODS_MAX)] = field(default_factory=list)


class AcceptBody(Body, kw_only=True):
    """``public``: others may read question and answer, without the asker's name."""

    public: bool = False


class AdvisorView(Struct):
    staff: str
    name: str
    skills: list[str]
    hours: list[list[int]]
    most: int
    active: bool
    load: int
    person: str | None
    told: bool
    wecom_user: str | None


class AccountView(Struct):
    staff: str
    name: str
    role: str


class AdvisorsAnswer(Struct):
    """Those who answer, and the accounts of which they could be more."""

    advisors: list[AdvisorView]
    accounts: list[AccountView]


class OwnAdvisorAnswer(Struct):
    staff: str | None


class AdviceGoods(Struct):
    """A recommended product with the token of the advisor's link, and where it leads in a room."""

    sku: str
    title: str
    image: str
    price: int
    token: str
    url: str


class AdviceAnswer(Struct):
    answer: str
    by: str
    body: str
    goods: list[AdviceGoods]
    created: int


class VerdictView(Struct):
    """Why an advisor was taken or passed by: chosen_own, chosen, busier, tried, off_duty, full or no_skill."""

    staff: str
    name: str
    word: str
    load: int


class QuestionView(Struct):
    """A question: waiting, given (to ``advisor``, until ``due``), answered or accepted."""

    question: str
    body: str
    skill: str
    room: str
    state: str
    advisor: str
    answers: list[AdviceAnswer]
    created: int
    answered: int | None


class StaffQuestion(QuestionView):
    """As staff see it: who asks, until when it is whose, and why it is theirs."""

    person: str = ""
    name: str = ""
    mine: bool = False
    due: int | None = None
    opened: int | None = None
    why: list[VerdictView] = field(default_factory=list)


class QuestionsAnswer(Struct):
    items: list[StaffQuestion]
    next: str | None


class MyQuestions(Struct):
    """One's own questions, and what one can ask about."""

    skills: list[str]
    items: list[QuestionView]
