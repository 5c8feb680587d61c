"""However an attempt ends, it is counted once, its hooks are called, and the log says what happened."""

import gc
import logging
import threading
import weakref
from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import GATE_SECONDS, Line, Say, call, call_with_session, gates, only_job, said, scripts
from sqlalchemy import func, text, update
from sqlalchemy.orm import Session

from jobqueue import Claimed, Job, Queue, Worker, job, lease
from jobqueue.errors import LeaseLost, RunTimeExceeded
from jobqueue.lease import Lease
from jobqueue.performing import UNKNOWN_WAIT
from jobqueue.tools import looking
from jobqueue.tools.explaining import explain
from jobqueue.tools.presence import tallies

pytest_plugins = ["queue_fixtures"]

RunWorker = Callable[..., Any]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Watched:
    """Says which hooks were called."""

    def error(self, job: Claimed, exception: BaseException) -> None:
        said.append(f"error {type(exception).__name__}")

    def failure(self, job: Claimed) -> None:
        said.append("failure")

    def after(self, job: Claimed) -> None:
        said.append("after")


@job
@dataclass
class Fragile(Watched):
    def perform(self) -> None:
        scripts["perform"]()


@job(discard_on=(RunTimeExceeded,))
@dataclass
class Impatient(Watched):
    def perform(self) -> None:
        scripts["perform"]()


class Own(BaseException):
    pass


def raises(error: BaseException) -> None:
    def throw() -> None:
        raise error

    scripts["perform"] = throw


KINDS = [CancelledError, GeneratorExit, SystemExit, Own, StopIteration, MemoryError, KeyboardInterrupt]


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_perform_raises_fails_the_attempt(
    queue: Queue, run_worker: RunWorker, kind: type[BaseException]
) -> None:
    """In run() and in work_off(), with all hooks. (In a thread, KeyboardInterrupt is not the user's.)"""
    raises(kind("from the job"))
    expected = [f"error {kind.__name__}", "failure", "after"]
    queue.enqueue(Fragile(), max_attempts=1)
    run_worker(queue)
    wait_until(lambda: only_job(queue).failed_at, "the job's failure")
    assert said == expected
    said.clear()
    queue.enqueue(Fragile(), max_attempts=1)
    done: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: done.append(Worker(queue).work_off()))
    thread.start()
    thread.join(GATE_SECONDS)
    wait_until(lambda: all(job.failed_at for job in queue.jobs()), "the other job's failure")
    assert said == expected
    assert all(kind.__name__ in (job.last_error or "") for job in queue.jobs())


def test_a_job_that_says_that_its_lease_was_lost_waits_as_after_any_failure(queue: Queue) -> None:
    """It has the lease: to run it again at once would use up all its attempts."""
    raises(LeaseLost())
    id = queue.enqueue(Fragile(), max_attempts=2, now=NOON)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    assert queue.get(id).run_at >= NOON + timedelta(seconds=6)
    assert Worker(queue).work_off(now=NOON + timedelta(minutes=1)) == (0, 1)
    assert Worker(queue).work_off(now=NOON + timedelta(hours=1)) == (0, 0)
    assert (queue.get(id).state, said.count("failure")) == ("failed", 1)


def test_a_hook_that_raises_anything_changes_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(*_: object) -> None:
        raise CancelledError

    monkeypatch.setattr(Fragile, "after", cancel)
    scripts["perform"] = lambda: None
    queue.enqueue(Fragile())
    assert Worker(queue).work_off() == (1, 0)


# -- the log


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "jobqueue"]


def test_the_log_has_the_exception(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    """Its class and its first line in the text, and itself for those who collect errors, as Sentry does."""
    error = ValueError("first\nsecond")
    raises(error)
    queue.enqueue(Fragile())
    assert Worker(queue).work_off() == (0, 1)
    (record,) = records(caplog)
    assert record.getMessage() == "job 1 failed: ValueError: first (attempt 1 of 25)"
    assert record.levelno == logging.ERROR
    assert record.exc_info and record.exc_info[1] is error and error.__traceback__


def test_of_an_sql_error_too(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    def ask_nobody(session: Session) -> None:
        session.execute(text("SELECT * FROM nowhere"))

    queue.enqueue(call_with_session(ask_nobody))
    assert Worker(queue).work_off() == (0, 1)
    message = records(caplog)[0].getMessage()
    assert message.startswith("job 1 failed: sqlalchemy.exc.") and "nowhere" in message
    assert "Background" not in message


def test_no_error_is_kept_alive(queue: Queue, run_worker: RunWorker) -> None:
    """Nor what its frames refer to, once it is logged: an idle worker must not hold a failed job's data."""

    class Data:
        pass

    alive: list[weakref.ref[Data]] = []

    def hold_and_fail() -> None:
        data = Data()
        alive.append(weakref.ref(data))
        raise RuntimeError("no")

    logger = logging.getLogger("jobqueue")
    logger.disabled = True  # pytest keeps what is logged
    try:
        scripts["perform"] = hold_and_fail
        queue.enqueue(Fragile())
        run_worker(queue)
        wait_until(lambda: only_job(queue).last_error and not only_job(queue).locked_by, "the job's failure")
        wait_until(lambda: gc.collect() is not None and alive[0]() is None, "the end of its data")
    finally:
        logger.disabled = False


@pytest.mark.parametrize("with_session", [False, True])
def test_a_job_deleted_while_it_ran(
    queue: Queue, caplog: pytest.LogCaptureFixture, with_session: bool
) -> None:
    """It was not another worker that took it, and the log does not say so."""

    def be_deleted() -> None:
        queue.clear()

    def write_and_be_deleted(session: Session) -> None:
        session.execute(text("SELECT 1"))
        session.commit()
        queue.clear()
        session.add(Line(text="late"))

    queue.enqueue(call_with_session(write_and_be_deleted) if with_session else call(be_deleted))
    Worker(queue).work_off()
    [record] = records(caplog)
    assert record.getMessage().startswith("job 1 was not settled: it was deleted while it ran, or")


# -- no attempt left


def claim(queue: Queue, worker: str, now: datetime) -> None:
    with queue.writer.begin() as connection:
        assert Lease(queue.tables, worker).claim(connection, 1, now)


def test_a_job_whose_last_worker_died_gets_its_failure(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """By whoever claims it next, who does not perform it. last_error still says what became of its worker."""
    scripts["perform"] = lambda: said.append("perform")
    queue.enqueue(Fragile(), max_attempts=1, now=NOON)
    claim(queue, "dead", NOON)
    with queue.writer.begin() as connection:
        assert lease.free(connection, queue.tables, "dead", "was killed.", NOON)
    row = only_job(queue)
    assert (row.attempts, row.failed_at, row.run_at) == (1, None, NOON)
    assert Worker(queue).work_off(now=NOON + HOUR) == (0, 0)
    row = only_job(queue)
    assert (row.attempts, row.failed_at, row.last_error) == (1, NOON + HOUR, "The worker dead was killed.")
    assert said == ["failure"]
    assert "job 1 has failed for good: " in caplog.text


@pytest.mark.parametrize(
    ("kind", "max_attempts", "attempts"), [(Fragile, 1, 1), (Impatient, 25, 25)], ids=["last", "discarded"]
)
def test_a_job_ended_by_its_limit_for_good_gets_its_failure(
    queue: Queue, run_worker: RunWorker, kind: type[Any], max_attempts: int, attempts: int
) -> None:
    """The hung thread can't call it. last_error still says why it was ended, which counts as one failure."""

    def hang() -> None:
        said.append("hang")
        gates["hung"].wait(GATE_SECONDS)

    scripts["perform"] = hang
    queue.enqueue(kind(), max_attempts=max_attempts, max_run_time=0.1)
    running = run_worker(queue)
    wait_until(lambda: only_job(queue).failed_at, "its failure")
    assert said == ["hang", "failure"]
    assert "RunTimeExceeded: " in (only_job(queue).last_error or "")
    assert only_job(queue).attempts == attempts
    running.stop()
    running.wait()
    with queue.engine.connect() as connection:
        assert sum(tally.failed for tally in tallies(connection, queue.tables).values()) == 1


@pytest.mark.parametrize("attempts", [2**31 - 1, -10_000, 10**6])
@pytest.mark.parametrize("max_attempts", [2**31 - 1, 25])
def test_a_row_may_hold_any_number(queue: Queue, attempts: int, max_attempts: int) -> None:
    """No worker stumbles over it: in a claim, in a retry, or when a dead worker's job is freed."""
    raises(RuntimeError("no"))
    queue.enqueue(Fragile(), now=NOON)
    with queue.writer.begin() as connection:
        connection.execute(update(Job).values(attempts=attempts, max_attempts=max_attempts))
    claim(queue, "dead", NOON)
    with queue.writer.begin() as connection:
        assert lease.free(connection, queue.tables, "dead", "was killed.", NOON)
        connection.execute(update(Job).values(run_at=NOON))
    queue.enqueue(Say("next"), now=NOON)
    assert Worker(queue).work_off(now=NOON)[0] == 1
    assert said[-1] == "next"


# -- a class that this worker does not know


def rename(queue: Queue, old: str, new: str) -> None:
    """From now on, the queue's jobs of one class are of another."""
    with queue.writer.begin() as connection:
        connection.execute(update(Job).values(handler=func.replace(Job.handler, f'"{old}"', f'"{new}"')))


@pytest.fixture
def strange(queue: Queue) -> int:
    """The id of a job of a class that only other workers know, which has one attempt."""
    id = queue.enqueue(Fragile(), max_attempts=1, now=NOON)
    rename(queue, "Fragile", "Strange")
    return id


def test_a_job_of_an_unknown_class_is_given_back(
    queue: Queue, strange: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As if it had not been claimed, for those who know it: after a while, so that this worker does not claim
    it again and again. Its one attempt is not spent.
    """
    queue.enqueue(Say("next"), now=NOON)
    assert Worker(queue).work_off(now=NOON) == (1, 0)
    row = only_job(queue)
    assert (row.id, row.attempts, row.failed_at, row.locked_by) == (strange, 0, None, None)
    assert row.run_at == NOON + UNKNOWN_WAIT
    assert (row.last_error or "").startswith("No job is registered as 'Strange' in this worker.")
    (record,) = records(caplog)
    assert record.levelno == logging.WARNING and "was given back: " in record.getMessage()
    assert "'Strange'" in record.getMessage()
    rename(queue, "Strange", "Fragile")  # as if a worker of the new release came
    scripts["perform"] = lambda: said.append("performed")
    assert Worker(queue).work_off(now=NOON + UNKNOWN_WAIT) == (1, 0)
    assert said == ["next", "performed", "after"]


def test_the_tools_say_so(queue: Queue, strange: int) -> None:
    """`jobqueue stats` counts such jobs, and `explain` says what to do."""
    queue.enqueue(Say("later"), now=NOON, run_at=HOUR)
    Worker(queue).work_off(now=NOON)
    (found,) = looking.stats(queue, NOON).queues
    assert (found.waiting, found.unknown) == (2, 1)
    (reason,) = [each for each in explain(queue, strange, NOON).reasons if each.code == "unknown_job"]
    assert "--import MODULE" in reason.text and "'Strange'" in reason.text


def test_even_one_without_an_attempt_left_waits_for_those_who_know_it(queue: Queue, strange: int) -> None:
    """They have its failure(). Why it was freed is not overwritten."""
    claim(queue, "dead", NOON)
    with queue.writer.begin() as connection:
        lease.free(connection, queue.tables, "dead", "was killed.", NOON)
    assert Worker(queue).work_off(now=NOON) == (0, 0)
    row = only_job(queue)
    assert (row.attempts, row.failed_at, row.last_error) == (1, None, "The worker dead was killed.")
    assert row.run_at == NOON + UNKNOWN_WAIT


# -- arguments


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"queues": "mail"}, TypeError, 'queues must be a list of names, such as ["mail"], not "mail"'),
        ({"queues": [b"mail"]}, TypeError, "queue must be a queue's name, not b'mail'"),
        ({"queues": [""]}, ValueError, "queue must be text of 1 to 2000 bytes"),
        (
            {"queues": []},
            ValueError,
            "queues must be names of queues, at least one, or left out to serve all, not []",
        ),
        ({"queues": (name for name in ["mail"])}, TypeError, "queues must be"),
        ({"threads": "2"}, TypeError, "threads must be"),
        ({"threads": True}, TypeError, "threads must be"),
        ({"threads": 0}, ValueError, "threads must be"),
        ({"max_batch": 1.5}, TypeError, "max_batch must be"),
        ({"poll_interval": 0}, ValueError, "poll_interval must be"),
        ({"poll_interval": float("nan")}, ValueError, "poll_interval must be"),
        ({"poll_interval": timedelta(seconds=1)}, TypeError, "poll_interval must be"),
        ({"max_run_time": -1.0}, ValueError, "max_run_time must be"),
        ({"stop_timeout": float("nan")}, ValueError, "stop_timeout must be"),
        ({"stop_timeout": None}, TypeError, "stop_timeout must be"),
        ({"min_priority": 1, "max_priority": 0}, ValueError, "min_priority must not be above max_priority"),
        ({"observers": [3]}, ValueError, "observers must be functions that take an Event, not [3]"),
        ({"observers": print}, TypeError, "observers must be a list of functions, not <built-in"),
        ({"queue": "mail"}, TypeError, "Worker() has no option queue, only max_batch, max_priority,"),
    ],
)
def test_a_worker_checks_its_options_at_once(
    queue: Queue, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    """One sentence that says what is wrong with which."""
    with pytest.raises(kind) as caught:
        Worker(queue, **options)
    assert str(caught.value).startswith(message.replace('not "mail"', "not 'mail'"))


@pytest.mark.parametrize(
    ("lease", "message"),
    [
        (30, "a timedelta, such as timedelta"),
        ("30", "a timedelta, such as timedelta"),
        (-HOUR, "at least half a second"),
        (timedelta(seconds=0.4), "at least half a second, and at most a century, not"),
        (timedelta.max, "at least half a second, and at most a century"),
    ],
)
def test_a_queue_checks_its_lease_at_once(database_url: str, lease: Any, message: str) -> None:
    """Not when the first worker starts."""
    with pytest.raises(TypeError if "such as" in message else ValueError, match=f"lease must be {message}"):
        Queue(database_url, lease=lease)


def test_a_worker_needs_a_queue() -> None:
    """It shows no password of a URL."""
    with pytest.raises(
        TypeError, match=r"a worker needs a Queue, not <class 'str'>: Worker\(Queue\(url\)\)$"
    ):
        Worker("postgresql://ada:secret@localhost/shop")  # type: ignore[arg-type]


@pytest.mark.parametrize("now", [datetime(2026, 1, 1), "noon"])
def test_a_moment_that_is_none_is_refused_before_anything_happens(queue: Queue, now: Any) -> None:
    """With the same words everywhere."""
    id = queue.enqueue(Say("hi"))
    worker = Worker(queue)
    for do in (
        worker.work_off,
        partial(queue.enqueue, Say("hi")),
        partial(queue.enqueue_many, [Say("hi")]),
        partial(queue.retry, id),
        partial(queue.pause, "mail"),
    ):
        with pytest.raises((ValueError, TypeError), match=r"has no time zone; use|now must be a datetime"):
            do(now=now)
    assert worker.work_off() == (1, 0)
