"""jobqueue's own workers and statements, for chapter 4."""

import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import event

from jobqueue import Queue, Worker, job
from jobqueue.lease import Lease
from loadtests.servers.databases import DATABASE_NAMES
from workbook.chapter04 import database, extra, runs

_noted: list[int] = []  # the numbers of the notes, in the order they ran


@job
@dataclass
class Note:
    """A jobqueue job that notes that it ran."""

    number: int

    def perform(self) -> None:
        """Note it."""
        _noted.append(self.number)


def the_library(workers: int, count: int) -> dict[str, str]:
    """Run jobqueue's own workers on each database with `count` jobs; prints the outcome.

    Returns the statements of a claim for each database.
    """
    statements = {}
    for kind, name in DATABASE_NAMES.items():
        with database(kind) as engine:
            queue = Queue(engine.url)
            queue.create_tables()
            queue.enqueue_many([Note(n) for n in range(1, count + 1)])
            statements[kind] = _claim_as_sql(queue)
            _noted.clear()
            with ThreadPoolExecutor(workers) as pool:
                for each in [pool.submit(Worker(queue).work_off) for _ in range(workers)]:
                    each.result()
            queue.close()
        print(f"{name}, jobqueue: {len(runs([_noted]))} jobs ran, {extra([_noted])} runs too many")
    return statements


def _claim_as_sql(queue: Queue) -> str:
    """The statements that jobqueue sends to claim a job."""
    sent: list[str] = []
    with queue.writer.connect() as connection:
        event.listen(connection, "before_cursor_execute", lambda *told: sent.append(told[2]))
        Lease(queue.tables, "A").claim(connection, 1, datetime.now(UTC))
        connection.rollback()
    return "\n".join(" ".join(each.split()) for each in sent[-2:])


def show_sql(statements: str) -> None:
    """Print statements, given one to a line: one clause to a line, and an empty line between statements."""
    statements = statements.replace("\n", "\n\n")
    for clause in ("SET", "WHERE", "FROM", "ORDER BY", "LIMIT", "FOR UPDATE", "RETURNING"):
        statements = statements.replace(f" {clause}", f"\n{clause}")
    for line in statements.splitlines():
        print(textwrap.fill(line, 96, subsequent_indent="    "))
