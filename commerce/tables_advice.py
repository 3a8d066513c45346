"""Tables of advisors, the questions that customers ask, and the answers they got."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import id_column, ms_column, word_column

advisor = Table(
    "advisor",
    metadata,
    id_column("staff", primary_key=True),
    id_column("merchant"),
    # JSON: words, and spans of weekdays.
    Column("skills", Text, nullable=False),
    Column("hours", Text, nullable=False),
    Column("most", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    # When a question was last given to them.
    Column("last_ms", BigInteger, nullable=False, server_default=text("0")),
    ms_column("updated_ms"),
    # Who they are as a customer: where they are told of questions. And whether they want to be.
    id_column("person", nullable=True),
    Column("told", Boolean, nullable=False, server_default=text("true")),
    # Their userid at WeCom, where the shop's application can tell them.
    Column("wecom_user", String(64), nullable=True),
    CheckConstraint("most BETWEEN 1 AND 100", name="most"),
    Index("ix_advisor_merchant", "merchant", "staff"),
)

# Whose a customer is for advice, where that is not their guide.
customer_advisor = Table(
    "customer_advisor",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    id_column("staff"),
    ms_column("since_ms"),
    sqlite_with_rowid=False,
)

question = Table(
    "question",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    # Where it was asked; empty: outside of the rooms.
    word_column("room", 64),
    word_column("skill", 20),
    Column("body", Text, nullable=False),
    Column("state", String(8), nullable=False),
    id_column("advisor", nullable=True),
    # JSON: those who let it lie, and the last choice with a word on everybody.
    Column("tried", Text, nullable=False),
    Column("choice", Text, nullable=False),
    # When it goes to the next, or is matched again.
    ms_column("due_ms", nullable=True),
    # The asker lets others read it, without their name.
    Column("public", Boolean, nullable=False),
    ms_column("created_ms"),
    ms_column("answered_ms", nullable=True),
    # When the advisor who has it looked at it.
    ms_column("opened_ms", nullable=True),
    CheckConstraint("state IN ('waiting', 'given', 'answered', 'accepted')", name="state"),
    CheckConstraint("state <> 'given' OR advisor IS NOT NULL", name="given"),
    CheckConstraint("(due_ms IS NOT NULL) = (state IN ('waiting', 'given'))", name="due"),
    Index("ix_question_merchant", "merchant", "id"),
    Index("ix_question_person", "person", "id"),
    Index(
        "ix_question_due",
        "due_ms",
        sqlite_where=text("due_ms IS NOT NULL"),
        postgresql_where=text("due_ms IS NOT NULL"),
    ),
)

# How a shop tells advisors of questions and askers of answers, outside the page.
advice_notice = Table(
    "advice_notice",
    metadata,
    id_column("merchant", primary_key=True),
    Column("channel", String(12), nullable=False),
    # At the channel's provider; empty: nobody is told of that.
    word_column("template", 64),
    word_column("answer_template", 64),
    # JSON: the template's field → question, skill or time.
    Column("fields", Text, nullable=False),
    word_column("page", 128),
    Column("open_minutes", Integer, nullable=False),
    Column("most_hour", Integer, nullable=False),
    # Advisors with a userid at WeCom are told by the shop's application there, with the address that it leads to.
    Column("by_app", Boolean, nullable=False, server_default=text("false")),
    word_column("app_url", 255),
    ms_column("updated_ms"),
    CheckConstraint("channel IN ('subscribe', 'sms')", name="channel"),
    CheckConstraint("open_minutes BETWEEN 1 AND 60 AND most_hour BETWEEN 0 AND 60", name="terms"),
)

answer = Table(
    "answer",
    metadata,
    id_column("id", primary_key=True),
    id_column("question"),
    # Who asked: an answer is theirs as the question is.
    id_column("person"),
    id_column("staff"),
    Column("body", Text, nullable=False),
    # JSON: recommended SKUs, each with the token of the advisor's link and the room that it leads to.
    Column("goods", Text, nullable=False),
    ms_column("created_ms"),
    Index("ix_answer_question", "question", "id"),
    Index("ix_answer_person", "person"),
)
