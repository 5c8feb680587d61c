"""Creates the tables, and brings older ones up to date.

There are no numbered versions: what is missing is read off the tables themselves. So it does not matter which
version created them, and a second run changes nothing.
"""

from sqlalchemy import Connection, Dialect, inspect, text
from sqlalchemy.schema import CreateColumn, CreateTable

from jobqueue.database import is_postgresql
from jobqueue.schema import INDEXES, Base, jobs

ADVISORY_LOCK = 0x6A6F6273  # "jobs"; any number that others are unlikely to use


def migrate(connection: Connection) -> list[str]:
    """Create missing tables, columns and indexes; returns the statements executed.

    Any number of processes may call it at once, each in a transaction that writes.
    """
    if is_postgresql(connection):  # on SQLite the write lock does this
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    statements = missing(connection)
    for statement in statements:
        connection.exec_driver_sql(statement.replace("%", "%%"))
    return statements


def missing(connection: Connection) -> list[str]:
    """The statements that would bring the tables up to date; none if they already are."""
    inspector = inspect(connection)
    names = set(inspector.get_table_names())
    dialect = connection.dialect
    statements = []
    for table in Base.metadata.sorted_tables:
        if table.name not in names:
            statements.append(_ddl(CreateTable(table), dialect))
            continue
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        statements += [
            f"ALTER TABLE {table.name} ADD COLUMN {_ddl(CreateColumn(column), dialect)}"
            for column in table.c
            if column.name not in columns
        ]
    indexes = inspector.get_indexes(jobs.name) if jobs.name in names else []
    there = {index["name"] for index in indexes}
    return statements + [_create_index(name, dialect) for name in INDEXES if name not in there]


def schema(dialect: Dialect) -> list[str]:
    """The statements that create the tables in an empty database."""
    tables = [_ddl(CreateTable(table), dialect) for table in Base.metadata.sorted_tables]
    return tables + [_create_index(name, dialect) for name in INDEXES]


def _create_index(name: str, dialect: Dialect) -> str:
    columns, condition, one = INDEXES[name]
    where = condition.compile(dialect=dialect, compile_kwargs={"include_table": False})
    kind = "UNIQUE INDEX" if one else "INDEX"
    return f"CREATE {kind} {name} ON {jobs.name} ({', '.join(c.name for c in columns)}) WHERE {where}"


def _ddl(element: CreateTable | CreateColumn, dialect: Dialect) -> str:
    return str(element.compile(dialect=dialect)).strip().replace("\t", "    ").replace(" \n", "\n")
