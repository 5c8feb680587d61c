"""The trials: one function for each kind of harm, which does it and counts what became of the jobs.

They are as bad as the promises allow: what is killed is chosen at random, in the midst of jobs.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy.exc import OperationalError

from loadtests.servers.databases import fresh_database
from loadtests.servers.postgres import crashing_postgres
from loadtests.torture.evidence import Fates
from loadtests.torture.jobs import CLOCK_AHEAD, HoldTheInterpreter, Leave
from loadtests.torture.mutations import mutate
from loadtests.torture.scene import Scene
from loadtests.torture.silentproxy import SilentProxy

SHORT_LEASE = ("--lease", "2")
CREW = 4
REST_SECONDS = 3.0  # between holds: of two in a row, nobody could tell when the rate was back


@dataclass(frozen=True)
class Ground:
    """Where a trial takes place: on "sqlite", or on the server with this URL. `disk` is for the database, if
    that is a file, and `folder` for all else.
    """

    server: str
    disk: Path
    folder: Path
    jobs: int
    strikes: int
    seed: int
    crash: Callable[[], None]  # the server

    @contextlib.contextmanager
    def scene(self) -> Iterator[Scene]:
        with (
            fresh_database(self.server, self.disk) as url,
            Scene(url, self.folder, self.jobs, self.seed) as scene,
        ):
            yield scene


Harm = Callable[[Ground], Fates]


@contextlib.contextmanager
def server_for(database: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """What a Ground needs to know of a server, and the function by which that crashes; started if it is
    PostgreSQL.
    """
    if database == "sqlite":
        yield database, lambda: None
    else:
        with crashing_postgres() as server:
            yield server


def kill(ground: Ground) -> Fates:
    """Workers are killed, half the time together with their supervisor."""
    options = ("--threads", "2", *SHORT_LEASE)
    with ground.scene() as scene:
        for _ in range(CREW):
            scene.start(*options)
        for number in scene.spread(ground.strikes):
            worker = scene.random.choice(scene.workers)
            tree = worker.tree()
            _signal(tree if number % 2 else tree[-1:], signal.SIGKILL)
            if number % 2 or len(tree) == 1:
                scene.replace(worker, *options)
        scene.finish()
        return scene.count()


def crash(ground: Ground) -> Fates:
    """The database server crashes, and is started again at once."""
    with ground.scene() as scene:
        scene.start("--processes", str(CREW), "--threads", "2")
        for _ in scene.spread(ground.strikes):
            ground.crash()
        scene.finish()
        return scene.count()


def hold(ground: Ground) -> Fates:
    """A job lets no other thread run, in each of its two attempts."""
    with ground.scene() as scene:
        # With a shorter lease than this, the other worker would have the job while the first is still held.
        scene.start("--processes", "2", "--threads", "4", "--max-run-time", "2", "--lease", "4")
        for number in scene.spread(ground.strikes):
            if number > 1:
                scene.last(REST_SECONDS)
            scene.queue.enqueue(HoldTheInterpreter(), priority=-1, max_attempts=2)
            scene.wait(lambda: scene.set_aside() == number)  # noqa: B023 - called at once
        scene.finish()
        scene.struck = scene.set_aside()
        return scene.count()


def poison_rows(ground: Ground) -> Fates:
    """Rows that make no sense are ahead of all others."""
    with ground.scene() as scene:
        for _ in range(ground.strikes):
            id = scene.queue.enqueue(Leave(-1, 0), priority=-1)
            mutate(scene.queue, id, scene.random)
        scene.struck = ground.strikes
        scene.start("--processes", "2", "--threads", "2", *SHORT_LEASE)
        scene.finish()
        return scene.count()


def stop(ground: Ground) -> Fates:
    """A worker is stopped for two leases, then continued if it is there."""
    with ground.scene() as scene:
        workers = [scene.start("--threads", "2", *SHORT_LEASE) for _ in range(CREW)]
        for _ in scene.spread(ground.strikes):
            stopped = scene.random.choice(workers).tree()[-1:]
            _signal(stopped, signal.SIGSTOP)
            scene.last(2 * float(SHORT_LEASE[1]))
            _signal(stopped, signal.SIGCONT)
        scene.finish()
        return scene.count()


def silence(ground: Ground) -> Fates:
    """The database's host neither answers nor refuses, for eight seconds."""
    with ground.scene() as scene, SilentProxy(scene.url) as proxy:
        through = proxy.url.render_as_string(hide_password=False)
        scene.start("--processes", "2", "--threads", "2", *SHORT_LEASE, url=through)
        for _ in scene.spread(ground.strikes):
            proxy.silence()
            scene.last(8)
            proxy.speak()
        scene.finish()
        return scene.count()


def crowd(ground: Ground) -> Fates:
    """A hundred workers at one SQLite file."""
    with ground.scene() as scene:
        scene.struck = ground.strikes
        scene.start("--processes", str(ground.strikes))
        scene.finish()
        return scene.count()


def clocks(ground: Ground) -> Fates:
    """Two machines' clocks differ by a minute; the lease is longer."""
    with ground.scene() as scene:
        scene.struck = 1
        for seconds in ("0", "60"):
            scene.start("--processes", "2", "--threads", "2", "--lease", "90", **{CLOCK_AHEAD: seconds})
        scene.finish()
        return scene.count()


def disk(ground: Ground) -> Fates:
    """The database's file system has no byte left, for three seconds."""
    more = [Leave(-1, 0)] * 20_000  # more than the room that the write-ahead log still has
    with ground.scene() as scene:
        scene.start("--processes", "2", "--threads", "2", *SHORT_LEASE)
        refused = 0
        for _ in scene.spread(ground.strikes):
            ballast = ground.disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            try:
                scene.queue.enqueue_many(more)
            except OperationalError as error:
                refused += "full" in str(error)
            scene.last(3)
            ballast.unlink()
        scene.struck = refused
        scene.finish()
        return scene.count()


def _signal(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
