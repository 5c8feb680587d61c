"""Helpers for chapter 11: the async twin under load, while it parses, and when a process ends."""

import contextlib
import io
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from statistics import mean, median
from typing import Any

import psutil
import requests
import sqlalchemy as sa

from loadtests.bench.plan import Plan
from loadtests.feedserver.kinds import delay_of, kind_of, written_mix
from loadtests.folders import temporary_folder
from loadtests.judging.fitness import slowed_reasons
from loadtests.predicting.workload import submitters_among
from loadtests.records.rows import Row, in_window
from loadtests.servers.processes import Process, own_memory
from loadtests.servers.stack import Stack, StackSettings
from loadtests.wording import figure
from workbook.readers import PATIENCE_SECONDS, bench, read, rows_of, say_if_disturbed, under_way, wait_until
from workbook.words import in_words

TWIN = Path(__file__).with_name("chapter11_async.py")
WAYS = {"sync": "threads", "host": "async", "queued": "queue"}  # what the three are called here
SEED = Plan().seed  # of the visitors in a bench whose plan names none


# ---- the twin


@dataclass(frozen=True)
class RunningTwin:
    """A running async reader, and the feed server that it fetches from."""

    url: str
    feeds_url: str
    process: Process
    again: Callable[[], "RunningTwin"]  # starts another one, which knows nothing of this one


def memory_of(processes: Sequence[Process]) -> float:
    """Memory of all of them, in MiB."""
    return sum(own_memory(each) for process in processes for each in process.tree()) / 2**20


@contextlib.contextmanager
def running_twin(
    deadline: float, mix: str = "", longer: int = 1, in_thread: bool = False
) -> Iterator[RunningTwin]:
    """Start the twin and a feed server, and end them. Raises ProcessError if one does not start."""
    with temporary_folder("workbook") as folder, contextlib.ExitStack() as exits:
        command = [sys.executable, "-m", "loadtests", "feedserver", "--port", "0"]
        command += ["--mix", mix] if mix else []
        feeds = exits.enter_context(Process("feed server", command, folder / "feeds.log"))
        feeds_url = feeds.wait_for_address()
        ours = [sys.executable, str(TWIN), "--feeds", feeds_url, "--deadline", str(deadline)]
        ours += ["--longer", str(longer), *(["--in-thread"] if in_thread else [])]
        logs = (folder / f"twin-{number}.log" for number in range(9))

        def start() -> RunningTwin:
            process = exits.enter_context(Process("async reader", ours, next(logs)))
            url = process.wait_for_address()
            wait_until(lambda: _answers(url), "The async reader does not answer.")
            return RunningTwin(url, feeds_url, process, start)

        yield start()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=PATIENCE_SECONDS).ok
    except requests.ConnectionError:
        return False


def async_bench(plan: Plan) -> dict[str, Any]:
    """`bench` of the twin, with all rows."""
    with running_twin(plan.deadline, written_mix(plan.mix)) as twin:
        target = replace(plan, apps=("host",), host=twin.url, feeds=twin.feeds_url)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            results = bench(target, rows=True)
        print(said.getvalue().replace("  your app", "async twin"), end="")
    return results


# ---- three ways, compared


def steps_of(*benches: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The last step of each app in all these results, by app: sync, host (the twin), queued."""
    steps = {step["app"]: step for results in benches for step in results["steps"]}
    return {app: steps[app] for app in WAYS if app in steps}


def submitted(results: Mapping[str, Any], app: str) -> list[tuple[Row, float]]:
    """Each counted POST /feeds of an app's step, and how long its feed takes by itself, in seconds.

    The rows don't say which feed it was. The visitors' random numbers do, as loadtests/feeds.py draws them:
    a pause before the first visit, and then a feed and a pause for each.
    """
    step, settings = steps_of(results)[app], results["settings"]
    of_user = sorted(
        (row for row in rows_of(results, step) if row.group == "submit"),
        key=lambda row: (row.user, row.intended_s),
    )
    delays = {}
    for user, rows in groupby(of_user, key=lambda row: row.user):
        drawn = random.Random(f"{SEED} Submitter {user}")
        for row in rows:
            drawn.random()
            n = drawn.randrange(1_000_000_000)
            delays[row] = min(settings["deadline_s"], delay_of(kind_of(n, settings["mix"]), n))
    return [(row, delays[row]) for row in in_window(of_user, *step["window_s"])]


def compare(*benches: Mapping[str, Any]) -> None:
    """Print what each way gave: medians, what it added to the feeds, and how many waited at a time."""
    for results in benches:
        for app, step in steps_of(results).items():
            groups = (f"{group} {figure(step[group], 'p50_ms')}" for group in ("submit", "browse", "content"))
            print(f"{WAYS[app]:7}  p50: {', '.join(groups)}")
            if app != "queued":
                print(f"         {_beside_the_feeds(results, app)}")


def _beside_the_feeds(results: Mapping[str, Any], app: str) -> str:
    settings, pairs = results["settings"], submitted(results, app)
    ended, demand = steps_of(results)[app]["ended_s"], mean(delay for _, delay in pairs)
    added = median(row.waited_ms(ended) / 1000 - delay for row, delay in pairs)
    visitors = submitters_among(settings["users"][0], settings["submitters"])
    expected = visitors * demand / (demand + settings["think_s"])
    return (
        f"its feeds alone: mean D = {demand:.2f} s; it adds {in_words(added)} (median);"
        f" waiting at a time: expected {expected:.1f}, counted {waiting(results, app):.1f}"
    )


def waiting(results: Mapping[str, Any], app: str) -> float:
    """How many visitors waited for the answer to POST /feeds at a time, averaged over the counted time."""
    step = steps_of(results)[app]
    start, end = step["window_s"]
    stays = [
        (row.intended_s, end if row.done_s is None else row.done_s)
        for row in rows_of(results, step)
        if row.group == "submit"
    ]
    return float(sum(max(0.0, min(done, end) - max(begun, start)) for begun, done in stays) / (end - start))


# ---- one loop


def one_loop(in_thread: bool, longer: int, seconds: float, every: float) -> dict[str, Any]:
    """Look at the twin's list 20 times a second, while a feed is added every `every` seconds.

    The feeds come at once, and are long. Returns when each look was due, and how long after that the answer
    came; and when feeds were added, all in seconds; and how they were parsed. A busy machine is
    reported; when recording, it raises WorkbookError.
    """
    with (
        running_twin(deadline=10, longer=longer, in_thread=in_thread) as twin,
        ThreadPoolExecutor(40) as pool,
    ):
        psutil.cpu_percent()  # counts from here
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
        answered = [future.result() for future in looks]
        say_if_disturbed(slowed_reasons(host_cpu_percent=psutil.cpu_percent()), fit=True)
        return {"looks": answered, "added": added, "longer": longer, "in_thread": in_thread}


def slowest(seen: Mapping[str, Any]) -> float:
    """The longest wait for the list, in seconds."""
    return float(max(wait for _, wait in seen["looks"]))


# ---- when a process ends


def crash(visitors: int) -> dict[str, dict[str, float]]:
    """Let `visitors` visitors add feeds that hang, and kill all the reader's processes during the fetches.

    One good feed has been read before. Returns, for each way, how many visitors had been answered, how many
    feeds the reader knows after a restart, how many jobs a worker will find then, and how many KiB of memory
    each fetch in flight added.
    """
    with ThreadPoolExecutor() as pool:  # they don't disturb each other: all only wait
        killed = {app: pool.submit(_reader_killed, app, visitors) for app in ("sync", "queued")}
        killed["host"] = pool.submit(_twin_killed, visitors)
        return {app: killed[app].result() for app in WAYS}


def _reader_killed(app: str, visitors: int) -> dict[str, float]:
    settings = StackSettings(app=app, slots=visitors, slot_kind="threads", threads=visitors, deadline=30)
    with Stack(settings) as stack:
        ours = [process for name, process in stack.processes.items() if name != "feed server"]
        seen = _killed(stack.url, stack.feeds_url, visitors, ours)
        return {**seen, **{table: _count(stack.database_url, table) for table in ("feeds", "jobs")}}


def _twin_killed(visitors: int) -> dict[str, float]:
    with running_twin(deadline=30) as twin:
        seen = _killed(twin.url, twin.feeds_url, visitors, [twin.process])
        listed = requests.get(twin.again().url, timeout=PATIENCE_SECONDS).text.count("<li>")
        return {**seen, "feeds": listed, "jobs": 0}  # it has no jobs


def _count(database: str, table: str) -> int:
    """How many rows a table has; 0 if there is no such table."""
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    if not sa.inspect(engine).has_table(table):
        return 0
    with engine.connect() as connection:
        return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


def _killed(url: str, feeds: str, visitors: int, processes: Sequence[Process]) -> dict[str, float]:
    """Kill the processes with all fetches in flight; returns how many were "answered", and "kib_each"."""
    answers: list[int] = []

    def add(number: int) -> None:
        feed = {"url": f"{feeds}/feeds/hang/{number}.xml"}
        with contextlib.suppress(requests.ConnectionError):
            answers.append(
                requests.post(f"{url}/feeds", data=feed, allow_redirects=False, timeout=60).status_code
            )

    read(url, f"{feeds}/feeds/fast/1.xml", every=0.05)
    before = memory_of(processes)
    threads = [threading.Thread(target=add, args=[number], daemon=True) for number in range(visitors)]
    for thread in threads:
        thread.start()
    wait_until(lambda: under_way(feeds, "hang") == visitors, "The fetches did not begin.")
    more = memory_of(processes) - before
    for process in processes:
        for each in process.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
    for thread in threads:
        thread.join()
    return {"answered": answers.count(303), "kib_each": round(1024 * more / visitors)}


def tell(left: Mapping[str, Mapping[str, float]]) -> None:
    """Print what `crash` has found, a line for each way."""
    print("         answered  after a restart: feeds  jobs  memory for each fetch under way")
    for app, found in left.items():
        print(
            f"{WAYS[app]:7}  {found['answered']:8}  {found['feeds']:22}  {found['jobs']:4}"
            f"  {found['kib_each']:5.0f} KiB"
        )
