"""A queue for tests of code that enqueues: a job is performed as soon as it is enqueued."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session, scoped_session

from jobqueue.lease import Claimed, Lease
from jobqueue.performing import perform
from jobqueue.queue import Queue
from jobqueue.transactions import Callers


class InlineQueue(Queue):
    """A queue whose enqueue() performs the job at once, in your transaction if you pass a session, and raises
    what the job raises; it returns 0, since there is no row. While its attribute `inline` is False, it is a
    queue like any other.
    """

    inline = True

    def _insert(self, rows: Sequence[dict[str, Any]], session: Callers | None, keep: bool = False) -> int:
        if not self.inline:
            return super()._insert(rows, session, keep)
        lease = Lease(self.tables, "inline")
        for row in rows:
            if isinstance(session, Session | scoped_session):
                self._perform(row, session, lease)
                continue
            joined = self._home.join(session)
            with Session(joined or self.writer, join_transaction_mode="create_savepoint") as own:
                self._perform(row, own, lease)
                own.commit()
        return 0

    def _perform(self, row: dict[str, Any], session: Session | scoped_session[Any], lease: Lease) -> None:
        # It comes as its row's text, so that a job that could not be queued fails here too.
        given = {name: row[name] for name in Claimed._fields if name in row}
        job = Claimed(**given | {"id": 0, "attempts": 1})
        if error := perform(self, lease, job, session=session).error:
            raise error
