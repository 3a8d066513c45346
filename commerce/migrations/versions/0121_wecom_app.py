"""Advisors are told by the shop's own application at WeCom: its account, its messages, who they are there."""

import sqlalchemy as sa
from alembic import op

from commerce.migrations.in_place import change_check

revision: str = "0121"
down_revision: str | None = "0119"
branch_labels: str | None = None
depends_on: str | None = None

ACCOUNTS = "channel IN ('wecom', 'sms', 'wecomapp')"
ACCOUNTS_BEFORE = "channel IN ('wecom', 'sms')"
MESSAGES = "channel IN ('subscribe', 'wecom', 'sms', 'wecomapp')"
MESSAGES_BEFORE = "channel IN ('subscribe', 'wecom', 'sms')"


def upgrade() -> None:
    """Take the channel in, and make the columns."""
    change_check("channel_account", "channel", ACCOUNTS_BEFORE, ACCOUNTS)
    change_check("message", "channel", MESSAGES_BEFORE, MESSAGES)
    op.add_column("advisor", sa.Column("wecom_user", sa.String(64), nullable=True))
    op.add_column("advice_notice", sa.Column("by_app", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("advice_notice", sa.Column("app_url", sa.String(255), server_default=sa.text("''"), nullable=False))


def downgrade() -> None:
    """Take them away again, with the messages and accounts that no older version knows."""
    op.drop_column("advice_notice", "app_url")
    op.drop_column("advice_notice", "by_app")
    op.drop_column("advisor", "wecom_user")
    op.execute("DELETE FROM message WHERE channel = 'wecomapp'")
    op.execute("DELETE FROM channel_account WHERE channel = 'wecomapp'")
    change_check("message", "channel", MESSAGES, MESSAGES_BEFORE)
    change_check("channel_account", "channel", ACCOUNTS, ACCOUNTS_BEFORE)
