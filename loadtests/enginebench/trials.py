"""The trials by name: what each measures, and about how long it takes.

    python -m loadtests.enginebench.trials celery work FOLDER {}     # run one, print its figures as JSON

Each runs in a process of its own, so that it can be ended at any time with all that it has started.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.enginebench import harm, speed
from loadtests.engines.engines import ENGINES
from loadtests.errors import LoadTestError


@dataclass(frozen=True)
class EngineTrial:
    """A trial: `kind` is what --only calls it, `shows` has the titles of its sets of figures by their names.

    `run` takes the engine, a folder for its logs, and the settings of a harm; it returns these sets.
    """

    title: str
    kind: str
    shows: Mapping[str, str]
    run: Callable[..., Mapping[str, Any]]
    seconds: float  # about


def _harm(name: str, title: str, what: Callable[..., harm.Aftermath], seconds: float) -> EngineTrial:
    return EngineTrial(
        title, "harm", {name: title}, lambda engine, _, **settings: {name: what(engine, **settings)}, seconds
    )


ENGINE_TRIALS = {
    "load": EngineTrial("load", "load", speed.LOADS, speed.load, 28),
    "work": EngineTrial("work", "work", speed.WORK, lambda engine, _: speed.work(engine), 25),
    "worker-killed": _harm("worker-killed", "worker: kill -9", harm.worker_killed, 90),
    "worker-stopped": _harm("worker-stopped", "worker: TERM", harm.worker_stopped, 35),
    "broker-killed": _harm("broker-killed", "broker: kill -9", harm.broker_killed, 120),
    "web-killed": _harm("web-killed", "web: kill -9", harm.web_killed, 45),
}
FIGURE_TITLES = {name: title for trial in ENGINE_TRIALS.values() for name, title in trial.shows.items()}
HARMS = tuple(name for name, trial in ENGINE_TRIALS.items() if trial.kind == "harm")
TRIAL_KINDS = tuple(dict.fromkeys(trial.kind for trial in ENGINE_TRIALS.values()))


def is_possible(engine: str, trial: str) -> bool:
    """Whether there is what the trial kills: some engines keep their jobs in a file."""
    return trial != "broker-killed" or ENGINES[engine].valkey or ENGINES[engine].postgresql


def trial_command(engine: str, trial: str, folder: Path, **settings: float) -> list[str]:
    """The command of a trial in a process of its own; the settings are those of its harm."""
    command = [sys.executable, "-m", "loadtests.enginebench.trials", engine, trial, str(folder)]
    return [*command, json.dumps(settings)]


def main() -> None:
    engine, trial, folder, settings = sys.argv[1:]
    try:
        print(json.dumps(ENGINE_TRIALS[trial].run(engine, Path(folder), **json.loads(settings))))
    except LoadTestError as error:
        first, *more = str(error).splitlines()
        sys.exit(" ".join([first, *(line.strip() for line in more[-1:])]))


if __name__ == "__main__":
    main()
