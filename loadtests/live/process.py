"""What this process of Locust does, from Locust's start to the verdict: methods for Locust's events.

Imports Locust, which monkey-patches the process.
"""

import logging
import math
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import gevent
import locust.argument_parser
import msgspec
from locust.exception import (
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    StopTest,
    StopUser,
)
from locust.runners import MasterRunner, WorkerRunner
from locust.user.task import LOCUST_STATE_RUNNING, DefaultTaskSet

from loadtests.errors import LoadTestError, UsageError, WriteError
from loadtests.generator.arrivals import Share
from loadtests.generator.gathering import (
    CLOCK,
    NEWS,
    RECORDING,
    SHARE,
    STOP,
    Gathering,
    report,
    share_in,
    tell_time,
)
from loadtests.generator.generator import Generator
from loadtests.generator.loadoptions import MOST_RUN_SECONDS, Load, load_from
from loadtests.generator.openload import choices_of
from loadtests.generator.recordings import merged, with_plan
from loadtests.generator.steps import Steps
from loadtests.generator.tasks import perform_once
from loadtests.generator.telling import Teller, Told, unpacked
from loadtests.judging.judge import judge
from loadtests.judging.terminal import verdict_text
from loadtests.live.ending import Ending
from loadtests.live.figures import Live
from loadtests.live.livetable import live_table
from loadtests.live.locustpage import extend_page, with_form
from loadtests.live.metrics import Metrics
from loadtests.ports import listen
from loadtests.records.recording import Recording, write_recording
from loadtests.status import Status

Ready = Callable[[Any], None]
Doubt = Callable[[Recording, Any], Sequence[str]]

TELLING_SECONDS = 0.25  # little at a time, so that telling does not delay requests

log = logging.getLogger(__name__)


class LocustProcess:
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
        self.teller: Teller | None = None  # while a test runs, and this process sends
        self.live: Live | None = None  # while a test runs, and this process judges
        self.watching: Any = None  # the greenlet that tells and looks while a test runs
        self.started_at = 0.0  # Unix time
        self.ending = Ending(self.load)
        self.metrics: Metrics | None = None
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
        options = environment.parsed_options
        try:
            self.load = load_from(options)
            if page := environment.web_ui:
                listen(page.host, page.port, "--web-port").close()
            if self.load.prometheus:
                self.metrics = Metrics(self.load.prometheus, self.load.rule_ms)
        except UsageError as error:
            print(f"loadtests: {error}", file=sys.stderr)
            sys.exit(error.exit_status)
        if isinstance(self.runner, MasterRunner):
            self.runner.register_message(RECORDING, self.take_recording)
            self.runner.register_message(CLOCK, self.take_clock)
            self.runner.register_message(NEWS, self.take_news)
        if self.load.until_decided and not options.run_time:
            options.run_time = MOST_RUN_SECONDS
        if self.load.steps:
            self.steps = environment.shape_class = Steps(self.load)
        if environment.web_ui:
            extend_page(environment.web_ui, options.web_base_path, self.page, self.refusal)
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
        self.ending = Ending(self.load)
        if self.metrics:
            self.metrics.begin(self.load.rule_ms)
        watched = environment.web_ui or self.load.may_end or self.metrics
        if isinstance(self.runner, MasterRunner):
            self.gathering = Gathering(self.runner)
            self.started_at = self.gathering.started_at
            if watched:
                self.live = Live(self.load.warm_up, self.gathering.processes())
                self.watching = gevent.spawn(self.watch)
            return
        generator = Generator(self.load, max(0, self.runner.worker_index), lambda: self.runner.user_count)
        self.generator = generator  # set before its users get ready, which may never end
        share = self.share if isinstance(self.runner, WorkerRunner) else Share()
        if self.load.open and share:  # a worker that joined too late has none
            generator.send(choices_of(environment.user_classes), share, self.make, self.perform)
        generator.start()
        self.share, self.teller, self.started_at = None, Teller(generator), generator.recorder.started_at
        if watched and not isinstance(self.runner, WorkerRunner):
            self.live = Live(self.load.warm_up)
        if watched or isinstance(self.runner, WorkerRunner):  # which does not know whether the master watches
            self.watching = gevent.spawn(self.watch)

    def watch(self) -> None:
        """While a test runs, report this process's requests, and look at those of all."""
        while True:
            gevent.sleep(TELLING_SECONDS)
            if self.teller:
                self.tell(self.teller.tell())
            if self.live:
                self.look(self.live)

    def tell(self, told: Told) -> None:
        """Send the news to the master, or take it in if this process judges."""
        if isinstance(self.runner, WorkerRunner):
            self.runner.send_message(NEWS, {"told": told})
        else:
            self.take(told)

    def take(self, told: Told, process: str = "", later: float = 0.0) -> None:
        """Take in the news of a process whose clock started `later` seconds after the load's."""
        if self.metrics:
            self.metrics.take(told)
        if self.live and told.until < math.inf:
            self.live.take(told, process, later)

    def look(self, live: Live) -> None:
        """Look at the figures of all processes; end the load or its step if that is due."""
        stages = self.steps.stages(self.started_at, time.time() - self.started_at) if self.steps else []
        live.advance([stage.start_s for stage in stages] or [0.0])
        if self.metrics:
            self.metrics.show(live)
        all_there = self.steps or self.load.open or self.spawned is not None
        ends = self.ending.look(live) if all_there and not self.stopping else None
        if ends == "step" and self.steps:
            self.steps.skip(live.stage)
        elif ends:
            self.end()

    def end(self) -> None:
        """End the test as --run-time would."""
        if self.gathering:
            self.gathering.fix_clocks()
        if self.steps:
            self.steps.end()  # Locust asks for the next step within a second
        elif self.environment.parsed_options.headless:
            gevent.spawn(self.runner.quit)
        else:
            self.environment.web_ui._cancel_run_time_timer()  # it would end the next test
            gevent.spawn(self.runner.stop)

    def page(self) -> str:
        """What Locust's page shows: live figures while a test runs, otherwise its verdict."""
        if self.live and not self.stopping:
            return live_table(self.live.view(), self.load.rule_ms, self.load.most_over)
        return f'<pre role="status">{escape(self.text.strip())}</pre>'

    def make(self, user_class: Any) -> Any:
        """Create a user for visits and run its on_start(). Raises what that raises."""
        environment = self.environment
        user_class.host = environment.host or user_class.host  # Locust sets it only after a test has started
        user = user_class(environment)
        user._state, user._taskset_instance = LOCUST_STATE_RUNNING, DefaultTaskSet(user)
        try:
            user.on_start()
        except StopTest:
            gevent.spawn(self.end_early)
            raise
        except Exception as error:
            _failed(user, error)
            raise
        return user

    def perform(self, user: Any, task: Any) -> None:
        """Let `user` perform `task`, as one visit."""
        try:
            perform_once(user, task)
        except (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser):
            pass  # the ways to end a task early
        except StopTest:
            gevent.spawn(self.end_early)
        except Exception as error:
            _failed(user, error)
            if self.generator:
                self.generator.failed_to_begin(user, str(error) or type(error).__name__)

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
        teller, self.teller = self.teller, None
        if self.watching:
            self.watching.kill()
        if self.gathering:
            parts, lost = self.gathering.wait(self.environment.stop_timeout)
            whole = merged(parts, self.gathering.started_at)
            self.gathering = None
            self.conclude(whole, lost)
        elif generator:
            recording = generator.close()
            if teller:
                self.tell(teller.rest())
            if isinstance(self.runner, WorkerRunner):
                report(self.runner, recording)
            else:
                self.conclude(recording)

    def conclude(self, recording: Recording, lost: int = 0) -> None:
        """Judge the recording, then write its rows: a full disk must not cost the verdict."""
        load, self.tests, self.live = self.load, self.tests + 1, None
        if self.metrics:
            self.metrics.end()
        stages = self.steps.stages(recording.started_at, recording.stopped_s) if self.steps else []
        recording = msgspec.structs.replace(recording, faults=(*recording.faults, *self.faults))
        looks, decided_s = self.ending.looks(stages), self.ending.decided_s
        whole = with_plan(recording, load, self.ending.stages(stages), self.asked, lost, looks, decided_s)
        options = self.environment.parsed_options
        seen = [reason for look in self.doubts for reason in look(whole, options)]
        whole = msgspec.structs.replace(whole, faults=(*whole.faults, *seen))
        judgement = judge(whole)
        self.text = self.to_say = verdict_text(judgement)
        nothing = not recording.rows or judgement.absent  # nothing tested is never a success
        asked = load.sets_status or nothing
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

    def take_news(self, msg: Any, **_: Any) -> None:
        if self.gathering:
            told = unpacked(msg.data["told"])
            self.take(told, msg.node_id, self.gathering.later(msg.node_id, told.started_at))

    def take_recording(self, msg: Any, **_: Any) -> None:
        if self.gathering:
            self.gathering.add(msg.node_id, msg.data)


def _failed(user: Any, error: Exception) -> None:
    log.error("%s\n%s", error, traceback.format_exc())
    user.environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)
