"""Import this in any locustfile, and a verdict based on every single request is printed at the end.

    import loadtests.plugin

Every request of its HttpUsers and FastHttpUsers becomes a row when it is sent, so that unanswered ones are
not lost. The plugin adds options for open load, steps and exit statuses to Locust's own:
`locust -f LOCUSTFILE --help-load` lists them. A locustfile may also use these:

    self.client.get("/", context={"group": "browse"})      # the row's group; default: the request's name
    with plugin.visit(self, "content", "the whole visit"): # one more row, from the visit's start
    with plugin.request(self, "orders", "SELECT orders"):  # a row for a request by a client of your own
    plugin.random_of(self)                                 # random numbers that depend on --seed alone
    class Submitter(FastHttpUser): bursts = True           # the users of a --burst
    @plugin.ready    # a function of the options, called before each test; refuses it by raising LoadTestError
    @plugin.doubt    # a function of a recording and the options; returns why its load proves nothing
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent.event
import locust
from geventhttpclient.client import HTTPClient
from geventhttpclient.connectionpool import ConnectionPool
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.exception import CatchResponseError
from locust.user.task import LOCUST_STATE_WAITING

from loadtests.generator.generator import Generator
from loadtests.generator.loadoptions import Load, add_options
from loadtests.generator.recorder import Pending
from loadtests.generator.resending import watch
from loadtests.generator.resolving import resolve_numbers_at_once
from loadtests.generator.sending import OURS, answered, recorded
from loadtests.live.process import Doubt, Listener, LocustProcess, Ready

__all__ = ["doubt", "news", "random_of", "ready", "request", "visit"]

_process = LocustProcess()


# ---- for use in locustfiles


@contextmanager
def visit(user: Any, group: str, name: str) -> Iterator[Pending]:
    """Record the block, which may contain many requests and waits, as a row of its own.

    Yields the row, whose `status` and `error` may be set. In open load its time counts from the visit's
    scheduled start. The rule does not apply to it, since it is not a request.
    """
    generator = _process.generator
    if generator is None:
        yield Pending(0, group, name, 0.0, 0.0)
        return
    with generator.visit(user, group, name) as pending:
        yield pending


@contextmanager
def request(user: Any, group: str, name: str) -> Iterator[Pending]:
    """Record the block as one request by a client of your own, such as a database or websocket client.

    It is a row from the moment it is sent, so one that hangs is not lost. Locust's request event is fired at
    its end: don't fire one yourself. An exception makes it a failure, and propagates. To record a failure
    without an exception, set `error`, and `status` if there is one, on the row that this yields.
    """
    generator = _process.generator
    if generator is None:
        yield Pending(0, group, name, 0.0, 0.0)
        return
    begun, pending = time.perf_counter(), generator.begin(user, group, name)

    def tell(error: Exception | None) -> None:
        took = (time.perf_counter() - begun) * 1000
        said = {"request_type": group, "name": name, "response_time": took, "response_length": 0}
        context = {**user.context(), OURS: pending}
        user.environment.events.request.fire(**said, exception=error, context=context)

    try:
        with generator.recorder.during(pending):
            yield pending
    except Exception as error:
        tell(error)
        raise
    tell(CatchResponseError(pending.error) if pending.error else None)


def random_of(user: Any) -> Any:
    """The user's random number generator, seeded by --seed. In open load every visit has its own."""
    generator = _process.generator or Generator(Load(seed=user.environment.parsed_options.seed), 0, lambda: 0)
    return generator.sender(user).random


def ready(check: Ready) -> Ready:
    """Before each test, call `check(options)`, which raises LoadTestError if there is nothing to test.

    For a test started from Locust's page it is first called with a copy, so that the page can say why.
    """
    _process.checks.append(check)
    return check


def doubt(look: Doubt) -> Doubt:
    """After each test, call `look(recording, options)`, which returns reasons why the load is not fit."""
    _process.doubts.append(look)
    return look


def news(listener: Listener) -> Listener:
    """While a test runs, call `listener(told)` four times a second with this process's news (telling.py)."""
    _process.listeners.append(listener)
    return listener


# ---- connected to Locust


def _start_user(start: Callable[..., Any]) -> Callable[..., Any]:
    """In open load Locust's own users do nothing: the generator performs visits instead."""

    @functools.wraps(start)
    def start_user(user: Any, group: Any) -> Any:
        if not _process.load.open:
            return start(user, group)
        user._state = LOCUST_STATE_WAITING
        user._group, user._greenlet = group, group.spawn(lambda user: gevent.event.Event().wait(), user)
        return user._greenlet

    return start_user


def _add_options(parser: Any, **_: Any) -> None:
    group = parser.add_argument_group("Load and verdict")

    def option(*names: str, include_in_web_ui: bool = True, **said: Any) -> None:
        action = group.add_argument(*names, **said)
        action.include_in_web_ui = include_in_web_ui  # as Locust's own parser does, outside groups
        action.is_secret = action.is_required = action.is_multiple = False

    add_options(option)
    # Locust listens on every network interface by default, where anyone could start a load.
    parser.set_defaults(web_host="127.0.0.1")


def _current() -> Generator | None:
    return _process.generator


def _on_request(**said: Any) -> None:
    if _process.generator:
        answered(_process.generator, **said)


events: Any = locust.events
for session, context_at in ((HttpSession, 2), (FastHttpSession, 8)):
    session.request = recorded(session.request, context_at, _current)  # type: ignore[method-assign]
watch(HTTPClient, ConnectionPool)
resolve_numbers_at_once(gevent.get_hub().resolver)
locust.User.start = _start_user(locust.User.start)  # type: ignore[method-assign]
events.init_command_line_parser.add_listener(_add_options)
events.init.add_listener(_process.prepare)
events.request.add_listener(_on_request)
events.test_start.add_listener(_process.start)
events.spawning_complete.add_listener(_process.all_there)
events.test_stopping.add_listener(_process.stop)
events.test_stop.add_listener(_process.finish)
