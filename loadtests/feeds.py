"""The load: visitors of a feed reader. An ordinary locustfile, with what `loadtests.plugin` adds.

    locust -f loadtests/feeds.py --app queued                     # starts the reader too; opens Locust's page
    locust -f loadtests/feeds.py --host http://127.0.0.1:8001     # a reader that runs already: make sync, ...
    locust -f loadtests/feeds.py --app sync --headless --model open --rate 20
    locust -f loadtests/feeds.py --app queued --headless --steps 10,50,100 --processes 2

Of ten visitors seven submit feeds and wait for the content, as a browser would; three only browse. In closed
load each thinks for a while between two visits, an exponential time with a random first delay, so that they
don't march in step. In open load every visit is another visitor's.
"""

import re
import sys
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests import plugin
from loadtests.errors import LoadTestError
from loadtests.generator.loadoptions import not_negative
from loadtests.generator.recorder import Pending
from loadtests.records.steps import READERS
from loadtests.servers.stack import Stack, StackSettings

FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS, POLL_GROWTH = 0.3, 5.0, 1.5  # as in the page's own script
GIVE_UP_SECONDS = 60.0
POLL_ADDRESS = b'data-poll="'  # only a page whose feed is still being fetched has it
PENDING = b'"pending"'  # in the answer to a poll
FEED_LINK = re.compile(rb'href="(/feeds/\d+)"')
NO_READER = """\
No reader to test. Start one with `make sync` or `make queued` and name it: --host http://127.0.0.1:8001
Or let it be started: --app sync, --app queued"""


class Visitor(FastHttpUser):
    """What both kinds of visitor share: think time, and requests that say which group they are of."""

    abstract = True
    # The visitors are patient; the rows say how long they wait.
    network_timeout = connection_timeout = 120.0

    def wait_time(self) -> float:
        think: float = self.environment.parsed_options.think
        return float(plugin.random_of(self).expovariate(1 / think)) if think else 0.0

    def on_start(self) -> None:
        if self.environment.parsed_options.model == "closed":
            gevent.sleep(self.wait_time())

    def ask(self, group: str, method: str, path: str, name: str, expect: int = 200, **request: Any) -> Any:
        """Send one request; returns Locust's response. Redirects are not followed."""
        context = {"group": group}
        with self.client.request(
            method, path, name, catch_response=True, allow_redirects=False, context=context, **request
        ) as response:
            if response.status_code == expect:
                response.success()
            elif response.status_code:
                response.failure(f"answered {response.status_code}, not {expect}")
        return response


class Submitter(Visitor):
    """Submits a feed, and waits until its page shows the entries, or says why there are none."""

    weight = 7
    bursts = True

    @task
    def submit_and_read(self) -> None:
        options: Any = self.environment.parsed_options
        number = plugin.random_of(self).randrange(1_000_000_000)
        feed = {"url": f"{options.feeds}/feeds/{options.kind}/{number}.xml"}
        with plugin.visit(self, "content", "content on the page") as content:
            answer = self.ask("submit", "POST", "/feeds", "/feeds", expect=303, data=feed)
            page = answer.headers.get("location") if answer.status_code == 303 else None
            if page is None:
                content.error = "the feed was not accepted"
            else:
                self.read(page, content)

    def read(self, page: str, content: Pending) -> None:
        """Open the page; while the feed is being fetched, ask as the page's script does, and then open it
        again.
        """
        interval, waited = FIRST_POLL_SECONDS, 0.0
        while True:
            answer = self.ask("page", "GET", page, "/feeds/[id]")
            content.status = answer.status_code
            if answer.status_code != 200:
                content.error = "its page was not to be had"
                return
            address = poll_address(answer.content)
            if address is None:
                return
            while True:
                gevent.sleep(interval)
                waited += interval
                interval = min(interval * POLL_GROWTH, LONGEST_POLL_SECONDS)
                state = self.ask("poll", "GET", address, "/feeds/[id].json")
                if state.status_code == 200 and PENDING not in state.content:
                    break
                if waited > GIVE_UP_SECONDS:
                    content.error = f"no content after {GIVE_UP_SECONDS:g} s"
                    return


class Browser(Visitor):
    """Looks at the list and at pages that are there already. Asks for nothing slow, and shares the server."""

    weight = 3
    shown = b""  # the list as it was last seen

    @task(3)
    def look_at_the_list(self) -> None:
        self.shown = self.ask("browse", "GET", "/", "/").content or b""

    @task(2)
    def look_at_a_feed(self) -> None:
        links = FEED_LINK.findall(self.shown)
        if links:
            link = plugin.random_of(self).choice(links).decode()
            self.ask("browse", "GET", link, "/feeds/[id] (browsing)")
        else:
            self.look_at_the_list()


def poll_address(page: bytes) -> str | None:
    """Where a page asks whether its feed has come; None if the page waits for nothing."""
    _, found, rest = page.partition(POLL_ADDRESS)
    return rest.partition(b'"')[0].decode() if found else None


# ---- options, and the reader that they may start


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    option = parser.add_argument
    option(
        "--app",
        choices=["", *READERS],
        default="",
        help="start this reader, with all it needs, and test it",
        include_in_web_ui=False,
    )
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
        type=not_negative,
        default=2.0,
        help="closed load: mean think time of a visitor in seconds; default 2",
    )
    # Every load ends by itself, and Locust's form comes filled in.
    parser.set_defaults(num_users=20, spawn_rate=20, run_time="2m", stop_timeout="10")


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    options: Any = environment.parsed_options
    if isinstance(environment.runner, WorkerRunner) or options is None:
        return  # the master sees to it
    if options.app:
        stack = Stack(StackSettings(app=options.app))
        try:
            stack.start()
        except LoadTestError as error:
            print(f"loadtests: {error}", file=sys.stderr)
            sys.exit(error.exit_status)
        environment.events.quit.add_listener(lambda **_: stack.stop())
        environment.host, options.feeds = stack.url, stack.feeds_url
        print(f"Started the {options.app} reader at {stack.url}, its feed server at {stack.feeds_url}")
    elif not environment.host and options.headless:
        print(NO_READER, file=sys.stderr)
        sys.exit(2)
