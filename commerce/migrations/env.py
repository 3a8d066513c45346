"""Run by alembic with an open connection in ``config.attributes["connection"]``; see commerce/store_sql.py."""

from alembic import context

from commerce.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    # SQLite's DDL is transactional when the driver does not interfere: all of an upgrade, or nothing.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
