"""`jobqueue doctor`: find harmful settings, each with its figure and what to do.

The checks are in doctor_*.py. Run it on a worker's machine, since it compares clocks.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection

from jobqueue import Queue
from jobqueue.schema import missing
from jobqueue.tools import doctor_postgresql, doctor_sqlite, doctor_workers, looking
from jobqueue.tools.asking import add_json, opened, sqlite_path
from jobqueue.tools.findings import Finding
from jobqueue.tools.options import Commands, add_database, add_number
from jobqueue.tools.printing import plural, say, say_json


def add_commands(commands: Commands) -> None:
    command = commands.add_parser(
        "doctor",
        help="look for harmful settings",
        description="Look for harmful settings. Run it on a machine where a worker runs."
        " Exit status 1: a check failed.",
    )
    add_database(command)
    add_number(command, "--http-deadline", "S", "seconds after which your jobs' HTTP requests time out", None)
    add_json(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the findings; returns 0, or 1 when a check failed."""
    with opened(options, with_tables=False) as queue:
        findings = examine(queue, options.http_deadline)
    failed = sum(finding.level == "fail" for finding in findings)
    if options.json:
        say_json([asdict(finding) for finding in findings])
        return int(failed > 0)
    for finding in findings:
        say(str(finding))
    warned = sum(finding.level == "warn" for finding in findings)
    fine = len(findings) - failed - warned
    say(f"\n{plural(fine, 'check')} ok, {plural(warned, 'warning')}, {failed} failed")
    return int(failed > 0)


def examine(queue: Queue, deadline: float | None = None, now: datetime | None = None) -> list[Finding]:
    """All findings about the database and the workers; `deadline` is the HTTP deadline, in seconds."""
    with queue.engine.connect() as connection:
        findings = list(_database(connection, queue))
        lacking = missing(connection, queue.tables)
        findings.append(tables(lacking))
    if not lacking:
        now = now or datetime.now(UTC)
        stats = looking.stats(queue, now)
        with queue.engine.connect() as connection:
            findings += doctor_workers.examine(connection, queue.tables, stats, queue.lease, deadline, now)
    return findings


def tables(lacking: list[str]) -> Finding:
    """`lacking`: the statements that would bring the tables up to date."""
    if lacking:
        text = f"not up to date, {plural(len(lacking), 'statement')} to execute: run jobqueue migrate"
        return Finding("fail", "tables", text)
    return Finding("ok", "tables", "up to date")


def _database(connection: Connection, queue: Queue) -> Iterator[Finding]:
    if connection.dialect.name == "postgresql":
        return doctor_postgresql.examine(connection, queue.tables.jobs.fullname, queue.lease.total_seconds())
    return doctor_sqlite.examine(connection, sqlite_path(queue.engine))
