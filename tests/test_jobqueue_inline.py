"""Inline mode, for an application's own tests: enqueue() performs the job itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from jobs_for_tests import Article, Fail, Line, Say, WriteLine, article, call_with_session, said
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, object_session, scoped_session, sessionmaker

from jobqueue import Claimed, NotAJob, NotSerializable, Queue, job
from jobqueue.tools.inline import InlineQueue

pytest_plugins = ["queue_fixtures"]


@pytest.fixture
def inline(queue: Queue, open_queue: Callable[..., Queue]) -> Iterator[Queue]:
    """A queue in inline mode, whose table must be empty after each test."""
    yield open_queue(InlineQueue)
    assert queue.jobs() == []


def lines(queue: Queue) -> list[str]:
    with Session(queue.engine) as session:
        return list(session.scalars(select(Line.text).order_by(Line.id)))


def test_a_job_is_performed_at_once(inline: Queue) -> None:
    """The job has run when enqueue() returns, whatever its run_at; it has no row, so its id is 0."""
    assert inline.enqueue(Say("now")) == 0
    assert said == ["now"]


def test_many_are_performed_in_their_order(inline: Queue) -> None:
    """As without inline mode, enqueue_many() returns the number of jobs."""
    assert inline.enqueue_many(Say(text) for text in ("one", "two")) == 2
    assert said == ["one", "two"]


def test_what_a_job_raises_reaches_the_caller(inline: Queue) -> None:
    """What the job has written is rolled back."""

    def write_and_fail(session: Session) -> None:
        session.add(Line(text="half"))
        session.flush()
        raise RuntimeError("the other half failed")

    with pytest.raises(RuntimeError, match="no such image"):
        inline.enqueue(Fail("no such image"))
    with pytest.raises(RuntimeError, match="the other half failed"):
        inline.enqueue(call_with_session(write_and_fail))
    assert lines(inline) == []


def test_without_a_session_a_job_has_one_of_its_own(inline: Queue) -> None:
    """What the job writes is committed when enqueue() returns."""
    inline.enqueue(WriteLine("effect"))
    assert lines(inline) == ["effect"]


def in_session(queue: Queue, end: str) -> None:
    with Session(queue.writer) as session:
        queue.enqueue(WriteLine("effect"), session=session)
        assert session.scalars(select(Line.text)).all() == ["effect"]
        getattr(session, end)()


def in_scoped_session(queue: Queue, end: str) -> None:
    session = scoped_session(sessionmaker(queue.writer))
    queue.enqueue(WriteLine("effect"), session=session)
    getattr(session, end)()
    session.remove()


def in_connection(queue: Queue, end: str) -> None:
    with queue.writer.connect() as connection:
        connection.execute(select(Line)).all()
        queue.enqueue(WriteLine("effect"), session=connection)
        assert connection.in_transaction()
        getattr(connection, end)()


def in_new_connection(queue: Queue, end: str) -> None:
    with queue.writer.connect() as connection:
        queue.enqueue_many([WriteLine("effect")], session=connection)
        assert connection.in_transaction()
        getattr(connection, end)()


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("write", [in_session, in_scoped_session, in_connection, in_new_connection])
def test_with_the_callers_transaction_it_is_the_callers_to_commit(
    inline: Queue, write: Callable[[Queue, str], None], end: str
) -> None:
    """The job's effect is committed or rolled back with the transaction, as its row would be."""
    write(inline, end)
    assert lines(inline) == ["effect"] * (end == "commit")


def test_a_job_that_fails_leaves_the_callers_connection_usable(inline: Queue) -> None:
    """What the job wrote is rolled back; what was written before and after it stays."""

    def write_an_invalid_line(session: Session) -> None:
        session.add(Line(text="half"))
        session.flush()
        session.add(Line(text=None))
        session.flush()

    with inline.writer.begin() as connection:
        inline.enqueue(WriteLine("before"), session=connection)
        with pytest.raises(Exception, match=r"(?i)not.null"):
            inline.enqueue(call_with_session(write_an_invalid_line), session=connection)
        inline.enqueue(WriteLine("after"), session=connection)
    assert lines(inline) == ["before", "after"]


def change(self: Article) -> None:
    assert object_session(self)
    self.body += "changed"


@pytest.mark.parametrize("own", [True, False], ids=["its own session", "the caller's"])
def test_a_mapped_object_is_performed(inline: Queue, own: bool) -> None:
    """In the caller's session the job is the caller's own object; otherwise it is loaded by its key."""
    with Session(inline.writer) as session:
        new = article(change)
        session.add(new)
        if own:
            session.commit()
            inline.enqueue(new)
        else:
            inline.enqueue(new, session=session)
            assert new.body == "changed"
            session.commit()
    with Session(inline.engine) as session:
        assert session.scalars(select(Article.body)).all() == ["changed"]


def test_a_job_that_can_not_be_queued_fails_here_too(inline: Queue) -> None:
    """A test in inline mode finds what production would: arguments that are not JSON or do not survive the
    round trip, a class that is not registered, or one that stores an argument as something else.
    """

    @job
    class Converted:
        def __init__(self, image_id: int):
            if not isinstance(image_id, int):
                raise TypeError(image_id)
            self.image_id = str(image_id)

        def perform(self) -> None: ...

    with pytest.raises(NotSerializable):
        inline.enqueue(Say(object()))  # type: ignore[arg-type]
    with pytest.raises(NotSerializable):
        inline.enqueue_many([Say("never"), Say((1, 2))])  # type: ignore[arg-type]
    with pytest.raises(NotAJob):
        inline.enqueue(object())  # type: ignore[arg-type]
    with pytest.raises(NotSerializable, match=r"Converted .* as a worker will, .* raises TypeError\('8'\)"):
        inline.enqueue(Converted(8))
    with pytest.raises(ValueError, match="max_attempts"):
        inline.enqueue(Say("never"), max_attempts=0)
    assert said == []


def test_hooks_are_called_inline(inline: Queue) -> None:
    """They are called in order, and see the job's options and its first attempt."""

    @job
    @dataclass
    class Watched:
        fails: bool = False

        def enqueue(self, job: Any) -> None:
            job.priority = 7
            said.append("enqueue")

        def before(self, job: Claimed) -> None:
            said.append(f"before, priority {job.priority}, attempt {job.attempts}")

        def perform(self) -> None:
            assert not self.fails

        def success(self, job: Claimed) -> None:
            said.append("success")

        def failure(self, job: Claimed) -> None:
            said.append("failure")

        def after(self, job: Claimed) -> None:
            said.append("after")

    inline.enqueue(Watched())
    begin = ["enqueue", "before, priority 7, attempt 1"]
    assert said == [*begin, "success", "after"]
    said.clear()
    with pytest.raises(AssertionError):
        inline.enqueue(Watched(fails=True), max_attempts=1)
    assert said == [*begin, "failure", "after"]


def test_what_a_job_writes_first_of_all_is_rolled_back_too(
    open_queue: Callable[..., Queue], database_url: str
) -> None:
    """In a Connection's transaction that has written nothing yet. SQLite's driver begins none by itself."""
    queue = open_queue(InlineQueue)
    engine = create_engine(database_url)
    with engine.connect() as connection:
        queue.enqueue(WriteLine("hi"), session=connection)
        connection.rollback()
        assert connection.scalars(select(Line)).all() == []
    engine.dispose()
