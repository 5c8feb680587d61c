"""PgQueuer in the reader's own PostgreSQL, in the session's transaction: pgqueuer.readthedocs.io"""

import asyncio
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import psycopg
from pgqueuer import Job, PgQueuer, run
from pgqueuer.queries import SyncQueries
from psycopg.rows import dict_row
from sqlalchemy import Engine, inspect
from sqlalchemy.orm import Session

from feedreader.models import Feed
from loadtests.engines.reader import count, engine, fetch_feed, one_at_a_time, postgres_dsn


class InSession:
    """Executes PgQueuer's statements in a session's transaction; its own driver would commit each."""

    def __init__(self, session: Session) -> None:
        self._connection: Any = session.connection().connection.driver_connection

    def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return psycopg.RawCursor(self._connection, row_factory=dict_row).execute(query, args).fetchall()


class Queue:
    """What the reader needs of a queue."""

    def __init__(self, engine: Engine) -> None: ...

    def create_tables(self) -> None:
        with one_at_a_time():
            if not inspect(engine()).has_table("pgqueuer"):
                asyncio.run(install())

    def enqueue(self, feed: Feed, *, session: Session) -> None:
        session.flush()  # the feed gets its number
        SyncQueries(InSession(session)).enqueue("fetch", str(feed.id).encode())


def worker(at_a_time: int) -> list[str]:
    return [sys.executable, "-m", __name__, str(at_a_time)]


waiting = partial(count, "SELECT count(*) FROM pgqueuer WHERE status = 'queued'")
held = partial(count, "SELECT count(*) FROM pgqueuer")  # those that workers have taken as well


async def install() -> None:
    await (await connect()).qm.queries.install()


async def connect() -> PgQueuer:
    return PgQueuer.from_asyncpg_connection(await asyncpg.connect(postgres_dsn(engine())))


@asynccontextmanager
async def application(at_a_time: int) -> AsyncIterator[PgQueuer]:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(at_a_time))
    pgqueuer = await connect()

    @pgqueuer.entrypoint("fetch")
    async def fetch(job: Job) -> None:
        await asyncio.to_thread(fetch_feed, int(job.payload or 0))

    print("Starting job worker", flush=True)
    yield pgqueuer


if __name__ == "__main__":  # what `pgqueuer run` does, which fails in this release
    Queue(engine()).create_tables()  # it fails without them, and may be the first
    most = int(sys.argv[1])
    asyncio.run(run(partial(application, most), max_concurrent_tasks=2 * most, batch_size=most))
