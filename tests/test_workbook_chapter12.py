"""Chapter 12: on Procrastinate the queued reader stays the same reader, as the chapter claims."""

import notebooks_path  # noqa: F401
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from feedreader.database import make_engine
from feedreader.models import Feed, create_tables

# isort: split
from workbook.chapter12_engines import same_visitors
from workbook.chapter12_procrastinate import Procrastinate


def test_a_job_on_procrastinate_is_in_the_readers_transaction(postgres_database: str) -> None:
    """Neither feed nor job exists without the other; creating the tables twice does no harm."""
    engine = make_engine(postgres_database)
    create_tables(engine)
    queue = Procrastinate(engine)
    queue.create_tables()
    queue.create_tables()
    for number, end in enumerate((Session.rollback, Session.commit)):
        with Session(engine) as session:
            queue.enqueue(Feed.subscribe(session, f"http://127.0.0.1:9/{number}.xml"), session=session)
            end(session)
    with engine.connect() as connection:
        feeds = connection.execute(sa.text("SELECT id FROM feeds")).scalars().all()
        jobs = connection.execute(sa.text("SELECT args FROM procrastinate_jobs")).scalars().all()
    engine.dispose()
    queue.close()
    assert [{"feed_id": feed} for feed in feeds] == jobs
    assert len(jobs) == 1


@pytest.mark.live
def test_the_reader_shows_the_same_on_both_engines() -> None:
    """Every feed is fetched, and its content comes after the answer and after the feed's own delay."""
    found = same_visitors(engines=("jobqueue", "procrastinate"), visitors=2, feeds=4)
    assert list(found) == ["jobqueue", "procrastinate"]
    for visits in found.values():
        assert len(visits) == 4
        assert all(visit["content"] > max(visit["answer"], visit["delay"]) for visit in visits)
    delays = [[visit["delay"] for visit in visits] for visits in found.values()]
    assert delays[0] == delays[1]
