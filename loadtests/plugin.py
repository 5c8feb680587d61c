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
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.event
import locust
import locust.argument_parser
import msgspec
from geventhttpclient.client import HTTPClient
from geventhttpclient.connectionpool import ConnectionPool
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.exception import (
    CatchResponseError,
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    StopTest,
    StopUser,
)
from locust.runners import MasterRunner, WorkerRunner
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_WAITING, DefaultTaskSet

from loadtests.errors import LoadTestError, UsageError, WriteError
from loadtests.generator.arrivals import Share
from loadtests.generator.gathering import (
    CLOCK,
    RECORDING,
    SHARE,
    STOP,
    Gathering,
    report,
    share_in,
    tell_time,
)
from loadtests.generator.generator import Generator
from loadtests.generator.loadoptions import Load, add_options, load_from
from loadtests.generator.locustpage import extend_page, with_form
from loadtests.generator.openload import choices_of
from loadtests.generator.recorder import Pending
from loadtests.generator.recordings import merged, with_plan
from loadtests.generator.resending import watch
from loadtests.generator.resolving import resolve_numbers_at_once
from loadtests.generator.sending import OURS, answered, recorded
from loadtests.generator.steps import Steps
from loadtests.generator.tasks import perform_once
from loadtests.judging.judge import judge
from loadtests.judging.terminal import verdict_text
from loadtests.records.recording import Recording, write_recording
from loadtests.status import Status

__all__ = ["doubt", "random_of", "ready", "request", "visit"]

Ready = Callable[[Any], None]
Doubt = Callable[[Recording, Any], Sequence[str]]

log = logging.getLogger(__name__)


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


# ---- users


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


# ---- from the start of Locust to the end of a test


class _Process:
    """The state of this process. From Locust's page, one test can be started after another."""

    def __init__(self) -> None:
        self.environment: Any = None
        self.load = Load()
        self.generator: Generator | None = None  # while a test runs, and this process sends
        self.gathering: Gathering | None = None  # while a test runs, and this is the master
        self.share: Share | None = None  # a worker's, sent by the master
        self.steps: Steps | None = None
        self.stopping = False
        self.asked = 0
        self.spawned: int | None = None  # the number of users once all were there
        self.faults: tuple[str, ...] = ()  # of the whole load, in addition to each process's
        self.tests = 0
        self.text = "No test has ended yet."  # the last verdict, or why there is none
        self.checks: list[Ready] = []
        self.doubts: list[Doubt] = []
        self.to_say = ""

    @property
    def runner(self) -> Any:
        return self.environment.runner

    def prepare(self, environment: Any, **_: Any) -> None:
        """Locust is ready: check the options, and register the message handlers."""
        self.environment = environment
        if environment.parsed_options is None:
            return
        # Locust times --run-time by its loop's clock, which stands still during imports: up to 2 s short.
        gevent.get_hub().loop.update_now()
        environment.events.quitting.add_listener(self.end_early)
        if isinstance(self.runner, WorkerRunner):
            self.runner.register_message(SHARE, self.take_share)
            self.runner.register_message(CLOCK, lambda msg, **_: tell_time(self.runner, msg))
            self.runner.register_message(STOP, self.stop_now, concurrent=True)
            return
        try:
            self.load = load_from(environment.parsed_options)
        except UsageError as error:
            print(f"loadtests: {error}", file=sys.stderr)
            sys.exit(error.exit_status)
        if isinstance(self.runner, MasterRunner):
            self.runner.register_message(RECORDING, self.take_recording)
            self.runner.register_message(CLOCK, self.take_clock)
        if self.load.steps:
            self.steps = environment.shape_class = Steps(self.load)
        if environment.web_ui:
            base = environment.parsed_options.web_base_path
            extend_page(environment.web_ui, base, lambda: self.text, self.refusal)
        environment.events.quit.add_listener(lambda **_: self.say())

    def start(self, environment: Any, **_: Any) -> None:
        """A test begins."""
        self.environment, self.stopping = environment, False
        self.spawned, self.faults = None, ()
        try:
            self.load = self.checked(environment.parsed_options)
        except LoadTestError as error:
            environment.process_exit_code = error.exit_status
            raise StopTest(self.refused(error)) from error
        self.text = "A test is running. Its verdict will be here when it has ended."
        if self.steps:
            self.steps.load = self.load
        if isinstance(self.runner, MasterRunner):
            self.gathering = Gathering(self.runner)
            return
        generator = Generator(self.load, max(0, self.runner.worker_index), lambda: self.runner.user_count)
        self.generator = generator  # set before its users get ready, which may never end
        share = self.share if isinstance(self.runner, WorkerRunner) else Share()
        if self.load.open and share:  # a worker that joined too late has none
            generator.send(choices_of(environment.user_classes), share, _make, _perform)
        generator.start()
        self.share = None

    def all_there(self, user_count: int, **_: Any) -> None:
        """All users have been spawned; called again if their number is changed in Locust's page."""
        before, self.spawned = self.spawned, user_count
        steps = self.environment.shape_class is not None
        if before not in {None, user_count} and not steps and not self.load.open:
            self.faults += (f"the number of users was changed from {before} to {user_count} while it ran",)

    def checked(self, options: Any) -> Load:
        """The load that the options describe. Raises LoadTestError if there is nothing to test."""
        load = load_from(options)
        if not isinstance(self.runner, WorkerRunner):  # the master has checked
            for check in self.checks:
                check(options)
        return load

    def refused(self, why: LoadTestError) -> str:
        """Show why a test did not begin, in place of the previous verdict. Returns the reason."""
        self.text = f"The test was refused. {why}"
        return str(why)

    def refusal(self, form: Mapping[str, str]) -> str | None:
        """Why the test that Locust's form describes can't begin; None if it can."""
        parser = locust.argument_parser.get_parser()
        try:
            self.checked(with_form(self.environment.parsed_options, form, parser.args_included_in_web_ui))
        except LoadTestError as error:
            return self.refused(error)
        return None

    def stop(self, **_: Any) -> None:
        """Stop offering load. (Locust fires this before it stops its users.)"""
        self.stopping = True
        self.asked = self.runner.target_user_count
        if self.generator:
            self.generator.stop(self.environment.stop_timeout)

    def finish(self, **_: Any) -> None:
        """A test is over. (Locust also ends tests that never began.)"""
        generator, self.generator = self.generator, None
        if self.gathering:
            parts, lost = self.gathering.wait(self.environment.stop_timeout)
            whole = merged(parts, self.gathering.started_at)
            self.gathering = None
            self.conclude(whole, lost)
        elif generator:
            recording = generator.close()
            if isinstance(self.runner, WorkerRunner):
                report(self.runner, recording)
            else:
                self.conclude(recording)

    def conclude(self, recording: Recording, lost: int = 0) -> None:
        """Judge the recording, then write its rows: a full disk must not cost the verdict."""
        load, self.tests = self.load, self.tests + 1
        stages = self.steps.stages(recording.started_at, recording.stopped_s) if self.steps else []
        recording = msgspec.structs.replace(recording, faults=(*recording.faults, *self.faults))
        whole = with_plan(recording, load, stages, self.asked, lost)
        options = self.environment.parsed_options
        seen = [reason for look in self.doubts for reason in look(whole, options)]
        whole = msgspec.structs.replace(whole, faults=(*whole.faults, *seen))
        judgement = judge(whole)
        self.text = self.to_say = verdict_text(judgement)
        nothing = not recording.rows or judgement.absent  # nothing tested is never a success
        asked = load.fail_over is not None or nothing
        status = judgement.status if asked else Status.KEPT
        if load.rows:  # a second test in the same process does not overwrite the first
            path = load.rows if self.tests == 1 else load.rows.with_stem(f"{load.rows.stem}-{self.tests}")
            try:
                write_recording(path, whole)
            except WriteError as error:
                self.to_say += f"\nloadtests: {error}"
                status = status or Status.USAGE
        if asked or status:
            self.environment.process_exit_code = int(status)
        if not options.headless:
            self.say()

    def say(self) -> None:
        """Print the verdict; in a headless run it comes last, below Locust's own tables."""
        text, self.to_say = self.to_say, ""
        if text:
            print(text, flush=True)

    def end_early(self, **_: Any) -> None:
        """Locust quits during a test (Ctrl-C): end the test first, so its verdict sets the exit status."""
        if self.generator and not self.stopping:
            self.runner.stop()

    # ---- messages

    def take_share(self, msg: Any, **_: Any) -> None:
        self.share = share_in(msg)

    def stop_now(self, **_: Any) -> None:
        self.end_early()

    def take_clock(self, msg: Any, **_: Any) -> None:
        if self.gathering:
            self.gathering.add_clock(msg.node_id, msg.data)

    def take_recording(self, msg: Any, **_: Any) -> None:
        if self.gathering:
            self.gathering.add(msg.node_id, msg.data)


def _make(user_class: Any) -> Any:
    """Create a user for visits and run its on_start(). Raises what that raises."""
    environment = _process.environment
    user_class.host = environment.host or user_class.host  # Locust sets it only after a test has started
    user = user_class(environment)
    user._state, user._taskset_instance = LOCUST_STATE_RUNNING, DefaultTaskSet(user)
    try:
        user.on_start()
    except StopTest:
        gevent.spawn(_process.end_early)
        raise
    except Exception as error:
        _failed(user, error)
        raise
    return user


def _perform(user: Any, task: Any) -> None:
    """Let `user` perform `task`, as one visit."""
    try:
        perform_once(user, task)
    except (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser):
        pass  # the ways to end a task early
    except StopTest:
        gevent.spawn(_process.end_early)
    except Exception as error:
        _failed(user, error)
        if _process.generator:
            _process.generator.failed_to_begin(user, str(error) or type(error).__name__)


def _failed(user: Any, error: Exception) -> None:
    log.error("%s\n%s", error, traceback.format_exc())
    user.environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)


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


_process = _Process()
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
