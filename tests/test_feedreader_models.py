"""Feeds are stored, fetched and refetched, on both databases."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, inspect, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from feedreader.database import make_engine, writer
from feedreader.errors import FeedReaderError, FetchFailed, SettingsError
from feedreader.fetching import Fetcher
from feedreader.limits import BEYOND_LIMITS
from feedreader.models import Entry, Feed, create_tables
from feedreader.parsing import Document
from feedreader.web import ENTRIES
from loadtests.feedserver.server import running_feedserver

URL = "http://example.org/feed"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine for a database with the reader's tables."""
    engine = make_engine(database_url)
    create_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session as the apps and the worker use it."""
    with Session(writer(engine)) as session:
        yield session


class Canned(Fetcher):
    """Finds a document without any network, or fails if given a reason."""

    def __init__(self, *entries: tuple[str, str, int], title: str = "A feed", reason: str = "") -> None:
        super().__init__()
        self.reason = reason
        item = "<item><guid>{}</guid><title>{}</title><pubDate>{} Jun 2025 12:00 GMT</pubDate></item>"
        items = "".join(item.format(*entry) for entry in entries)
        self.body = f'<rss version="2.0"><channel><title>{title}</title>{items}</channel></rss>'.encode()

    def get(self, url: str) -> Document:
        """The document, whatever the address."""
        if self.reason:
            raise FetchFailed(self.reason)
        return Document(url, "application/rss+xml", self.body)


def subscribe(session: Session, url: str = URL) -> Feed:
    """A feed, committed."""
    feed = Feed.subscribe(session, url)
    session.commit()
    return feed


def titles(session: Session, feed: Feed) -> list[str]:
    """The titles of a feed's entries, in page order."""
    return list(session.scalars(ENTRIES, {"feed_id": feed.id}))


def test_a_fetched_feed_has_its_title_and_its_entries_newest_first(session: Session) -> None:
    """Its status says that it is ready, and since when."""
    feed = subscribe(session)
    before = datetime.now(UTC)
    feed.fetch(Canned(("a", "First", 1), ("b", "Third", 3), ("c", "Second", 2), title="News"))
    assert (feed.status, feed.reason, feed.title) == ("ready", None, "News")
    assert feed.fetched_at is not None and before <= feed.fetched_at <= datetime.now(UTC)
    assert titles(session, feed) == ["Third", "Second", "First"]


def test_what_another_session_sees_is_what_was_fetched(session: Session, engine: Engine) -> None:
    """fetch() commits, so the entries are visible to others at once."""
    feed = subscribe(session)
    feed.fetch(Canned(("a", "One", 1)))
    with Session(engine) as other:
        seen = other.scalars(select(Feed)).one()
        assert (seen.status, titles(other, seen)) == ("ready", ["One"])


def test_fetching_again_makes_no_duplicates_and_brings_entries_up_to_date(session: Session) -> None:
    """Known entries keep their row, new ones are added, and those no longer in the feed are kept."""
    feed = subscribe(session)
    feed.fetch(Canned(("a", "One", 1), ("b", "Two", 2)))
    ids = {entry.guid: entry.id for entry in session.scalars(select(Entry))}
    feed.fetch(Canned(("b", "Two, corrected", 2), ("c", "Three", 3)))
    assert titles(session, feed) == ["Three", "Two, corrected", "One"]
    now = {entry.guid: entry.id for entry in session.scalars(select(Entry))}
    assert ids.items() <= now.items()


def test_a_feed_requested_again_is_pending_since_then(session: Session) -> None:
    """How long its page waits does not count from when somebody first wanted it."""
    feed = subscribe(session)
    first = feed.requested_at
    feed.fetch(Canned())
    before = datetime.now(UTC)
    again = subscribe(session)
    assert (again.id, again.status) == (feed.id, "pending")
    assert first <= before <= again.requested_at <= datetime.now(UTC)


def test_two_feeds_may_use_the_same_guids(session: Session) -> None:
    """A guid identifies an entry within its feed, not globally."""
    one, two = subscribe(session), subscribe(session, URL + "2")
    one.fetch(Canned(("1", "Mine", 1)))
    two.fetch(Canned(("1", "Thine", 1)))
    assert titles(session, one) == ["Mine"] and titles(session, two) == ["Thine"]


def test_a_feed_that_fails_keeps_its_title_and_its_entries(session: Session) -> None:
    """The visitor sees why it failed, and the earlier entries."""
    feed = subscribe(session)
    feed.fetch(Canned(("a", "One", 1)))
    feed.fetch(Canned(reason="The server answered 500."))
    assert (feed.status, feed.reason, feed.title) == ("failed", "The server answered 500.", "A feed")
    assert titles(session, feed) == ["One"]
    feed.fetch(Canned())
    assert (feed.status, feed.reason) == ("ready", None)


@pytest.mark.live
def test_a_document_that_is_no_feed_is_a_failure_with_a_reason(session: Session) -> None:
    """fetch() does not raise for what somebody else's server sends."""
    feed = subscribe(session)
    canned = Canned()
    canned.body = b"<!doctype html><p>Hello"
    feed.fetch(canned)
    assert feed.status == "failed" and "not a feed" in (feed.reason or "")
    assert feed.title == ""


@pytest.mark.live
def test_the_deadline_is_for_parsing_too(session: Session) -> None:
    """What the download has left of it is all that a document gets which can't be parsed at once."""
    feed = subscribe(session)
    canned = Canned(("a", "Ham & eggs", 1))
    feed.fetch(canned)
    assert (feed.status, titles(session, feed)) == ("ready", ["Ham & eggs"])
    canned.deadline = 0.0
    feed.fetch(canned)
    assert (feed.status, feed.reason) == ("failed", BEYOND_LIMITS)


def test_nothing_is_held_while_the_network_is_waited_for(engine: Engine) -> None:
    """No transaction, connection or lock, even if the caller left one open: others can write meanwhile."""
    seen: list[tuple[bool, int]] = []

    class Looking(Canned):
        def get(self, url: str) -> Document:
            seen.append((session.in_transaction(), engine.pool.checkedout()))
            with Session(writer(engine)) as other:
                subscribe(other, "http://example.org/meanwhile")
            return super().get(url)

    with Session(writer(engine)) as session:
        feed = Feed.subscribe(session, URL)  # not committed: fetch() does that
        feed.fetch(Looking(("a", "One", 1)))
        assert seen == [(False, 0)]
        assert titles(session, feed) == ["One"]


def test_the_same_address_is_the_same_feed_to_be_fetched_again(session: Session) -> None:
    """Submitting a known address gives the known feed, pending once more."""
    feed = subscribe(session)
    feed.fetch(Canned(("a", "One", 1), reason="gone"))
    again = subscribe(session)
    assert again is feed
    assert (again.status, again.reason) == ("pending", None)
    assert session.scalar(select(func.count()).select_from(Feed)) == 1


def test_visitors_who_send_the_same_address_at_once_get_the_same_feed(engine: Engine) -> None:
    """Eight threads, synchronised by a barrier, submit it twice each."""
    barrier = threading.Barrier(8)

    def visit(_: int) -> set[int]:
        ids = set()
        for n in range(2):
            barrier.wait()
            with Session(writer(engine)) as session:
                ids.add(subscribe(session, f"{URL}/{n}").id)
        return ids

    with ThreadPoolExecutor(8) as pool:
        everybody = set().union(*pool.map(visit, range(8)))
    assert len(everybody) == 2


def test_a_feed_fetched_by_two_at_once_has_each_entry_once(engine: Engine) -> None:
    """A job queue may run a job twice; that does no harm."""
    with Session(writer(engine)) as session:
        feed_id = subscribe(session).id
    barrier = threading.Barrier(4)

    class Together(Canned):
        def get(self, url: str) -> Document:
            barrier.wait()
            return super().get(url)

    def fetch(n: int) -> None:
        order = list(range(20)) if n % 2 else list(range(19, -1, -1))
        with Session(writer(engine)) as session:
            session.get_one(Feed, feed_id).fetch(Together(*((f"g{i}", f"t{i}", 1 + i) for i in order)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fetch, range(4)))
    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(Entry)) == 20


def test_perform_fetches_with_the_settings_of_the_environment(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job queue calls perform(); a feed that these settings forbid is not fetched."""
    with running_feedserver() as server:
        feed = subscribe(session, server.feed_url("fast", 1))
        feed.perform()
        assert feed.status == "failed" and "private network" in (feed.reason or "")
        monkeypatch.setenv("FEEDREADER_ALLOW", server.url.removeprefix("http://"))
        feed.perform()
        assert feed.status == "ready" and len(titles(session, feed)) >= 10


def test_a_feed_without_a_session_can_not_be_fetched() -> None:
    """There would be nowhere to store the entries."""
    with pytest.raises(FeedReaderError, match="no session"):
        Feed(url=URL).fetch(Canned())


def test_times_come_back_as_the_moments_that_were_stored(session: Session) -> None:
    """In UTC with their offset, even on SQLite, which stores none."""
    feed = subscribe(session)
    moment = datetime(2025, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    feed.fetched_at = moment
    session.commit()
    assert feed.fetched_at == moment
    assert feed.fetched_at.utcoffset() == timedelta(0)
    assert feed.requested_at.tzinfo is not None


def test_a_time_without_an_offset_is_refused(session: Session) -> None:
    """It does not determine a moment."""
    feed = subscribe(session)
    feed.fetched_at = datetime(2025, 6, 1)
    with pytest.raises(StatementError, match="has no time zone"):
        session.commit()


def test_eight_processes_may_create_the_tables_at_once(database_url: str) -> None:
    """As when a web server starts eight workers: each has its own engine, and the database is empty."""
    barrier = threading.Barrier(8)

    def start(_: int) -> bool:
        engine = make_engine(database_url)
        barrier.wait()
        try:
            create_tables(engine)
            return inspect(engine).has_table("entries")
        finally:
            engine.dispose()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(start, range(8)))


def test_a_missing_driver_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of Python's own words about a module."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"pip install 'psycopg\[binary\]'"):
        make_engine("postgresql://h/x")


def test_sqlite_is_set_up_to_be_safe_and_to_let_others_read(tmp_path: Path) -> None:
    """Write-ahead log, synced at each commit, foreign keys enforced; the file's folder is created."""
    engine = make_engine(f"sqlite:///{tmp_path}/var/deeper/feeds.db")
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    with engine.connect() as connection:
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    engine.dispose()
    assert values == ["wal", 2, 1, 15_000]


def test_a_table_of_an_older_release_is_named_with_what_it_lacks(engine: Engine) -> None:
    with writer(engine).begin() as connection:
        connection.execute(text("ALTER TABLE feeds DROP COLUMN requested_at"))
    with pytest.raises(SettingsError, match=r"The table feeds of .* has no requested_at: .* another"):
        create_tables(engine)
