"""Enqueueing: the row's contents, and committing job and data together or not at all."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from jobs_for_tests import Article, Fail, Line, Say, article
from sqlalchemy import insert, select
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from jobqueue import Job, NotAJob, NotSerializable, Queue, Worker

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_job_enqueued_alone_is_committed_when_enqueue_returns(queue: Queue, database_url: str) -> None:
    """Another connection to the database sees it."""
    job_id = queue.enqueue(Say("hello"))
    other = Queue(database_url)
    assert [job.id for job in other.jobs()] == [job_id]
    other.close()


def test_a_row_says_all_that_was_asked_for(queue: Queue) -> None:
    """The columns are Delayed Job's."""
    options: dict[str, Any] = {"priority": -5, "queue": "images", "max_attempts": 3, "max_run_time": 1.5}
    queue.enqueue(Say("hello"), run_at=NOON + timedelta(hours=1), now=NOON, **options)
    (job,) = queue.jobs()
    assert {column: getattr(job, column) for column in options} == options
    assert job.handler == '{"job":"Say","arguments":{"text":"hello"}}'
    assert (job.run_at, job.created_at, job.updated_at) == (NOON + timedelta(hours=1), NOON, NOON)
    assert (job.attempts, job.last_error) == (0, None)
    assert (job.locked_at, job.locked_by, job.failed_at) == (None, None, None)
    assert repr(job) == f"<Job 1 {job.handler} run at 2026-11-23 13:00:00, 0 of 3 attempts>"


def test_a_job_is_due_at_once_unless_another_time_is_named(queue: Queue) -> None:
    """Other defaults: priority 0, the queue "default", 25 attempts, and the worker's max_run_time."""
    queue.enqueue(Say("hello"), now=NOON)
    (job,) = queue.jobs()
    assert (job.run_at, job.priority, job.queue) == (NOON, 0, "default")
    assert (job.max_attempts, job.max_run_time) == (25, None)


def test_run_at_may_be_a_time_from_now(queue: Queue) -> None:
    """A timedelta counts from `now`."""
    queue.enqueue(Say("later"), run_at=timedelta(minutes=90), now=NOON)
    assert queue.jobs()[0].run_at == NOON + timedelta(minutes=90)


def test_times_come_back_aware_and_in_utc(queue: Queue) -> None:
    """This holds for any UTC offset of the input, on every backend."""
    kolkata = timezone(timedelta(hours=5, minutes=30))
    queue.enqueue(Say("hello"), run_at=NOON.astimezone(kolkata), now=NOON.astimezone(kolkata))
    Worker(queue).work_off(now=NOON - timedelta(seconds=1))  # not due yet
    (job,) = queue.jobs()
    for moment in (job.run_at, job.created_at, job.updated_at):
        assert moment == NOON and moment.tzinfo is UTC
    with queue.engine.connect() as connection:  # and in a caller's own query
        early = NOON.astimezone(kolkata) - timedelta(seconds=1)
        assert connection.scalars(select(Job.run_at).where(Job.run_at > early)).all() == [NOON]
        assert connection.scalars(select(Job.run_at).where(Job.run_at > NOON)).all() == []


def test_a_datetime_without_an_offset_is_refused(queue: Queue) -> None:
    """Its moment is ambiguous, both in enqueue() and in a caller's own query."""
    naive = datetime(2026, 11, 23, 12)
    for argument in ("run_at", "now"):
        with pytest.raises(ValueError, match="has no time zone; use datetime"):
            queue.enqueue(Say("hello"), **{argument: naive})
    with queue.engine.connect() as connection, pytest.raises(StatementError, match="has no time zone"):
        connection.execute(select(Job.id).where(Job.run_at > naive))
    assert queue.jobs() == []


def test_what_can_not_be_queued_leaves_the_transaction_usable(queue: Queue) -> None:
    """The caller may catch the error and commit the rest."""
    with Session(queue.writer) as session:
        session.add(Line(text="before"))
        with pytest.raises(NotAJob):
            queue.enqueue(object(), session=session)  # type: ignore[arg-type]
        with pytest.raises(NotSerializable):
            queue.enqueue(Say(object()), session=session)  # type: ignore[arg-type]
        session.commit()
        assert session.scalars(select(Line.text)).all() == ["before"]
    assert queue.jobs() == []


def write_in_session(queue: Queue, end: str) -> None:
    with Session(queue.writer) as session:
        session.add(Line(text="data"))
        queue.enqueue(Say("hello"), session=session)
        getattr(session, end)()


def write_in_scoped_session(queue: Queue, end: str) -> None:
    session = scoped_session(sessionmaker(queue.writer))  # Flask-SQLAlchemy's db.session is one
    new = article(print)  # has no primary key before the session is flushed
    session.add_all([new, Line(text="data")])
    queue.enqueue(new, session=session)
    getattr(session, end)()
    session.remove()


def write_in_connection(queue: Queue, end: str) -> None:
    with queue.writer.connect() as connection:
        connection.execute(insert(Line).values(text="data"))
        queue.enqueue(Say("hello"), session=connection)
        getattr(connection, end)()


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("write", [write_in_session, write_in_scoped_session, write_in_connection])
def test_job_and_data_are_committed_together_or_not_at_all(
    queue: Queue, write: Callable[[Queue, str], None], end: str
) -> None:
    """enqueue() joins the caller's transaction and never ends it."""
    write(queue, end)
    with Session(queue.engine) as session:
        assert len(session.scalars(select(Line)).all()) == len(queue.jobs()) == (end == "commit")


def test_nobody_sees_a_job_before_its_transaction_is_committed(queue: Queue) -> None:
    """A worker never runs ahead of the data that its job needs."""
    with Session(queue.writer) as session:
        queue.enqueue(Say("hello"), session=session)
        assert queue.jobs() == []
        session.commit()
    assert Worker(queue).work_off() == (1, 0)


def test_several_jobs_can_be_enqueued_in_one_transaction(queue: Queue) -> None:
    """enqueue() leaves the caller's connection open and in its transaction."""
    with queue.writer.begin() as connection:
        ids = [queue.enqueue(Say(text), session=connection) for text in ("one", "two", "three")]
        assert connection.in_transaction()
    assert [job.id for job in queue.jobs()] == ids


def publish(article: Article) -> None:
    article.body += ", published"


def test_a_new_mapped_object_is_stored_by_its_primary_key(queue: Queue) -> None:
    """The session is flushed first, so that the object has a key. The row holds class and key, but no state:
    the job loads the object's state of the moment it runs.
    """
    with Session(queue.writer) as session:
        new = article(publish)
        session.add(new)
        queue.enqueue(new, session=session)
        session.commit()
        new.body = "revised"
        session.commit()
    assert queue.jobs()[0].handler == '{"job":"Article","key":[1]}'
    assert Worker(queue).work_off() == (1, 0)
    with Session(queue.engine) as session:
        assert session.get_one(Article, 1).body == "revised, published"


def test_a_mapped_object_that_is_gone_fails_its_job_with_a_clear_error(queue: Queue) -> None:
    """The object's row was deleted before the job ran."""
    with Session(queue.writer) as session:
        gone = article(publish)
        session.add(gone)
        queue.enqueue(gone, session=session)
        session.delete(gone)
        session.commit()
    assert Worker(queue).work_off() == (0, 1)
    assert "HandlerError: Article [1] is no longer in the database" in (queue.jobs()[0].last_error or "")


def test_ids_are_never_used_again(queue: Queue) -> None:
    """Otherwise a stale worker's late finish could delete a new job."""
    first = queue.enqueue(Say("hello"))
    Worker(queue).work_off()
    assert queue.jobs() == []
    assert queue.enqueue(Fail("later")) > first


def test_jobs_are_listed_in_the_order_in_which_they_would_run(queue: Queue) -> None:
    """They are sorted by priority, run_at and id, and `limit` caps their number."""
    ids = [
        queue.enqueue(Say("hello"), priority=p, run_at=NOON + timedelta(m))
        for p, m in ((1, 0), (0, 1), (0, 0))
    ]
    assert [job.id for job in queue.jobs()] == [ids[2], ids[1], ids[0]]
    assert [job.id for job in queue.jobs(limit=1)] == [ids[2]]
