"""Observers are told what workers do, and each job is performed within the contexts of around()."""

import logging
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import (
    Fail,
    KillItsWorker,
    Line,
    Say,
    WaitAtGate,
    article,
    call,
    call_with_session,
    gates,
    only_job,
    said,
)
from sqlalchemy.orm import Session

from jobqueue import Claimed, Event, Queue, Worker, around, job, observe, observing
from jobqueue.tools import presence
from jobqueue.tools.inline import InlineQueue

pytest_plugins = ["queue_fixtures", "supervisor_fixtures"]

ROOT = Path(__file__).parent.parent
RunWorker = Callable[..., Any]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Observers and contexts last as long as the program; those of a test as long as the test."""
    before = observing.observers[:], observing.contexts[:]
    yield
    observing.observers[:], observing.contexts[:] = before


@pytest.fixture
def events() -> list[Event]:
    """All that observers are told, except that a worker is busy or idle."""
    told: list[Event] = []
    observe(lambda event: event.kind in ("busy", "idle") or told.append(event))
    return told


def kinds(events: list[Event]) -> list[tuple[str, list[int]]]:
    """The kind of each event, and its jobs."""
    return [(event.kind, [job.id for job in event.jobs]) for event in events]


# -- observers


def test_observers_are_told_how_each_job_went(queue: Queue, events: list[Event]) -> None:
    """What became of which job, why, when, and how long it took."""
    done, failing, last = (queue.enqueue(job) for job in (Say("hello"), Fail("no"), Fail("never")))
    with queue.writer.begin() as connection:
        jobs = queue.tables.jobs
        connection.execute(jobs.update().where(jobs.c.id == last).values(max_attempts=1))
    worker = Worker(queue)
    assert worker.work_off() == (1, 2)
    assert kinds(events) == [
        ("started", []),
        ("claimed", [done]),
        ("performed", [done]),
        ("claimed", [failing]),
        ("failed", [failing]),
        ("claimed", [last]),
        ("failed", [last]),
        ("given up", [last]),
        ("stopped", []),
    ]
    assert {event.worker for event in events} == {worker}
    assert all(event.at.tzinfo is UTC and event.seconds >= 0 for event in events)
    failed = events[4]
    assert isinstance(failed.error, RuntimeError)
    assert (str(failed.error), failed.job.attempts, failed.job.max_attempts) == ("no", 1, 25)
    assert failed.error.__traceback__ and events[6].error is events[7].error
    assert failed.seconds > 0 and events[2].seconds > 0


def test_a_running_worker_says_that_it_is_busy_or_idle(queue: Queue, run_worker: RunWorker) -> None:
    """A watchdog can tell by it that the worker still turns."""
    told: list[str] = []
    running = run_worker(queue, observers=[lambda event: told.append(event.kind)])
    wait_until(lambda: told.count("idle") > 1, "an idle worker's turns")
    queue.enqueue(WaitAtGate("busy"))
    wait_until(lambda: told.count("busy") > 2, "a busy worker's turns")
    gates["busy"].set()
    wait_until(lambda: "performed" in told, "the job's end")
    running.stop()
    running.wait()
    assert (told[0], told[-1]) == ("started", "stopped")


def test_a_hung_job_fails_and_is_given_up(queue: Queue, run_worker: RunWorker, events: list[Event]) -> None:
    """Once each, though another attempt to claim it lies between them."""
    queue.enqueue(WaitAtGate("hung"), max_run_time=0.1, max_attempts=1)
    run_worker(queue)
    wait_until(lambda: "given up" in [event.kind for event in events], "the job's end")
    [failed] = [event for event in events if event.kind == "failed"]
    assert repr(failed.error).startswith("RunTimeExceeded(") and failed.seconds == 0.1
    assert [event.kind for event in events].count("given up") == 1


def test_observers_are_told_of_jobs_given_back(
    queue: Queue, run_worker: RunWorker, events: list[Event]
) -> None:
    """They wait again, as if they had not been claimed."""
    id = queue.enqueue(WaitAtGate("stop"))
    running = run_worker(queue, stop_timeout=0.1)
    wait_until(lambda: said == ["at stop"], "the job's beginning")
    running.stop()
    running.wait()
    assert kinds(events)[1:] == [("claimed", [id]), ("given back", [id]), ("stopped", [])]
    assert events[2].why == "not finished when the worker was stopped"
    assert only_job(queue).locked_by is None


def test_observers_are_told_of_freed_and_lost_jobs(queue: Queue, events: list[Event]) -> None:
    """Here the job's own worker is taken for dead by another, which performs the job, too."""

    def be_taken_for_dead() -> None:
        said.append("hello")
        if len(said) == 1:
            assert Worker(queue).work_off(now=datetime.now(UTC) + LEASE) == (1, 0)

    id = queue.enqueue(call(be_taken_for_dead), max_attempts=2)
    worker = Worker(queue)
    worker.work_off()
    other = {event.worker for event in events} - {worker}
    assert kinds([event for event in events if event.worker in other])[:4] == [
        ("started", []),
        ("freed", [id]),
        ("claimed", [id]),
        ("performed", [id]),
    ]
    assert kinds([event for event in events if event.worker is worker]) == [
        ("started", []),
        ("claimed", [id]),
        ("lost", [id]),
        ("stopped", []),
    ]


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, CancelledError, GeneratorExit])
def test_an_observer_that_raises_hurts_nobody(
    queue: Queue, events: list[Event], caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    """What it raises is logged; the job, the worker and the other observers never know."""
    told: list[Event] = []

    def break_down(event: Event) -> None:
        raise kind("an observer broke down")

    queue.enqueue(Say("hello"))
    worker = Worker(queue, observers=[break_down, told.append])
    observing.observers.insert(0, break_down)
    assert worker.work_off() == (1, 0)
    assert said == ["hello"] and queue.jobs() == []
    assert [event for event in told if event.kind not in ("busy", "idle")] == events != []
    assert "an observer broke down" in caplog.text


def test_ctrl_c_in_an_observer_is_the_users(queue: Queue) -> None:
    """It ends the worker, as anywhere else in the main thread."""

    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Worker(queue, observers=[interrupt]).work_off()


def test_in_a_thread_no_observer_ends_the_worker(queue: Queue, run_worker: RunWorker) -> None:
    """No signal arrives there, so a KeyboardInterrupt is the observer's own."""

    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    running = run_worker(queue, observers=[interrupt])
    queue.enqueue(Say("hello"))
    wait_until(lambda: said == ["hello"] and not queue.jobs(), "the job's end")
    running.stop()
    running.wait()


def test_one_worker_may_have_observers_of_its_own(queue: Queue) -> None:
    """Other workers don't tell them anything."""
    told: list[Event] = []
    worker = Worker(queue, observers=[told.append])
    Worker(queue).work_off()
    assert told == []
    worker.work_off()
    assert kinds(told) == [("started", []), ("stopped", [])]


def test_what_nobody_listens_to_is_not_even_made(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of microseconds would notice."""
    made: list[str] = []

    def make(kind: str, *rest: Any, **named: Any) -> Event:
        made.append(kind)
        return Event(kind, *rest, **named)

    monkeypatch.setattr(observing, "Event", make)
    queue.enqueue_many([Say("one"), Say("two")])
    Worker(queue).work_off()
    assert "performed" not in made
    queue.enqueue(Say("three"))
    Worker(queue, observers=[print]).work_off()
    assert "performed" in made


def test_a_worker_without_observers_has_no_row(queue: Queue) -> None:
    """The rows are for people; the queue itself does without them."""
    queue.enqueue(Say("hello"))
    assert Worker(queue).work_off() == (1, 0)
    with queue.engine.connect() as connection:
        assert presence.tallies(connection, queue.tables) == {}


# -- the log is one of them


def test_the_log_says_which_exception_with_its_first_line(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """The exception comes with it, for Sentry and the like. Its last line may be a link, as SQLAlchemy's."""
    queue.enqueue(call_with_session(lambda session: session.add(Line(text=None))))
    queue.enqueue(Fail("first\nlast"), max_attempts=1)
    Worker(queue).work_off()
    retried, given_up = caplog.records
    assert retried.levelno == given_up.levelno == logging.ERROR
    message = retried.getMessage()
    assert message.startswith("job 1 failed: sqlalchemy.exc.IntegrityError: (")
    assert "Background on" not in message
    assert message.endswith("(attempt 1 of 25)")
    assert given_up.getMessage() == "job 2 failed: RuntimeError: first (attempt 1 of 1)"
    assert given_up.exc_info and isinstance(given_up.exc_info[1], RuntimeError)
    assert isinstance(getattr(retried.exc_info[1] if retried.exc_info else None, "orig", None), Exception)
    assert "Traceback (most recent call last):" in caplog.text


# -- contexts


def enter_and_say(word: str) -> Callable[[], AbstractContextManager[None]]:
    """A context that says when it is entered and left."""

    @contextmanager
    def context() -> Iterator[None]:
        said.append(f"enter {word}")
        yield
        said.append(f"leave {word}")

    return context


def test_each_job_is_performed_within_the_contexts(queue: Queue, run_worker: RunWorker) -> None:
    """In the order of their registration, in the thread that performs the job."""
    around(enter_and_say("outer"))
    around(enter_and_say("inner"))
    queue.enqueue(Say("one"))
    run_worker(queue)
    wait_until(lambda: not queue.jobs(), "the job's end")
    assert said == ["enter outer", "enter inner", "one", "leave inner", "leave outer"]


def test_a_context_surrounds_loading_and_hooks(queue: Queue) -> None:
    """A mapped object's own session, or a hook, may need what the context provides."""

    @around
    def context(job: Claimed) -> AbstractContextManager[None]:
        return enter_and_say(f"job {job.id}, attempt {job.attempts}")()

    @job(name="Loud")
    class Loud:
        def __init__(self, word: str):
            said.append("load")
            self.word = word

        def before(self, job: Claimed) -> None:
            said.append("before")

        def perform(self) -> None:
            said.append(self.word)

        def after(self, job: Claimed) -> None:
            said.append("after")

    id = queue.enqueue(Loud("hello"))
    said.clear()
    assert Worker(queue).work_off() == (1, 0)
    entered = f"job {id}, attempt 1"
    assert said == [f"enter {entered}", "load", "before", "hello", "after", f"leave {entered}"]


def test_what_a_context_raises_on_entering_fails_the_attempt(
    queue: Queue, open_queue: Callable[..., Queue]
) -> None:
    """The job does not begin, and contexts already entered are left. In inline mode the caller gets it."""
    left: list[type[BaseException] | None] = []

    @around
    @contextmanager
    def outer() -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            left.append(type(error))
            raise

    @around
    def inner() -> AbstractContextManager[None]:
        raise RuntimeError("no connection")

    queue.enqueue(Say("hello"))
    assert Worker(queue).work_off() == (0, 1)
    assert said == [] and "no connection" in (only_job(queue).last_error or "")
    with pytest.raises(RuntimeError, match="no connection"):
        open_queue(InlineQueue).enqueue(Say("hello"))
    assert said == [] and left == [RuntimeError] * 2


@pytest.mark.parametrize("raised", [RuntimeError, CancelledError])
@pytest.mark.parametrize("kind", ["plain", "session", "mapped"])
def test_what_a_context_raises_on_leaving_changes_nothing(
    queue: Queue, kind: str, raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """The job is done; it would be wrong to do it again."""

    @around
    @contextmanager
    def untidy() -> Iterator[None]:
        yield
        raise raised("could not tidy up")

    def perform(*_: object) -> None:
        said.append("hello")

    if kind == "mapped":
        with Session(queue.writer) as session:
            session.add(job := article(perform))
            queue.enqueue(job, session=session)
            session.commit()
    else:
        queue.enqueue(call(perform) if kind == "plain" else call_with_session(perform))
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["hello"] and queue.jobs() == []
    assert "could not tidy up" in caplog.text


@pytest.mark.parametrize("swallow", [True, False])
def test_a_context_never_hides_what_the_job_raised(queue: Queue, swallow: bool) -> None:
    """Whether it swallows an exception or replaces it: it sees it, and the job has failed."""
    seen: list[BaseException] = []

    @around
    @contextmanager
    def hide() -> Iterator[None]:
        try:
            yield
        except Exception as error:
            seen.append(error)
            if not swallow:
                raise LookupError("another one") from error

    queue.enqueue(Fail("the job's own"))
    queue.enqueue(call_with_session(lambda session: session.add(Line(text=None))))
    assert Worker(queue).work_off() == (0, 2)
    assert len(seen) == 2
    errors = [job.last_error or "" for job in sorted(queue.jobs(), key=lambda job: job.id)]
    assert "RuntimeError: the job's own" in errors[0] and "IntegrityError" in errors[1]


def test_inline_mode_has_the_contexts_too(open_queue: Callable[..., Queue]) -> None:
    """A test of the application sees the same as a worker."""
    around(enter_and_say("context"))
    open_queue(InlineQueue).enqueue(Say("hello"))
    assert said == ["enter context", "hello", "leave context"]


@pytest.mark.parametrize("factory", [None, "no function", lambda job, more: None])
def test_a_context_is_made_of_the_job_or_of_nothing(factory: Any) -> None:
    """Whatever else is refused at once: not when the first job runs."""
    with pytest.raises(TypeError):
        around(factory)
    assert observing.contexts == []


# -- from the command line


@pytest.mark.live
def test_a_worker_process_needs_no_more_than_the_import(
    queue: Queue, start_worker: Callable[..., Any]
) -> None:
    """The module that registers observers may be any that is imported."""
    done, failed = queue.enqueue(Say("hello")), queue.enqueue(Fail("no"))
    process = start_worker("--import", "observers_for_tests")
    process.wait_for(rf"tells: job {done} performed\n")
    process.wait_for(rf"tells: job {failed} failed\n")


@pytest.mark.live
def test_under_a_supervisor_observers_are_told_of_the_jobs_of_a_killed_worker(
    queue: Queue, start_supervisor: Callable[..., Any], tmp_path: Path
) -> None:
    """Nobody else knows of them."""
    id = queue.enqueue(KillItsWorker(str(tmp_path / "begun")), max_attempts=1)
    supervisor = start_supervisor(1, "--lease", "3600", "--import", "observers_for_tests", wait=False)
    supervisor.wait_for(rf"tells: job {id} freed\n")
    supervisor.wait_for(r"freed 1 job: host:\S+ pid:\d+ \S+ was killed by signal 9 \(SIGKILL\)\n")
