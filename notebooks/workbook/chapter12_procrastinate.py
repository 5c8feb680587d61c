"""The queued reader with Procrastinate in jobqueue's place, for chapter 12.

    gunicorn "workbook.chapter12_procrastinate:create_app()"
    python chapter12_procrastinate.py work 8           # a worker, 8 jobs at a time, until stopped
    python chapter12_procrastinate.py retry-stalled    # retry what dead workers had in hand

All that the reader needs of a queue is `create_tables()` and `enqueue(feed, session=session)`. So another
engine can take its place under the same name, and the reader itself stays unchanged. PostgreSQL only, which
is Procrastinate's database; the settings are the reader's own (feedreader/settings.py).
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from flask import Flask
from procrastinate import App, PsycopgConnector, RetryStrategy, SyncPsycopgConnector
from procrastinate.tasks import Task
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from feedreader.database import make_engine
from feedreader.models import Feed
from feedreader.settings import Settings
from queued_app import app as reader

TABLES_SECONDS = 0.05  # between checks for the tables, which the web server creates
HEARTBEAT_SECONDS, DEAD_AFTER_SECONDS = 0.5, 2.0  # Procrastinate's defaults: 10 and 30


def fetch_task(app: App, engine: Engine) -> Task:
    """The job: a function with a name, where jobqueue has an object with a method."""

    @app.task(name="fetch", retry=RetryStrategy(max_attempts=15, exponential_wait=2))  # type: ignore[untyped-decorator]
    def fetch(feed_id: int) -> None:
        with Session(engine) as session:
            session.get_one(Feed, feed_id).fetch()

    return fetch


class Procrastinate:
    """The part of a queue that the reader needs, on Procrastinate."""

    def __init__(self, engine: Engine) -> None:
        self._app = App(connector=SyncPsycopgConnector(conninfo=dsn(engine)))
        self._app.open()
        self._fetch = fetch_task(self._app, engine)

    def create_tables(self) -> None:
        if not self._app.check_connection():
            self._app.schema_manager.apply_schema()

    def close(self) -> None:
        self._app.close()

    def enqueue(self, feed: Feed, *, session: Session) -> None:
        session.flush()  # the feed gets its number
        connection = session.connection().connection.driver_connection
        self._fetch.configure(connection=connection).defer(feed_id=feed.id)


def create_app() -> Flask:
    """The queued reader, as queued_app makes it, with the other engine."""
    vars(reader)["Queue"] = Procrastinate
    return reader.create_app()


async def work(engine: Engine, at_a_time: int) -> None:
    """Perform jobs until told to stop."""
    # Without this it performs no more jobs at a time than Python's default pool has threads: four and one
    # for each core.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(at_a_time))
    app = _async_app(engine)
    fetch_task(app, engine)
    async with app.open_async():
        while not await app.check_connection_async():
            await asyncio.sleep(TABLES_SECONDS)
        print("Starting job worker", flush=True)
        await app.run_worker_async(
            concurrency=at_a_time,
            delete_jobs="successful",
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=DEAD_AFTER_SECONDS,
        )


async def retry_stalled(engine: Engine) -> None:
    """Retry the jobs of workers that have been silent for too long."""
    app = _async_app(engine)
    async with app.open_async():
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_SECONDS):
            await app.job_manager.retry_job(job, datetime.now(UTC))


def _async_app(engine: Engine) -> App:
    return App(connector=PsycopgConnector(conninfo=dsn(engine)))


def dsn(engine: Engine) -> str:
    """The engine's URL as psycopg itself takes it."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def main() -> None:
    what, *rest = sys.argv[1:]
    engine = make_engine(Settings.from_environ().database)
    asyncio.run(work(engine, int(rest[0])) if what == "work" else retry_stalled(engine))


if __name__ == "__main__":
    main()
