"""What a job may ask for: to run again, at a time and at a price of its choice, or to be given up."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from jobs_for_tests import Line, call_with_session, only_job, said, scripts
from sqlalchemy import select
from sqlalchemy.orm import Session

from jobqueue import Claimed, Discard, Queue, Retry, Worker, job
from jobqueue.lease import backoff

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class NotFound(LookupError):
    pass


class Busy(Exception):
    pass


class VeryBusy(Busy):
    pass


class Watched:
    """Says which hooks were called."""

    def before(self, job: Claimed) -> None:
        said.append("before")
        scripts.get("before", lambda: None)()

    def success(self, job: Claimed) -> None:
        said.append("success")
        scripts.get("success", lambda: None)()

    def error(self, job: Claimed, exception: BaseException) -> None:
        said.append("error")

    def failure(self, job: Claimed) -> None:
        said.append("failure")

    def after(self, job: Claimed) -> None:
        said.append("after")


@job
@dataclass
class Ask(Watched):
    def perform(self) -> None:
        scripts["perform"]()


@job(retry_on={Busy: 60, VeryBusy: timedelta(hours=1), LookupError: None}, discard_on=(NotFound, KeyError))
@dataclass
class WithRules(Watched):
    def perform(self) -> None:
        scripts["perform"]()


@job(destroy_failed=True)
@dataclass
class Expendable(Watched):
    def perform(self) -> None:
        scripts["perform"]()


@job(retry_on={Busy: 60})
@dataclass
class Rescheduled:
    def perform(self) -> None:
        scripts["perform"]()

    def reschedule_at(self, attempts: int, now: datetime) -> Any:
        said.append(f"after attempt {attempts}")
        return scripts["reschedule_at"](now)


def raises(error: BaseException, at: str = "perform") -> None:
    """From now on, perform() or a hook raises this."""

    def throw(*_: object) -> None:
        raise error

    scripts.setdefault("perform", lambda: None)
    scripts[at] = throw


def run(queue: Queue, performable: Any, *, now: datetime = NOON, **options: Any) -> tuple[int, int]:
    said.clear()
    queue.enqueue(performable, now=NOON, **options)
    return Worker(queue).work_off(now=now)


def wait_of(queue: Queue) -> timedelta:
    return only_job(queue).run_at - NOON


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        (60, 60 * SECOND, 60 * SECOND),
        (0.5, SECOND / 2, SECOND / 2),
        (timedelta(minutes=5), 300 * SECOND, 300 * SECOND),
        (None, backoff(1, lambda: 0.0), backoff(1, lambda: 1.0)),
    ],
)
@pytest.mark.parametrize("at", ["before", "perform", "success"])
def test_a_job_may_ask_to_run_again(
    queue: Queue,
    caplog: pytest.LogCaptureFixture,
    at: str,
    wait: timedelta | float | None,
    least: timedelta,
    most: timedelta,
) -> None:
    """After a wait of its choice, or the usual one. That is no error: the hook is not called, and the log has
    one line of information.
    """
    caplog.set_level("INFO")
    raises(Retry(wait, reason="too many requests"), at)
    assert run(queue, Ask()) == (0, 1)
    row = only_job(queue)
    assert (row.attempts, row.failed_at, row.locked_by) == (1, None, None)
    assert least <= wait_of(queue) <= most
    assert (row.last_error or "").endswith("Retry: too many requests\n")
    assert said == ["before", *["success"] * (at == "success"), "after"]
    (line,) = [each for each in caplog.records if each.getMessage().startswith("job 1 ")]
    assert (line.levelname, line.exc_info) == ("INFO", None)
    assert "too many requests (attempt 1 of 25)" in line.getMessage()


def test_such_an_attempt_may_be_left_uncounted(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    """Even the last one: the job can wait for something as long as it takes."""
    caplog.set_level("INFO")
    raises(Retry(SECOND, reason="not yet", counted=False))
    assert run(queue, Ask(), max_attempts=1) == (0, 0)
    for n in range(1, 5):
        row = only_job(queue)
        assert (row.attempts, row.failed_at, row.run_at) == (0, None, NOON + n * SECOND)
        assert Worker(queue).work_off(now=row.run_at) == (0, 0)
    assert "not yet (attempt 1 of 1, not counted)" in caplog.text
    assert set(said) == {"before", "after"}


def test_asked_for_on_the_last_attempt_it_has_failed(queue: Queue) -> None:
    """Then failure() is called, as ever."""
    raises(Retry(60, reason="too many requests"))
    assert run(queue, Ask(), max_attempts=1) == (0, 1)
    assert only_job(queue).failed_at == NOON
    assert said == ["before", "failure", "after"]


@pytest.mark.parametrize("at", ["before", "perform", "success"])
def test_a_job_may_give_itself_up(queue: Queue, caplog: pytest.LogCaptureFixture, at: str) -> None:
    """At once, whatever max_attempts says. It is kept as failed, and failure() is called."""
    raises(Discard("no such user"), at)
    assert run(queue, Ask()) == (0, 1)
    row = only_job(queue)
    assert (row.attempts, row.max_attempts, row.failed_at) == (1, 25, NOON)
    assert (row.last_error or "").endswith("Discard: no such user\n")
    assert said == ["before", *["success"] * (at == "success"), "failure", "after"]
    (line,) = caplog.records
    assert line.levelname == "WARNING" and "was discarded" in line.getMessage()
    assert "no such user" in line.getMessage()


@pytest.mark.parametrize("asked", [Retry(60), Retry(60, counted=False), Discard("no such user")], ids=repr)
def test_what_the_session_has_written_is_rolled_back(queue: Queue, asked: BaseException) -> None:
    def write_and_ask(session: Session) -> None:
        session.add(Line(text="half"))
        session.flush()
        raise asked

    run(queue, call_with_session(write_and_ask))
    with Session(queue.engine) as session:
        assert session.scalars(select(Line)).all() == []
    assert not only_job(queue).locked_by


@pytest.mark.parametrize("asked", [Retry(60), Discard("no such user")], ids=repr)
def test_in_inline_mode_the_caller_sees_it(
    queue: Queue, open_queue: Callable[..., Queue], asked: BaseException
) -> None:
    raises(asked)
    with pytest.raises(type(asked)) as caught:
        open_queue(inline=True).enqueue(Ask())
    assert caught.value is asked


WRONG_WAITS: list[tuple[Any, type[Exception]]] = [
    (-1, ValueError),
    (timedelta(seconds=-1), ValueError),
    (float("nan"), ValueError),
    (float("inf"), ValueError),
    (10**400, ValueError),
    (timedelta.max, ValueError),
    ("60", TypeError),
    (True, TypeError),
    (NOON, TypeError),
    (date(2026, 11, 23), TypeError),
]


@pytest.mark.parametrize(("wait", "kind"), WRONG_WAITS)
def test_a_wait_that_is_none_is_refused_at_once(wait: Any, kind: type[Exception]) -> None:
    """Where it is written, not by the worker that would have to wait."""
    with pytest.raises(kind, match="a wait is "):
        Retry(wait)


def test_a_job_that_would_run_for_ever_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a wait"):
        Retry(0, counted=False)


# -- rules for all jobs of a class


@pytest.mark.parametrize(
    ("error", "seconds", "failed"),
    [
        (Busy(), 60, False),
        (VeryBusy(), 3600, False),  # the most specific rule wins
        (IndexError(), 6, False),  # of LookupError: the usual wait
        (NotFound(), 0, True),
        (KeyError(), 0, True),
        (RuntimeError(), 6, False),
        (Retry(7), 7, False),  # what the job asks for itself wins
        (Discard("enough"), 0, True),
    ],
    ids=repr,
)
def test_a_class_has_rules_for_exceptions(
    queue: Queue, error: BaseException, seconds: int, failed: bool
) -> None:
    """retry_on and discard_on: subclasses count, and the most specific class decides."""
    raises(error)
    assert run(queue, WithRules()) == (0, 1)
    assert seconds * SECOND <= wait_of(queue) <= 1.1 * seconds * SECOND
    assert bool(only_job(queue).failed_at) == failed
    asked = isinstance(error, Retry | Discard)
    assert said == ["before", *["error"] * (not asked), *["failure"] * failed, "after"]


def test_a_rule_gives_no_attempt_more(queue: Queue) -> None:
    raises(Busy())
    assert run(queue, WithRules(), max_attempts=1) == (0, 1)
    assert only_job(queue).failed_at == NOON


@pytest.mark.parametrize(("error", "attempts"), [(RuntimeError("no"), 1), (Discard("no"), 25)], ids=repr)
def test_a_failed_job_may_be_deleted(
    queue: Queue, caplog: pytest.LogCaptureFixture, error: BaseException, attempts: int
) -> None:
    """destroy_failed: only once it has failed for good, and the log says so."""
    raises(error)
    assert run(queue, Expendable(), max_attempts=attempts) == (0, 1)
    assert queue.jobs() == []
    assert "and was deleted" in caplog.text and "failure" in said
    raises(RuntimeError("no"))
    assert run(queue, Expendable(), max_attempts=2) == (0, 1)
    assert only_job(queue).attempts == 1


def test_a_job_may_choose_when_it_runs_again(queue: Queue) -> None:
    """reschedule_at() says so after every attempt that failed, unless a rule or the job itself has."""
    scripts["reschedule_at"] = lambda now: (now + 90 * SECOND).astimezone()
    raises(RuntimeError())
    assert run(queue, Rescheduled()) == (0, 1)
    assert (said, wait_of(queue)) == (["after attempt 1"], 90 * SECOND)
    queue.clear()
    for error, wait in ((Busy(), 60), (Retry(7), 7)):
        raises(error)
        run(queue, Rescheduled())
        assert (said, wait_of(queue)) == ([], wait * SECOND)
        queue.clear()


@pytest.mark.parametrize("answer", [None, 60, NOON.replace(tzinfo=None), NOON.date(), "tomorrow"], ids=repr)
def test_an_answer_that_is_no_moment_is_logged(
    queue: Queue, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    """The job waits as usual; so it does if the hook raises. None says so itself, and needs no log."""
    scripts["reschedule_at"] = lambda _now: answer
    raises(RuntimeError())
    assert run(queue, Rescheduled()) == (0, 1)
    assert 6 * SECOND <= wait_of(queue) <= 6.6 * SECOND
    queue.clear()
    raises(SystemExit("from the hook"), "reschedule_at")
    assert run(queue, Rescheduled()) == (0, 1)
    assert 6 * SECOND <= wait_of(queue) <= 6.6 * SECOND
    assert caplog.text.count("Rescheduled.reschedule_at() is ignored") == (answer is not None)
    assert caplog.text.count("Rescheduled.reschedule_at() failed") == 1
