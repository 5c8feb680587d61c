"""Behind a real PgBouncer in transaction mode the queue works with a plain URL, and leaves nothing."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import Say, WriteLine, said
from sqlalchemy import Engine, NullPool, create_engine, make_url, text
from sqlalchemy.orm import Session

from jobqueue import Queue
from jobqueue.tools import doctor
from jobqueue.tools.cli import main

pytest_plugins = ["queue_fixtures"]
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not shutil.which("pgbouncer"), reason="it needs Debian's package pgbouncer"),
]
RunWorker = Callable[..., Any]
UNPREPARED = {"prepare_threshold": None}
CONFIGURATION = """
[databases]
* = host={server} user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = options
"""


@pytest.fixture
def bouncer(durable_database: str) -> Iterator[str]:
    """The URL of an empty database, through PgBouncer with two server connections."""
    url = make_url(durable_database)
    server = Path(str(url.query["host"]))
    with tempfile.TemporaryDirectory(prefix="pgb-") as folder:
        owner = server.stat().st_uid  # whose socket it is; and PgBouncer does not run as root
        Path(folder, "pgbouncer.ini").write_text(CONFIGURATION.format(server=server, folder=folder))
        os.chown(folder, owner, -1)
        user = owner if os.getuid() == 0 else None
        command = [str(shutil.which("pgbouncer")), "-q", f"{folder}/pgbouncer.ini"]
        process = subprocess.Popen(command, user=user, stderr=subprocess.DEVNULL)
        try:

            def answers() -> bool:
                with socket.socket(socket.AF_UNIX) as probe:
                    return probe.connect_ex(f"{folder}/.s.PGSQL.6432") == 0

            wait_until(answers, "PgBouncer")
            through = url.update_query_dict({"host": folder, "port": "6432"})
            yield through.render_as_string(hide_password=False)
        finally:
            process.terminate()
            process.wait()


def test_a_plain_url_works_and_the_application_sees_no_setting(
    bouncer: str, run_worker: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """Many transactions of queue, worker and application share two connections. The worker polls: one line
    says so.
    """
    said.clear()
    queue = Queue(bouncer)
    queue.create_tables()
    engine = create_engine(bouncer, connect_args=UNPREPARED, poolclass=NullPool)
    with Session(engine) as session:
        session.execute(text("CREATE TABLE lines (id serial PRIMARY KEY, text text, parent_id int)"))
        before = session.execute(text("SELECT name, setting FROM pg_settings")).all()
        session.commit()
    running = run_worker(queue, threads=2, poll_interval=3600.0)
    for number in range(30):
        queue.enqueue(Say(str(number)))
        queue.enqueue(WriteLine(str(number)))
        with Session(engine) as session:
            queue.enqueue(Say(str(number)), session=session)
            seen = dict(session.execute(text("SELECT name, setting FROM pg_settings")).all())  # type: ignore[arg-type]
            session.commit()
        assert {name: seen[name] for name, value in before if seen[name] != value} == {}
    wait_until(lambda: len(said) == 60 and not queue.jobs(), "all jobs")
    assert [message for message in caplog.messages if "polling" in message] == [
        "not notified of new jobs, polling every 0.15 seconds: a pooler, such as PgBouncer, stands between"
    ]
    assert "did not answer" not in caplog.text
    running.stop()
    running.wait()
    queue.close()


def test_the_doctor_says_that_a_pooler_stands_between(
    bouncer: str, durable_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is fine with a URL; an engine that prepares statements is warned of."""
    for database, level, words in (
        (bouncer, "ok", "nothing is prepared, workers poll"),
        (create_engine(bouncer), "warn", 'connect_args={"prepare_threshold": None}'),
        (create_engine(bouncer, connect_args=UNPREPARED), "ok", "nothing is prepared, workers poll"),
        (durable_database, "ok", "none"),
    ):
        queue = Queue(database)
        queue.create_tables()
        [found] = [finding for finding in doctor.examine(queue) if finding.check == "pooler"]
        assert (found.level, words in found.text) == (level, True)
        queue.close()
        if isinstance(database, Engine):  # whose pool is not the queue's to close
            database.dispose()
    assert main(["doctor", "--database", bouncer]) == 0
    assert "ok    pooler" in capsys.readouterr().out


def test_a_worker_process_needs_no_option(bouncer: str) -> None:
    """`jobqueue work` with a plain URL performs what `jobqueue stats` has seen waiting."""
    queue = Queue(bouncer)
    queue.create_tables()
    queue.enqueue_many([Say("hi")] * 50)
    for command in ("stats", "list"):
        assert main([command, "--database", bouncer]) == 0
    options = ["--database", bouncer, "--import", "jobs_for_tests"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    worker = subprocess.Popen(
        [sys.executable, "-m", "jobqueue", "work", *options], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: not queue.jobs(), "the end of all jobs")
    finally:
        worker.terminate()
        assert worker.wait() == 0
        queue.close()
