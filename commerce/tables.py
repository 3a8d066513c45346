"""The one ``MetaData`` of the shop's database; ``tables_*`` modules hang their tables on it."""

from sqlalchemy import MetaData

# Explicit names, so that a migration can drop a constraint on both engines.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
