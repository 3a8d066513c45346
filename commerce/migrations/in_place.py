"""Changes of a table in place, for those that SQLite could only make by a copy."""

from alembic import op


def change_check(table: str, name: str, before: str, after: str) -> None:
    """Put the condition ``after`` into the place of ``before`` in the check ``ck_TABLE_NAME``.

    A copy of the table would have to drop one that others refer to, or rows by the million. A CHECK is text alone, and
    SQLite lets it be changed in place (sqlite.org/lang_altertable.html, section 7: "Making Other Kinds Of Table Schema
    Changes"). Raises RuntimeError when the table has no such check.
    """
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, after)
        return
    bind = op.get_bind()
    version = bind.exec_driver_sql("PRAGMA schema_version").scalar_one()
    bind.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = bind.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ? AND instr(sql, ?)",
        (before, after, table, before),
    )
    bind.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    bind.exec_driver_sql("PRAGMA writable_schema = OFF")
    if changed.rowcount != 1:
        raise RuntimeError(f"the table {table} has no check as the version before made it: {before}")
