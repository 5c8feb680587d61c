"""enqueue() checks its arguments; bad values that others wrote into the table stop no worker."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import Say, said
from sqlalchemy import text

from jobqueue import NotAJob, NotSerializable, Queue, Worker, job
from jobqueue.dialects import UNREADABLE
from jobqueue.lease import Lease
from jobqueue.slots import deal

pytest_plugins = ["queue_fixtures"]


def test_a_misspelt_if_queued_is_refused(queue: Queue) -> None:
    """It does not silently fall back to one of the valid values."""
    with pytest.raises(ValueError, match="if_queued"):
        queue.enqueue(Say("hi"), unique_key="a", if_queued="kep")  # type: ignore[arg-type]


def test_keeping_a_job_needs_a_key(queue: Queue) -> None:
    """Nothing would be kept."""
    with pytest.raises(ValueError, match='if_queued="keep" needs a unique_key'):
        queue.enqueue(Say("hi"), if_queued="keep")
    assert queue.jobs() == []


GOOD: dict[str, Any] = {
    "if_queued": "refuse",
    "max_attempts": 1,
    "max_run_time": 1,
    "now": datetime.now(UTC),
    "priority": 1,
    "queue": "mail",
    "run_at": timedelta(1),
    "session": None,
    "unique_key": "key",
    "unique_until": None,
    "destroy_failed": True,
    "discard_on": [],
    "name": "bad_input.say",
    "retry_on": {},
    "max_batch": 1,
    "max_priority": 1,
    "min_priority": 1,
    "observers": [],
    "poll_interval": 1,
    "queues": ["mail"],
    "stop_timeout": 1,
    "threads": 1,
}


def test_a_misspelt_option_is_refused(queue: Queue) -> None:
    """The error names those that there are: exactly those that can be given."""

    class Refused:
        def perform(self) -> None: ...

    calls: list[Callable[..., Any]] = [
        partial(queue.enqueue, Say("hi")),
        lambda **options: queue.enqueue_many([Say("hi")], **options),
        partial(job, Refused),
        lambda **options: job(**options)(Refused),
        partial(Worker, queue),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"\w+\(\) has no option sesion, only ") as refusal:
            call(sesion=None)
        named = str(refusal.value).partition("only ")[2].split(", ")
        for name, value in GOOD.items():
            if name in named:
                call(**{name: value})
            else:
                with pytest.raises(TypeError, match=f"has no option {name}, only"):
                    call(**{name: value})
        assert set(named) < set(GOOD)


def test_a_class_is_no_job(queue: Queue) -> None:
    """Only an instance of it is."""
    with pytest.raises(NotAJob, match="is a class: enqueue an instance of it"):
        queue.enqueue(Say)  # type: ignore[arg-type]


def test_dataclass_may_stand_above_job(queue: Queue) -> None:
    """The job's arguments are those of the finished class."""

    @dataclass
    @job(name="upside down")
    class UpsideDown:
        text: str

        def perform(self) -> None:
            said.append(self.text)

    queue.enqueue(UpsideDown("hi"))
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["hi"]


def test_arguments_without_names_are_refused(queue: Queue) -> None:
    """They could not be stored, and would be missing when the job runs."""

    @job(name="nameless")
    class Nameless:
        def __init__(self, *words: str):
            self.words = words

        def perform(self) -> None:
            said.extend(self.words)

    with pytest.raises(NotSerializable, match=r"its __init__ takes \*words"):
        queue.enqueue(Nameless("hi"))


@pytest.mark.parametrize(
    "damage",
    [
        "priority = 'high'",
        "run_at = 5",
        "run_at = '2026'",
        "max_attempts = 'x'",
        "max_run_time = 'x'",
        "run_at = '1999-13-45'",
        "handler = x'00ff'",
    ],
)
def test_a_row_with_a_value_of_the_wrong_kind_fails_and_stops_no_worker(tmp_path: Path, damage: str) -> None:
    """SQLite stores any value in any column; PostgreSQL does not. The other jobs run."""
    from queue_fixtures import RunningWorker  # here: pytest rewrites it as a plugin first

    said.clear()
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    queue.create_tables()
    now = datetime.now(UTC) - timedelta(minutes=1)
    bad = queue.enqueue(Say("bad"), now=now)
    queue.enqueue(Say("good"), now=now)
    with queue.writer.begin() as connection:
        connection.execute(text(f"UPDATE jobs SET {damage} WHERE id = {bad}"))
    running = RunningWorker(queue)
    try:
        wait_until(lambda: said == ["good"] and queue.jobs()[0].failed_at, "the good job's end")
        assert "row makes no sense" in (queue.jobs()[0].last_error or "")
        assert repr(queue.jobs()[0])
    finally:
        running.stop()
        running.wait()
        queue.close()


@pytest.mark.parametrize("attempts", ["1.5", "'x'"])
def test_an_unsound_number_of_attempts_is_made_whole(tmp_path: Path, attempts: str) -> None:
    """SQLite stores it; the job runs."""
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    queue.create_tables()
    said.clear()
    queue.enqueue(Say("bad"))
    with queue.writer.begin() as connection:
        connection.execute(text(f"UPDATE jobs SET attempts = {attempts}"))
    assert Worker(queue).work_off() == (1, 0)
    assert (said, queue.jobs()) == (["bad"], [])
    queue.close()


def test_an_unsound_row_is_told_and_ends_no_work_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It fails like any job, and the due jobs behind it run; it leaves no job without a slot."""
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    queue.create_tables()
    said.clear()
    kinds: list[str] = []
    queue.enqueue_many([Say("bad"), Say("bad"), Say("good"), Say("good")])
    with queue.writer.begin() as connection:
        connection.execute(text("UPDATE jobs SET max_run_time = 'x' WHERE id < 3"))
        claimed = Lease(queue.tables, "a").claim(connection, 4, datetime.now(UTC))
        assert len(deal(claimed, 1)[0]) == 4
        Lease(queue.tables, "a").release(connection, claimed, datetime.now(UTC))
    assert Worker(queue, observers=[lambda event: kinds.append(event.kind)]).work_off() == (2, 2)
    assert said == ["good", "good"] and kinds.count("given up") == 2
    assert "row makes no sense" in caplog.text
    queue.close()


@pytest.mark.parametrize("run_at", ["-infinity", "0044-03-15 00:00:00+00 BC"])
def test_a_run_at_that_is_no_datetime_in_python_stops_no_worker(postgres_database: str, run_at: str) -> None:
    """PostgreSQL stores it, though only others write it: the row fails, can be seen, and the others run."""
    queue = Queue(postgres_database)
    queue.create_tables()
    said.clear()
    bad = queue.enqueue(Say("bad"))
    queue.enqueue(Say("good"))
    with queue.writer.begin() as connection:
        connection.execute(text(f"UPDATE jobs SET run_at = '{run_at}' WHERE id = {bad}"))
    assert queue.jobs()[0].run_at == UNREADABLE
    Worker(queue).run("idle")
    assert said == ["good"]
    assert queue.jobs()[0].failed_at and "row makes no sense" in (queue.jobs()[0].last_error or "")
    queue.close()


NEVER: dict[str, tuple[str | bytes, ...]] = {
    "sqlite": ("infinity", "now", "31/12/2026", "9999-01-01", b"\0"),
    "postgresql": ("infinity", "9999-01-01 00:00:00+00", "294276-12-31 23:59:59+00"),
}


def test_a_job_that_would_wait_for_ever_is_set_aside(queue: Queue) -> None:
    """Whatever its database takes for a moment. What is only far ahead waits."""
    said.clear()
    last = "9998-12-31 23:59:59.999999"
    for run_at in (*NEVER[queue.engine.dialect.name], last):
        id = queue.enqueue(Say("never"), priority=7)
        with queue.writer.begin() as connection:
            connection.execute(text(f"UPDATE jobs SET run_at = :at WHERE id = {id}"), {"at": run_at})
    queue.enqueue(Say("now"))
    Worker(queue).run("idle")
    assert said == ["now"]
    ahead, *others = queue.jobs()
    assert (ahead.run_at.year, ahead.state, ahead.attempts) == (9998, "waiting", 0)
    assert len(others) == len(NEVER[queue.engine.dialect.name])
    reason = "The job's row makes no sense: run_at must be a moment in the years 2 to 9998"
    assert {(job.state, job.last_error) for job in others} == {("failed", reason)}


def test_what_is_no_queues_name_is_refused(queue: Queue) -> None:
    """PostgreSQL could not be asked about it."""
    for name, error in ((5, TypeError), ("a\0", ValueError), ("mail,images", ValueError)):
        for do in (queue.pause, queue.resume, queue.clear):
            with pytest.raises(error, match="queue must be"):
                do(name)  # type: ignore[arg-type]
    for do in (queue.pause, queue.resume):  # which, unlike clear(), need a name
        with pytest.raises(TypeError, match="queue must be"):
            do(None)  # type: ignore[arg-type]
    for name in ("a\0", "mail,images"):
        with pytest.raises(ValueError, match=r"queue must be .* without commas"):
            Worker(queue, queues=[name])
    for bound in ("min_priority", "max_priority"):
        with pytest.raises(ValueError, match=f"{bound} must be between"):
            Worker(queue, **{bound: 2**31})  # type: ignore[arg-type]
