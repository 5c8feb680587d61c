"""What becomes of feeds when something is killed: a worker, a broker or database, a web process.

Each trial adds TRIES feeds, so it is TRIES trials at once, of one worker. A feed is *lost* if it was accepted
and is not fetched in the time watched, by itself or after what the engine's guide has one do by hand.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from loadtests.enginebench.scene import Scene, expect, scene, until
from loadtests.engines.engines import ENGINES
from loadtests.servers.postgres import crashing_postgres

TRIES = 10
WATCHED_SECONDS = 75.0  # longer than any of these engines takes a silent worker for alive
BY_HAND_SECONDS = 20.0
DOWN_SECONDS = 2.0  # how long the broker is away
STOP_SECONDS = 15.0  # that a worker is given to stop, longer than a fetch
WITHIN = 0.5  # seconds after which feeds that came together count as one moment

Outcome = Mapping[str, float | None]


def worker_killed(engine: str) -> Outcome:
    """kill -9 of the worker and all its processes, while it fetches; another one is started at once."""

    def harm(stage: Scene) -> None:
        (worker,) = stage.workers()
        for process in worker.tree():
            process.kill()
        worker.stop()

    return _in_mid_fetch(engine, harm)


def worker_stopped(engine: str) -> Outcome:
    """TERM to the worker's main process while it fetches; another one starts when it has ended."""

    def harm(stage: Scene) -> None:
        (worker,) = stage.workers()
        main = worker.tree()[0]
        main.send_signal(signal.SIGTERM)
        until(lambda: not worker.is_running(), STOP_SECONDS)
        worker.stop()

    return _in_mid_fetch(engine, harm)


def _in_mid_fetch(engine: str, harm: Callable[[Scene], None]) -> Outcome:
    """Harm the worker while it fetches TRIES feeds. Returns how many were fetched `by_itself` and how soon
    the last of them was (`after_s`), how many more `by_hand`, how many were `lost`, and `again`: how often a
    feed was asked for once more.
    """
    with scene(engine, threads=2 * TRIES) as stage:
        stage.add(stage.feeds("slow", TRIES))
        expect(lambda: stage.in_flight("slow") == TRIES, "The feeds were not being fetched")
        began = time.monotonic()
        harm(stage)
        stage.start_worker()
        return _aftermath(stage, began) | {"again": float(stage.asked("slow") - TRIES)}


def _aftermath(stage: Scene, began: float, accepted: int = TRIES) -> dict[str, float | None]:
    last, by_itself = None, stage.ready()
    while by_itself < accepted and time.monotonic() - began < WATCHED_SECONDS:
        if (now := stage.ready()) > by_itself:
            by_itself, last = now, time.monotonic() - began
        time.sleep(WITHIN)
    by_hand = 0
    if by_itself < accepted and "def by_hand" in _source(stage):
        stage.by_hand()
        until(lambda: stage.ready() >= accepted, BY_HAND_SECONDS)
        by_hand = stage.ready() - by_itself
    return {
        "by_itself": float(by_itself),
        "after_s": last,
        "by_hand": float(by_hand),
        "lost": float(accepted - by_itself - by_hand),
    }


def _source(stage: Scene) -> str:
    module = stage.stack.engine.module.rpartition(".")[2]
    return (Path(__file__).parents[1] / "engines" / f"{module}.py").read_text() if module else ""


def broker_killed(engine: str) -> Outcome | None:
    """kill -9 of Valkey or PostgreSQL, for a while, with feeds waiting, some being fetched, and some added
    while it is away. None where the jobs are in a file.

    Returns also how many additions were `refused` while it was away, and how many `accepted` in all; whether
    the worker had to be `restarted`.
    """
    kind = ENGINES[engine]
    if not (kind.valkey or kind.postgresql):
        return None
    with ExitStack() as exits:
        url, crash = exits.enter_context(crashing_postgres()) if kind.postgresql else ("", lambda: None)
        stage = exits.enter_context(scene(engine, threads=TRIES // 2, database=url))
        stage.add(stage.feeds("slow", TRIES))
        expect(lambda: stage.in_flight("slow") == TRIES // 2, "The feeds were not being fetched")
        began = time.monotonic()
        if kind.valkey:
            broker = stage.stack.processes["broker"]
            for process in broker.tree():
                process.kill()
            broker.stop()
        else:
            crash()
        answers = stage.add(stage.feeds("slow", TRIES, first=100)) if kind.valkey else []
        time.sleep(DOWN_SECONDS)
        if kind.valkey:
            stage.stack.start_broker()
        accepted = len(stage.states())
        outcome = _aftermath(stage, began, accepted)
        restarted = False
        if outcome["lost"]:
            stage.start_worker()
            restarted = until(lambda: stage.ready() >= accepted, BY_HAND_SECONDS) is not None
        refused = sum(answer not in (302, 303) for answer in answers)
        return outcome | {"accepted": accepted, "refused": refused, "restarted": float(restarted)}


def web_killed(engine: str) -> Outcome:
    """kill -9 of the web process between the commit of the feed and what comes after it: an engine outside
    the database is told then.
    """
    with tempfile.TemporaryDirectory(prefix="dies-") as folder:
        flag = Path(folder) / "dies"
        os.environ["ENGINE_DIES"] = str(flag)
        with scene(engine, threads=TRIES) as stage:
            flag.touch()
            stage.add(stage.feeds("fast", TRIES), visitors=1)
            flag.unlink()
            accepted = len(stage.states())
            until(lambda: stage.ready() >= accepted, BY_HAND_SECONDS)
            return {"accepted": float(accepted), "lost": float(accepted - stage.ready())}
