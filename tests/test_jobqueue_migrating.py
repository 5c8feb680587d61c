"""`jobqueue schema` and `jobqueue migrate`: tables are created, and older ones brought up to date."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from commands_for_tests import NOON, Command
from conftest import wait_until
from jobs_for_tests import Say, said
from sqlalchemy import inspect, text

from jobqueue import Queue, Worker
from jobqueue.handlers import dump
from jobqueue.schema import ddl, missing
from jobqueue.tools.cli import main

pytest_plugins = ["queue_fixtures", "command_fixtures"]

# As the first version of jobqueue created it: no unique_key, no defaults, no workers table.
FIRST = """
CREATE TABLE jobs (
    id {id},
    priority INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    handler TEXT NOT NULL,
    last_error TEXT,
    run_at {moment} NOT NULL,
    locked_at {moment},
    locked_by TEXT,
    failed_at {moment},
    queue TEXT NOT NULL,
    max_attempts INTEGER NOT NULL,
    max_run_time FLOAT,
    created_at {moment} NOT NULL,
    updated_at {moment} NOT NULL
);
CREATE INDEX jobs_running ON jobs (locked_at) WHERE locked_by IS NOT NULL AND failed_at IS NULL;
CREATE INDEX jobs_waiting ON jobs (priority, run_at, id) WHERE locked_by IS NULL AND failed_at IS NULL
"""
# The columns of the original Delayed Job, and nothing else.
ORIGINAL = """
CREATE TABLE jobs (
    id {id},
    priority INTEGER DEFAULT 0,
    attempts INTEGER DEFAULT 0,
    handler TEXT,
    last_error TEXT,
    run_at {moment},
    locked_at {moment},
    locked_by TEXT,
    failed_at {moment},
    created_at {moment},
    updated_at {moment}
)
"""
ID = {"sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL", "postgresql": "BIGSERIAL NOT NULL PRIMARY KEY"}
MOMENT = {"sqlite": "DATETIME", "postgresql": "TIMESTAMP WITH TIME ZONE"}
HANDLER = """'{"job":"Say","arguments":{"text":"from long ago"}}'"""


@pytest.mark.parametrize(
    ("table", "columns", "values"),
    [
        (FIRST, ", queue, max_attempts", ", 'default', 25"),
        (ORIGINAL, "", ""),
    ],
    ids=["first version", "Delayed Job"],
)
def test_an_older_table_is_brought_up_to_date(
    database_url: str, command: Command, table: str, columns: str, values: str
) -> None:
    """What the table lacks is added, and a job waiting in it runs. A second migration has nothing to do."""
    queue = Queue(database_url)
    kind = queue.engine.dialect.name
    moment = f"'{NOON:%F %T}.000000'" if kind == "sqlite" else f"'{NOON.isoformat()}'"
    with queue.writer.begin() as connection:
        for statement in table.format(id=ID[kind], moment=MOMENT[kind]).split(";"):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(
            f"INSERT INTO jobs (priority, attempts, handler, run_at, created_at, updated_at{columns})"
            f" VALUES (0, 0, {HANDLER}, {moment}, {moment}, {moment}{values})"
        )
    assert "run jobqueue migrate" in command("list").err
    answer = command("migrate")
    assert (answer.status, answer.err) == (0, "")
    assert "ALTER TABLE jobs ADD COLUMN unique_key TEXT;\n" in answer.out
    assert "CREATE TABLE job_workers (" in answer.out
    assert answer.out.splitlines()[-1].startswith("The tables are up to date: executed ")
    assert command("migrate").out == "The tables are up to date: there was nothing to do.\n"
    (job,) = queue.jobs()
    assert (job.queue, job.max_attempts, job.unique_key) == ("default", 25, None)
    said.clear()
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["from long ago"]
    with queue.engine.connect() as connection:
        assert missing(connection, queue.tables) == []
    queue.close()


@pytest.mark.live
@pytest.mark.parametrize("first", [True, False], ids=["first version", "without an index"])
def test_an_older_table_is_brought_up_to_date_while_workers_run(
    queue: Queue, run_worker: Callable[..., Any], command: Command, first: bool
) -> None:
    """Others add jobs meanwhile. Each job runs once, and no worker ends."""
    kind = queue.engine.dialect.name
    with queue.writer.begin() as connection:
        if first:
            queue.metadata.drop_all(connection)
            for statement in FIRST.format(id=ID[kind], moment=MOMENT[kind]).split(";"):
                connection.exec_driver_sql(statement)
        else:
            connection.exec_driver_sql("DROP INDEX jobs_waiting_by_queue")
    jobs = queue.tables.jobs
    row = {"priority": 0, "attempts": 0, "queue": "default", "max_attempts": 25}
    row |= dict.fromkeys(("run_at", "created_at", "updated_at"), NOON)

    def add(text: str) -> None:
        with queue.writer.begin() as connection:
            connection.execute(jobs.insert(), {**row, "handler": dump(Say(text))})

    add("0")
    workers = [run_worker(queue, threads=2, queues=queues) for queues in (None, ["default"])]
    with ThreadPoolExecutor() as pool:
        adding = pool.map(add, map(str, range(1, 200)))
        assert command("migrate").status == 0
        list(adding)
    wait_until(lambda: len(said) == 200 and not queue.jobs(), "the end of all jobs")
    assert sorted(said) == sorted(map(str, range(200)))
    with queue.engine.connect() as connection:
        assert missing(connection, queue.tables) == []
    for worker in workers:
        assert not any("Exiting" in line for line in worker.lines)


def test_a_table_of_the_first_version_takes_new_jobs(database_url: str) -> None:
    """SQLite can't add a default to an existing column, so enqueue() must not rely on one."""
    queue = Queue(database_url)
    kind = queue.engine.dialect.name
    with queue.writer.begin() as connection:
        for statement in FIRST.format(id=ID[kind], moment=MOMENT[kind]).split(";"):
            connection.exec_driver_sql(statement)
    queue.create_tables()
    try:
        assert queue.enqueue(Say("new")) == 1
        assert queue.enqueue_many([Say("new")]) == 1
        assert Worker(queue).work_off() == (2, 0)
    finally:
        queue.close()


def test_migrate_makes_the_tables_in_an_empty_database(database_url: str, command: Command) -> None:
    """On SQLite it creates the file as well."""
    assert command("migrate").out.endswith("The tables are up to date: executed 7 statements.\n")
    assert command("list") == (0, "no jobs\n", "")


def test_the_schema_is_printed_and_can_be_executed(database_url: str, command: Command) -> None:
    """Other tools can execute it, statement by statement; migrate then has nothing to do."""
    answer = command("schema")
    assert answer.status == 0
    queue = Queue(database_url)
    with queue.writer.begin() as connection:
        for statement in answer.out.split(";")[:-1]:
            connection.execute(text(statement))
        assert missing(connection, queue.tables) == []
        assert answer.out == "".join(f"{sql};\n\n" for sql in ddl(connection.dialect, queue.tables))
    assert sorted(inspect(queue.engine).get_table_names()) == ["job_pauses", "job_workers", "jobs"]
    queue.close()


@pytest.mark.live
def test_the_schema_needs_neither_server_nor_driver() -> None:
    """PostgreSQL's schema is printed without psycopg and without a connection."""
    code = (
        "import sys; sys.modules['psycopg'] = None; from jobqueue.tools.cli import main;"
        "sys.exit(main(['schema', '--database', 'postgresql+psycopg://nobody@nowhere.invalid/x']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "id BIGSERIAL NOT NULL" in ran.stdout and "TIMESTAMP WITH TIME ZONE" in ran.stdout


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://h/x", "needs SQLite or PostgreSQL, not mysql"),
        ("jobs.db", "'jobs.db' is not a database URL"),
        ("", "name the database"),
    ],
)
def test_a_schema_for_another_database_is_refused(
    capsys: pytest.CaptureFixture[str], url: str, words: str
) -> None:
    """The exit status is 2, and the message says what is needed instead."""
    assert main(["schema", "--database", url]) == 2
    assert words in capsys.readouterr().err
