"""`jobqueue schema` prints the tables' DDL; `jobqueue migrate` creates them or brings them up to date."""

import argparse
from collections.abc import Sequence
from contextlib import closing

import sqlalchemy as sa
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql

from jobqueue import Queue
from jobqueue.schema import ddl, migrate, tables
from jobqueue.tools.options import Commands, add_database, open_queue
from jobqueue.tools.printing import plain, plural, say

MOST_COUNTED = 1000  # jobs that wait


def add_commands(commands: Commands) -> None:
    text = "print the SQL that creates the tables"
    command = commands.add_parser("schema", help=text, description="Print the SQL, without connecting.")
    add_database(command)
    command.set_defaults(run=print_schema)

    text = "create the tables, or bring them up to date"
    command = commands.add_parser("migrate", help=text, description="Safe to repeat and to run concurrently.")
    add_database(command)
    command.set_defaults(run=migrate_tables)


def print_schema(options: argparse.Namespace) -> int:
    """Print the SQL for this kind of database; returns 0."""
    for statement in ddl(_dialect(options), tables(options.table, options.schema)):
        say(f"{statement};\n")
    return 0


def migrate_tables(options: argparse.Namespace) -> int:
    """Create what the tables lack, and print the SQL; returns 0."""
    with closing(open_queue(options)) as queue, queue.writer.begin() as connection:
        statements = migrate(connection, queue.tables)
    for statement in statements:
        say(f"{statement};\n")
    done = f"executed {plural(len(statements), 'statement')}" if statements else "there was nothing to do"
    say(f"The tables are up to date: {done}.")
    return 0


def make_tables(queue: Queue, names: Sequence[str]) -> str:
    """Create what the tables lack, for a worker of the named queues or of all; returns what it says of them,
    since a mistyped name would be a new table, or an empty queue, and the worker would idle.
    """
    jobs = queue.tables.jobs
    its = [jobs.c.queue.in_(names)] if names else []
    # With the lock, which most would not need: it keeps a crowd of starters behind those who are at work.
    with queue.writer.begin() as connection:
        there = sa.inspect(connection).has_table(jobs.name, schema=jobs.schema)
        migrate(connection, queue.tables)
        found = sa.select(jobs.c.id).where(queue.tables.waiting, *its).limit(MOST_COUNTED)
        count = len(connection.execute(found).all())
    waiting = plural(count, "job") + " or more" * (count == MOST_COUNTED) + " waiting"
    where = f" in {', '.join(map(plain, names))}" if names else ""
    return f"table {jobs.fullname} in {queue.engine.url!r}: " + (
        waiting + where if there else "created just now"
    )


def _dialect(options: argparse.Namespace) -> Dialect:
    """The dialect of the database named by --database. PostgreSQL's driver need not be installed."""
    if (options.database or "").startswith(("postgresql:", "postgresql+")):
        return postgresql.dialect()  # type: ignore[no-untyped-call]
    with closing(open_queue(options)) as queue:
        return queue.engine.dialect
