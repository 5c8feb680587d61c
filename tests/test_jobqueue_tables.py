"""The queue's tables have the names you choose, and it keeps away from tables that are not its own."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from commands_for_tests import Command
from conftest import wait_until
from jobs_for_tests import Say, said
from sqlalchemy.exc import DBAPIError

from jobqueue import DatabaseError, Job, Queue, Worker
from jobqueue.schema import Tables, missing, tables

pytest_plugins = ["queue_fixtures", "command_fixtures"]

THEIRS = "CREATE TABLE jobs (id INTEGER PRIMARY KEY, title TEXT NOT NULL, salary INTEGER, queue TEXT)"


def test_several_queues_share_a_database(database_url: str) -> None:
    """Each has its own jobs, unique keys and workers' rows; one on PostgreSQL also its own schema."""
    places: list[dict[str, str]] = [{}, {"table": "mail_jobs"}, {"table": "urgent"}]
    if database_url.startswith("postgresql"):
        places += [{"schema": "beside"}, {"schema": "beside", "table": "mail_jobs"}]
    queues = [Queue(database_url, **place) for place in places]  # type: ignore[arg-type]
    for queue in queues:
        queue.create_tables()
    for number, queue in enumerate(queues):
        queue.enqueue(Say(f"alone {number}"), unique_key="the same")
        queue.enqueue_many([Say(f"many {number}")] * number)
    for number, queue in reversed(list(enumerate(queues))):
        assert {job.handler.count(str(number)) for job in queue.jobs()} == {1}
        said.clear()
        assert Worker(queue).work_off() == (1 + number, 0)
        assert said == [f"alone {number}", *[f"many {number}"] * number]
        with queue.engine.connect() as connection:
            assert missing(connection, queue.tables) == []
    names = set(sa.inspect(queues[0].engine).get_table_names())
    assert names == {
        *("jobs", "job_workers", "job_pauses"),
        *("mail_jobs", "mail_job_workers", "mail_job_pauses"),
        *("urgent", "urgent_workers", "urgent_pauses"),
    }
    if database_url.startswith("postgresql"):
        inspector = sa.inspect(queues[0].engine)
        assert len(inspector.get_table_names(schema="beside")) == 6
        with queues[0].engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA beside CASCADE")
    for queue in queues:
        queue.close()


def test_an_idle_worker_hears_of_the_jobs_in_its_table(
    open_queue: Callable[..., Queue], run_worker: Callable[..., object]
) -> None:
    """Notifications name the table, so a worker that polls once an hour performs a new job at once."""
    queue = open_queue(table="mail_jobs")
    queue.create_tables()
    said.clear()
    run_worker(queue, poll_interval=3600.0)
    queue.enqueue(Say("heard"))
    wait_until(lambda: said == ["heard"], "the job")


def test_the_job_class_of_a_queue_is_its_own(database_url: str) -> None:
    """Queue.tables.Job is for queries of your own; of a queue with the default names it is jobqueue.Job."""
    queue, other = Queue(database_url), Queue(database_url, table="mail_jobs")
    assert queue.tables.Job is Job
    other.create_tables()
    other.enqueue(Say("mail"))
    (job,) = other.jobs()
    assert type(job) is other.tables.Job and job.state == "waiting"
    assert repr(job).startswith("<Job 1 ")
    assert set(queue.metadata.tables) == {"jobs", "job_workers", "job_pauses"}
    assert set(other.metadata.tables) == {"mail_jobs", "mail_job_workers", "mail_job_pauses"}
    queue.close()
    other.close()


@pytest.mark.parametrize("name", ["", "Jobs", "my-jobs", "x; DROP TABLE x", "1st", "j" * 41, "jöbs", None, 5])
def test_a_table_needs_a_plain_name(name: Any) -> None:
    """It is part of SQL, of the indexes' names and of the notifications' channel."""
    with pytest.raises(DatabaseError, match="can't name a table"):
        Queue("sqlite:///unused.db", table=name)


@pytest.mark.parametrize("name", ["job", "mail_job"])
def test_two_queues_share_no_table(name: str) -> None:
    """The tables beside jobs are job_workers and job_pauses, so that no other queue may have these."""
    with pytest.raises(DatabaseError, match=f"would share tables with {name}s"):
        Queue("sqlite:///unused.db", table=name)
    beside = [set(tables(other).metadata.tables) for other in (f"{name}s", "mail", "mails")]
    assert len(set().union(*beside)) == 9


def test_a_long_name_in_a_schema_with_a_long_name_is_refused(postgres_database: str) -> None:
    """PostgreSQL's channels have names of 63 bytes: the longest that is accepted works."""
    with pytest.raises(DatabaseError, match="use 53 characters at most for both"):
        Queue(postgres_database, table="t" * 14, schema="s" * 40)
    queue = Queue(postgres_database, table="t" * 13, schema="s" * 40)
    queue.create_tables()
    assert queue.enqueue(Say("hi")) == 1
    with queue.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {'s' * 40} CASCADE")
    queue.close()


def test_threads_may_make_the_first_queue_at_once() -> None:
    """A table is defined once."""
    for number in range(20):
        barrier = threading.Barrier(4)

        def make(name: str = f"at_once_{number}", barrier: threading.Barrier = barrier) -> Tables:
            barrier.wait(10)
            return tables(name)

        with ThreadPoolExecutor(4) as pool:
            made = [future.result() for future in [pool.submit(make) for _ in range(4)]]
        assert len(set(made)) == 1


def test_close_leaves_a_given_engines_pool_alone(database_url: str) -> None:
    """It is the application's."""
    engine = sa.create_engine(database_url)
    queue, pool = Queue(engine), engine.pool
    queue.create_tables()
    with engine.connect():
        queue.close()
    assert engine.pool is pool and engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    queue.enqueue(Say("opens again"))
    queue.close()
    engine.dispose()


def test_sqlite_has_no_schemas(tmp_path: object) -> None:
    """A queue there can choose the name of its table only."""
    queue = Queue(f"sqlite:///{tmp_path}/x.db", schema="beside")
    with pytest.raises(DatabaseError, match="SQLite has no schemas"):
        queue.create_tables()
    queue.close()


@pytest.mark.parametrize("theirs", [THEIRS, THEIRS.replace("jobs", "job_workers")])
def test_a_table_that_is_not_the_queues_is_refused(database_url: str, theirs: str) -> None:
    """It is left as it was, and the error names the way out."""
    queue = Queue(database_url)
    with queue.writer.begin() as connection:
        connection.exec_driver_sql(theirs)
    before = columns(queue)
    with pytest.raises(DatabaseError, match=r"is not jobqueue's: it has no .*handler|threads.*table="):
        queue.create_tables()
    assert columns(queue) == before
    own = Queue(database_url, table="queued_jobs")
    own.create_tables()
    own.enqueue(Say("beside theirs"))
    assert Worker(own).work_off() == (1, 0)
    assert {name: columns(queue)[name] for name in before} == before
    queue.close()
    own.close()


def test_nothing_is_deleted_from_a_table_that_is_not_the_queues(database_url: str) -> None:
    """It has an id, too; but the database refuses, since no column is a job's."""
    queue = Queue(database_url)
    with queue.writer.begin() as connection:
        connection.exec_driver_sql(THEIRS)
        connection.exec_driver_sql("INSERT INTO jobs (id, title, queue) VALUES (1, 'baker', 'mail')")
    for delete in (queue.clear, partial(queue.clear, "mail"), partial(queue.delete, 1)):
        with pytest.raises(DBAPIError, match="handler"):
            delete()
    with queue.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT title FROM jobs").all() == [("baker",)]
    queue.close()


def test_a_command_in_the_wrong_database_changes_nothing(database_url: str, command: Command) -> None:
    """Every command says in one sentence that the table is not the queue's, and ends with 2."""
    queue = Queue(database_url)
    with queue.writer.begin() as connection:
        connection.exec_driver_sql(THEIRS)
    before = columns(queue)
    for line in ("migrate", "list", "stats", "check --max-age 5"):
        answer = command(*line.split())
        assert (answer.status, answer.out) == (2, ""), line
        assert "The table jobs is not jobqueue's" in answer.err and "--table" in answer.err
    assert columns(queue) == before
    queue.close()


@pytest.mark.live
def test_a_worker_in_the_wrong_database_changes_nothing(
    queue: Queue, start_worker: Callable[..., Any]
) -> None:
    """It says so in one sentence, and ends with 2."""
    with queue.writer.begin() as connection:
        connection.exec_driver_sql(THEIRS.replace("jobs", "mails"))
    before = columns(queue)["mails"]
    worker = start_worker("--table", "mails")
    assert worker.exit_status() == 2
    assert re.fullmatch("jobqueue: The table mails is not jobqueue's.*--table\n", worker.output())
    assert columns(queue)["mails"] == before


def test_commands_take_the_tables_name(database_url: str, command: Command) -> None:
    """Each command does: --table, and on PostgreSQL --schema."""
    assert "CREATE TABLE mail_jobs (" in command("migrate", "--table", "mail_jobs").out
    queue = Queue(database_url, table="mail_jobs")
    queue.enqueue(Say("mail"))
    assert "Say(text='mail')" in command("list", "--table", "mail_jobs").out
    assert "run jobqueue migrate" in command("list").err
    assert command("schema", "--table", "mail_jobs").out.count("mail_jobs") > 3
    answer = command("list", "--table", "Mail Jobs")
    assert answer.status == 2 and "can't name a table" in answer.err
    queue.close()


def columns(queue: Queue) -> dict[str, list[str]]:
    inspector = sa.inspect(queue.engine)
    return {
        table: [*map(str, inspector.get_columns(table)), *map(str, inspector.get_indexes(table))]
        for table in inspector.get_table_names()
    }
