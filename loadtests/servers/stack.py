"""Everything one reader needs, as real processes: feed server, web server and, if queued, workers.

    with Stack(StackSettings(app="sync")) as stack:
        requests.get(stack.url)

Everything listens on 127.0.0.1 only, on free ports unless told otherwise, and is gone when the stack stops,
or when the process that started it dies.
"""

import contextlib
import os
import re
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from loadtests.engines.engines import ENGINES, READER, Engine, engine_command, valkey_command
from loadtests.errors import UsageError
from loadtests.folders import temporary_folder
from loadtests.ports import listen
from loadtests.servers.databases import database_server, fresh_database
from loadtests.servers.processes import PROCESS_START_SECONDS, Process
from loadtests.servers.slotmeter import FOLDER

HOST = "127.0.0.1"
PORTS = {"sync": (8001, 9001), "queued": (8002, 9002)}  # of `make sync` and `make queued`: app, feed server
FEED_PORTS = (9000, *(feeds for _, feeds in PORTS.values()))  # 9000: `python -m loadtests feedserver` alone
HOST_AND_PORT = re.compile(r"([^\s:\[\]/*]+|\[[0-9a-fA-F:.]+\]):[1-9]\d{0,4}")


@dataclass(frozen=True)
class StackSettings:
    """What to start. A port of 0 means a free one; `deadline` is how long one fetch may take, in seconds."""

    app: str
    slots: int = 8  # requests served at a time, the same for both apps
    slot_kind: str = "processes"  # or "threads", of one process
    engine: str = "jobqueue"  # of the queued reader: see loadtests/engines/engines.py
    threads: int = 32  # jobs performed at a time by each worker
    workers: int = 1
    deadline: float = 10.0
    database: str = "sqlite"  # or postgresql, or the URL of a PostgreSQL server; some engines need that
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
    broker_url: str = ""  # of Valkey, if the engine needs it
    processes: dict[str, Process] = field(default_factory=dict)
    slots_folder: Path = Path()  # of the web server's counts: see loadtests/servers/slotmeter.py
    folder: Path = Path()  # of the logs and SQLite's file
    _exits: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def engine(self) -> Engine:
        return ENGINES[self.settings.engine]

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
        ours = not self.engine.module or self.settings.app == "sync"
        module = f"{self.settings.app}_app.app" if ours else READER
        return gunicorn_command(self.settings, f"{module}:create_app()")

    def worker_command(self) -> list[str]:
        """The command of a worker, which prints what its engine calls `ready`."""
        if self.engine.module:
            return engine_command("worker", str(self.settings.threads))
        work = [sys.executable, "-m", "jobqueue", "work", "--database", self.database_url]
        return [*work, "--import", "queued_app.jobs", "--threads", str(self.settings.threads)]

    def start_worker(self) -> Process:
        """Start one more worker; returns before it is ready: use `wait_for(stack.engine.ready)`."""
        number = sum(name.startswith("worker") for name in self.processes) + 1
        return self._run(f"worker {number}", self.worker_command(), self.environment())

    def start_broker(self) -> None:
        """Start Valkey, or start it again, with what it had kept; returns when it answers."""
        if not self.broker_url:
            with listen(HOST, 0) as free:
                self.broker_url = f"redis://{HOST}:{free.getsockname()[1]}/0"
        port = int(self.broker_url.rpartition(":")[2].partition("/")[0])
        self._run("broker", valkey_command(port, self.folder)).wait_for("Ready to accept connections")

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
        self.folder = settings.folder or enter(temporary_folder("reader"))
        self.folder.mkdir(parents=True, exist_ok=True)
        needed = self.engine.postgresql and settings.database == "sqlite"
        server = enter(database_server("postgresql" if needed else settings.database))
        self.database_url = enter(fresh_database(server, self.folder))
        if self.engine.valkey:
            self.start_broker()

        command = [sys.executable, "-m", "loadtests", "feedserver", "--seed", str(settings.seed)]
        command += ["--port", str(settings.feeds_port), *(["--mix", settings.mix] if settings.mix else [])]
        self.feeds_url = self._run("feed server", command).wait_for_address()
        self.slots_folder = enter(temporary_folder("slots"))
        environment = self.environment() | {FOLDER: str(self.slots_folder)}
        app = self._run("web server", self.web_command(), environment)
        workers = [self.start_worker() for _ in range(settings.workers if settings.app == "queued" else 0)]
        self.url = app.wait_for_address()
        processes = settings.slots if settings.slot_kind == "processes" else 1
        app.wait_for(r"Slot ready", times=processes)
        _wait_until_healthy(self.url, app)
        for worker in workers:
            worker.wait_for(self.engine.ready)

    def environment(self) -> dict[str, str]:
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
            **self.engine.environment(self.broker_url),
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
