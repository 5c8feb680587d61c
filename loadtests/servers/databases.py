"""A fresh database for each stack: a file for SQLite, a new database on a PostgreSQL server."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from loadtests.errors import UsageError
from loadtests.servers.postgres import running_postgres

DATABASE_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def check_database(database: str) -> None:
    """Raise UsageError unless `database` is sqlite, postgresql, or the URL of a PostgreSQL server."""
    if database in ("sqlite", "postgresql"):
        return
    try:
        backend = sa.make_url(database).get_backend_name()
    except sa.exc.ArgumentError:
        backend = ""
    if backend != "postgresql":
        raise UsageError(
            f"--database {database}: write sqlite, postgresql (one is started for you), or the URL of a"
            " server on which databases may be created, such as postgresql://user:password@127.0.0.1/postgres"
        )


@contextlib.contextmanager
def database_server(database: str) -> Iterator[str]:
    """Yields what `fresh_database` takes: "sqlite", or the URL of a PostgreSQL server, started here if none
    was named.
    """
    if database == "postgresql":
        with running_postgres() as url:
            yield url
    else:
        yield database


@contextlib.contextmanager
def fresh_database(server: str, folder: Path) -> Iterator[str]:
    """Create an empty database, removed afterwards; yields its URL. Raises UsageError if the server can't be
    used.
    """
    if server == "sqlite":
        path = folder / "reader.db"
        yield f"sqlite:///{path}"
        for file in folder.glob("reader.db*"):
            file.unlink()
        return
    name = f"bench_{secrets.token_hex(4)}"
    _administer(server, f"CREATE DATABASE {name}")
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server: str, statement: str) -> None:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise UsageError(f"The PostgreSQL server {shown} said: {str(error.orig).strip()}") from error
