"""Both readers as a visitor sees them: the same pages, with the feed there at a different time."""

import importlib
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from conftest import wait_until
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool
from werkzeug.test import TestResponse

from feedreader import silence
from feedreader.database import make_engine, writer
from feedreader.errors import SettingsError
from feedreader.models import Entry, Feed, create_tables
from feedreader.waiting import FIRST_PAUSE, LONGEST_PAUSE, LONGEST_SILENCE, REMEMBERED
from jobqueue import Queue, Worker
from loadtests.feedserver.server import FeedServer, running_feedserver
from loadtests.torture.silentproxy import SilentProxy

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def feeds() -> Iterator[FeedServer]:
    """A feed server, standing in for other people's."""
    with running_feedserver() as server:
        yield server


@pytest.fixture(autouse=True)
def connections_closed() -> Iterator[None]:
    """An app never shuts down, so the connections it has opened are closed here."""
    opened: list[Any] = []

    def remember(dbapi_connection: Any, _: object) -> None:
        opened.append(dbapi_connection)

    event.listen(Pool, "connect", remember)
    yield
    event.remove(Pool, "connect", remember)
    for connection in opened:
        connection.close()


class Reader:
    """One of the two apps with its own database, and a visitor's browser."""

    def __init__(self, kind: str, database: str) -> None:
        self.kind = kind
        self.database = database
        app = importlib.import_module(f"{kind}_app.app").create_app()
        self.browser: FlaskClient = app.test_client()

    @property
    def engine(self) -> Engine:
        """An engine for inspecting the database."""
        return make_engine(self.database)

    def post(self, url: str) -> str:
        """Submit an address; returns the path of the feed's page."""
        answer = self.browser.post("/feeds", data={"url": url})
        assert answer.status_code == 303, answer.text
        return answer.location

    def let_the_worker_catch_up(self) -> None:
        """Perform the queued jobs. (The synchronous reader queues none.)"""
        if self.kind == "queued":
            queue = Queue(self.database)
            Worker(queue).work_off()
            queue.close()

    def state(self, page: str) -> dict[str, Any]:
        """The state that the page's script receives."""
        state: dict[str, Any] = self.browser.get(f"{page}.json").json
        return state

    def fetched(self, url: str) -> str:
        """Submit an address and have it fetched; returns the path of the feed's page."""
        page = self.post(url)
        self.let_the_worker_catch_up()
        return page

    def show(self, page: str) -> BeautifulSoup:
        """A page as a visitor sees it."""
        return soup_of(self.browser.get(page))


def soup_of(answer: TestResponse) -> BeautifulSoup:
    """The HTML of an answer."""
    return BeautifulSoup(answer.text, "html.parser")


def words(soup: BeautifulSoup, selector: str = "main") -> str:
    """The text of part of a page, on one line."""
    part = soup.select_one(selector)
    assert part is not None, f"no {selector} in {soup}"
    return " ".join(part.get_text(" ").split())


@pytest.fixture
def settings(feeds: FeedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of a reader that may fetch from the feed server; returns the database's URL."""
    database = f"sqlite:///{tmp_path}/reader.db"
    monkeypatch.setenv("FEEDREADER_DATABASE", database)
    monkeypatch.setenv("FEEDREADER_ALLOW", feeds.url.removeprefix("http://"))
    return database


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that soon gives up on a feed, for feeds that never arrive."""
    monkeypatch.setenv("FEEDREADER_DEADLINE", "0.5")


@pytest.fixture(params=["sync", "queued"])
def reader(request: pytest.FixtureRequest, settings: str) -> Reader:
    """Every test with this fixture runs with both readers."""
    return Reader(request.param, settings)


def test_the_first_page_has_a_form_and_no_feeds(reader: Reader) -> None:
    """It names the reader, too."""
    page = reader.show("/")
    assert page.select_one("form[method=post][action='/feeds'] input[name=url][required]")
    assert words(page, "label[for=url]") == "Address of an RSS or Atom feed"
    assert words(page, ".kind") == {"sync": "synchronous reader", "queued": "queued reader"}[reader.kind]
    assert "None yet" in words(page)


def test_a_posted_feed_shows_its_entries(reader: Reader, feeds: FeedServer) -> None:
    """What both readers are for: submit an address, get redirected to its page, read."""
    page = reader.fetched(feeds.feed_url("fast", 1))
    assert page == "/feeds/1"
    shown = reader.show(page)
    assert words(shown, "h1").endswith("(fast 1)")
    assert 10 <= len(shown.select("article")) <= 30
    first = shown.select_one("article")
    assert first and first.select_one("h2 a[href^='http://example.org/fast/1/']")
    assert first.select_one("time[datetime]")
    assert "Fetch again" in words(shown)
    assert "ready" in words(reader.show("/"), ".feeds li")


def test_the_page_asks_for_a_state_that_says_when_the_feed_is_there(
    reader: Reader, feeds: FeedServer
) -> None:
    """All that a script or a load test needs to know about a feed, in one small answer."""
    url = feeds.feed_url("fast", 2)
    page = reader.fetched(url)
    state = reader.state(page)
    assert state.pop("entries") >= 10
    assert state.pop("title").endswith("(fast 2)")
    assert state == {"id": 1, "url": url, "status": "ready", "reason": None}


def test_a_feed_that_fails_says_why_and_offers_another_try(reader: Reader, feeds: FeedServer) -> None:
    """A 404 from the feed's server is a page with status 200 here: our server is fine."""
    page = reader.fetched(feeds.feed_url("missing", 1))
    shown = reader.show(page)
    assert "This feed could not be fetched. The server answered 404 Not Found." in words(
        shown, "[role=alert]"
    )
    assert words(shown, "form[method=post][action='/feeds/1/refresh'] button") == "Try again"
    assert reader.state(page)["status"] == "failed"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("error", "answered 500 Internal Server Error"),
        ("reset", "closed the connection early"),
        pytest.param("malformed", "not a feed as it stands", marks=pytest.mark.live),  # read by a process
        ("huge", "larger than 10 MiB"),
        ("redirect-loop", "redirects more than 5 times"),
    ],
)
def test_every_misbehaving_server_ends_in_a_reason(
    reader: Reader, feeds: FeedServer, kind: str, reason: str
) -> None:
    """No kind of bad feed makes the reader itself fail."""
    page = reader.fetched(feeds.feed_url(kind, 1))
    state = reader.state(page)
    assert state["status"] == "failed" and reason in state["reason"]
    assert reason in words(reader.show(page))


@pytest.mark.parametrize("kind", ["hang", "drip"])
@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_ends_is_given_up(reader: Reader, feeds: FeedServer, kind: str) -> None:
    """The page says how long the reader waited."""
    page = reader.fetched(feeds.feed_url(kind, 1))
    assert "did not answer within 0.5 seconds" in words(reader.show(page))


def test_a_feed_can_be_fetched_again(reader: Reader, feeds: FeedServer) -> None:
    """By the button, or by submitting the address once more; no entry is duplicated."""
    url = feeds.feed_url("fast", 3)
    page = reader.fetched(url)
    entries = reader.state(page)["entries"]
    answer = reader.browser.post(f"{page}/refresh")
    assert (answer.status_code, answer.location) == (303, page)
    reader.let_the_worker_catch_up()
    assert reader.fetched(url) == page
    assert reader.state(page)["entries"] == entries
    assert reader.state(page)["status"] == "ready"


@pytest.mark.parametrize(
    "url", ["", "not an address", "ftp://example.org/", "http://", "<script>alert(1)</script>"]
)
def test_a_bad_address_brings_the_form_again_with_the_reason(reader: Reader, url: str) -> None:
    """The form keeps what was entered, so that it can be corrected; nothing is stored."""
    answer = reader.browser.post("/feeds", data={"url": url})
    page = soup_of(answer)
    assert answer.status_code == 400
    field = page.select_one("input[name=url][aria-invalid=true][aria-describedby=problem]")
    assert field and field["value"] == url
    assert words(page, "#problem[role=alert]")
    assert "None yet" in words(page)


def test_a_form_without_an_address_is_a_bad_address(reader: Reader) -> None:
    """A program that omits the field gets the reason, too."""
    answer = reader.browser.post("/feeds")
    assert answer.status_code == 400 and "Enter the address" in answer.text


def test_addresses_on_private_networks_are_not_fetched(reader: Reader) -> None:
    """The reader must not be a way into the network it runs in."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        page = reader.fetched(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert "private network" in reader.state(page)["reason"]


@pytest.mark.parametrize("path", ["/feeds/1", "/feeds/99999999999999999999", "/feeds/x", "/nowhere"])
def test_what_is_not_there_is_a_page_with_404(reader: Reader, path: str) -> None:
    """It links back to the feeds."""
    answer = reader.browser.get(path)
    assert answer.status_code == 404
    assert soup_of(answer).select_one("main a[href='/']")


def test_a_state_that_is_not_there_is_json_with_404(reader: Reader) -> None:
    """The script need not parse a page."""
    answer = reader.browser.get("/feeds/1.json")
    assert (answer.status_code, answer.json) == (404, {"error": "Not Found"})
    assert reader.browser.post("/feeds/1/refresh").status_code == 404


def test_the_newest_feeds_come_first_and_are_twenty_at_most(reader: Reader) -> None:
    """The first page does not grow with the database."""
    with Session(writer(reader.engine)) as session:
        for n in range(25):
            Feed.subscribe(session, f"http://example.org/{n}")
        session.commit()
    shown = [link.get_text() for link in reader.show("/").select(".feeds a")]
    assert shown == [f"http://example.org/{n}" for n in range(24, 4, -1)]


def test_what_a_feed_says_is_shown_as_text(reader: Reader) -> None:
    """Markup that has got into the database is not markup on the page."""
    evil = "<script>alert(1)</script>"
    with Session(writer(reader.engine)) as session:
        feed = Feed.subscribe(session, "http://example.org/")
        feed.title, feed.status, feed.reason = evil, "failed", evil
        session.add(Entry(feed_id=feed.id, guid="g", title=evil, link="", summary=evil))
        session.commit()
    page = reader.show("/feeds/1")
    assert words(page, "h1") == evil and words(page, "article p") == evil
    assert not page.select("main script")


def test_nothing_on_a_page_may_run_but_our_own_script(reader: Reader) -> None:
    """The policy forbids everything else, and the pages comply with it."""
    for path in ("/", "/nowhere", "/healthz"):
        answer = reader.browser.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        page = soup_of(answer)
        assert not page.select("style, [style], script:not([src]), [onclick]")


def test_styles_and_scripts_may_be_cached(reader: Reader) -> None:
    """They are the same for everybody."""
    for name in ("style.css", "poll.js", "icon.svg"):
        answer = reader.browser.get(f"/static/{name}")
        assert answer.status_code == 200 and answer.headers.get("Cache-Control") != "no-store"
        answer.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://other.localhost"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://localhost:8000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
def test_other_sites_can_not_post_here(
    reader: Reader, feeds: FeedServer, headers: dict[str, str], status: int
) -> None:
    """Another site must not make a visitor's browser submit addresses to us."""
    answer = reader.browser.post("/feeds", data={"url": feeds.feed_url("error", 1)}, headers=headers)
    assert answer.status_code == status


def test_a_form_that_is_far_too_large_is_refused(reader: Reader) -> None:
    """It must not fill the server's memory."""
    assert reader.browser.post("/feeds", data={"url": "x" * 100_000}).status_code == 413


def test_health_is_that_the_database_answers(reader: Reader) -> None:
    """The answer also names the reader."""
    answer = reader.browser.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "app": reader.kind})


def test_a_file_that_is_replaced_is_opened_anew(
    reader: Reader, feeds: FeedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As by a restore: what visitors write from then on is in the new file."""
    file = Path(reader.engine.url.database or "")
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    reader.post(feeds.feed_url("fast", 1))
    backup.replace(file)
    page = reader.post(feeds.feed_url("fast", 2))
    assert page.endswith("/1") and reader.browser.get(page).status_code == 200
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT count(*) FROM feeds").fetchone() == (1,)
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert f"the file {file} was replaced: opening the new one" in caplog.messages


@pytest.mark.parametrize("path", ["/", "/feeds/1", "/feeds/1.json", "/healthz"])
@pytest.mark.parametrize("kind", ["sync", "queued"])
def test_a_silent_database_is_503(
    kind: str,
    path: str,
    postgres_database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is no endless wait, and the log has one line for each answer. Later answers come by a new server."""
    monkeypatch.setattr(silence, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(silence, "CONNECT_SECONDS", 2)
    with SilentProxy(postgres_database) as proxy:
        url = proxy.url.render_as_string(hide_password=False)
        monkeypatch.setenv("FEEDREADER_DATABASE", url)
        reader = Reader(kind, url)
        proxy.silence()
        answer = reader.browser.get(path)
        assert answer.status_code == 503
        assert path == "/healthz" or "Service Unavailable" in answer.text
        assert [record.exc_info for record in caplog.records if record.levelname == "ERROR"] == [None]
        proxy.speak()
        assert reader.browser.get("/healthz").status_code == 200


def test_health_without_the_tables_is_503(reader: Reader) -> None:
    """A health check sees it and routes no visitors here."""
    with writer(reader.engine).begin() as connection:
        connection.execute(text("DROP TABLE feeds"))
    answer = reader.browser.get("/healthz")
    assert answer.status_code == 503 and answer.json and answer.json["app"] == reader.kind


@pytest.mark.usefixtures("impatient")
def test_the_synchronous_visitor_waits_for_the_feeds_server(settings: str, feeds: FeedServer) -> None:
    """The answer comes once the feed's server has answered or the deadline has passed."""
    reader = Reader("sync", settings)
    asked = feeds.stats()["requested"]["hang"]
    page = reader.post(feeds.feed_url("hang", 1))
    assert feeds.stats()["requested"]["hang"] == asked + 1
    assert reader.state(page)["status"] == "failed"


def test_the_queued_visitor_is_answered_before_the_feeds_server_is_asked(
    settings: str, feeds: FeedServer
) -> None:
    """The page says that the feed is being fetched, and how it will learn when the feed is there."""
    reader = Reader("queued", settings)
    asked = feeds.stats()["requested"]
    page = reader.post(feeds.feed_url("fast", 1))
    assert feeds.stats()["requested"] == asked
    assert reader.state(page)["status"] == "pending"
    shown = reader.show(page)
    assert "being fetched" in words(shown, "[role=status][data-poll='/feeds/1.json']")
    assert shown.select_one("script[src='/static/poll.js']")
    assert shown.select_one("noscript meta[http-equiv=refresh][content='2']")
    reader.let_the_worker_catch_up()
    assert reader.state(page)["status"] == "ready"
    assert not reader.show(page).select("[data-poll], noscript")


def test_pages_ask_again_when_the_reader_says(settings: str, feeds: FeedServer) -> None:
    """Eight feeds had waited for a minute when pages asked for them. So another page is told to wait for its
    feed's turn; by this process, not by one that was not asked for them.
    """
    reader = Reader("queued", settings)
    pending = reader.post(feeds.feed_url("fast", 1))
    assert all(FIRST_PAUSE <= seconds <= LONGEST_PAUSE for seconds in told(reader, pending))
    later = datetime.now(UTC) + timedelta(hours=1)  # recent, however long this test takes
    with Session(writer(reader.engine)) as session:
        for n in range(REMEMBERED):
            feed, came = Feed.subscribe(session, f"http://example.org/{n}"), later + timedelta(seconds=n)
            feed.status, feed.requested_at, feed.fetched_at = "failed", came - MINUTE, came
        session.commit()
        states = [reader.state(f"/feeds/{each}") for each in session.scalars(select(Feed.id))]
    assert [state["status"] for state in states if "ask_again_in" in state] == ["pending"]
    assert told(reader, pending) == (LONGEST_SILENCE, LONGEST_SILENCE)
    assert max(told(Reader("queued", settings), pending)) <= LONGEST_PAUSE


def told(reader: Reader, page: str) -> tuple[float, float]:
    """In how many seconds the page, and the answer to its script, say to ask again."""
    shown = reader.show(page).select_one("[data-poll]")
    assert shown
    return float(str(shown["data-ask-again-in"])), reader.state(page)["ask_again_in"]


def test_a_feed_and_its_job_are_stored_together_or_not_at_all(settings: str) -> None:
    """If the job can't be stored, no feed is left that would be "being fetched" for ever."""
    reader = Reader("queued", settings)
    with writer(reader.engine).begin() as connection:
        connection.execute(text("DROP TABLE jobs"))
    assert reader.browser.post("/feeds", data={"url": "http://example.org/"}).status_code == 503
    with reader.engine.connect() as connection:
        assert connection.execute(select(Feed.id)).all() == []


def test_a_visitor_sees_the_feed_pending_while_another_waits_for_it(
    settings: str, feeds: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The synchronous reader holds no lock while it waits: others can read and submit addresses."""
    monkeypatch.setenv("FEEDREADER_DEADLINE", "4")
    reader = Reader("sync", settings)
    waiting = threading.Thread(target=reader.post, args=(feeds.feed_url("hang", 2),))
    asked = feeds.stats()["in_flight"]["hang"]
    waiting.start()
    wait_until(lambda: feeds.stats()["in_flight"]["hang"] > asked, "the visitor's feed to be asked for")
    assert reader.state("/feeds/1")["status"] == "pending"
    other = Reader("sync", settings).post(feeds.feed_url("fast", 2))
    assert reader.state(other)["status"] == "ready"
    waiting.join()
    assert reader.state("/feeds/1")["status"] == "failed"


@pytest.mark.parametrize("kind", ["sync", "queued"])
def test_a_reader_with_settings_that_can_not_be_used_does_not_start(
    settings: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would fail at its first visitor."""
    monkeypatch.setenv("FEEDREADER_DEADLINE", "soon")
    with pytest.raises(SettingsError, match="FEEDREADER_DEADLINE"):
        Reader(kind, settings)


def test_the_database_may_be_there_already(settings: str) -> None:
    """A restarted reader finds its feeds."""
    engine = make_engine(settings)
    create_tables(engine)
    with Session(writer(engine)) as session:
        Feed.subscribe(session, "http://example.org/")
        session.commit()
    assert "http://example.org/" in words(Reader("sync", settings).show("/"), ".feeds")
