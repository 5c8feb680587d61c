"""A failing job: when it runs again, what is kept of its error, and when it is given up."""

import logging
import re
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import Fail, Say, call, only_job, said
from sqlalchemy import insert

import jobqueue
from jobqueue import Claimed, Discard, Event, Job, Queue, Retry, Worker, observing
from jobqueue.lease import backoff
from jobqueue.performing import MAX_ERROR_CHARACTERS
from jobqueue.tools.inline import InlineQueue

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def by_id(queue: Queue) -> list[Job]:
    """All jobs, in the order in which they were enqueued."""
    return sorted(queue.jobs(), key=lambda job: job.id)


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(0, 5), (1, 6), (2, 21), (3, 86), (4, 261), (5, 630), (10, 10_005), (24, 331_781), (25, 390_630)],
)
def test_backoff_grows_with_the_fourth_power(attempts: int, seconds: int) -> None:
    """Delayed Job's formula: soon at first, then days apart. Up to a tenth is added at random."""
    assert backoff(attempts, lambda: 0.0) == timedelta(seconds=seconds)
    assert backoff(attempts, lambda: 1.0) == timedelta(seconds=1.1 * seconds)
    waits = {backoff(attempts) for _ in range(20)}
    assert len(waits) > 1
    assert all(timedelta(seconds=seconds) <= wait <= timedelta(seconds=1.1 * seconds) for wait in waits)


@pytest.mark.parametrize(("attempts", "as_after"), [(101, 100), (2**31 - 1, 100), (-1, 0), (-10_000, 0)])
def test_no_number_of_attempts_is_too_large(attempts: int, as_after: int) -> None:
    """A row may hold any number. The wait always ends within four years."""
    assert backoff(attempts, lambda: 0.0) == backoff(as_after, lambda: 0.0) < timedelta(days=4 * 365)


def test_all_attempts_together_span_about_twenty_days() -> None:
    """As the docstring says, that leaves time to repair what is broken."""
    assert (
        20 <= sum((backoff(n, lambda: 0.0) for n in range(1, 25)), timedelta()).total_seconds() / 86_400 < 21
    )


def test_a_failed_job_waits_for_its_next_attempt(queue: Queue) -> None:
    """Any worker may claim it later; the attempt is counted."""
    queue.enqueue(Fail("no such image"), now=NOON)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    job = only_job(queue)
    assert job.attempts == 1
    assert timedelta(seconds=6) <= job.run_at - NOON <= timedelta(seconds=6.6)
    assert (job.locked_by, job.locked_at, job.failed_at) == (None, None, None)
    assert job.updated_at == NOON
    assert Worker(queue).work_off(now=job.run_at - timedelta(microseconds=1)) == (0, 0)
    assert Worker(queue).work_off(now=job.run_at) == (0, 1)
    assert only_job(queue).attempts == 2


def test_last_error_is_the_whole_traceback(queue: Queue) -> None:
    """It shows where the error was raised, and its cause."""

    def look_up_the_price() -> None:
        try:
            {}["price"]
        except KeyError as error:
            raise RuntimeError("no price") from error

    queue.enqueue(call(look_up_the_price))
    assert Worker(queue).work_off() == (0, 1)
    error = only_job(queue).last_error or ""
    assert error.startswith("Traceback (most recent call last):")
    assert "KeyError: 'price'" in error
    assert "direct cause" in error
    assert ", in look_up_the_price\n" in error
    assert error.rstrip().endswith("RuntimeError: no price")


def test_a_job_that_fails_every_time_is_given_up_and_kept(queue: Queue) -> None:
    """failed_at holds the time. The job does not run again unless it is retried by hand."""
    queue.enqueue(Fail("no such image"), max_attempts=3, now=NOON)
    now = NOON
    for attempt in (1, 2, 3):
        assert Worker(queue).work_off(now=now) == (0, 1)
        job = only_job(queue)
        assert (job.attempts, job.failed_at) == (attempt, now if attempt == 3 else None)
        now = job.run_at
    assert "no such image" in (job.last_error or "")
    assert (job.locked_by, job.locked_at) == (None, None)
    assert Worker(queue).work_off(now=NOON + timedelta(days=1000)) == (0, 0)


def test_a_job_that_recovers_is_gone(queue: Queue) -> None:
    """A job that succeeded has no row, however often it had failed."""
    moods = iter([False, True])

    def succeed_the_second_time() -> None:
        assert next(moods)

    queue.enqueue(call(succeed_the_second_time), now=NOON)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    assert Worker(queue).work_off(now=NOON + timedelta(seconds=7)) == (1, 0)
    assert queue.jobs() == []


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even the error fails")


class Unprintable(SyntaxError):
    """The traceback module uses these attributes, and trips over their types."""

    filename, lineno, text, offset = object(), "one", 3, object()  # type: ignore[assignment]


WEIRD_ERRORS: dict[str, tuple[BaseException, str]] = {
    "NUL": (ValueError("a\x00b"), r"ValueError: a\x00b"),
    "lone surrogate": (ValueError("caf\udce9"), r"ValueError: caf\udce9"),
    "not ASCII": (ValueError("πάντα ῥεῖ 🌊"), "ValueError: πάντα ῥεῖ 🌊"),
    "empty": (ValueError(""), "ValueError"),
    "only blanks": (ValueError("\n \n"), "ValueError: \n \n"),
    "its str() fails": (Speechless(), "<exception str() failed>"),
    "not printable": (Unprintable("bad"), "Unprintable"),
    "sys.exit()": (SystemExit(3), "SystemExit: 3"),
    "group": (ExceptionGroup("two", [ValueError("one"), KeyError("other")]), "ValueError: one"),
    "LIKE and format signs": (ValueError("100% {of} %s \\ '\""), "100% {of} %s \\ '\""),
}


def test_whatever_is_raised_is_stored_and_the_next_job_runs(queue: Queue) -> None:
    """No error text can keep a worker from settling the job."""
    errors = iter(WEIRD_ERRORS.values())

    def raise_the_next() -> None:
        raise next(errors)[0]

    for _ in WEIRD_ERRORS:
        queue.enqueue(call(raise_the_next))
    queue.enqueue(Say("next"), priority=1)
    assert Worker(queue).work_off() == (1, len(WEIRD_ERRORS))
    assert said == ["next"]
    for job, (kind, (_, text)) in zip(by_id(queue), WEIRD_ERRORS.items(), strict=True):
        assert text in (job.last_error or ""), kind


SURROGATE = "caf\udce9"


@jobqueue.job(name="retry.raises", discard_on=[FileNotFoundError])
@dataclass
class Raises:
    """Raises an error that no log can print as it is."""

    kind: str

    def perform(self) -> None:
        raise {
            "discard_on": FileNotFoundError(f"no {SURROGATE}"),
            "Discard": Discard(f"no {SURROGATE}"),
            "Retry": Retry(60, reason=f"no {SURROGATE}", counted=False),
            "any other": ValueError(f"no {SURROGATE}"),
            "strange": Unprintable("bad"),
        }[self.kind]


@pytest.mark.parametrize(
    ("kind", "error", "attempts", "words"),
    [
        ("discard_on", FileNotFoundError, 1, r"was discarded: .*FileNotFoundError: no caf\udce9 (attempt"),
        ("Discard", Discard, 1, r"was discarded: .*Discard: no caf\udce9 (attempt"),
        ("Retry", Retry, 0, r"runs again: .*Retry: no caf\udce9 (attempt"),
        ("any other", ValueError, 1, r"failed: .*ValueError: no caf\udce9 (attempt"),
        ("strange", Unprintable, 1, "failed: Unprintable, whose traceback can't be printed (attempt"),
    ],
)
def test_an_error_that_no_log_can_print_is_what_it_is(
    queue: Queue,
    open_queue: Callable[..., Queue],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    error: type[BaseException],
    attempts: int,
    words: str,
) -> None:
    """Settings, contexts, observers and inline mode's caller see its class; the log has its text, escaped."""
    seen: list[object] = []

    @contextmanager
    def context() -> Iterator[None]:
        try:
            yield
        except BaseException as raised:
            seen.append(type(raised))
            raise

    monkeypatch.setattr(observing, "contexts", [lambda _job: context()])
    queue.enqueue(Raises(kind), now=NOON)
    caplog.set_level(logging.INFO, "jobqueue")
    worker = Worker(queue, observers=[lambda event: event.error and seen.append(type(event.error))])
    worker.work_off(now=NOON)
    row = only_job(queue)
    assert set(seen) == {error} and len(seen) > 1
    assert (row.attempts, bool(row.failed_at)) == (attempts, "discarded" in words)
    assert ("can't be printed" if kind == "strange" else r"no caf\udce9") in (row.last_error or "")
    (record,) = caplog.records
    pattern = f"job {row.id} " + ".*".join(re.escape(part) for part in words.split(".*")) + ".*"
    assert re.fullmatch(pattern, record.getMessage())
    logging.Formatter().format(record).encode()
    with pytest.raises(error):
        open_queue(InlineQueue).enqueue(Raises(kind))


def test_what_a_hook_or_an_observer_raises_is_printable_too(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it is: the worker goes on."""

    @jobqueue.job(name="retry.hooked")
    class HookFails:
        def perform(self) -> None: ...

        def after(self, job: Claimed) -> None:
            raise ValueError(SURROGATE)

    def observer(event: Event) -> None:
        if event.kind == "performed":
            raise Unprintable("bad")

    queue.enqueue(HookFails())
    assert Worker(queue, observers=[observer]).work_off() == (1, 0)
    hook, observed = (logging.Formatter().format(record) for record in caplog.records)
    assert hook.startswith("HookFails.after() failed") and hook.endswith(r"ValueError: caf\udce9")
    assert observed.endswith("Unprintable, whose traceback can't be printed")


def test_of_a_huge_error_the_end_is_kept(queue: Queue) -> None:
    """The end names the error; a million characters would slow down every read of the table."""
    queue.enqueue(Fail("x" * 1_000_000 + " at last"))
    assert Worker(queue).work_off() == (0, 1)
    error = only_job(queue).last_error or ""
    assert len(error) == MAX_ERROR_CHARACTERS
    assert error.endswith("x at last\n")


def test_in_a_thread_no_exception_ends_the_worker(queue: Queue, run_worker: Callable[..., Any]) -> None:
    """Even one that is not an Exception only fails the job."""
    kinds = (KeyboardInterrupt, GeneratorExit, CancelledError, BaseException)
    kind = iter(kinds)

    def raise_the_next() -> None:
        raise next(kind)("from the job")

    for _ in kinds:
        queue.enqueue(call(raise_the_next))
    queue.enqueue(Say("next"), priority=1)
    run_worker(queue)
    wait_until(lambda: said == ["next"] and len(queue.jobs()) == len(kinds), "all jobs' ends")
    for job, raised in zip(by_id(queue), kinds, strict=True):
        assert (job.attempts, job.locked_by) == (1, None)
        assert f"{raised.__name__}: from the job" in (job.last_error or "")


def test_ctrl_c_in_work_off_is_not_the_jobs_fault(queue: Queue) -> None:
    """The job is given back as if it had never been claimed, and the interrupt reaches the caller."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    queue.enqueue(call(interrupt))
    with pytest.raises(KeyboardInterrupt):
        Worker(queue).work_off()
    job = only_job(queue)
    assert (job.attempts, job.locked_by, job.last_error) == (0, None, None)


BAD_ROWS = {
    "a name that is none": ('{"job":7,"arguments":{}}', "The handler is not what jobqueue writes"),
    "a payload that no longer fits": ('{"job":"Say","arguments":{"volume":11}}', "no longer fits Say"),
    "no JSON": ("--- !ruby/object:Feed", "The handler is not what jobqueue writes"),
    "JSON of another shape": ("[1]", "The handler is not what jobqueue writes"),
    "JSON without an end": ("[" * 100_000, "The handler is not what jobqueue writes"),
    "a key of the wrong type": ('{"job":"Article","key":["x"]}', "Error"),
    "a key of the wrong length": ('{"job":"Article","key":[1,2]}', "no longer fits Article"),
    "a key of a wrong shape": ('{"job":"Article","key":{}}', "no longer fits Article"),
}


def test_a_row_that_can_not_be_run_fails_that_job_only(queue: Queue) -> None:
    """Each row's last_error says what is wrong with it; one that no code can read is not tried again. The
    worker goes on to the next job.
    """
    row = {"run_at": NOON, "max_attempts": 25, "created_at": NOON, "updated_at": NOON}
    with queue.writer.begin() as connection:
        connection.execute(insert(Job), [{**row, "handler": handler} for handler, _ in BAD_ROWS.values()])
    queue.enqueue(Say("next"), priority=1)
    assert Worker(queue).work_off() == (1, len(BAD_ROWS))
    assert said == ["next"]
    for job, (handler, message) in zip(by_id(queue), BAD_ROWS.values(), strict=True):
        assert (job.handler, job.attempts, job.locked_by) == (handler, 1, None)
        assert message in (job.last_error or "")
        assert bool(job.failed_at) == (message == "The handler is not what jobqueue writes")
