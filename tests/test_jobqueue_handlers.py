"""From an object with perform() to the text in a row and back: what is stored, and what is refused."""

import functools
import json
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from jobs_for_tests import Article, Say

from jobqueue import HandlerError, NotAJob, NotSerializable, Queue, Worker, job
from jobqueue.handlers import dump, parse

pytest_plugins = ["queue_fixtures"]


def there_and_back(performable: Any) -> Any:
    """The object that a worker would load."""
    known, body = parse(dump(performable))
    return known.load(body, None)


def test_a_dataclass_is_stored_as_its_fields() -> None:
    """The row is readable: a name and named arguments."""
    assert dump(Say("hello")) == '{"job":"Say","arguments":{"text":"hello"}}'
    assert there_and_back(Say("hello")) == Say("hello")


def test_fields_that_init_does_not_take_are_left_out() -> None:
    """The worker's object computes them anew."""

    @job
    @dataclass(kw_only=True)
    class Area:
        width: int
        height: int = 1
        area: int = field(init=False)

        def __post_init__(self) -> None:
            self.area = self.width * self.height

        def perform(self) -> None: ...

    assert json.loads(dump(Area(width=3, height=2)))["arguments"] == {"width": 3, "height": 2}
    assert there_and_back(Area(width=3, height=2)).area == 6


def test_any_other_class_is_stored_as_what_its_init_takes() -> None:
    """A plain class works as long as it stores its arguments under their own names."""

    @job
    class Resize:
        def __init__(self, image_id: int, *, width: int = 100):
            self.image_id = image_id
            self.width = width
            self.unrelated = object()

        def perform(self) -> None: ...

    assert json.loads(dump(Resize(8))) == {"job": "Resize", "arguments": {"image_id": 8, "width": 100}}
    again = there_and_back(Resize(8, width=50))
    assert (again.image_id, again.width) == (8, 50)


def test_a_job_may_have_another_name_than_its_class() -> None:
    """A class with an explicit name can be moved or renamed while its jobs wait."""

    @job(name="images.resize")
    @dataclass
    class Resize:
        def perform(self) -> None: ...

    assert dump(Resize()) == '{"job":"images.resize","arguments":{}}'
    assert type(there_and_back(Resize())) is Resize


def test_a_class_that_is_defined_again_takes_the_place_of_the_old_one() -> None:
    """A notebook's cell may be run twice."""

    def define(answer: int) -> type[Any]:
        @job
        class Cell:
            def perform(self) -> int:
                return answer

        return Cell

    first, second = define(1), define(2)
    assert there_and_back(second()).perform() == 2
    assert there_and_back(first()).perform() == 2


def test_a_mapped_object_without_a_primary_key_is_refused() -> None:
    """The error says how it gets one."""
    with pytest.raises(NotAJob, match="no primary key yet: add it to the session, and pass the session"):
        dump(Article(title="new"))


def test_a_class_that_is_not_registered_is_refused() -> None:
    """So is a subclass of a registered one, or the worker would create an object of the wrong class."""

    class Loud(Say): ...

    with pytest.raises(NotAJob, match=r"Loud is not registered: put @job above .*its base class is not"):
        dump(Loud("hello"))


def test_a_class_without_perform_is_refused() -> None:
    """It is refused at registration, not when the job runs."""
    with pytest.raises(NotAJob, match=r"Idle has no perform\(\) method"):

        @job
        class Idle: ...


def test_a_perform_that_would_not_run_when_called_is_refused() -> None:
    """Calling an async function or a generator only makes an object: the job would "succeed" undone."""

    class Coroutine:
        async def perform(self) -> None: ...

    class Generator:
        def perform(self) -> Any:
            yield

    class AsyncGenerator:
        async def perform(self) -> Any:
            yield

    for cls in (Coroutine, Generator, AsyncGenerator):
        with pytest.raises(NotAJob, match=rf"{cls.__name__}.perform\(\) must be an ordinary function"):
            job(cls)


@pytest.mark.parametrize(
    "perform",
    [
        lambda self, path: None,
        lambda self, sesion: None,
        lambda self, session, /: None,
        lambda self, session, path: None,
        lambda: None,
        staticmethod(lambda self: None),
        classmethod(lambda cls, path: None),
        functools.partialmethod(lambda self, path, width: None, 8),
        functools.wraps(lambda self, session: None)(lambda self: None),
    ],
)
def test_a_perform_that_a_worker_can_not_call_is_refused(perform: Any) -> None:
    """At registration, not in the worker, at each of 25 attempts."""
    with pytest.raises(
        NotAJob, match=r"Odd.perform\(\) must be perform\(self\) or perform\(self, session\): "
    ):
        job(type("Odd", (), {"perform": perform}))


@pytest.mark.parametrize(
    "perform",
    [
        lambda self: None,
        lambda self, width=8, *rest, **others: None,
        lambda self, *, session: None,
        lambda self, width=8, session=None: None,
        staticmethod(lambda: None),
        classmethod(lambda cls, session: None),
        functools.partialmethod(lambda self, width: None, 8),
        functools.wraps(lambda self, connection: None)(lambda self: None),
    ],
)
def test_a_perform_may_be_anything_that_a_worker_can_call(perform: Any, queue: Queue) -> None:
    """A decorator may add an argument."""
    queue.enqueue(job(type("Even", (), {"perform": perform}), name="handlers.even")())
    assert Worker(queue).work_off() == (1, 0)


class Record:
    """As Django's models, and those of others, are made."""

    def __init__(self, *values: Any, **others: Any): ...


async def send() -> None: ...


def test_what_is_no_job_is_told_how_to_become_one() -> None:
    """Functions, coroutines, records of another library, and so on."""
    coroutine = send()
    for other in (len, send, coroutine, lambda: None, Record(), "job", None):
        with pytest.raises(NotAJob, match=rf"This {type(other).__name__} has no perform\(\). Write a class"):
            dump(other)  # type: ignore[arg-type]
    coroutine.close()
    for function in (len, send):
        with pytest.raises(NotAJob, match=r"for a function, a class whose perform\(\) calls it"):
            job(function)  # type: ignore[type-var]
    performing = job(type("Performing", (Record,), {"perform": lambda self: None}))
    with pytest.raises(NotSerializable, match="or queue a job that finds such an object by its key"):
        dump(performing())


def test_two_classes_can_not_have_one_name() -> None:
    """Otherwise a worker might run one in place of the other."""
    with pytest.raises(NotAJob, match=r"Another job is registered as 'Say'.*@job\(name="):

        @job(name="Say")
        class Shout:
            def perform(self) -> None: ...


def test_a_script_that_is_imported_too_is_told_so() -> None:
    """Another name for the class would only hide that there are two of it."""
    methods = {"perform": lambda self: None}
    job(type("Twice", (), {**methods, "__module__": "__main__"}))
    with pytest.raises(
        NotAJob, match="one file, run as a script and imported too, move the class to another"
    ):
        job(type("Twice", (), {**methods, "__module__": "script"}))


circular: list[Any] = []
circular.append(circular)
deep: list[Any] = []
for _ in range(100_000):
    deep = [deep]


@pytest.mark.parametrize(
    "argument",
    [object(), {1}, b"x", datetime.now(UTC), float("nan"), float("inf"), circular, deep, "\ud800"],
    ids=["object", "set", "bytes", "datetime", "nan", "inf", "circular", "deep", "surrogate"],
)
def test_arguments_that_are_not_json_are_refused(argument: Any) -> None:
    """The error is raised where the job is enqueued, not later in a worker."""
    with pytest.raises(NotSerializable, match=r"Say can't be queued: .*arguments must be JSON"):
        dump(Say(argument))


def test_an_argument_that_the_object_did_not_keep_is_named() -> None:
    """The queue reads arguments from the object's attributes."""

    @job
    class Forgetful:
        def __init__(self, image_id: int):
            self.id = image_id

        def perform(self) -> None: ...

    @job
    @dataclass
    class Greet:
        name: InitVar[str]

        def perform(self) -> None: ...

    for forgetful, attribute in ((Forgetful(8), "image_id"), (Greet("Ada"), "name")):
        with pytest.raises(NotSerializable, match=f"'{attribute}'; store each argument"):
            dump(forgetful)


not_ours = "The handler is not what jobqueue writes"
unknown = "No job is registered as .*--import your.module"
unfit = "The payload no longer fits Say"
BAD_HANDLERS = {
    "": not_ours,
    "perform()": not_ours,
    "[]": not_ours,
    '"Say"': not_ours,
    "null": not_ours,
    "{}": not_ours,
    '{"job":"Vanished","arguments":{}}': unknown,
    '{"job":null,"arguments":{}}': not_ours,
    '{"job":["Say"],"arguments":{}}': not_ours,
    '{"job":"Say"}': unfit,
    '{"job":"Say","arguments":null}': unfit,
    '{"job":"Say","arguments":["hello"]}': unfit,
    '{"job":"Say","arguments":{}}': unfit,
    '{"job":"Say","arguments":{"text":"hello","volume":11}}': unfit,
    '{"job":"Say","key":[1]}': unfit,
}


@pytest.mark.parametrize(("handler", "message"), BAD_HANDLERS.items())
def test_a_handler_that_does_not_fit_is_explained(handler: str, message: str) -> None:
    """Jobs outlive the code that enqueued them, and other programs can write rows."""
    with pytest.raises(HandlerError, match=message):
        known, body = parse(handler)
        known.load(body, None)


def test_names_in_rows_are_never_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that names a module's function is an error, and nothing is imported."""
    imported: list[str] = []
    real = __import__
    monkeypatch.setattr("builtins.__import__", lambda name, *rest: imported.append(name) or real(name, *rest))
    with pytest.raises(HandlerError):
        parse('{"job":"antigravity.fly","arguments":{}}')
    assert "antigravity" not in imported
