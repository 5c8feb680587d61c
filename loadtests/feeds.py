"""The load: visitors of a feed reader. An ordinary locustfile.

    locust -f loadtests/feeds.py --app queued                  # starts the reader too, and opens Locust's
    page locust -f loadtests/feeds.py --host http://127.0.0.1:8001  # a reader that runs already (make sync,
    make queued)

Of ten visitors seven submit feeds and wait for the content, as a browser would; three only browse. Each
thinks for a while between two visits, an exponential time with a random first delay, so that they don't march
in step: closed load.

At the end it prints a verdict against the 500 ms rule from every single request, since Locust's own
percentiles are rounded and leave out what was still in flight.
"""

import itertools
import random
import re
import sys
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.console import run_table
from loadtests.errors import LoadTestError
from loadtests.recorder import LagMeter, Pending, Recorder
from loadtests.samples import Row, in_window
from loadtests.stack import Stack, StackSettings
from loadtests.wording import APPS

FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS, POLL_GROWTH = 0.3, 2.0, 1.5  # as in the page's own script
GIVE_UP_SECONDS = 60.0
POLL_ADDRESS = re.compile(r'data-poll="([^"]+)"')  # only a page whose feed is still being fetched has it
FEED_LINK = re.compile(r'href="(/feeds/\d+)"')

recorder = Recorder()


class Test:
    """The test that runs in this process. (In Locust's page one can be started after another.)"""

    def __init__(self) -> None:
        self.numbers = itertools.count()  # of its visitors
        self.users = 0  # that were there at a time, at most
        self.lag = LagMeter(recorder, gevent.sleep)
        recorder.start()
        self._meter = gevent.spawn(self.lag.run)

    def stop(self) -> list[Row]:
        self._meter.kill()
        return recorder.close()


test: Test | None = None


class Visitor(FastHttpUser):
    """What both kinds of visitor share: think time, and requests that leave rows."""

    abstract = True
    network_timeout = connection_timeout = (
        120.0  # the visitors are patient; the recorder notes how long they wait
    )

    def __init__(self, environment: Environment):
        super().__init__(environment)
        self.number = next(test.numbers) if test else 0
        options: Any = environment.parsed_options
        self.options = options
        self.random = random.Random(f"{options.seed} {type(self).__name__} {self.number}")

    def wait_time(self) -> float:
        return self.random.expovariate(1 / self.options.think)

    def on_start(self) -> None:
        gevent.sleep(self.wait_time())

    def visit(self, group: str, method: str, path: str, name: str, expect: int = 200, **request: Any) -> Any:
        """Send one request and record it; returns Locust's response. Redirects are not followed."""
        with (
            recorder.request(self.number, group, f"{method} {name}") as pending,
            self.client.request(
                method, path, name=name, catch_response=True, allow_redirects=False, **request
            ) as response,
        ):
            pending.status = response.status_code
            if response.status_code == expect:
                response.success()
            else:
                pending.error = str(response.error or f"answered {response.status_code}, not {expect}")
                response.failure(pending.error)
        return response


class Submitter(Visitor):
    """Submits a feed, and waits until its page shows the entries, or says why there are none."""

    weight = 7

    @task
    def submit_and_read(self) -> None:
        number = self.random.randrange(1_000_000_000)
        address = f"{self.options.feeds}/feeds/{self.options.kind}/{number}.xml"
        ticket, content = recorder.begin(self.number, "content", "content on the page")
        answer = self.visit("submit", "POST", "/feeds", "/feeds", expect=303, data={"url": address})
        page = answer.headers.get("location") if answer.status_code == 303 else None
        if page is None:
            content.error = "the feed was not accepted"
        else:
            self.read(page, content)
        recorder.end(ticket)

    def read(self, page: str, content: Pending) -> None:
        """Open the page; while the feed is being fetched, ask as the page's script does, and then open it
        again.
        """
        interval = FIRST_POLL_SECONDS
        deadline = recorder.now() + GIVE_UP_SECONDS
        while True:
            answer = self.visit("page", "GET", page, "/feeds/[id]")
            content.status = answer.status_code
            polled = POLL_ADDRESS.search(answer.text or "") if answer.status_code == 200 else None
            if polled is None:
                return
            while True:
                gevent.sleep(interval)
                interval = min(interval * POLL_GROWTH, LONGEST_POLL_SECONDS)
                state = self.visit("poll", "GET", polled[1], "/feeds/[id].json")
                if state.status_code == 200 and state.json()["status"] != "pending":
                    break
                if recorder.now() > deadline:
                    content.error = f"no content after {GIVE_UP_SECONDS:g} s"
                    return


class Browser(Visitor):
    """Looks at the list and at pages that are there already. Asks for nothing slow, and shares the server."""

    weight = 3

    def on_start(self) -> None:
        self.links: list[str] = []
        super().on_start()

    @task(3)
    def look_at_the_list(self) -> None:
        self.links = FEED_LINK.findall(self.visit("browse", "GET", "/", "/").text or "")

    @task(2)
    def look_at_a_feed(self) -> None:
        if self.links:
            self.visit("browse", "GET", self.random.choice(self.links), "/feeds/[id] (browsing)")


# ---- options, start and end of a test


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    option = parser.add_argument
    option("--app", choices=["", *APPS], default="", help="start this reader, with all it needs, and test it")
    option(
        "--feeds",
        metavar="URL",
        default="http://127.0.0.1:9000",
        help="the feed server as the reader sees it; default http://127.0.0.1:9000",
    )
    option(
        "--kind",
        default="mix",
        help="kind of feeds to submit: mix, fast, typical, slow, hang ...; default mix",
    )
    option(
        "--think",
        metavar="S",
        type=float,
        default=2.0,
        help="mean think time of a visitor in seconds; default 2",
    )
    option("--seed", type=int, default=1, help="the same seed sends the same visitors; default 1")
    option(
        "--warm-up", metavar="S", type=float, default=0.0, help="leave the first S seconds out of the verdict"
    )
    option(
        "--rows",
        metavar="FILE",
        default="",
        help="write every request to this CSV file",
        include_in_web_ui=False,
    )
    # Every load ends by itself, and Locust's form comes filled in.
    parser.set_defaults(num_users=20, spawn_rate=20, run_time="2m", stop_timeout="10")


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    options: Any = environment.parsed_options
    if isinstance(environment.runner, WorkerRunner) or options is None:
        return  # the master has seen to it
    if options.app:
        stack = Stack(StackSettings(app=options.app))
        try:
            stack.start()
        except LoadTestError as error:
            sys.exit(f"loadtests: {error}")
        environment.events.quitting.add_listener(lambda **_: stack.stop())
        environment.host, options.feeds = stack.url, stack.feeds_url
        print(f"Started the {options.app} reader at {stack.url}, its feed server at {stack.feeds_url}")
    elif not environment.host and options.headless:
        print(
            "No reader to test. Start one with `make sync` or `make queued` and name it: --host http://127.0.0.1:8001"
            "\nOr let it be started: --app sync, --app queued",
            file=sys.stderr,
        )
        sys.exit(2)


@events.test_start.add_listener
def start(environment: Environment, **_: Any) -> None:
    global test  # noqa: PLW0603 - Locust's events reach functions, not objects
    test = Test()


@events.spawning_complete.add_listener
def count_users(user_count: int, **_: Any) -> None:
    if test:
        test.users = max(test.users, user_count)


@events.test_stop.add_listener
def stop(environment: Environment, **_: Any) -> None:
    if test is None:  # Locust also ends tests that never began
        return
    options: Any = environment.parsed_options
    rows = test.stop()
    if options.rows:
        path = Path(options.rows)
        if isinstance(environment.runner, WorkerRunner):  # each process has its own file
            path = path.with_stem(f"{path.stem}-{environment.runner.client_id}")
        lag = [[round(at, 3), round(late, 3)] for at, late in test.lag.samples]
        recorder.write(path, users=test.users, lag=lag)
    ended = recorder.ended or 0.0
    print(run_table(in_window(rows, options.warm_up, ended), ended))
