"""Inline mode, for tests of code that enqueues: a job is performed at once, in the call that enqueues it.

It is first converted to its row's text and back, so that a job that could not be queued fails here too.
"""

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session, scoped_session

from jobqueue import hooks
from jobqueue.claiming import Claimed
from jobqueue.connections import Callers
from jobqueue.handlers import parse


def perform(row: dict[str, Any], engine: Engine, session: Callers | None, joined: Connection | None) -> int:
    """Perform the job in the caller's transaction, or in one of its own; returns 0, since there is no row.
    Raises whatever the job raises.
    """
    if isinstance(session, Session | scoped_session):
        _perform(row, session)
        return 0
    driver: Any = joined.connection.dbapi_connection if joined is not None else None
    if isinstance(driver, sqlite3.Connection) and not driver.in_transaction:
        driver.execute("BEGIN")  # sqlite3 begins none for a savepoint, which would commit at its end
    with Session(joined or engine, join_transaction_mode="create_savepoint") as own:
        _perform(row, own)
        own.commit()
    return 0


def _perform(row: dict[str, Any], session: Session | scoped_session[Any]) -> None:
    known, body = parse(row["handler"])
    target = known.load(body, session)
    job = Claimed(id=0, counted=1, alone=True, **{name: row[name] for name in Claimed._fields if name in row})
    with hooks.around(target, job):
        known.call(target, session)
        hooks.success(target, job)
