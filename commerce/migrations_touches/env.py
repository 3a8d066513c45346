"""Run by alembic with an open connection in ``config.attributes["connection"]``; see commerce/store_sql.py."""

from alembic import context

from commerce.tables_touches import touches_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=touches_metadata,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
