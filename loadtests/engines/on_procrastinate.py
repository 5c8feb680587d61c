"""Procrastinate in the reader's own PostgreSQL: the job is in the session's transaction.

Its worker does not retry the jobs of workers that are gone; its guide has a periodic task for that:
https://procrastinate.readthedocs.io/en/stable/howto/production/retry_stalled_jobs.html
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from feedreader.models import Feed
from loadtests.engines.reader import count, engine, fetch_feed, one_at_a_time, postgres_dsn


class Queue:
    """What the reader needs of a queue."""

    def __init__(self, engine: Engine) -> None:
        self._app = App(connector=SyncPsycopgConnector(conninfo=postgres_dsn(engine)))
        self._app.open()
        self._fetch = self._app.task(name="fetch")(fetch_feed)

    def create_tables(self) -> None:
        with one_at_a_time():
            if not self._app.check_connection():
                self._app.schema_manager.apply_schema()

    def enqueue(self, feed: Feed, *, session: Session) -> None:
        session.flush()  # the feed gets its number
        connection = session.connection().connection.driver_connection
        self._fetch.configure(connection=connection).defer(feed_id=feed.id)


def worker(at_a_time: int) -> list[str]:
    return [sys.executable, "-m", __name__, "work", str(at_a_time)]


def by_hand() -> list[str]:
    """The command that retries the jobs of dead workers."""
    return [sys.executable, "-m", __name__, "retry"]


def waiting() -> int:
    return count("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")


def held() -> int:
    """How many jobs it has not done with: those that wait, have begun, or have failed."""
    return count("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing', 'failed')")


async def work(app: App, at_a_time: int) -> None:
    """Perform jobs until told to stop."""
    # Synchronous tasks run in asyncio's pool, which has four threads and one for each core otherwise.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(at_a_time))
    print("Starting job worker", flush=True)
    await app.run_worker_async(concurrency=at_a_time, delete_jobs="successful")


async def retry(app: App) -> None:
    """Retry the jobs of workers that have been silent for long."""
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job, datetime.now(UTC))


async def main() -> None:
    Queue(engine()).create_tables()  # the worker fails without them, and may be the first
    app = App(connector=PsycopgConnector(conninfo=postgres_dsn(engine())))
    app.task(name="fetch")(fetch_feed)
    async with app.open_async():
        await (work(app, int(sys.argv[2])) if sys.argv[1] == "work" else retry(app))


if __name__ == "__main__":
    asyncio.run(main())
