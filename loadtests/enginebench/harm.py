"""What becomes of feeds when something is killed: a worker, a broker or database, a web process.

Each trial is HARMED tries at once, with one worker. A feed is *lost* if it is stored and not fetched, and the
engine holds no job for it any more, nor is it being fetched; *held* if it is not fetched in WATCHED_SECONDS,
though the engine still holds its job.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from heapq import nlargest
from typing import TypedDict

from loadtests.enginebench.scene import PENDING, REDIRECTS, StagedReader, expect, kill_tree, staged, until
from loadtests.engines.engines import ENGINES
from loadtests.feedserver.kinds import delay_of
from loadtests.servers.postgres import crashing_postgres
from loadtests.servers.processes import Process

HARMED = 10
SLOWEST_OF = 5 * HARMED  # feeds; the slowest leave time until all are being fetched, on a busy machine, too
WATCHED_SECONDS = 130.0  # Celery looks for what dead workers left every 100 s, and 10 s after it has started
WITHIN_SECONDS = 0.5  # how exactly it is told when a feed was fetched
ASK_SECONDS = 5.0  # between questions to the engine how many jobs it holds
RESTARTED_SECONDS = 40.0  # for a new worker; then Procrastinate takes the one before for dead
BY_HAND_SECONDS = 40.0
DOWN_SECONDS = 2.0  # how long the broker is away
TERM_SECONDS = 15.0  # that a worker is given to stop, longer than a fetch


class Aftermath(TypedDict):
    """What became of the feeds: each that is stored is in one of `by_itself`, `restarted`, `by_hand`, `held`
    and `lost`. Restarted: fetched once a worker was started again.
    """

    stored: int
    by_itself: int
    after_s: float | None  # after the harm, the last of them
    restarted: int
    by_hand: int
    held: int
    lost: int
    again: int  # how often feeds were asked for once more
    refused: int  # visitors who were not told that their feed was accepted
    unsaid: int  # feeds lost or held, whose visitor was told that all is well
    watched_s: float


def worker_killed(engine: str, lease: float | None = None, only_watch: float | None = None) -> Aftermath:
    """kill -9 of the worker and all its processes, while it fetches; another one is started at once.

    `lease`: of jobqueue's workers, in seconds; None: as it comes. `only_watch`: see `_aftermath`.
    """
    return _in_mid_fetch(engine, kill_tree, lease, only_watch)


def worker_stopped(engine: str) -> Aftermath:
    """TERM to the worker's main process while it fetches; another one starts when it has ended."""

    def stop(worker: Process) -> None:
        worker.tree()[0].terminate()
        until(lambda: not worker.is_running(), TERM_SECONDS)
        worker.stop()

    return _in_mid_fetch(engine, stop)


def _in_mid_fetch(
    engine: str,
    harm: Callable[[Process], None],
    lease: float | None = None,
    only_watch: float | None = None,
) -> Aftermath:
    with staged(engine, threads=2 * HARMED, slots=2, lease=lease) as stage:
        slowest = nlargest(HARMED, range(SLOWEST_OF), key=lambda n: delay_of("slow", n))
        answers = stage.add([url for n in slowest for url in stage.feeds("slow", 1, first=n)])
        expect(lambda: stage.in_flight("slow") == HARMED, "The feeds were not all being fetched")
        began = time.monotonic()
        harm(stage.worker)
        stage.start_worker()
        return _aftermath(stage, began, answers, only_watch)


def broker_killed(engine: str) -> Aftermath:
    """kill -9 of Valkey, or a crash of PostgreSQL, and a start again, with HARMED feeds waiting or being
    fetched, and as many added meanwhile.
    """
    valkey = ENGINES[engine].valkey
    with ExitStack() as exits:
        url, crash = ("sqlite", None) if valkey else exits.enter_context(crashing_postgres())
        stage = exits.enter_context(staged(engine, threads=HARMED // 2, slots=2, database=url))
        answers = stage.add(stage.feeds("slow", HARMED))
        expect(lambda: stage.in_flight("slow") == HARMED // 2, "The feeds were not being fetched")
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            back = pool.submit(crash or (lambda: _restart_valkey(stage)))
            answers |= stage.add(stage.feeds("slow", HARMED, first=HARMED + 1))
            back.result()
        return _aftermath(stage, began, answers)


def _restart_valkey(stage: StagedReader) -> None:
    kill_tree(stage.stack.processes["broker"])
    time.sleep(DOWN_SECONDS)
    stage.stack.start_broker()


def web_killed(engine: str) -> Aftermath:
    """kill -9 of the web process between the commit of the feed and what comes after it: an engine outside
    the database is told then.
    """
    with staged(engine, threads=HARMED, slots=2) as stage:
        stage.stack.dies.touch()
        began = time.monotonic()
        answers = stage.add(stage.feeds("slow", HARMED), visitors=1)
        stage.stack.dies.unlink()
        return _aftermath(stage, began, answers)


def _aftermath(
    stage: StagedReader, began: float, answers: Mapping[str, int], only_watch: float | None = None
) -> Aftermath:
    """Watch until all feeds are fetched, or lost, or for WATCHED_SECONDS; then start the worker again, and do
    what one does by hand.

    With `only_watch`: for at most so many seconds, and that is all.
    """
    watch = _Watch(stage, began)
    watch.until_settled(only_watch or WATCHED_SECONDS)
    by_itself, after_s = watch.fetched, watch.last_s
    restarted, by_hand, mend = 0, 0, only_watch is None
    if mend and watch.holds:  # it may have ended, or lost its connection for good
        kill_tree(stage.worker)
        stage.start_worker()
        watch.until_settled(RESTARTED_SECONDS)
        restarted = watch.fetched - by_itself
    if mend and watch.holds and stage.stack.engine.by_hand:
        stage.run("by_hand")
        watch.until_settled(BY_HAND_SECONDS)
        by_hand = watch.fetched - by_itself - restarted
    until(lambda: not stage.in_flight("slow"), TERM_SECONDS)
    held = stage.held()  # before it is seen what is missing: a job that ends in between is not lost
    states = stage.states()
    missing = [url for url, status in states.items() if status == PENDING]
    held = min(held, len(missing))
    return Aftermath(
        stored=len(states),
        by_itself=by_itself,
        after_s=after_s,
        restarted=restarted,
        by_hand=by_hand,
        held=held,
        lost=len(missing) - held,
        again=max(0, stage.asked("slow") - len(states)),
        refused=sum(answer not in REDIRECTS for answer in answers.values()),
        unsaid=sum(answers[url] in REDIRECTS for url in missing),
        watched_s=round(time.monotonic() - began, 1),
    )


class _Watch:
    """How many feeds are `fetched`, and when the last of them was."""

    def __init__(self, stage: StagedReader, began: float):
        self._stage, self._began = stage, began
        self.fetched, self.last_s, self.holds = 0, None, True
        self._asked = time.monotonic()
        self._gone = (
            0  # how often in a row nothing was held: what is just being taken is nowhere for a moment
        )

    fetched: int
    last_s: float | None
    holds: bool  # whether the engine still holds jobs, and feeds are missing

    def until_settled(self, seconds: float) -> None:
        """Watch for at most so long."""
        until(self._is_settled, seconds, WITHIN_SECONDS)

    def _is_settled(self) -> bool:
        states = self._stage.states()
        now = sum(status != PENDING for status in states.values())
        if now > self.fetched:
            self.fetched, self.last_s = now, round(time.monotonic() - self._began, 1)
        if now == len(states):
            self.holds = False
        elif time.monotonic() - self._asked > ASK_SECONDS:
            # In this order: a job that is done in between is seen as fetched.
            idle = not self._stage.in_flight("slow")
            gone = idle and not self._stage.held() and self._stage.fetched() == now
            self._gone = self._gone + 1 if gone else 0
            self.holds = self._gone < 2
            self._asked = time.monotonic()
        return not self.holds
