"""What @job, enqueue() and a job's enqueue() hook say: who wins, and what none of them may say."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import Say, only_job, said

from jobqueue import Job, NotAJob, Queue, Worker, job
from jobqueue.handlers import parse
from jobqueue.options import checked

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SETTINGS: dict[str, Any] = {"queue": "images", "priority": 7, "max_attempts": 3, "max_run_time": 1.5}


@job(name="settings.resize", **SETTINGS)
@dataclass
class Resize:
    number: int = 0

    def perform(self) -> None:
        said.append(f"resize {self.number}")


def options_of(row: Job) -> dict[str, Any]:
    return {name: getattr(row, name) for name in SETTINGS}


def test_a_jobs_class_says_what_enqueue_does_not(queue: Queue) -> None:
    """What enqueue() says wins, and what neither says is as it always was."""
    queue.enqueue(Resize())
    assert options_of(only_job(queue)) == SETTINGS
    queue.clear()
    own = {"queue": "default", "priority": 0, "max_attempts": 25, "max_run_time": 60.0}
    queue.enqueue(Resize(), **own)
    assert options_of(only_job(queue)) == own
    queue.clear()
    queue.enqueue(Resize(), priority=0)
    assert options_of(only_job(queue)) == {**SETTINGS, "priority": 0}


def test_jobs_of_many_classes_can_be_enqueued_at_once(queue: Queue) -> None:
    """Each has its class's settings, and those of equal priority keep their order, whatever their queue."""

    @job(name="settings.other", queue="other", priority=7)
    @dataclass
    class Other:
        number: int

        def perform(self) -> None:
            said.append(f"other {self.number}")

    jobs = [(Resize, Other)[number % 2](number) for number in range(6)]
    assert queue.enqueue_many(jobs) == 6
    assert [row.queue for row in queue.jobs()] == ["images", "other"] * 3
    assert [row.max_attempts for row in queue.jobs()] == [3, 25] * 3
    assert Worker(queue).work_off() == (6, 0)
    assert said == ["resize 0", "other 1", "resize 2", "other 3", "resize 4", "other 5"]
    queue.enqueue_many([*jobs, Say("hi")], queue="mine", priority=-1)
    assert {(row.queue, row.priority) for row in queue.jobs()} == {("mine", -1)}
    assert sorted(row.max_attempts for row in queue.jobs()) == [3] * 3 + [25] * 4


def test_settings_may_be_given_for_a_class_that_others_wrote(queue: Queue) -> None:
    """job() is a function, too; it returns the class."""

    class Theirs:
        def perform(self) -> None: ...

    assert job(Theirs, queue="feeds") is Theirs
    queue.enqueue(Theirs())
    assert only_job(queue).queue == "feeds"


def test_a_worker_finds_what_the_class_says_of_failures() -> None:
    """Waits may be seconds or a timedelta, and None is the usual wait."""

    @job(
        name="settings.flaky",
        retry_on={TimeoutError: 5, ConnectionError: timedelta(minutes=1), OSError: None},
        discard_on=[KeyError],
        destroy_failed=True,
    )
    class Flaky:
        def perform(self) -> None: ...

        def reschedule_at(self, attempts: int, now: datetime) -> datetime:
            return now

    known, _ = parse('{"job":"settings.flaky","arguments":{}}')
    assert known.retry_on == {
        TimeoutError: timedelta(seconds=5),
        ConnectionError: timedelta(minutes=1),
        OSError: None,
    }
    assert known.discard_on == (KeyError,)
    assert known.destroy_failed and known.hooks == {"reschedule_at"}
    known, _ = parse('{"job":"Say","arguments":{}}')
    assert (known.retry_on, known.discard_on, known.destroy_failed) == (
        {},
        (),
        False,
    )


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"retry_on": [OSError]}, TypeError, r"retry_on must be like {TimeoutError: timedelta\(minutes=5\)}"),
        (
            {"retry_on": {"OSError": 1}},
            ValueError,
            "retry_on must be for classes of exceptions, not {'OSError'",
        ),
        ({"retry_on": {OSError(): 1}}, ValueError, "retry_on must be for classes of exceptions"),
        ({"retry_on": {OSError: "5"}}, TypeError, "a wait is a number of seconds or a timedelta, not '5'"),
        ({"retry_on": {OSError: -1}}, ValueError, "a wait is between 0 seconds and a hundred years, not -1"),
        ({"retry_on": {OSError: float("nan")}}, ValueError, "a wait is between"),
        ({"discard_on": OSError}, TypeError, r"discard_on must be like \(KeyError, ValueError\)"),
        (
            {"discard_on": [int]},
            ValueError,
            "discard_on must be for classes of exceptions, not .<class 'int'>",
        ),
        (
            {"discard_on": [OSError], "retry_on": {OSError: 1}},
            ValueError,
            "retry_on and discard_on both name OSError: choose one",
        ),
        ({"destroy_failed": 1}, TypeError, "destroy_failed must be True or False, not 1"),
        ({"name": 5}, TypeError, "name must be a string, not 5"),
        ({"name": ""}, ValueError, "name must be text of 1 to 2000 bytes, .*, not ''"),
        ({"name": "\ud800"}, ValueError, "name must be text of 1 to 2000 bytes"),
    ],
)
def test_a_setting_that_no_job_can_have_is_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    """It is refused where the class is defined, before any of its jobs."""
    with pytest.raises(error, match=message):

        @job(**settings)
        class Refused:
            def perform(self) -> None: ...


def test_a_name_is_given_by_its_keyword() -> None:
    """@job("resize") would take the name for a class."""
    with pytest.raises(NotAJob, match=r"@job takes a class, not 'resize': write @job, @job\(name="):
        job("resize")  # type: ignore[type-var]


BAD_OPTIONS: list[tuple[str, Any, type[Exception], str]] = [
    ("priority", "high", TypeError, "priority must be a whole number, not 'high'"),
    ("priority", True, TypeError, "priority must be a whole number, not True"),
    ("priority", 2**31, ValueError, "priority must be between -2\\*\\*31 and 2\\*\\*31, not 2147483648"),
    ("priority", -(2**40), ValueError, "priority must be between"),
    ("max_attempts", 0, ValueError, "max_attempts must be at least 1 and below 2\\*\\*31, not 0"),
    ("max_attempts", 2**40, ValueError, "max_attempts must be at least 1 and below"),
    ("max_attempts", 2.5, TypeError, "max_attempts must be a whole number"),
    ("max_run_time", 0, ValueError, "max_run_time must be more than 0 seconds"),
    ("max_run_time", float("nan"), ValueError, "max_run_time must be more than 0 seconds"),
    ("max_run_time", float("inf"), ValueError, "max_run_time must be .* below 2\\*\\*31, not inf"),
    ("max_run_time", 10**400, ValueError, "max_run_time must be .* below"),
    ("max_run_time", timedelta(1), TypeError, "max_run_time must be a number of seconds, not .*timedelta"),
    ("max_run_time", "5", TypeError, "max_run_time must be a number of seconds"),
    ("queue", 5, TypeError, "queue must be a queue's name, not 5"),
    (
        "queue",
        "a\0b",
        ValueError,
        "queue must be text of 1 to 2000 bytes, without commas, NUL or lone surrogates",
    ),
    ("queue", "mail,images", ValueError, "queue must be .* without commas, .*, not 'mail,images'"),
    ("queue", "\ud800", ValueError, "queue must be .* lone surrogates, not '.ud800'"),
    ("queue", "", ValueError, "queue must be text of 1 to 2000 bytes, .*, not ''"),
    ("unique_key", "", ValueError, "unique_key must be text of 1 to 2000 bytes, .*, not ''"),
    ("unique_until", "start", ValueError, "unique_until needs a unique_key"),
    ("unique_key", 5, TypeError, "unique_key must be a string, not 5"),
    ("unique_until", "never", ValueError, 'unique_until must be "start" or "end", not \'never\''),
    ("unique_key", "a\0b", ValueError, "unique_key must be text of 1 to 2000 bytes, without NUL"),
    ("unique_key", "\ud800", ValueError, "unique_key must be .* lone surrogates"),
    ("unique_key", "ü" * 1001, ValueError, "unique_key must be text of 1 to 2000 bytes"),
    ("run_at", 60, TypeError, "run_at must be a datetime with a time zone, or a timedelta from now, not 60"),
    ("run_at", datetime(2026, 1, 1), ValueError, "has no time zone; use datetime"),
    ("run_at", datetime.max.replace(tzinfo=UTC), ValueError, "run_at must be in the years 2 to 9998"),
    ("run_at", datetime.min.replace(tzinfo=UTC), ValueError, "run_at must be in the years 2 to 9998"),
    (
        "run_at",
        datetime.min.replace(tzinfo=timezone(timedelta(hours=9))),
        ValueError,
        "in the years 2 to 9998",
    ),
    ("run_at", timedelta.max, ValueError, "run_at must be in the years 2 to 9998"),
]
BAD = pytest.mark.parametrize(("name", "value", "error", "message"), BAD_OPTIONS, ids=range(len(BAD_OPTIONS)))


@BAD
def test_an_option_that_no_job_can_have_is_refused(
    queue: Queue, name: str, value: Any, error: type[Exception], message: str
) -> None:
    """@job, enqueue(), enqueue_many() and the hook refuse it with the same words, on every database."""

    @job(name="settings.by_hook")
    class ByHook:
        def enqueue(self, job: Job) -> None:
            setattr(job, name, value)

        def perform(self) -> None: ...

    def by_decorator() -> None:
        job(type("ByDecorator", (), {"perform": lambda self: None}), **{name: value})

    attempts: list[Callable[[], Any]] = [
        lambda: queue.enqueue(Say("hi"), **{name: value}),
        lambda: queue.enqueue(ByHook()),
        lambda: queue.enqueue_many([ByHook()]),
    ]
    if not name.startswith("unique"):
        attempts.append(lambda: queue.enqueue_many([Say("hi")], **{name: value}))
        if name != "run_at":
            attempts.append(by_decorator)
    for attempt in attempts:
        with pytest.raises(error, match=message):
            attempt()
    assert queue.jobs() == []


EDGES: list[dict[str, Any]] = [
    {"priority": 2**31 - 1, "max_attempts": 2**31 - 1, "max_run_time": 2.0**31 - 1},
    {"priority": 1 - 2**31, "max_attempts": 1, "max_run_time": 1e-300},
    {"unique_key": "".join(chr(0x4E00 + n * 37 % 9000) for n in range(666)), "queue": "🌊" * 500},
    {"unique_key": " ", "queue": "\n", "unique_until": "end"},
    {"run_at": datetime(9998, 12, 31, 23, 59, 59, 999999, UTC)},
    {"run_at": datetime(2, 1, 1, tzinfo=UTC)},
]


def test_what_is_accepted_can_be_stored(queue: Queue) -> None:
    """It comes back as it was, at the very edges of what is accepted, and in any time zone."""
    for options in EDGES:
        queue.enqueue(Say("hi"), **options)
        row = only_job(queue)
        assert {name: getattr(row, name) for name in options} == options
        queue.clear()


def test_a_job_due_in_thousands_of_years_stops_no_worker(
    queue: Queue, run_worker: Callable[..., Any]
) -> None:
    """It waits, and the others run."""
    queue.enqueue(Say("late"), run_at=datetime(9998, 12, 31, tzinfo=UTC))
    running = run_worker(queue)
    queue.enqueue(Say("now"))
    wait_until(lambda: said == ["now"], "the job that is due")
    queue.enqueue(Say("then"), max_run_time=2**31 - 1)
    wait_until(lambda: said == ["now", "then"], "the next one")
    running.stop()
    running.wait()
    assert [row.run_at.year for row in queue.jobs()] == [9998]


# ---- the enqueue() hook


hooks: list[Callable[[Any, Job], None]] = []


@job(name="settings.hooked", queue="hooked")
@dataclass
class Hooked:
    text: str = "hello"

    def enqueue(self, job: Job) -> None:
        hooks[0](self, job)

    def perform(self) -> None:
        said.append(self.text)


@pytest.fixture
def hook() -> Iterator[Callable[[Callable[[Any, Job], None]], None]]:
    """hook(function) sets what the hook does."""
    hooks.clear()
    yield hooks.append
    hooks.clear()


def test_the_hook_sees_the_settings_and_has_the_last_word(queue: Queue, hook: Any) -> None:
    """A timedelta counts from now, as in enqueue(), and None is the default."""

    def change(_self: Hooked, job: Job) -> None:
        assert (job.queue, job.priority, job.max_run_time) == ("hooked", 5, 2)
        job.run_at, job.queue, job.max_run_time = timedelta(hours=1), None, None  # type: ignore[assignment]

    hook(change)
    queue.enqueue(Hooked(), priority=5, max_run_time=2, now=NOON)
    row = only_job(queue)
    assert (row.run_at, row.queue, row.priority) == (NOON + timedelta(hours=1), "default", 5)
    assert row.max_run_time is None


def test_what_the_hook_changes_in_the_job_itself_is_stored(queue: Queue, hook: Any) -> None:
    """The row is written when the hook has returned."""
    hook(lambda self, job: setattr(self, "text", "changed"))
    queue.enqueue(Hooked())
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["changed"]


@pytest.mark.parametrize(
    "name", ["handler", "attempts", "failed_at", "locked_by", "id", "created_at", "priorty"]
)
def test_the_hook_has_no_say_in_the_other_columns(queue: Queue, hook: Any, name: str) -> None:
    """Nothing that it sets is dropped in silence, be it the queue's own or misspelt."""
    hook(lambda self, job: setattr(job, name, 5))
    with pytest.raises(ValueError, match=rf"Hooked.enqueue\(\) sets {name} of the row, .* priority, run_at,"):
        queue.enqueue(Hooked())
    assert queue.jobs() == []


@pytest.mark.parametrize("name", ["min_priority", "max_priority"])
def test_a_workers_limits_are_priorities_that_jobs_can_have(name: str) -> None:
    """Checked by the same rule, and with the same words."""
    assert checked(**{name: 2**31 - 1}) == {name: 2**31 - 1}
    with pytest.raises(ValueError, match=rf"{name} must be between -2\*\*31 and 2\*\*31, not 2147483648"):
        checked(**{name: 2**31})
    with pytest.raises(TypeError, match=f"{name} must be a whole number, not 1.5"):
        checked(**{name: 1.5})
