"""Feeds and their entries: `feed.fetch()` brings a feed's entries from its server into the database."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, Self

from sqlalchemy import Engine, ForeignKey, UniqueConstraint, update
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, object_session

from feedreader.database import UTCDateTime, create_all, insert_for
from feedreader.errors import FeedReaderError, FetchFailed
from feedreader.fetching import Fetcher
from feedreader.limits import one_at_a_time, parse_in_time
from feedreader.parsing import ParsedEntry

Status = Literal["pending", "ready", "failed"]


class Base(DeclarativeBase):
    """Base of both tables: every datetime is a moment in UTC."""

    type_annotation_map = {datetime: UTCDateTime}  # noqa: RUF012 - SQLAlchemy's own way to write it


class Feed(Base):
    """A feed that somebody asked for."""

    __tablename__ = "feeds"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - ids are never reused

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(unique=True)  # as clean_address() returns it
    title: Mapped[str] = mapped_column(default="")  # the feed's own; empty until it has been fetched
    status: Mapped[Status] = mapped_column(default="pending")  # until the requested fetch has ended
    reason: Mapped[str | None]  # why the last fetch failed, in words for a visitor
    requested_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))  # when last asked for
    fetched_at: Mapped[datetime | None]  # when the last fetch ended, either way

    @classmethod
    def subscribe(cls, session: Session, url: str) -> Self:
        """Add the feed at `url`, or find the existing one; returns it, with status "pending".

        One statement, so that two visitors who submit the same address at once get the same feed. It is part
        of the session's transaction, which the caller commits.
        """
        insert = insert_for(session)(cls).values(url=url)
        again = {"status": "pending", "reason": None, "requested_at": insert.excluded.requested_at}
        upsert = insert.on_conflict_do_update(index_elements=[cls.url], set_=again).returning(cls)
        return session.scalars(upsert, execution_options={"populate_existing": True}).one()

    def fetch(self, fetcher: Fetcher | None = None) -> None:
        """Download the feed and store its entries. This takes as long as somebody else's server does, up to
        the fetcher's deadline; the default fetcher is configured by the environment.

        A feed that can't be fetched is an outcome, not an error: afterwards `status` is "ready", or "failed"
        with a `reason`. Commits the feed's session twice: before the download, so that no transaction is open
        and no database connection is held during it, and at the end. Raises FeedReaderError if the feed is in
        no session.
        """
        session = object_session(self)
        if session is None:
            raise FeedReaderError("This feed belongs to no session: load it with one, then fetch it")
        feed_id, url = self.id, self.url
        session.commit()
        fetcher = fetcher or Fetcher.from_environ()
        end = time.monotonic() + fetcher.deadline
        try:
            document = fetcher.get(url)
            parsed = parse_in_time(document, end - time.monotonic())
        except FetchFailed as failure:
            _finish(session, feed_id, [], status="failed", reason=str(failure))
            return
        with one_at_a_time:
            _finish(session, feed_id, parsed.entries, status="ready", reason=None, title=parsed.title)

    def perform(self) -> None:
        """What a job queue in Delayed Job's tradition calls. This package knows nothing else about queues."""
        self.fetch()


class Entry(Base):
    """One entry of a feed. Its guid, unique within the feed, tells whether an entry is new."""

    __tablename__ = "entries"
    __table_args__ = (UniqueConstraint("feed_id", "guid"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    feed_id: Mapped[int] = mapped_column(ForeignKey("feeds.id", ondelete="CASCADE"))
    guid: Mapped[str]  # the feed's own id for it; else its link, or its text
    title: Mapped[str]  # plain text, like the summary
    link: Mapped[str]  # http or https; empty if there is none
    summary: Mapped[str]
    published_at: Mapped[datetime | None]


def create_tables(engine: Engine) -> None:
    """Create this package's missing tables. Any number of processes may do so at once."""
    create_all(engine, Base.metadata)


def _finish(session: Session, feed_id: int, entries: list[ParsedEntry], **outcome: str | None) -> None:
    """Record how a fetch ended, in one transaction, which begins with a write: see database.writer."""
    session.execute(update(Feed).where(Feed.id == feed_id).values(fetched_at=datetime.now(UTC), **outcome))
    if entries:
        _store(session, feed_id, entries)
    session.commit()


def _store(session: Session, feed_id: int, entries: list[ParsedEntry]) -> None:
    """Insert the entries, or update those that exist.

    One statement, which the driver executes for each row. It takes a third of the time of one long list of
    VALUES, which SQLAlchemy would have to compile anew for each number of entries.
    """
    upsert = _upsert(insert_for(session))
    session.execute(upsert, [{"feed_id": feed_id, **entry._asdict()} for entry in entries])


@cache  # building it takes as long as executing it
def _upsert(insert: Callable[[Any], Insert]) -> Insert:
    statement = insert(Entry.__table__)
    columns = {name: statement.excluded[name] for name in ParsedEntry._fields if name != "guid"}
    return statement.on_conflict_do_update(index_elements=["feed_id", "guid"], set_=columns)
