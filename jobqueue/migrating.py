"""Make the tables, and bring older ones up to date.

There are no numbered versions: what the tables lack is read off the tables themselves. So it does not matter
which version made them, and running it twice changes nothing.
"""

from sqlalchemy import Connection, Dialect, Table, inspect, text
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from jobqueue.database import is_postgresql
from jobqueue.schema import Base

ADVISORY_LOCK = 0x6A6F6273  # "jobs"; any number that others are unlikely to use


def migrate(connection: Connection) -> list[str]:
    """Create what is missing: tables, columns, indexes; returns the statements that were executed.

    Any number of processes may do it at once, in a transaction that writes.
    """
    if is_postgresql(connection):  # on SQLite, the write lock sees to it
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    statements = missing(connection)
    for statement in statements:
        connection.exec_driver_sql(statement.replace("%", "%%"))
    return statements


def missing(connection: Connection) -> list[str]:
    """The statements that would bring the tables up to date; none when they are."""
    inspector = inspect(connection)
    names = set(inspector.get_table_names())
    dialect = connection.dialect
    statements = []
    for table in Base.metadata.sorted_tables:
        if table.name not in names:
            statements += _create(table, dialect)
            continue
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        indexes = {index["name"] for index in inspector.get_indexes(table.name)}
        statements += [
            f"ALTER TABLE {table.name} ADD COLUMN {_ddl(CreateColumn(column), dialect)}"
            for column in table.c
            if column.name not in columns
        ]
        statements += [sql for name, sql in _create_indexes(table, dialect) if name not in indexes]
    return statements


def schema(dialect: Dialect) -> list[str]:
    """The statements that make the tables in an empty database of this kind."""
    return [sql for table in Base.metadata.sorted_tables for sql in _create(table, dialect)]


def _create(table: Table, dialect: Dialect) -> list[str]:
    return [_ddl(CreateTable(table), dialect), *(sql for _, sql in _create_indexes(table, dialect))]


def _create_indexes(table: Table, dialect: Dialect) -> list[tuple[str, str]]:
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    return [(str(index.name), _ddl(CreateIndex(index), dialect)) for index in indexes]


def _ddl(element: CreateTable | CreateIndex | CreateColumn, dialect: Dialect) -> str:
    return str(element.compile(dialect=dialect)).strip().replace("\t", "    ").replace(" \n", "\n")
