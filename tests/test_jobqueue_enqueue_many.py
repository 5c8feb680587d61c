"""enqueue_many(): jobs keep their order, and are queued all or none, however many."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jobs_for_tests import Line, Say, said
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from jobqueue import Job, NotSerializable, Queue, Worker, handlers, job, waiting
from jobqueue.lease import Lease

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def count(queue: Queue) -> int:
    with Session(queue.engine) as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def test_many_jobs_run_in_their_order(queue: Queue) -> None:
    """enqueue_many() takes any iterable, here a generator, and returns the number of jobs."""
    assert queue.enqueue_many(Say(str(n)) for n in range(5)) == 5
    assert Worker(queue).work_off() == (5, 0)
    assert said == ["0", "1", "2", "3", "4"]
    assert queue.enqueue_many([]) == 0


def test_their_rows_say_all_that_was_asked_for(queue: Queue) -> None:
    """The options are the same as those of enqueue()."""
    options: dict[str, Any] = {"priority": -5, "queue": "images", "max_attempts": 3, "max_run_time": 1.5}
    later = timedelta(hours=1)
    queue.enqueue_many([Say("one"), Say("two")], run_at=later, now=NOON, **options)
    one, two = queue.jobs()
    assert [one.handler, two.handler] == [
        f'{{"job":"Say","arguments":{{"text":"{t}"}}}}' for t in ("one", "two")
    ]
    for row in (one, two):
        assert {column: getattr(row, column) for column in options} == options
        assert (row.run_at, row.created_at, row.updated_at) == (NOON + later, NOON, NOON)
        assert (row.attempts, row.last_error, row.unique_key) == (0, None, None)
        assert (row.locked_at, row.locked_by, row.failed_at) == (None, None, None)
    with pytest.raises(ValueError, match="max_attempts"):
        queue.enqueue_many([], max_attempts=0)


def test_all_or_none_are_queued(queue: Queue) -> None:
    """Nothing is queued if one job can't be, or if the iterable fails midway."""

    def breaks_down() -> Iterator[Say]:
        yield Say("one")
        raise RuntimeError("no more")

    with pytest.raises(NotSerializable):
        queue.enqueue_many([Say("one"), Say(object())])  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="no more"):
        queue.enqueue_many(breaks_down())
    assert queue.jobs() == []


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_many_jobs_may_be_part_of_the_callers_transaction(queue: Queue, end: str) -> None:
    """They are committed with its data, or not at all."""
    with Session(queue.writer) as session:
        session.add(Line(text="data"))
        assert queue.enqueue_many([Say("one"), Say("two")], session=session) == 2
        assert queue.jobs() == []
        getattr(session, end)()
        assert len(session.scalars(select(Line)).all()) == (end == "commit")
    assert len(queue.jobs()) == 2 * (end == "commit")


def test_more_than_one_statement_can_take_are_one_transaction(queue: Queue) -> None:
    """12,000 jobs take three statements: all are queued in order, or none if the last statement fails."""
    assert waiting.MOST_ROWS == 5_000
    queue.enqueue_many(Say(str(n)) for n in range(12_000))
    assert count(queue) == 12_000
    with queue.writer.begin() as connection:
        claimed = Lease(queue.tables, "a").claim(connection, 12_000, datetime.now(UTC))
    assert [handlers.parse(job.handler)[1]["arguments"]["text"] for job in claimed] == [
        str(n) for n in range(12_000)
    ]
    queue.clear()
    statements = itertools.count(1)

    @event.listens_for(queue.writer, "before_cursor_execute")
    def fail_at_the_third(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT") and next(statements) == 3:
            raise RuntimeError("the third statement")

    with pytest.raises(RuntimeError, match="the third statement"):
        queue.enqueue_many(Say(str(n)) for n in range(12_000))
    assert count(queue) == 0


ODD = [
    "",
    "NUL \x00 in it",
    "emoji 🌊, and beyond: \U0010ffff",
    'it\'s "quoted" `so` $$or$$ so',
    "100% %s %(x)s {of} :it ?",
    "back\\slash \\u0000 \\n",
    "\n\t\r\x01\x1f\x7f\u2028\u2029\ufeff",
    '{"job":"Other"}, [1], null',
    "x" * 100_000,
]


@pytest.mark.parametrize("many", [True, False], ids=["enqueue_many", "enqueue"])
def test_any_text_comes_back_as_it_was(queue: Queue, many: bool) -> None:
    """Quotes, escapes and NUL survive on every database."""
    if many:
        queue.enqueue_many(Say(text) for text in ODD)
    else:
        for text in ODD:
            queue.enqueue(Say(text))
    assert [job.handler for job in queue.jobs()] == [handlers.dump(Say(text)) for text in ODD]
    assert Worker(queue).work_off() == (len(ODD), 0)
    assert said == ODD


@job
class Shout(Say):
    """Its enqueue() hook decides how urgent it is."""

    def enqueue(self, job: Job) -> None:
        if self.text.isupper():
            job.priority, job.queue = -1, "loud"


def test_a_hook_may_change_some_of_them(queue: Queue) -> None:
    """The other jobs keep the options of the call, and all keep their order."""
    assert queue.enqueue_many([Shout("a"), Shout("B"), Shout("C"), Say("d"), Shout("E")], priority=3) == 5
    assert [(job.priority, job.queue) for job in queue.jobs()] == [(-1, "loud")] * 3 + [(3, "default")] * 2
    assert Worker(queue).work_off() == (5, 0)
    assert said == ["B", "C", "E", "a", "d"]
