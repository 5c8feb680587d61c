"""The reader's job on two engines, for chapter 10: as processes of their own.

    python chapter10_engines.py jobqueue URL add FEEDS_URL 50     # prints {"seconds": ...}
    python chapter10_engines.py procrastinate URL work 8          # until it is ended

URL is of a PostgreSQL database. Both engines get the same feeds, each in the transaction that adds the feed.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from feedreader.database import make_engine
from feedreader.models import Feed, create_tables

Enqueue = Callable[[Feed, Session], object]


# ---- jobqueue


def jobqueue_enqueue(engine: Engine) -> Enqueue:
    from jobqueue import Queue, job

    job(Feed)
    queue = Queue(engine)
    queue.create_tables()
    return lambda feed, session: queue.enqueue(feed, session=session)


def jobqueue_work(engine: Engine, at_a_time: int) -> None:
    from jobqueue import Queue, Worker, job

    job(Feed)
    Worker(Queue(engine), threads=at_a_time).run()


# ---- Procrastinate


def fetch_task(app: Any, engine: Engine) -> Any:
    """The task: a function with a name, where jobqueue has an object with a method."""
    from procrastinate import RetryStrategy

    @app.task(name="fetch", retry=RetryStrategy(max_attempts=25, exponential_wait=2))
    def fetch(feed_id: int) -> None:
        with Session(engine) as session:
            session.get_one(Feed, feed_id).fetch()

    return fetch


def procrastinate_enqueue(engine: Engine) -> Enqueue:
    from procrastinate import App, SyncPsycopgConnector

    app = App(connector=SyncPsycopgConnector(conninfo=dsn(engine)))
    app.open()
    app.schema_manager.apply_schema()
    fetch = fetch_task(app, engine)

    def enqueue(feed: Feed, session: Session) -> None:
        session.flush()  # the feed gets its number
        connection = session.connection().connection.driver_connection
        fetch.configure(connection=connection).defer(feed_id=feed.id)

    return enqueue


def procrastinate_work(engine: Engine, at_a_time: int) -> None:
    from procrastinate import App, PsycopgConnector

    async def work() -> None:
        app = App(connector=PsycopgConnector(conninfo=dsn(engine)))
        fetch_task(app, engine)
        async with app.open_async():
            await app.run_worker_async(concurrency=at_a_time, delete_jobs="successful")

    asyncio.run(work())


def dsn(engine: Engine) -> str:
    """The engine's URL as psycopg itself takes it."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


# ---- both


def add(engine: Engine, enqueue: Enqueue, feeds: str, count: int) -> float:
    """Add feeds as the queued reader does, each with its job in one transaction; returns seconds."""
    began = time.perf_counter()
    for number in range(count):
        with Session(engine) as session:
            feed = Feed.subscribe(session, f"{feeds}/feeds/fast/{number}.xml")
            enqueue(feed, session)
            session.commit()
    return time.perf_counter() - began


def main() -> None:
    name, url, work, *rest = sys.argv[1:]
    engine = make_engine(url)
    create_tables(engine)
    if work == "add":
        enqueue = {"jobqueue": jobqueue_enqueue, "procrastinate": procrastinate_enqueue}[name](engine)
        print(json.dumps({"seconds": add(engine, enqueue, rest[0], int(rest[1]))}), flush=True)
    else:
        {"jobqueue": jobqueue_work, "procrastinate": procrastinate_work}[name](engine, int(rest[0]))


if __name__ == "__main__":
    main()
