"""The handlers of sales and of all that goes with them, for the ledger; and what the sweep does at deadlines."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from commerce import (
    aftersale_ends_sql,
    aftersale_sql,
    credit_notice_sql,
    deposits_sql,
    draws_sql,
    membership_ends_sql,
    memberships_sql,
    pass_uses_sql,
    passes_sql,
    plans_sql,
    presales_sql,
    reminders_sql,
    sales_sql,
    seats_sql,
    signup_ends_sql,
    signups_sql,
    teams_sql,
    waiting_sql,
)
from commerce.crm import automations_sql
from commerce.deadlines_sql import Meet, meet_due
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.events import DrawView
from commerce.ledger import CreateSale, Sweep, Swept
from commerce.ledger_batch_sql import Batch
from commerce.ledger_moments import (
    CreatePlan,
    EndPlan,
    Follow,
    JoinTeam,
    LeaveWaiting,
    OpenBag,
    OpenPacket,
    Remind,
    VoidDraw,
    Wait,
)
from commerce.views_moments_sql import draw_view

DEADLINES: Mapping[str, Meet] = {
    draws_sql.DUE: draws_sql.draw_due,
    plans_sql.DUE: plans_sql.plan_due,
    reminders_sql.DUE: reminders_sql.remind_due,
    seats_sql.DUE: teams_sql.team_due,
    automations_sql.DUE: automations_sql.runs_due,
    passes_sql.DUE: pass_uses_sql.pass_due,
    memberships_sql.DUE: membership_ends_sql.membership_due,
    deposits_sql.DUE: presales_sql.presale_due,
    deposits_sql.OPENS: deposits_sql.balance_opens,
    signups_sql.DUE: signup_ends_sql.event_due,
    signups_sql.TICKET_DUE: signup_ends_sql.ticket_due,
    aftersale_sql.DUE: aftersale_ends_sql.request_due,
    credit_notice_sql.DEADLINE: credit_notice_sql.debt_due,
}


def open_bag(batch: Batch, command: OpenBag) -> DrawView:
    """Set a lucky bag's prizes aside and open its entries. Raises NotFound, Refused (sold_out)."""
    sale = sales_sql.create_sale(
        batch,
        CreateSale(
            command.merchant,
            command.room,
            command.product,
            command.sku,
            command.title,
            command.image,
            command.price,
            command.list_price,
            command.winners,
            1,
            command.hold_ms,
            # Who won holds it; the doors do not open for anybody else.
            1_000,
            SaleTerms(SaleMode.BAG, enter_ms=command.enter_ms),
        ),
    )
    draw = sales_sql.open_bag_draw(batch, sale.sale, command.task, command.word)
    row = draws_sql.find_draw(batch, draw)
    assert row is not None
    return draw_view(batch.connection, row, batch.now_ms)


def handlers() -> Mapping[type, Callable[[Batch, Any], Any]]:
    """All of them; the sweep meets deadlines before it looks for what else is due."""
    of_sales = sales_sql.handlers()

    def sweep(batch: Batch, command: Sweep) -> Swept:
        more = not command.marks_only and meet_due(batch, DEADLINES)
        swept: Swept = of_sales[Sweep](batch, command)
        return replace(swept, more=swept.more or more)

    return {
        **of_sales,
        **automations_sql.HANDLERS,
        Sweep: sweep,
        CreatePlan: plans_sql.create_plan,
        EndPlan: plans_sql.end_plan,
        Remind: reminders_sql.remind,
        Wait: waiting_sql.wait,
        LeaveWaiting: waiting_sql.leave_waiting,
        OpenBag: open_bag,
        OpenPacket: draws_sql.open_packet,
        VoidDraw: draws_sql.void_draw,
        Follow: draws_sql.follow,
        JoinTeam: teams_sql.join_team,
    }
