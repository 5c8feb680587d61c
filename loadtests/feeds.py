"""The load: visitors to a feed reader. An ordinary locustfile that uses `loadtests.plugin`.

    locust -f loadtests/feeds.py --app queued                     # starts the reader too; opens Locust's page
    locust -f loadtests/feeds.py --host http://127.0.0.1:8001     # a reader already running: make sync, ...
    locust -f loadtests/feeds.py --app sync --headless --model open --rate 20
    locust -f loadtests/feeds.py --app queued --headless --steps 10,50,100 --processes 2

Seven visitors in ten submit feeds and wait for the content, as a browser would; three only browse. In closed
load each has an exponential think time between visits, and before the first, so that visitors don't move in
step. In open load every visit is by a new visitor.
"""

import re
import sys
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests import plugin
from loadtests.engines.engines import ENGINES_HELP, check_engine
from loadtests.errors import LoadTestError, UsageError
from loadtests.feedserver.documents import has_entries_of
from loadtests.feedserver.kinds import KINDS, is_good
from loadtests.generator.fetches import NO_ENTRIES, not_fetched
from loadtests.generator.loadoptions import not_negative
from loadtests.generator.recorder import Pending
from loadtests.records.recording import Recording
from loadtests.records.steps import READERS
from loadtests.servers.feedstate import check_reader, feed_state
from loadtests.servers.stack import Stack, StackSettings

GIVE_UP_SECONDS = 60.0
SPARE_SECONDS = 1.0  # of the deadline, for everything but waiting for the feed
LIST = b"/feeds"  # on every list of feeds: in the address of its form, and of each feed
# Where to ask for a feed, and after how many seconds. Both are there only while it is being fetched.
PENDING_PAGE = re.compile(rb'data-poll="([^"]+)" data-ask-again-in="([\d.]+)"')
PENDING_STATE = re.compile(rb'"ask_again_in": ?([\d.]+)')
FEED_LINK = re.compile(rb'href="(/feeds/\d+)"')
NO_READER = """\
No reader to test. Start one with `make sync` or `make queued` and name it: --host http://127.0.0.1:8001
Or have one started: --app sync, --app queued"""


class Visitor(FastHttpUser):
    """What both kinds of visitor share: think time, and requests labelled with their group."""

    abstract = True
    # Visitors are patient; the rows record how long they wait.
    network_timeout = connection_timeout = 120.0

    def wait_time(self) -> float:
        think: float = self.environment.parsed_options.think
        return float(plugin.random_of(self).expovariate(1 / think)) if think else 0.0

    def on_start(self) -> None:
        if self.environment.parsed_options.model == "closed":
            gevent.sleep(self.wait_time())

    def ask(
        self,
        group: str,
        method: str,
        path: str,
        name: str,
        expect: int = 200,
        holds: bytes = b"",
        **more: Any,
    ) -> Any:
        """Send a request, a failure unless the status is `expect` and the body contains `holds`.

        Returns Locust's response. Redirects are not followed.
        """
        context = {"group": group}
        with self.client.request(
            method, path, name, catch_response=True, allow_redirects=False, context=context, **more
        ) as response:
            if response.status_code == expect and holds in (response.content or b""):
                response.success()
            elif response.status_code == expect:
                response.failure("the page is not the one requested")
            elif response.status_code:
                response.failure(f"answered {response.status_code}, not {expect}")
        return response


class Submitter(Visitor):
    """Submits a feed, and waits until its page shows the entries, or says why there are none."""

    weight = 7
    bursts = True

    @task
    def submit_and_read(self) -> None:
        number = plugin.random_of(self).randrange(1_000_000_000)
        self.visit(self.kind(number), number)

    def kind(self, _number: int) -> str:
        """The kind of the feed that is submitted under this number."""
        return str(self.environment.parsed_options.kind)

    def visit(self, kind: str, number: int) -> None:
        """Submit feed `number` of a kind, and read it."""
        feed = {"url": f"{self.environment.parsed_options.feeds}/feeds/{kind}/{number}.xml"}
        with plugin.visit(self, "content", "content on the page") as content:
            answer = self.ask("submit", "POST", "/feeds", "/feeds", expect=303, data=feed)
            page = answer.headers.get("location") if answer.status_code == 303 else None
            if page is None:
                content.error = "the feed was not accepted"
            else:
                self.read(page, kind, number, content)

    def read(self, page: str, kind: str, number: int, content: Pending) -> None:
        """Open the page; while its feed is being fetched, poll as its script does, then open it again."""
        waited = 0.0
        while True:
            answer = self.ask("page", "GET", page, "/feeds/[id]")
            content.status = answer.status_code
            if answer.status_code != 200:
                content.error = "its page could not be loaded"
                return
            told = PENDING_PAGE.search(answer.content)
            if told is None:
                if self.is_good(kind, number) and not has_entries_of(number, answer.content):
                    content.error = NO_ENTRIES
                return
            address, pause = told[1].decode(), float(told[2])
            while pause:
                if waited > GIVE_UP_SECONDS:
                    content.error = f"no content after {GIVE_UP_SECONDS:g} s"
                    return
                gevent.sleep(pause)
                waited += pause
                state = self.ask("poll", "GET", address, "/feeds/[id].json")
                if state.status_code == 200:  # else again after the same pause, as the script does
                    again = PENDING_STATE.search(state.content)
                    pause = float(again[1]) if again else 0.0

    def is_good(self, kind: str, number: int) -> bool:
        """Whether the reader must show this feed's entries; for others it may report a failure."""
        options: Any = self.environment.parsed_options
        return is_good(kind, number, options.deadline - SPARE_SECONDS, options.feeds_mix, options.feeds_seed)


class Browser(Visitor):
    """Looks at the list and at existing pages. Asks for nothing slow, but shares the server."""

    weight = 3
    shown = b""  # the list as last seen

    @task(3)
    def look_at_the_list(self) -> None:
        self.shown = self.ask("browse", "GET", "/", "/", holds=LIST).content or b""

    @task(2)
    def look_at_a_feed(self) -> None:
        links = FEED_LINK.findall(self.shown)
        if links:
            link = plugin.random_of(self).choice(links).decode()
            self.ask("browse", "GET", link, "/feeds/[id] (browsing)")
        else:
            self.look_at_the_list()


# ---- options, and the reader they may start


started: list[Stack] = []  # the reader started here, if any


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    option = parser.add_argument
    option(
        "--app",
        choices=["", *READERS],
        default="",
        help="start this reader, with everything it needs, and test it",
        include_in_web_ui=False,
    )
    option(
        "--engine",
        metavar="NAME",
        default="jobqueue",
        help=ENGINES_HELP,
        include_in_web_ui=False,
    )
    option(
        "--feeds",
        metavar="URL",
        default="http://127.0.0.1:9000",
        help="address of the feed server, as the reader sees it. Default: http://127.0.0.1:9000",
        include_in_web_ui=not started,  # hidden once a reader was started, whose own is used
    )
    option(
        "--kind",
        metavar="KIND",
        choices=["mix", *KINDS],
        default="mix",
        help=f"kind of feeds to submit. One of mix, {', '.join(KINDS)}. Default: mix",
    )
    option(
        "--think",
        metavar="S",
        type=not_negative,
        default=2.0,
        help="closed load: seconds between visits, on average. Default: 2",
    )
    option(
        "--deadline",
        metavar="S",
        type=not_negative,
        default=10.0,
        help="how long the reader waits for a feed; it need not show one that takes longer. Default: 10",
        include_in_web_ui=False,
    )
    # Defaults, so that every load ends and Locust's form is filled in.
    parser.set_defaults(num_users=20, spawn_rate=20, run_time="2m", stop_timeout="10")


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    options: Any = environment.parsed_options
    if isinstance(environment.runner, WorkerRunner) or options is None:
        return  # the master does all this
    try:
        if options.app:
            check_engine(options.engine)
            stack = Stack(StackSettings(options.app, engine=options.engine, deadline=options.deadline))
            stack.start()
            started.append(stack)
            environment.events.quit.add_listener(lambda **_: stack.stop())
            environment.host = options.host = stack.url
            addresses = f"{stack.url},\nits feed server at {stack.feeds_url}"
            print(f"Started the {options.app} reader at {addresses}", flush=True)
        if options.headless or options.autostart:
            ready(options)
    except LoadTestError as error:
        print(f"loadtests: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


@plugin.ready
def ready(options: Any) -> None:
    """Check that there is something to test, and note its feeds' mix in the options, which workers get."""
    for stack in started:
        options.feeds = stack.feeds_url
    if not options.host:
        raise UsageError(NO_READER)
    options.feeds = options.feeds.rstrip("/")
    check_reader(options.host)
    state = feed_state(options.feeds)
    options.feeds_mix, options.feeds_seed, options.feeds_requested = state.mix, state.seed, state.requested


@plugin.doubt
def doubts(recording: Recording, options: Any) -> list[str]:
    """Compare the feed server's own count with the submissions."""
    try:
        arrived = feed_state(options.feeds).requested - options.feeds_requested
    except UsageError:
        return [f"the feed server at {options.feeds} no longer answers"]
    return not_fetched(recording, arrived)
