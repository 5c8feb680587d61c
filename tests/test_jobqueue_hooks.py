"""Hooks: methods called around a job, as in Delayed Job; what each may do, and what it can't."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jobs_for_tests import Base, Line, only_job, said
from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from jobqueue import Claimed, Job, NotAJob, Queue, Worker, job

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
moods: dict[str, BaseException] = {}  # what a hook, or perform(), raises, by its name


@pytest.fixture(autouse=True)
def forget() -> None:
    """Hooks raise nothing until the test says so."""
    moods.clear()


def say(name: str, *_: object) -> None:
    said.append(name)
    if name in moods:
        raise moods[name]


class Hooks:
    """All hooks: each records its name, and raises what the test wants."""

    def enqueue(self, job: Job) -> None:
        say("enqueue")

    def before(self, job: Claimed) -> None:
        say("before")

    def success(self, job: Claimed) -> None:
        say("success")

    def error(self, job: Claimed, exception: BaseException) -> None:
        said.append(f"{type(exception).__name__} at attempt {job.attempts}")
        say("error")

    def failure(self, job: Claimed) -> None:
        say("failure")

    def after(self, job: Claimed) -> None:
        say("after")


@job
@dataclass
class Hooked(Hooks):
    def perform(self) -> None:
        say("perform")


@job
@dataclass
class HookedWithSession(Hooks):
    """It also writes to the database, in perform() and in success()."""

    parent_id: int | None = None

    def perform(self, session: Session) -> None:
        self.session = session
        session.add(Line(text="perform", parent_id=self.parent_id))
        session.flush()
        say("perform")

    def success(self, job: Claimed) -> None:
        self.session.add(Line(text="success"))
        say("success")


@job
class HookedArticle(Hooks, Base):
    """A mapped object has hooks too; a column with a hook's name is not one."""

    __tablename__ = "hooked"
    id: Mapped[int] = mapped_column(primary_key=True)
    failure: Mapped[str] = mapped_column(default="a column")  # type: ignore[assignment]
    body: Mapped[str] = mapped_column(default="")

    def perform(self) -> None:
        self.body += "performed"
        say("perform")


def enqueue(queue: Queue, kind: type[Any], **options: Any) -> None:
    """Enqueue a job of this kind, due at noon."""
    if kind is HookedArticle:
        with Session(queue.writer) as session:
            session.add(new := HookedArticle())
            queue.enqueue(new, session=session, now=NOON, **options)
            session.commit()
    else:
        queue.enqueue(kind(), now=NOON, **options)


def written(queue: Queue) -> list[str]:
    with Session(queue.engine) as session:
        return [
            *session.scalars(select(Line.text).order_by(Line.id)),
            *session.scalars(select(HookedArticle.body).where(HookedArticle.body != "")),
        ]


KINDS = pytest.mark.parametrize("kind", [Hooked, HookedWithSession, HookedArticle])
DONE: dict[type[Any], list[str]] = {
    Hooked: [],
    HookedWithSession: ["perform", "success"],
    HookedArticle: ["performed"],
}


@KINDS
def test_hooks_around_a_job_that_succeeds(queue: Queue, kind: type[Any]) -> None:
    """They run in this order, and success() writes in the transaction that finishes the job."""
    enqueue(queue, kind)
    assert said == ["enqueue"]
    assert Worker(queue).work_off(now=NOON) == (1, 0)
    assert said == ["enqueue", "before", "perform", "success", "after"]
    assert written(queue) == DONE[kind]


def has_failure(kind: type[Any]) -> list[str]:
    return [] if kind is HookedArticle else ["failure"]


@KINDS
def test_hooks_around_a_job_that_fails(queue: Queue, kind: type[Any]) -> None:
    """error() gets each attempt's exception, failure() follows the last one, and nothing is written."""
    moods["perform"] = RuntimeError("no")
    enqueue(queue, kind, max_attempts=2)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    first = ["enqueue", "before", "perform", "RuntimeError at attempt 1", "error", "after"]
    assert said == first
    assert Worker(queue).work_off(now=NOON + timedelta(minutes=1)) == (0, 1)
    last = ["before", "perform", "RuntimeError at attempt 2", "error", *has_failure(kind), "after"]
    assert said == first + last
    assert written(queue) == []
    assert only_job(queue).failed_at


@KINDS
@pytest.mark.parametrize("name", ["before", "success"])
@pytest.mark.parametrize("raised", [RuntimeError("from a hook"), SystemExit("from a hook")], ids=repr)
def test_what_before_and_success_raise_fails_the_attempt(
    queue: Queue, kind: type[Any], name: str, raised: BaseException
) -> None:
    """before() can keep a job from running; an error in success() rolls back the job's writes."""
    moods[name] = raised
    enqueue(queue, kind)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    performed = [] if name == "before" else ["perform", "success"]
    error = f"{type(raised).__name__} at attempt 1"
    assert said == ["enqueue", "before", *performed, error, "error", "after"]
    assert written(queue) == []
    assert "from a hook" in (only_job(queue).last_error or "")


@KINDS
@pytest.mark.parametrize("raised", [RuntimeError("from a hook"), SystemExit("from a hook")], ids=repr)
def test_what_the_other_hooks_raise_is_logged_and_changes_nothing(
    queue: Queue, kind: type[Any], raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """The attempt's outcome stands: its own error is kept, and a success stays a success."""
    moods["after"] = raised
    enqueue(queue, kind)
    assert Worker(queue).work_off(now=NOON) == (1, 0)
    assert written(queue) == DONE[kind]
    assert queue.jobs() == []
    assert f"{kind.__name__}.after() failed" in caplog.text
    moods.update({"perform": ValueError("its own"), "error": raised, "failure": raised})
    enqueue(queue, kind, max_attempts=1)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    assert (only_job(queue).last_error or "").endswith("ValueError: its own\n")
    for name in ("error", *has_failure(kind), "after"):
        assert f"{kind.__name__}.{name}() failed" in caplog.text
    assert said[-1] == "after"


def test_error_is_called_when_the_commit_fails(queue: Queue) -> None:
    """At COMMIT, after perform() and success(), the database refuses what perform() wrote."""
    queue.enqueue(HookedWithSession(parent_id=4711), now=NOON)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    assert said == [
        "enqueue",
        "before",
        "perform",
        "success",
        "IntegrityError at attempt 1",
        "error",
        "after",
    ]
    assert written(queue) == []


def test_what_enqueue_raises_keeps_the_job_out(queue: Queue) -> None:
    """The error propagates to the caller of Queue.enqueue()."""
    moods["enqueue"] = ValueError("not this one")
    with pytest.raises(ValueError, match="not this one"):
        queue.enqueue(Hooked())
    assert queue.jobs() == []


def test_enqueue_may_change_the_row(queue: Queue) -> None:
    """It may change every option of Queue.enqueue()."""

    @job
    class Careful:
        def enqueue(self, job: Job) -> None:
            assert (job.queue, job.handler) == ("asked for", '{"job":"Careful","arguments":{}}')
            job.priority, job.queue, job.max_attempts, job.max_run_time = -3, "careful", 2, 1.5
            job.run_at += timedelta(hours=1)

        def perform(self) -> None: ...

    queue.enqueue(Careful(), queue="asked for", now=NOON)
    row = only_job(queue)
    assert (row.priority, row.queue, row.max_attempts, row.max_run_time) == (-3, "careful", 2, 1.5)
    assert (row.run_at, row.created_at) == (NOON + timedelta(hours=1), NOON)


def no_job(self: object) -> None: ...


def no_exception(self: object, job: Claimed) -> None: ...


def other_way_round(self: object, exception: BaseException, job: Claimed) -> None: ...


def as_in_delayed_job(self: object, current_time: datetime, attempts: int) -> None: ...


def now_first(self: object, now: datetime, attempts: int) -> None: ...


def too_many(self: object, job: Claimed, exception: BaseException, other: int) -> None: ...


@pytest.mark.parametrize(
    ("name", "hook", "call"),
    [
        ("enqueue", no_job, "enqueue(job)"),
        ("before", no_job, "before(job)"),
        ("success", too_many, "success(job)"),
        ("error", no_exception, "error(job, exception)"),
        ("error", too_many, "error(job, exception)"),
        ("error", other_way_round, "error(job, exception)"),
        ("reschedule_at", as_in_delayed_job, "reschedule_at(attempts, now)"),
        ("reschedule_at", now_first, "reschedule_at(attempts, now)"),
        ("failure", no_job, "failure(job)"),
        ("after", too_many, "after(job)"),
    ],
)
def test_a_hook_that_can_not_be_called_is_refused(name: str, hook: Callable[..., None], call: str) -> None:
    """It is refused at registration, not when a job fails at night. The error shows the right signature."""
    cls = type("Odd", (), {"perform": lambda self: None, name: hook})
    with pytest.raises(NotAJob) as error:
        job(cls)
    assert str(error.value) == (
        f"Odd.{name}() is a hook: jobqueue calls it as {call}. Give it this signature, or rename it"
    )


def test_a_hook_that_would_do_nothing_when_called_is_refused() -> None:
    """As perform() is: nobody would await it."""

    async def coroutine(self: object, job: Claimed) -> None: ...

    def generator(self: object, job: Claimed) -> Any:
        yield

    async def both(self: object, job: Claimed) -> Any:
        yield

    for hook in (coroutine, generator, both, classmethod(coroutine), staticmethod(both)):
        cls = type("Lazy", (), {"perform": lambda self: None, "failure": hook})
        with pytest.raises(
            NotAJob,
            match=r"Lazy.failure\(\) must be an ordinary function, .* in it, asyncio.run\(\) runs",
        ):
            job(cls)


def synchronous(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that hides that the function is async, and does not await it."""

    def method(*arguments: Any) -> Any:
        return function(*arguments)

    return method


@pytest.mark.parametrize("name", ["perform", "before", "success", "after"])
def test_what_nobody_would_await_is_not_taken_for_done(
    queue: Queue, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """At registration it looked like an ordinary method. After the end it is only logged, like any error."""

    async def write(self: object, *job: Claimed) -> None:
        said.append("never")

    methods = {"perform": lambda self: None, name: synchronous(write)}
    queue.enqueue(job(type("Decorated", (), methods))())
    assert Worker(queue).work_off() == ((1, 0) if name == "after" else (0, 1))
    assert said == []
    assert "it returned an awaitable, and nobody awaits it" in caplog.text


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        said.append("decorated")
        return function(*arguments)

    return wrapper


def test_a_hook_may_be_any_kind_of_method(queue: Queue) -> None:
    """None of them is passed over in silence."""

    @job(name="hooks.of_all_kinds")
    class Kinds:
        @classmethod
        def enqueue(cls, job: Job) -> None:
            said.append(f"enqueue of {cls.__name__}")

        @staticmethod
        def before(job: Claimed) -> None:
            said.append(f"before attempt {job.attempts}")

        @decorated
        def success(self, job: Claimed) -> None:
            said.append("success")

        def say(self, word: str, job: Claimed) -> None:
            said.append(word)

        after = functools.partialmethod(say, "after")

        def perform(self) -> None: ...

    queue.enqueue(Kinds())
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["enqueue of Kinds", "before attempt 1", "decorated", "success", "after"]


@pytest.mark.parametrize("wrap", [classmethod, staticmethod], ids=["classmethod", "staticmethod"])
def test_such_a_hook_must_take_its_arguments_too(wrap: Callable[..., Any]) -> None:
    """A class may have a method of its own by that name: it is told so when it is registered."""

    def enqueue(one: object, queue: Queue, number: int) -> None: ...

    cls = type("Odd", (), {"perform": lambda self: None, "enqueue": wrap(enqueue)})
    with pytest.raises(NotAJob, match=r"jobqueue calls it as enqueue\(job\). Give it this signature"):
        job(cls)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (None, ""),
        (datetime(2026, 12, 24), "has no time zone; use datetime.now(UTC), or .astimezone()"),
        (datetime.max.replace(tzinfo=UTC), "must be in the years 2 to 9998"),
        (timedelta.max, "must be in the years 2 to 9998"),
        (60, "must be a datetime with a time zone, or a timedelta from now, not 60"),
    ],
    ids=repr,
)
def test_a_moment_that_reschedule_at_can_not_mean_is_one_line_in_the_log(
    queue: Queue, chosen: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The usual wait applies. None asks for it."""

    @job(name="hooks.reschedules")
    class Reschedules:
        def perform(self) -> None:
            raise RuntimeError("no")

        def reschedule_at(self, attempts: int, now: datetime) -> Any:
            return chosen

    queue.enqueue(Reschedules(), now=NOON)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    assert timedelta(seconds=6) <= only_job(queue).run_at - NOON <= timedelta(seconds=6.6)
    *ignored, failed = caplog.records
    assert failed.getMessage().startswith("job 1 failed: RuntimeError: no")
    assert [record.exc_info for record in ignored] == [None] * bool(words)
    if words:
        message = ignored[0].getMessage()
        assert message.startswith("Reschedules.reschedule_at() is ignored: ") and words in message


def test_reschedule_at_may_return_a_timedelta(queue: Queue) -> None:
    """It counts from now, as in enqueue()."""

    @job(name="hooks.later")
    class Later:
        def perform(self) -> None:
            raise RuntimeError("no")

        def reschedule_at(self, attempts: int, now: datetime) -> timedelta:
            return timedelta(hours=attempts)

    queue.enqueue(Later(), now=NOON)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    assert only_job(queue).run_at == NOON + timedelta(hours=1)


def test_only_methods_are_hooks(queue: Queue) -> None:
    """A dataclass field or a property may have a hook's name. (HookedArticle covers mapped columns.)"""

    @job
    @dataclass
    class Interval:
        before: int
        after: int
        error: str = "none"

        @property
        def success(self) -> bool:
            return False

        def perform(self) -> None:
            said.append(f"{self.before} to {self.after}")

    queue.enqueue(Interval(1, 2))
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["1 to 2"]
