"""Inline mode, for tests of code that enqueues: a job is performed at once, in the call that enqueues it.

It is first converted to its row's text and back, so that a job that could not be queued fails here too.
"""

from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session, scoped_session

from jobqueue import hooks
from jobqueue.claiming import Claimed
from jobqueue.handlers import parse
from jobqueue.observing import surroundings


def perform(
    row: dict[str, Any], engine: Engine, transaction: Session | scoped_session[Any] | Connection | None
) -> int:
    """Perform the job in the caller's transaction, or in one of its own; returns 0, since there is no row.
    Raises whatever the job raises.
    """
    if transaction is None or isinstance(transaction, Connection):
        if transaction is not None and not transaction.in_transaction():
            transaction.begin()  # for the caller to commit: the session would begin and commit its own
        with Session(transaction or engine, join_transaction_mode="create_savepoint") as session:
            _perform(row, session)
            session.commit()
    else:
        _perform(row, transaction)
    return 0


def _perform(row: dict[str, Any], session: Session | scoped_session[Any]) -> None:
    known, body = parse(row["handler"])
    job = Claimed(id=0, counted=1, alone=True, **{name: row[name] for name in Claimed._fields if name in row})
    with surroundings(job):
        target = known.load(body, session)
        with hooks.called(target, job):
            known.call(target, session)
            hooks.success(target, job)
