"""Exactly once: a job's writes to its queue's database are committed with its end, or not at all."""

import signal
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import (
    Article,
    Line,
    WriteLine,
    WriteLineAndHangAtFirst,
    article,
    call_with_session,
    lines_of,
    only_job,
    said,
)
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.orm import Session, object_session

from jobqueue import Queue, Worker, job, lease

pytest_plugins = ["queue_fixtures"]

OTHERS_IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


def lines(queue: Queue) -> list[str]:
    """The lines that jobs have written and committed."""
    with Session(queue.engine) as session:
        return list(session.scalars(select(Line.text).order_by(Line.id)))


def save(queue: Queue, new: Article) -> None:
    """Store the article and enqueue it."""
    with Session(queue.writer) as session:
        session.add(new)
        queue.enqueue(new, session=session)
        session.commit()


def body(queue: Queue) -> str:
    with Session(queue.engine) as session:
        return session.scalars(select(Article.body)).one()


def lose_the_lease(queue: Queue) -> None:
    """Free the job as if this worker had been silent for too long."""
    with queue.writer.begin() as connection:
        assert lease.reap(connection, queue.tables, queue.lease, datetime.now(UTC) + timedelta(hours=1))


def test_what_a_job_writes_is_committed_with_its_end(queue: Queue) -> None:
    """The transaction that inserts the line is the one that deletes the job."""
    queue.enqueue(WriteLine("effect"))
    transactions: list[set[str]] = [set()]

    @event.listens_for(queue.writer, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        transactions[-1].add(statement.partition(" ")[0])

    event.listen(queue.writer, "commit", lambda _: transactions.append(set()))
    assert Worker(queue).work_off() == (1, 0)
    assert {"INSERT", "DELETE"} in [statements - {"BEGIN"} for statements in transactions]
    assert lines(queue) == ["effect"]
    assert queue.jobs() == []


def test_when_a_job_fails_nothing_of_it_is_written(queue: Queue) -> None:
    """Writes already flushed to the database are rolled back too."""

    def write_and_fail(session: Session) -> None:
        session.add(Line(text="half"))
        session.flush()
        raise RuntimeError("the other half failed")

    queue.enqueue(call_with_session(write_and_fail))
    assert Worker(queue).work_off() == (0, 1)
    assert lines(queue) == []
    assert "the other half failed" in (only_job(queue).last_error or "")


def test_when_the_commit_fails_the_job_is_not_finished(queue: Queue) -> None:
    """A constraint checked only at COMMIT fails: neither the effect nor the finish is stored."""

    def write_an_orphan(session: Session) -> None:
        session.add(Line(text="orphan", parent_id=4711))

    queue.enqueue(call_with_session(write_an_orphan))
    assert Worker(queue).work_off() == (0, 1)
    assert lines(queue) == []
    assert "IntegrityError" in (only_job(queue).last_error or "")
    assert queue.enqueue(WriteLine("next")) and Worker(queue).work_off() == (1, 0)


def test_a_lost_lease_rolls_the_effect_back(queue: Queue) -> None:
    """The attempt counts as failed, since another worker may be running the job by now."""

    def write_too_late(session: Session) -> None:
        said.append("attempt")
        if len(said) == 1:
            lose_the_lease(queue)
        session.add(Line(text=f"attempt {len(said)}"))

    queue.enqueue(call_with_session(write_too_late))
    assert Worker(queue).work_off() == (1, 1)
    assert lines(queue) == ["attempt 2"]
    assert queue.jobs() == []


def test_the_session_is_handed_over_by_name(queue: Queue) -> None:
    """perform(self, *, session) works too, and other arguments keep their defaults."""

    @job
    class WriteLines:
        def perform(self, count: int = 2, *, session: Session) -> None:
            session.add_all(Line(text=f"line {n}") for n in range(count))

    queue.enqueue(WriteLines())
    assert Worker(queue).work_off() == (1, 0)
    assert lines(queue) == ["line 0", "line 1"]


@pytest.mark.live
def test_after_a_kill_the_effect_is_there_exactly_once(
    queue: Queue,
    open_queue: Callable[..., Queue],
    tmp_path: Path,
    start_lone_worker: Callable[..., Any],
    run_worker: Callable[..., Any],
) -> None:
    """kill -9 between write and commit: the database rolls back, and the next attempt writes it."""
    begun = tmp_path / "begun.txt"
    queue.enqueue(WriteLineAndHangAtFirst(str(begun), "effect"))
    killed = start_lone_worker("--lease", "0.5")
    wait_until(lambda: lines_of(begun), "the job's beginning")
    killed.signal(signal.SIGKILL)
    assert killed.exit_status() == 128 + signal.SIGKILL
    assert lines(queue) == []
    run_worker(open_queue(lease=timedelta(seconds=0.5)))
    wait_until(lambda: not queue.jobs(), "the second attempt's end")
    assert lines(queue) == ["effect"]
    assert lines_of(begun) == ["begun", "begun"]


def test_no_transaction_is_open_while_a_mapped_object_performs(queue: Queue, database_url: str) -> None:
    """perform() may wait for a remote server. Until it uses its session, it holds no lock."""

    def look_around(self: Article) -> None:
        assert object_session(self) is not None
        if queue.engine.dialect.name == "sqlite":
            other = sqlite3.connect(queue.engine.url.database or "", timeout=0, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            other.close()
        else:
            engine = create_engine(database_url)
            with engine.connect() as connection:
                assert connection.scalar(text(OTHERS_IN_TRANSACTION)) == 0
            engine.dispose()
        self.body = f"{self.title} done"

    save(queue, article(look_around))
    assert Worker(queue).work_off() == (1, 0)
    assert body(queue) == "look_around done"


def test_what_a_mapped_object_changed_is_committed_with_the_jobs_end(queue: Queue) -> None:
    """When the lease is lost, as here, the change is rolled back, unless perform() has committed it."""

    def change_too_late(self: Article) -> None:
        said.append("attempt")
        if len(said) == 1:
            lose_the_lease(queue)
        self.body += f"attempt {len(said)}"

    save(queue, article(change_too_late))
    assert Worker(queue).work_off() == (1, 1)
    assert body(queue) == "attempt 2"


def test_when_a_mapped_object_fails_its_changes_are_rolled_back(queue: Queue) -> None:
    """The next attempt finds the object unchanged."""

    def change_and_fail(self: Article) -> None:
        self.body = "half"
        raise RuntimeError("the other half failed")

    save(queue, article(change_and_fail))
    assert Worker(queue).work_off() == (0, 1)
    assert body(queue) == ""


def test_a_mapped_object_may_commit_by_itself(queue: Queue) -> None:
    """Its commits stay, whatever becomes of the job: they happen at least once, not exactly once."""

    def commit_and_fail(self: Article) -> None:
        self.body += "step "
        session = object_session(self)
        assert session
        session.commit()
        if self.body == "step ":
            raise RuntimeError("the next step failed")

    now = datetime.now(UTC)
    save(queue, article(commit_and_fail))
    assert Worker(queue).work_off(now=now + timedelta(minutes=1)) == (0, 1)
    assert Worker(queue).work_off(now=now + timedelta(minutes=2)) == (1, 0)
    assert body(queue) == "step step "
