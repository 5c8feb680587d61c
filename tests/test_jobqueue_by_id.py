"""Queue.get(), retry() and delete(): one job by its id, also in a transaction of the caller's."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jobs_for_tests import Fail, Say, said
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.orm import Session

from jobqueue import AlreadyQueued, NoSuchJob, Queue, Worker
from jobqueue.tools.joining import through

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_job_is_there_until_it_has_succeeded_or_is_deleted(queue: Queue) -> None:
    """get() returns its row; afterwards all three raise NoSuchJob."""
    first, second = queue.enqueue(Say("one"), now=NOON), queue.enqueue(Say("two"))
    assert (queue.get(first).run_at, queue.get(first).state) == (NOON, "waiting")
    queue.delete(first)
    assert Worker(queue).work_off() == (1, 0)
    for id in (first, second, 2**62):
        for act in (queue.get, queue.retry, queue.delete):
            with pytest.raises(NoSuchJob, match=f"there is no job {id}"):
                act(id)


@pytest.mark.parametrize("id", ["1", None, True, 1.0, 2**63])
def test_what_is_no_id_leaves_the_callers_transaction_as_it_was(queue: Queue, id: Any) -> None:
    """On SQLite "1" and True would be job 1; PostgreSQL would refuse all that follows in the transaction."""
    queue.enqueue(Say("stays"))
    with Session(queue.writer) as session:
        for act in (queue.get, queue.retry, queue.delete):
            with pytest.raises((TypeError, ValueError), match="id must be"):
                act(id, session=session)
        queue.enqueue(Say("goes on"), session=session)
        session.commit()
    assert len(queue.jobs()) == 2
    with pytest.raises(ValueError, match="limit must be at least 0, not -1"):
        queue.jobs(-1)


def test_a_failed_job_gets_all_its_attempts_again(queue: Queue) -> None:
    """Its state is waiting, and it is due now; its last error stays."""
    id = queue.enqueue(Fail("broken"), max_attempts=1)
    assert Worker(queue).work_off() == (0, 1)
    assert queue.get(id).state == "failed"
    assert queue.retry(id, now=NOON) is True
    job = queue.get(id)
    assert (job.state, job.attempts, job.run_at) == ("waiting", 0, NOON)
    assert "broken" in str(job.last_error)


def test_a_job_scheduled_for_later_runs_now(queue: Queue) -> None:
    """retry() makes a waiting job due."""
    said.clear()
    id = queue.enqueue(Say("early"), run_at=timedelta(days=1))
    assert Worker(queue).work_off() == (0, 0)
    assert queue.retry(id)
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["early"]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_in_the_callers_transaction(queue: Queue, end: str) -> None:
    """What is done with a session is done when that commits, and undone when it is rolled back."""
    kept, late = queue.enqueue(Say("kept")), queue.enqueue(Say("late"), run_at=timedelta(days=1))
    with Session(queue.writer) as session:
        new = queue.enqueue(Say("new"), session=session)
        assert queue.get(new, session=session).id == new
        queue.delete(kept, session=session)
        queue.retry(late, session=session, now=NOON)
        with pytest.raises(NoSuchJob):
            queue.get(kept, session=session)
        getattr(session, end)()
    left = {job.id: job.run_at == NOON for job in queue.jobs()}
    assert left == ({new: False, late: True} if end == "commit" else {kept: False, late: False})


def test_a_key_that_is_taken_leaves_the_callers_transaction_as_it_was(queue: Queue) -> None:
    """retry() of a failed job whose unique key another job has: AlreadyQueued, and the session goes on."""
    failed = queue.enqueue(Fail("broken"), max_attempts=1, unique_key="feed 3")
    Worker(queue).work_off()
    queue.enqueue(Say("another"), unique_key="feed 3")
    with Session(queue.writer) as session:
        with pytest.raises(AlreadyQueued, match="its key 'feed 3' is queued"):
            queue.retry(failed, session=session)
        queue.enqueue(Say("goes on"), session=session)
        session.commit()
    assert len(queue.jobs()) == 3 and queue.get(failed).state == "failed"


def test_retry_is_undone_by_a_rollback_on_any_connection(queue: Queue, database_url: str) -> None:
    """Also if it is the first that the transaction writes: sqlite3 begins none for a savepoint."""
    late = queue.enqueue(Say("late"), run_at=timedelta(days=1))
    engine = create_engine(database_url)
    with Session(engine) as session:
        assert queue.retry(late, session=session, now=NOON)
        session.rollback()
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(str(make_url(database_url).database))) as connection:
            assert queue.retry(late, session=through(queue, connection), now=NOON)
            connection.rollback()
    engine.dispose()
    assert queue.get(late).run_at != NOON


def test_retry_writes_without_reading_first(queue: Queue, database_url: str) -> None:
    """In SQLite, a transaction that has read can't write once others have written."""
    late = queue.enqueue(Say("late"), run_at=timedelta(days=1))
    engine = create_engine(database_url)
    executed: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: executed.append(args[2]))
    with Session(engine) as session:
        assert queue.retry(late, session=session)
        session.commit()
    engine.dispose()
    assert "UPDATE" in "".join(executed) and not [sql for sql in executed if "handler" in sql]


def test_a_running_job_is_left_alone(queue: Queue) -> None:
    """retry() returns False, and changes nothing of it."""
    id = queue.enqueue(Say("running"))
    with queue.writer.begin() as connection:
        connection.execute(queue.tables.jobs.update().values(locked_by="a worker", locked_at=NOON))
    assert queue.retry(id) is False
    assert (queue.get(id).locked_by, queue.get(id).state) == ("a worker", "running")
