"""What this process of Locust does, from Locust's start to the verdict: methods for Locust's events.

Imports Locust, which monkey-patches the process.
"""

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import gevent
import locust.argument_parser
import msgspec
from gevent.event import Event
from locust.exception import StopTest
from locust.runners import MasterRunner, WorkerRunner

from loadtests.errors import LoadTestError, UsageError, WriteError
from loadtests.generator.arrivals import Share
from loadtests.generator.gathering import (
    CLOCK,
    NEWS,
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
from loadtests.generator.telling import Teller, Told, unpacked
from loadtests.judging.judge import judge
from loadtests.judging.terminal import verdict_text
from loadtests.live.ending import Ending
from loadtests.live.figures import Live
from loadtests.live.livetable import live_table
from loadtests.live.locustpage import extend_page, with_form
from loadtests.live.metrics import Metrics
from loadtests.live.visiting import Visiting
from loadtests.live.watching import Watching
from loadtests.ports import listen
from loadtests.records.recording import Recording, write_recording
from loadtests.status import Status

Ready = Callable[[Any], None]
Doubt = Callable[[Recording, Any], Sequence[str]]
Listener = Callable[[Told], object]

ENDING_SECONDS = 60.0  # beyond --stop-timeout
INTERRUPTED = "Interrupted: this is what was measured until then."


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
        self.watching: Watching | None = None  # while a test runs
        self.interrupted = False  # by Ctrl-C, or TERM
        self.finished = Event()  # cleared while a test runs, until its recording is sent or judged
        self.finished.set()
        self.started_at = 0.0  # Unix time
        self.ending = Ending(self.load)
        self.metrics: Metrics | None = None
        self.checks: list[Ready] = []
        self.doubts: list[Doubt] = []
        self.listeners: list[Listener] = []
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
        environment.events.quitting.add_listener(self.quit_early)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            gevent.signal_handler(signal.SIGINT, self.interrupt)
        if isinstance(self.runner, WorkerRunner):
            self.runner.register_message(SHARE, self.take_share)
            self.runner.register_message(CLOCK, lambda msg, **_: tell_time(self.runner, msg))
            self.runner.register_message(STOP, self.end_early, concurrent=True)
            return
        options = environment.parsed_options
        try:
            self.load = load_from(options)
            if page := environment.web_ui:
                listen(page.host, page.port, "--web-port").close()
            if self.load.prometheus:
                self.metrics = Metrics(self.load.prometheus, self.load.rule_ms)
                self.listeners.append(self.metrics.take)
        except UsageError as error:
            print(f"loadtests: {error}", file=sys.stderr)
            sys.exit(error.exit_status)
        if isinstance(self.runner, MasterRunner):
            self.runner.register_message(NEWS, self.take_news)
        if self.load.until_decided and not options.run_time:
            options.run_time = MOST_RUN_SECONDS
        if self.load.steps:
            self.steps = environment.shape_class = Steps(self.load)
            if options.headless:  # Locust minds TERM only when the steps are over
                gevent.signal_handler(signal.SIGTERM, self.interrupt)
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
        self.finished.clear()
        watched = environment.web_ui or self.load.may_end or self.metrics
        if isinstance(self.runner, MasterRunner):
            self.gathering = Gathering(self.runner)
            self.started_at = self.gathering.started_at
            live = Live(self.load.warm_up, self.gathering.processes()) if watched else None
            self.watching = Watching(self.runner, None, live, self.listeners, self.look)
            return
        generator = Generator(self.load, max(0, self.runner.worker_index), lambda: self.runner.user_count)
        self.generator = generator  # set before its users get ready, which may never end
        share = self.share if isinstance(self.runner, WorkerRunner) else Share()
        if self.load.open and share:  # a worker that joined too late has none
            visiting = Visiting(environment, generator, self.end_early)
            generator.send(choices_of(environment.user_classes), share, visiting.make, visiting.perform)
        generator.start()
        self.share, self.started_at = None, generator.recorder.started_at
        live = Live(self.load.warm_up) if watched and not isinstance(self.runner, WorkerRunner) else None
        self.watching = Watching(self.runner, Teller(generator), live, self.listeners, self.look)

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
        if self.watching and self.watching.live and not self.stopping:
            return live_table(self.watching.live.view(), self.load.rule_ms, self.load.most_over)
        return f'<pre role="status">{escape(self.text.strip())}</pre>'

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
        try:
            self.report_or_judge()
        finally:
            self.finished.set()

    def report_or_judge(self) -> None:
        """Send this worker's recording, or gather those of all and conclude."""
        generator, self.generator = self.generator, None
        if self.watching:
            self.watching.stop()
        if self.gathering:
            parts, lost = self.gathering.wait(self.environment.stop_timeout)
            whole = merged(parts, self.gathering.started_at)
            self.gathering = None
            self.conclude(whole, lost)
        elif generator:
            recording = generator.close()
            if self.watching:
                self.watching.tell_the_rest()
            if isinstance(self.runner, WorkerRunner):
                report(self.runner, recording)
            else:
                self.conclude(recording)

    def conclude(self, recording: Recording, lost: int = 0) -> None:
        """Judge the recording, then write its rows: a full disk must not cost the verdict."""
        load, self.tests, self.watching = self.load, self.tests + 1, None
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
        if self.interrupted:
            status, self.to_say = Status.INTERRUPTED, f"{self.text}\n{INTERRUPTED}"
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

    def is_running(self) -> bool:
        """Whether a test is, in this process or its workers."""
        return bool(self.generator or self.gathering) and not self.stopping

    def interrupt(self) -> None:
        """Ctrl-C. Python itself would end whichever greenlet runs, such as the one that takes in messages."""
        idle = not (self.is_running() or self.tests or isinstance(self.runner, WorkerRunner))
        waits = idle and self.environment.parsed_options.headless  # for its workers
        self.interrupted = True
        hub = gevent.get_hub()
        hub.loop.run_callback(
            hub.parent.throw, SystemExit(Status.INTERRUPTED) if waits else KeyboardInterrupt()
        )

    def quit_early(self, **_: Any) -> None:
        """Locust quits. If a test is running, that was an interruption.

        Waits for the end of one that another greenlet is ending: its recording would be lost.
        """
        if self.is_running():
            self.interrupted = True
            self.end_early()
        self.finished.wait(self.environment.stop_timeout + ENDING_SECONDS)

    def end_early(self, **_: Any) -> None:
        """End the test before Locust quits, which then takes the exit status from its verdict."""
        if self.is_running():
            self.runner.stop()

    # ---- messages

    def take_share(self, msg: Any, **_: Any) -> None:
        self.share = share_in(msg)

    def take_news(self, msg: Any, **_: Any) -> None:
        if self.gathering and self.watching:
            told = unpacked(msg.data["told"])
            self.watching.take(told, msg.node_id, self.gathering.later(msg.node_id, told.started_at))
