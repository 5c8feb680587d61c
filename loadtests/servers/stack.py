"""Everything one reader needs, as real processes: feed server, web server and, if queued, workers.

    python -m loadtests stack queued      # `make queued`: serve until Ctrl-C

    with Stack(StackSettings(app="sync")) as stack:
        requests.get(stack.url)

Everything listens on 127.0.0.1 only, on free ports unless told otherwise, and is gone when the stack stops,
or when the process that started it dies.
"""

import argparse
import contextlib
import os
import re
import secrets
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from loadtests.arguments import count, seconds
from loadtests.errors import UsageError
from loadtests.ports import listen
from loadtests.records.steps import READERS
from loadtests.servers.databases import check_database, database_server, fresh_database
from loadtests.servers.processes import PROCESS_START_SECONDS, Process
from loadtests.servers.slotmeter import FOLDER

HOST = "127.0.0.1"
PORTS = {"sync": (8001, 9001), "queued": (8002, 9002)}  # of `make sync` and `make queued`: app, feed server
FEED_PORTS = (9000, *(feeds for _, feeds in PORTS.values()))  # 9000: `python -m loadtests feedserver` alone
HOST_AND_PORT = re.compile(r"([^\s:\[\]/*]+|\[[0-9a-fA-F:.]+\]):[1-9]\d{0,4}")
WORKING = "Starting job worker"  # printed by a worker when it starts


@dataclass(frozen=True)
class StackSettings:
    """What to start. A port of 0 means a free one; `deadline` is how long one fetch may take, in seconds."""

    app: str
    slots: int = 8  # requests served at a time, the same for both apps
    slot_kind: str = "processes"  # or "threads", of one process
    threads: int = 32  # jobs performed at a time by each worker
    workers: int = 1
    deadline: float = 10.0
    database: str = "sqlite"  # or postgresql, or the URL of a PostgreSQL server
    mix: str = ""  # of kinds of feeds, as the feed server takes it; empty: its default
    seed: int = 0  # of the feed server
    port: int = 0
    feeds_port: int = 0
    jobs_password: str = ""  # of the queued reader's dashboard; empty: no dashboard
    folder: Path | None = None  # for the logs and SQLite's file; None: a temporary one
    cpus: tuple[int, ...] = ()  # the processors for all of these processes; empty: any


@dataclass
class Stack:
    """One reader with its feed server and workers. A context manager; or call start() and stop().

    To run another reader or another queue, override web_command() and worker_command(). Raises ProcessError,
    with the output, if something does not start.
    """

    settings: StackSettings
    url: str = ""
    feeds_url: str = ""
    database_url: str = ""
    processes: dict[str, Process] = field(default_factory=dict)
    slots_folder: Path = Path()  # of the web server's counts: see loadtests/servers/slotmeter.py
    folder: Path = Path()  # of the logs and SQLite's file
    _exits: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all processes and remove the database. Safe to call twice."""
        for process in self.processes.values():
            process.ask_to_stop()  # all at once; closing then waits for each
        self._exits.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def web_command(self) -> list[str]:
        """The command that serves the reader."""
        return gunicorn_command(self.settings, f"{self.settings.app}_app.app:create_app()")

    def worker_command(self) -> list[str]:
        """The command of a worker, which prints "Starting job worker" when it is ready."""
        work = [sys.executable, "-m", "jobqueue", "work", "--database", self.database_url]
        return [*work, "--import", "queued_app.jobs", "--threads", str(self.settings.threads)]

    def start_worker(self) -> Process:
        """Start one more worker; returns before it is ready: use `wait_for(WORKING)`."""
        number = sum(name.startswith("worker") for name in self.processes) + 1
        return self._run(f"worker {number}", self.worker_command(), self._environment())

    def check(self) -> None:
        """Raises ProcessError if one of its processes has ended."""
        for process in self.processes.values():
            if not process.is_running():
                raise process.error("ended")

    def _start(self) -> None:
        settings, enter = self.settings, self._exits.enter_context
        # Asked here, since gunicorn says in eleven lines what fits in one. Both at once: they must differ.
        with listen(HOST, settings.port), listen(HOST, settings.feeds_port, "--feeds-port"):
            pass
        _allowed()
        self.folder = settings.folder or Path(enter(tempfile.TemporaryDirectory(prefix="reader-")))
        self.folder.mkdir(parents=True, exist_ok=True)
        server = enter(database_server(settings.database))
        self.database_url = enter(fresh_database(server, self.folder))

        command = [sys.executable, "-m", "loadtests", "feedserver", "--seed", str(settings.seed)]
        command += ["--port", str(settings.feeds_port), *(["--mix", settings.mix] if settings.mix else [])]
        self.feeds_url = self._run("feed server", command).wait_for_address()
        self.slots_folder = Path(enter(tempfile.TemporaryDirectory(prefix="slots-")))
        environment = self._environment() | {FOLDER: str(self.slots_folder)}
        app = self._run("web server", self.web_command(), environment)
        workers = [self.start_worker() for _ in range(settings.workers if settings.app == "queued" else 0)]
        self.url = app.wait_for_address()
        processes = settings.slots if settings.slot_kind == "processes" else 1
        app.wait_for(r"Slot ready", times=processes)
        _wait_until_healthy(self.url, app)
        for worker in workers:
            worker.wait_for(WORKING)

    def _environment(self) -> dict[str, str]:
        """The settings of the reader and its workers: see feedreader/settings.py.

        Of this machine's ports they fetch from those of this project's feed servers, and from those that our
        own FEEDREADER_ALLOW names.
        """
        ports = sorted({*FEED_PORTS, int(self.feeds_url.rpartition(":")[2])})
        ours = [f"{host}:{port}" for host in (HOST, "localhost") for port in ports]
        return {
            "FEEDREADER_DATABASE": self.database_url,
            "FEEDREADER_DEADLINE": str(self.settings.deadline),
            "FEEDREADER_ALLOW": ",".join([*ours, *_allowed()]),
            "FEEDREADER_JOBS_PASSWORD": self.settings.jobs_password,
        }

    def _run(self, name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> Process:
        log = self.folder / f"{name.replace(' ', '-')}.log"
        process = self._exits.enter_context(Process(name, command, log, environment, self.settings.cpus))
        self.processes[name] = process
        return process


def _allowed() -> list[str]:
    """The addresses in our own FEEDREADER_ALLOW. Raises UsageError, where a server would show a traceback."""
    addresses = [each.strip() for each in os.environ.get("FEEDREADER_ALLOW", "").split(",") if each.strip()]
    for address in addresses:
        if not HOST_AND_PORT.fullmatch(address):
            raise UsageError(f"FEEDREADER_ALLOW holds {address!r}: write host:port, such as 127.0.0.1:9123")
    return addresses


def gunicorn_command(settings: StackSettings, factory: str, *options: str) -> list[str]:
    """gunicorn with our configuration and the settings' slots, to serve the app that `factory` makes."""
    config = Path(__file__).with_name("gunicorn.conf.py")
    slots = ["--workers", str(settings.slots)]
    if settings.slot_kind == "threads":
        slots = ["--worker-class", "gthread", "--workers", "1", "--threads", str(settings.slots)]
    command = [sys.executable, "-m", "gunicorn", factory, "--config", f"file:{config}"]
    return [*command, "--bind", f"{HOST}:{settings.port}", *slots, *options]


def _wait_until_healthy(url: str, app: Process) -> None:
    deadline = time.monotonic() + PROCESS_START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=PROCESS_START_SECONDS):
                return
        except OSError as error:
            if time.monotonic() > deadline or not app.is_running():
                raise app.error(f"does not answer ({error})") from error
            time.sleep(0.02)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one reader until Ctrl-C or TERM; returns 0. Raises LoadTestError if it can't start."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests stack", description="Run a reader with everything it needs, until Ctrl-C."
    )
    option: Any = parser.add_argument
    port, number, usual = {"type": int, "metavar": "N"}, {"type": count, "metavar": "N"}, StackSettings
    option("app", choices=READERS)
    option("--port", **port, help="port of the reader; default 8001 for sync, 8002 for queued")
    option("--feeds-port", **port, help="port of the feed server; default 9001 or 9002")
    option("--slots", **number, default=usual.slots, help="requests served at a time; default %(default)s")
    kinds = ["processes", "threads"]
    option("--slot-kind", choices=kinds, default=usual.slot_kind, help="what a slot is; default processes")
    option("--workers", **number, default=usual.workers, help="worker processes; default %(default)s")
    threads = "jobs per worker at a time; default %(default)s"
    option("--threads", **number, default=usual.threads, help=threads)
    deadline = f"seconds a fetch may take; default {usual.deadline:g}"
    option("--deadline", type=seconds, metavar="S", default=usual.deadline, help=deadline)
    database = "sqlite (default), postgresql, or a server's URL"
    option("--database", metavar="DB", default=usual.database, help=database)
    options = parser.parse_args(argv)
    check_database(options.database)
    for name, usually in zip(("port", "feeds_port"), PORTS[options.app], strict=True):
        if getattr(options, name) is None:
            setattr(options, name, usually)
    password = secrets.token_urlsafe(9) if options.app == "queued" else ""
    settings = StackSettings(**vars(options), jobs_password=password)
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda _number, _frame: stop.set())
    with Stack(settings) as stack:
        print(_welcome(stack), flush=True)
        while not stop.wait(0.5):
            stack.check()
        print("Stopping ...", flush=True)
    return 0


def _welcome(stack: Stack) -> str:
    """What to open and to try, in at most 80 columns."""
    settings, password = stack.settings, stack.settings.jobs_password
    typical, slow, hang = (f"{stack.feeds_url}/feeds/{kind}/1.xml" for kind in ("typical", "slow", "hang"))
    places = [
        (f"The {settings.app} reader", f"{stack.url}  ({settings.slots} requests at a time)"),
        *([("Its jobs", f"{stack.url}/jobs/".replace("://", f"://me:{password}@"))] if password else []),
        *(("Its feed server", stack.feeds_url), ("Feeds to try", typical), ("", slow), ("", hang)),
    ]
    return "\n".join(f"{what:18} {where}" for what, where in places) + (
        "\n\nLoad, from another terminal:\n  .venv/bin/locust -f loadtests/feeds.py \\\n"
        f"    --host {stack.url} --feeds {stack.feeds_url}\n\nCtrl-C stops everything."
    )
