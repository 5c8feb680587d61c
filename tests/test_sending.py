"""A Locust user's request becomes a row once it is sent. Locust itself is not needed here."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import GreenletExit

from loadtests.generator.generator import ON_USER, Generator, Sender
from loadtests.generator.loadoptions import Load
from loadtests.generator.recorder import error_words
from loadtests.generator.sending import answered, recorded
from loadtests.records.rows import Row


class CatchResponseError(Exception):
    """Like Locust's, which is recognised by its name."""


class Session:
    """A session whose requests end as `ends` says, after `sending` was called."""

    request_name = None

    def __init__(self, ends: Callable[[dict[str, Any]], Any], current: Callable[[], Any]) -> None:
        self.user = SimpleNamespace()
        self.ends = ends
        self.request = lambda *args, **kwargs: recorded(Session.send, 2, current)(self, *args, **kwargs)

    def send(self, method: str, url: str, *args: Any, context: Any = None, **kwargs: Any) -> Any:
        return self.ends(context if context is not None else args[2] if len(args) > 2 else {})


class Clock:
    """A clock that stands still until it is advanced."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """The generator's clock."""
    return Clock()


@pytest.fixture
def generator(clock: Clock) -> Generator:
    """A generator that is recording."""
    return Generator(Load(), 0, lambda: 0, clock)


def answer(status: int, error: Exception | None = None) -> Callable[[dict[str, Any]], Any]:
    """A session's answer that has not been judged yet, as in a `with` block."""
    return lambda _: SimpleNamespace(status_code=status, error=error)


def sent(generator: Generator, ends: Callable[[dict[str, Any]], Any], *args: Any, **kwargs: Any) -> Row:
    """The row of one request."""
    Session(ends, lambda: generator).request(*args, **kwargs)
    (row,) = generator.recorder.close()
    return row


def test_a_request_is_named_as_in_locust_with_its_method(generator: Generator) -> None:
    """By its address, unless a name is given; the name is also its group."""
    row = sent(generator, answer(200), "GET", "/feeds/1")
    assert (row.name, row.group, row.status, row.error) == ("GET /feeds/1", "GET /feeds/1", 200, "")


@pytest.mark.parametrize("given", [{"args": ("/feeds/[id]",)}, {"kwargs": {"name": "/feeds/[id]"}}])
def test_a_name_may_be_given_by_its_place_or_by_keyword(generator: Generator, given: Any) -> None:
    """Locust accepts both."""
    row = sent(generator, answer(200), "GET", "/feeds/1", *given.get("args", ()), **given.get("kwargs", {}))
    assert row.name == row.group == "GET /feeds/[id]"


@pytest.mark.parametrize("by_place", [True, False])
def test_the_context_says_the_group(generator: Generator, by_place: bool) -> None:
    """Even as a positional argument; Locust and its listeners still receive the context."""
    context, seen = {"group": "browse"}, []

    def ends(handed_on: dict[str, Any]) -> Any:
        seen.append(handed_on["group"])
        return answer(200)(handed_on)

    if by_place:
        row = sent(generator, ends, "GET", "/", None, True, context)
    else:
        row = sent(generator, ends, "GET", "/", context=context)
    assert row.group == "browse" and seen == ["browse"]
    assert context == {"group": "browse"}  # the caller's own is unchanged


@pytest.mark.parametrize(
    ("status", "exception", "words"),
    [
        (200, None, ""),
        (404, None, ""),  # a locustfile said success()
        (503, RuntimeError("URL http://...: code=503"), "answered 503"),
        (200, CatchResponseError("no feed on the page"), "no feed on the page"),
        (404, CatchResponseError("gone"), "gone"),
        (0, ConnectionRefusedError("refused"), "refused"),
    ],
)
def test_what_locust_says_at_the_end_counts(
    generator: Generator, status: int, exception: Exception | None, words: str
) -> None:
    """Listeners after ours find nothing of ours in the context."""
    left: list[dict[str, Any]] = []

    def ends(context: dict[str, Any]) -> Any:
        response = SimpleNamespace(status_code=status, error=exception)
        answered(generator, exception=exception, context=context, response=response, response_time=1.0)
        left.append(context)
        return response

    row = sent(generator, ends, "GET", "/")
    assert (row.status, row.error) == (status, words)
    assert left == [{}]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [(503, None, "answered 503"), (0, OSError("reset"), "reset"), (0, None, "no answer")],
)
def test_a_failure_that_nobody_judges_is_one(
    generator: Generator, status: int, error: Exception | None, words: str
) -> None:
    """A `with` block left by an exception: Locust is not told of any outcome."""
    row = sent(generator, answer(status, error), "GET", "/")
    assert row.failed and row.error == words


@pytest.mark.parametrize("error", [ValueError("no such scheme"), gevent.Timeout()])
def test_a_request_that_raises_is_a_failure(generator: Generator, error: BaseException) -> None:
    """Even if the locustfile itself stopped waiting."""

    def ends(_: dict[str, Any]) -> Any:
        raise error

    with pytest.raises(type(error)):
        Session(ends, lambda: generator).request("GET", "/")
    (row,) = generator.recorder.close()
    assert row.failed and row.error


def test_a_request_whose_user_is_killed_at_the_end_is_unfinished(generator: Generator) -> None:
    """A greenlet's end is not an answer."""

    def ends(_: dict[str, Any]) -> Any:
        generator.recorder.stop()
        raise GreenletExit

    with pytest.raises(GreenletExit):
        Session(ends, lambda: generator).request("GET", "/")
    (row,) = generator.recorder.close()
    assert row.unfinished


def test_no_row_is_made_while_no_test_runs() -> None:
    """And the request is passed on unchanged."""
    seen: list[dict[str, Any]] = []
    Session(seen.append, lambda: None).request("GET", "/", context={"a": 1})  # type: ignore[arg-type]
    assert seen == [{"a": 1}]


def test_a_client_that_only_says_how_it_went_leaves_rows_too(generator: Generator, clock: Clock) -> None:
    """A websocket or database client: whatever fires Locust's request event with a response time."""
    clock.seconds += 10
    answered(generator, request_type="WS", name="hello", response_time=250.0, exception=OSError("closed"))
    (row,) = generator.recorder.close()
    assert (row.group, row.error) == ("WS hello", "closed")
    assert (row.intended_s, row.done_s) == (9.75, 10.0)


def test_the_first_request_of_a_visit_counts_from_when_it_was_to_begin(
    generator: Generator, clock: Clock
) -> None:
    """The others from their own sending; a block that is a whole visit from the visit's start, too."""
    session = Session(answer(200), lambda: generator)
    clock.seconds += 10
    setattr(session.user, ON_USER, Sender(7, "1 visit 7", intended=2.5))
    with generator.visit(session.user, "content", "content on the page"):
        session.request("POST", "/feeds")
        session.request("GET", "/feeds/1")
    with generator.visit(session.user, "content", "once more"):
        pass
    rows = {row.name: row for row in generator.recorder.close()}
    assert rows["POST /feeds"].intended_s == rows["content on the page"].intended_s == 2.5
    assert rows["POST /feeds"].sent_s == 10.0
    assert rows["GET /feeds/1"].intended_s == rows["GET /feeds/1"].sent_s == 10.0
    assert rows["once more"].intended_s == rows["once more"].sent_s == 10.0
    assert {row.user for row in rows.values()} == {7}
    assert generator.recorder.visits == {"content"}


def test_users_of_different_processes_have_different_numbers() -> None:
    """So that their rows can be merged."""
    numbers = {Generator(Load(), index, lambda: 0).sender(SimpleNamespace()).number for index in range(3)}
    assert len(numbers) == 3


def test_a_visitors_random_numbers_depend_on_seed_and_number_only() -> None:
    """Not on which other visitors there are."""

    def drawn(seed: int, users: int) -> float:
        generator = Generator(Load(seed=seed), 0, lambda: 0)
        everybody = [SimpleNamespace() for _ in range(users)]
        visitors = [generator.sender(user) for user in everybody]
        return [visitor.random.random() for visitor in visitors][1]

    assert drawn(1, 2) == drawn(1, 5) != drawn(2, 2)


def test_long_errors_are_shortened() -> None:
    """A page of HTML is not an error message."""
    assert len(error_words(OSError("x" * 5000), 0)) == 200
