"""The command line: `python -m jobqueue work` documents its options, and reports errors in one line."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs_for_tests import Append, Fail, lines_of

from jobqueue import Queue
from jobqueue.schema import tables
from jobqueue.tools.cli import main
from jobqueue.tools.options import DATABASE_VARIABLE

jobs = tables().jobs

pytest_plugins = ["queue_fixtures"]


@pytest.fixture(autouse=True)
def neutral_ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, no database variable in the environment, and a sys.path that is restored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("COLUMNS", "80")


def complaint(capsys: pytest.CaptureFixture[str], arguments: str, status: int) -> str:
    """Return the error line that `start` prints for these arguments, the same as `work` and before it starts
    a process; check its exit status.
    """
    try:
        exited = main(["start", *arguments.split()])
    except SystemExit as error:  # raised by argparse, which prints the usage above the error
        assert error.code == 2
        exited = 2
    output = capsys.readouterr()
    assert (exited, output.out) == (status, "")
    *usage, line = output.err.splitlines()
    assert usage == [] or usage[0].startswith("usage: jobqueue")
    return line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", ["jobqueue: name the database: --database sqlite:///jobs.db", DATABASE_VARIABLE]),
        ("--database jobs.db", ["'jobs.db' is not a database URL"]),
        ("--database sqlite://", ["in memory only one connection sees", "after three slashes"]),
        ("--database sqlite://host/x", ["sqlite://host/x names no file"]),
        ("--database sqlite:///x?timeout=long", ["is not a database URL", "'long'"]),
        ("--database mysql://h/x", ["needs SQLite or PostgreSQL, not mysql"]),
        ("--database postgresql+nosuch://h/x", ["postgresql.nosuch", "the extra [postgresql]"]),
        ("--database sqlite+nosuch:///x", ["sqlite.nosuch", "Begin the URL with sqlite:"]),
        ("--database sqlite:///jobs.db --import no_such_module", ["import failed", "'no_such_module'"]),
        ("--database sqlite:///jobs.db --import ./jobs.py", ["module's name, such as", "not './jobs.py'"]),
        ("--database sqlite:///jobs.db --import .jobs", ["module's name, such as jobs or shop.jobs"]),
        ("--database sqlite:///jobs.db --import=", ["--import takes a module's name", "not ''"]),
        ("--threads 0", ["argument --threads: '0' is not a number from 1 to 1000"]),
        ("--threads 1.5", ["argument --threads: '1.5' is not a number"]),
        ("--threads 1000000", ["argument --threads: '1000000' is not a number from 1 to 1000"]),
        ("--lease -1", ["argument --lease: -1 is not above 0"]),
        ("--lease 1e300", ["argument --lease: 1e300 is not above 0 and at most 1000000000"]),
        ("--lease 0.001 --database sqlite:///jobs.db", ["jobqueue: lease must be at least half a second"]),
        ("--stop-timeout inf", ["argument --stop-timeout: inf is not above 0 and at most"]),
        ("--poll-interval nan", ["argument --poll-interval: nan is not above 0 and at most"]),
        ("--max-run-time 5m", ["argument --max-run-time: '5m' is not a number of seconds, such as 300"]),
        ("--queue=", ["argument --queue: queue must be text of 1 to 2000 bytes"]),
        ("--queue mail,images", ["without commas,", "not 'mail,images'; repeat --queue for more"]),
        ("--min-priority 2 --max-priority 1", ["jobqueue: min_priority must not be above max_priority"]),
        ("--min-priority 2 --max-priority 1 -n 2", ["must not be above max_priority"]),
        ("--colour", ["unrecognized arguments: --colour"]),
    ],
)
def test_bad_usage_is_explained(capsys: pytest.CaptureFixture[str], arguments: str, words: list[str]) -> None:
    """The exit status is 2, and one line names what to change."""
    line = complaint(capsys, arguments, status=2)
    assert all(word in line for word in words), line


def test_the_database_may_be_named_by_a_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers are often configured this way. The option takes precedence."""
    monkeypatch.setenv(DATABASE_VARIABLE, "of-the-variable")
    assert "'of-the-variable' is not a database URL" in complaint(capsys, "", status=2)
    assert "'of-the-option' is not" in complaint(capsys, "--database of-the-option", status=2)


def test_a_database_that_can_not_be_used_is_explained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The exit status is 1, and the line contains the database's own error, and what to do about it."""
    line = complaint(capsys, "--database sqlite:///no/such/folder/jobs.db", status=1)
    assert line == (
        "jobqueue: the database sqlite:///no/such/folder/jobs.db can't be used: unable to open database file."
        " SQLite must be able to write to the database's file and to its folder, which must exist"
    )
    (tmp_path / "notes.txt").write_text("no database, and long enough to be taken for one\n" * 100)
    assert "file is not a database" in complaint(capsys, "--database sqlite:///notes.txt", status=1)


def test_a_password_is_not_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is hidden when the database does not answer, and in --help; both end up in logs."""
    url = "postgresql+psycopg://ada:secret@127.0.0.1:1/jobs"
    line = complaint(capsys, f"--database {url}", status=1)
    assert "postgresql+psycopg://ada:***@127.0.0.1:1/jobs can't be used: connection" in line
    assert "secret" not in line
    monkeypatch.setenv(DATABASE_VARIABLE, url)
    with pytest.raises(SystemExit):
        main(["work", "--help"])
    assert "secret" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:secret@127.0.0.1:abc/jobs",
        "postgresql://ada:secret@127.0.0.1:/jobs",
        "postgresql://ada:s@secret:x@[::1/jobs?password=secret",
        "postgresql//ada:secret@127.0.0.1/jobs",
        "postgresql:ada?password=secret",
        "postgresql://ada@127.0.0.1:1/jobs?password=secret",
    ],
)
def test_a_password_in_a_broken_url_is_not_shown(capsys: pytest.CaptureFixture[str], url: str) -> None:
    """Also where the URL can't be taken apart, or has it in an unusual place."""
    usable = "127.0.0.1:1/" in url
    line = complaint(capsys, f"--database {url}", status=1 if usable else 2)
    assert "secret" not in line and "***" in line
    assert usable or "is not a database URL" in line


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero ({folder}/broken.py, line 1)"),
        ("def (", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("import sys\nsys.exit()", "SystemExit:  ({folder}/broken.py, line 2)"),
        ("raise ValueError('a\\nb')", "ValueError: a ({folder}/broken.py, line 1)"),
    ],
)
def test_a_module_that_fails_is_told_where(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, code: str, said: str
) -> None:
    """In a line, whatever it raises; one that ends the program is not taken for success."""
    (tmp_path / "broken.py").write_text(code)
    line = complaint(capsys, "--database sqlite:///jobs.db --import broken", status=2)
    assert line == f"jobqueue: the module broken can't be imported: {said.format(folder=tmp_path)}"
    del sys.path[0]


@pytest.mark.live
@pytest.mark.parametrize("options", [[], ["--processes", "2", "--once"]], ids=["one", "several"])
@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ("--import no_such_module", 2, "import failed: No module named 'no_such_module'\n"),
        (
            "--import shop --database sqlite:///no/such/jobs.db",
            1,
            "unable to open database file. SQLite must be",
        ),
        ("--lease 0.001", 2, "lease must be at least half a second"),
        ("--import no_threads", 1, "the system starts no more threads: use fewer --threads\n"),
    ],
)
def test_what_keeps_a_worker_from_starting_is_explained(
    tmp_path: Path, options: list[str], arguments: str, status: int, words: str
) -> None:
    """Each process says so in a line, and the command's exit status is theirs."""
    shop = "from jobqueue import job\n@job\nclass Nothing:\n    def perform(self): pass\n"
    (tmp_path / "shop.py").write_text(shop)
    refuse = 'def refuse(_):\n    raise RuntimeError("can\'t start new thread")\n'
    patched = f"import threading\n{refuse}threading.Thread.start = refuse\n"
    (tmp_path / "no_threads.py").write_text(shop + patched)
    command = [sys.executable, "-m", "jobqueue", "work", "--database", "sqlite:///jobs.db", *options]
    ran = subprocess.run(
        [*command, *arguments.split()], capture_output=True, check=False, text=True, timeout=60
    )
    assert ran.returncode == status
    assert words in ran.stderr and "Traceback" not in ran.stderr


def test_the_tables_and_the_modules_may_be_named_by_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the database may. Options take precedence, and an empty variable says nothing."""
    monkeypatch.setenv(DATABASE_VARIABLE, "sqlite:///jobs.db")
    monkeypatch.setenv("JOBQUEUE_TABLE", "mail_jobs")
    monkeypatch.setenv("JOBQUEUE_SCHEMA", "")
    monkeypatch.setenv("JOBQUEUE_IMPORT", "jobs_for_tests,no_such_module")
    assert main(["migrate"]) == 0
    assert "CREATE TABLE mail_jobs (" in capsys.readouterr().out
    assert "No module named 'no_such_module'" in complaint(capsys, "", status=2)
    assert "No module named 'nor_this'" in complaint(capsys, "--import nor_this", status=2)
    assert main(["verify", "--import", "jobs_for_tests"]) == 0
    assert capsys.readouterr().out == "no jobs to check\n"
    monkeypatch.setenv("JOBQUEUE_SCHEMA", "beside")
    assert "SQLite has no schemas" in complaint(capsys, "--import jobs_for_tests", status=2)


@pytest.mark.parametrize("arguments", [["--help"], ["work", "--help"]], ids=" ".join)
def test_help_fits_a_terminal(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """It needs at most 80 columns, and shows each option's default."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    output = capsys.readouterr().out
    assert max(len(line) for line in output.splitlines()) <= 80
    assert "usage: jobqueue" in output
    assert ("(14400)" in output) == ("work" in arguments)
    assert "None" not in output and "[]" not in output


@pytest.mark.live
def test_without_a_command_usage_is_shown() -> None:
    """A real process exits with status 2 and no traceback."""
    ran = subprocess.run(
        [sys.executable, "-m", "jobqueue"],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 2
    assert "the following arguments are required: COMMAND" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.live
def test_a_worker_process_does_what_its_options_say_and_ends_in_order(
    queue: Queue, tmp_path: Path, start_worker: Callable[..., Any]
) -> None:
    """It performs jobs of its modules and queues, and logs its rate. On SIGTERM it exits with status 0."""
    log = tmp_path / "performed.txt"
    queue.enqueue(Append(str(log), "image"), queue="images")
    queue.enqueue(Fail("no such image"), queue="images", priority=1)
    other = queue.enqueue(Append(str(log), "mail"), queue="mail")
    process = start_worker("--queue", "images", "--threads", "1", "--poll-interval", "0.01")
    process.wait_for(r"\*\*\* Starting job worker host:\S+ pid:\d+\n")
    process.wait_for(r"job 2 failed: RuntimeError: no such image \(attempt 1 of 25\)\n")
    process.wait_for(r"jobs processed at \d+\.\d{4} j/s, 1 failed \.\.\.\n")
    assert lines_of(log) == ["image"]
    assert [(job.id, job.attempts) for job in queue.jobs() if job.queue == "mail"] == [(other, 0)]
    process.signal(signal.SIGTERM)
    assert process.exit_status() == 0
    assert process.output().splitlines()[-1].startswith("*** Exiting job worker host:")


@pytest.mark.live
def test_a_worker_process_makes_its_table(queue: Queue, start_worker: Callable[..., Any]) -> None:
    """The first worker on an empty database needs no migration first. Ctrl-C ends it cleanly."""
    jobs.drop(queue.engine)
    process = start_worker()
    process.signal(signal.SIGINT)
    assert process.exit_status() == 0
    assert process.output().startswith(f"table jobs in {queue.engine.url!r}: created just now\n***")
    assert process.output().splitlines()[-1].startswith("*** Exiting job worker host:")
    assert queue.jobs() == []
