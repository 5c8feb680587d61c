"""What chapter 9 alone needs: the async twin under load, while it parses, and when a process ends."""

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import requests
import sqlalchemy as sa

from loadtests.bench.plan import Plan
from loadtests.errors import ProcessError
from loadtests.feedserver.kinds import delay_of, kind_of, written_mix
from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack, StackSettings
from workbook.readers import bench

TWIN = Path(__file__).with_name("chapter09_async.py")
WAYS = {"sync": "threads", "host": "async", "queued": "queue"}  # what the three are called here
FEEDS = 2000  # whose delays stand for those of the mix
SOON_SECONDS = 0.02
READY_SECONDS = 10.0


# ---- the twin


@dataclass(frozen=True)
class Twin:
    """The async reader that runs, and the feed server that it fetches from."""

    url: str
    feeds_url: str
    process: Process

    @property
    def memory_mib(self) -> float:
        """What it takes now."""
        return sum(own_memory(process) for process in self.process.tree()) / 2**20


def own_memory(process: psutil.Process) -> int:
    """Bytes of a process, what it shares with others counted in part (where the system tells)."""
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.uss))


@contextlib.contextmanager
def running_twin(deadline: float, mix: str = "", longer: int = 1, in_thread: bool = False) -> Iterator[Twin]:
    """Start the twin and a feed server, and end them. Raises ProcessError if one does not start."""
    with tempfile.TemporaryDirectory(prefix="workbook-") as name, contextlib.ExitStack() as exits:
        folder = Path(name)
        command = [sys.executable, "-m", "loadtests", "feedserver", "--port", "0"]
        command += ["--mix", mix] if mix else []
        feeds = exits.enter_context(Process("feed server", command, folder / "feeds.log"))
        feeds_url = feeds.wait_for_address()
        command = [sys.executable, str(TWIN), "--feeds", feeds_url, "--deadline", str(deadline)]
        command += ["--longer", str(longer), *(["--in-thread"] if in_thread else [])]
        twin = exits.enter_context(Process("async reader", command, folder / "twin.log"))
        url = twin.wait_for_address()
        _wait_until(lambda: _answers(url), "The async reader does not answer.")
        yield Twin(url, feeds_url, twin)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=READY_SECONDS).ok
    except requests.ConnectionError:
        return False


def _wait_until(holds: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise ProcessError(f"{complaint} It was waited for {READY_SECONDS:g} s.")
        time.sleep(SOON_SECONDS)


def async_bench(plan: Plan) -> dict[str, Any]:
    """`bench` of the twin, with all rows, and what memory it took in the end, as "memory_mib"."""
    with running_twin(plan.deadline, written_mix(plan.mix)) as twin:
        target = replace(plan, apps=("host",), host=twin.url, feeds=twin.feeds_url)
        results = bench(target, rows=True)
        return {**results, "memory_mib": round(twin.memory_mib, 1)}


# ---- three ways, compared


def steps_of(*benches: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The first step of each app in all these results, by app: sync, host (the twin), queued."""
    steps = {step["app"]: step for results in benches for step in reversed(results["steps"])}
    return {app: steps[app] for app in WAYS if app in steps}


def feeds_alone(deadline: float, count: int = FEEDS) -> list[float]:
    """How long so many feeds of the mix take, each given up after `deadline`; seconds."""
    return [min(deadline, delay_of(kind_of(n), n)) for n in range(count)]


# ---- one loop


def one_loop(in_thread: bool, longer: int, seconds: float, every: float) -> dict[str, Any]:
    """Somebody looks at the twin's list 20 times a second, while every `every` seconds a feed is added.

    The feeds come at once, and are long. Returns when each look was to begin, and how long after that the
    answer came; and when feeds were added. All in seconds.
    """
    with (
        running_twin(deadline=10, longer=longer, in_thread=in_thread) as twin,
        ThreadPoolExecutor(40) as pool,
    ):
        began = time.monotonic() + 0.2

        def look(at: float) -> list[float]:
            requests.get(twin.url, timeout=60).raise_for_status()
            return [at, time.monotonic() - began - at]

        def add(number: int) -> None:
            feed = f"{twin.feeds_url}/feeds/fast/{3 * number}.xml"  # every third one is RSS 2.0
            requests.post(f"{twin.url}/feeds", data={"url": feed}, allow_redirects=False, timeout=60)

        plan = [(0.05 * n, None) for n in range(round(seconds / 0.05))]
        added = [every * (n + 0.5) for n in range(int(seconds / every))]
        looks, adding = [], []
        for at, number in sorted([*plan, *((at, n) for n, at in enumerate(added))], key=lambda each: each[0]):
            time.sleep(max(0.0, began + at - time.monotonic()))
            if number is None:
                looks.append(pool.submit(look, at))
            else:
                adding.append(pool.submit(add, number))
        for future in adding:
            future.result()
        return {"looks": [future.result() for future in looks], "added": added}


def slowest(seen: Mapping[str, Any]) -> float:
    """The longest wait for the list, in seconds."""
    return max(wait for _, wait in seen["looks"])


# ---- when a process ends


def crash(visitors: int) -> dict[str, dict[str, int]]:
    """Let so many visitors add a feed that hangs, and kill every process of the reader while it is fetched.

    Returns for the synchronous and the queued reader: how many visitors had been answered, how many of the
    feeds are in the database, and how many jobs, which a worker will do when it is started again.
    """
    found = {}
    for app in ("sync", "queued"):
        settings = StackSettings(app=app, slots=visitors, slot_kind="threads", deadline=30)
        with Stack(settings) as stack:
            ours = [process for name, process in stack.processes.items() if name != "feed server"]
            answered = _killed(stack.url, stack.feeds_url, visitors, ours)
            tables = {name: _count(stack.database_url, name) for name in ("feeds", "jobs")}
            found[app] = {"visitors answered": answered, **tables}
    return found


def _count(database: str, table: str) -> int:
    """How many rows a table has; 0 if there is none."""
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    if not sa.inspect(engine).has_table(table):
        return 0
    with engine.connect() as connection:
        return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


def _killed(url: str, feeds: str, visitors: int, processes: Sequence[Process]) -> int:
    """How many were answered before the processes were killed, with all fetches under way."""
    answers: list[int] = []

    def add(number: int) -> None:
        feed = {"url": f"{feeds}/feeds/hang/{number}.xml"}
        with contextlib.suppress(requests.ConnectionError):
            answers.append(
                requests.post(f"{url}/feeds", data=feed, allow_redirects=False, timeout=60).status_code
            )

    threads = [threading.Thread(target=add, args=[number], daemon=True) for number in range(visitors)]
    for thread in threads:
        thread.start()
    _wait_until(lambda: _under_way(feeds) == visitors, "The fetches did not begin.")
    for process in processes:
        for each in process.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
    for thread in threads:
        thread.join()
    return answers.count(303)


def _under_way(feeds: str) -> int:
    stats: dict[str, dict[str, int]] = requests.get(f"{feeds}/stats", timeout=READY_SECONDS).json()
    return stats["in_flight"]["hang"]
