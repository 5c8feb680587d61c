"""An invented run for the tests of charts and report: rows from a small simulation, nothing measured.

Users think, send, wait and think again; visits of an open load arrive whether or not others are served. A
pool of slots serves them in order of arrival: in the synchronous app the fetch of a feed is part of the
request, in the queued app another pool does it later.
"""

import heapq
import random
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from synthetic_inside import make_floor, make_processes, make_queue, make_server, make_timeline
from synthetic_theory import make_theory

from loadtests.judging.points import points
from loadtests.judging.rule import rule_of
from loadtests.judging.samples import summarise
from loadtests.judging.verdict import verdict
from loadtests.records.rows import Row, in_window, write_rows

SETTINGS: dict[str, Any] = {
    "users": [],
    "rates": [],
    "apps": [],
    "models": ["closed"],
    "rule_ms": 500,
    "warmup_s": 5.0,
    "ramp_users_per_s": 40.0,
    "measure_s": 40.0,
    "drain_s": 3.0,
    "think_s": 2.0,
    "submitters": 0.7,
    "slots": [8],
    "workers": [1],
    "threads": [32],
    "slot_kind": "processes",
    "database": "sqlite",
    "deadline_s": 5.0,
    "mix": {"typical": 80, "slow": 15, "hang": 5},
    "repeats": 1,
    "connections": 12,
    "in_flight": 1000,
    "pinning": "Not pinned: with 2 processors the load generator gets none of its own.",
    "host": None,
    "burst": None,
}
ENDED = SETTINGS["warmup_s"] + SETTINGS["measure_s"] + SETTINGS["drain_s"]
Loads = Collection[tuple[str, float]]
WINDOW = (SETTINGS["warmup_s"], SETTINGS["warmup_s"] + SETTINGS["measure_s"])


def make_run(
    folder: Path,
    users: Sequence[int] = (1, 5, 10, 20, 50, 100),
    apps: Sequence[str] = ("sync", "queued"),
    unfit: Loads = (),
    slowed: Loads = (),
    seed: int = 500,
    rates: Sequence[float] = (),
    repeats: int = 1,
    slots: Sequence[int] = (8,),
    workers: Sequence[int] = (1,),
    threads: Sequence[int] = (32,),
    burst: int | None = None,
    theory: bool = True,
    floor: bool = True,
) -> dict[str, Any]:
    """The results of a run as in results.json, with its rows written to `folder`.

    Every repeat of the steps in `unfit`, `(app, users or rate)`, is marked unfit, in `slowed` slowed.
    """
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    settings = SETTINGS | {
        "users": list(users),
        "rates": list(rates),
        "apps": list(apps),
        "models": ["closed"] * bool(users) + ["open"] * bool(rates),
        "repeats": repeats,
        "slots": list(slots),
        "workers": list(workers),
        "threads": list(threads),
        "host": "http://127.0.0.1:8001" if "host" in apps else None,
        "burst": burst,
    }
    loads = [{"users": count} for count in users] + [{"rate_per_s": rate} for rate in rates]
    steps = [
        make_step(folder, about(app, load, c, w, t) | {"repeat": repeat}, rng, unfit, slowed)
        for repeat in range(1, repeats + 1)
        for c in slots
        for load in loads
        for app in apps
        for w in (workers if app == "queued" else workers[:1])
        for t in (threads if app == "queued" else threads[:1])
    ]
    if burst:
        how = about("queued", {"rate_per_s": 4.0}, slots[0], workers[0], threads[0])
        steps.append(make_step(folder, how | {"burst": burst, "repeat": 1}, rng, (), ()))
    found = {
        "schema": "500ms/results",
        "version": 4,
        "started_at": "2030-01-02T03:04:05Z",
        "finished_at": "2030-01-02T03:14:05Z",
        "machine": {
            "cpu": "Imaginary CPU 1 GHz",
            "cores": 2,
            "memory_gib": 7.8,
            "system": "Linux 6.1",
            "python": "3.11.2",
        },
        "packages": {"Flask": "3.1.3", "locust": "2.47.0", "SQLAlchemy": "2.1.9"},
        "settings": settings,
        "seed": seed,
        "interrupted": False,
        "steps": steps,
        "points": points(steps),
        "floor": make_floor() if floor else None,
        "verdict": verdict(steps, settings),
    }
    return found | {"theory": make_theory(found, fetch_seconds) if theory and "host" not in apps else None}


def make_whole(folder: Path) -> dict[str, Any]:
    """A run with everything: both models, repeats, several slots and threads, a burst, and unfit steps."""
    return make_run(
        folder,
        users=(4, 30, 60),
        unfit={("queued", 60), ("sync", 19.0)},
        rates=(4.0, 14.5, 19.0),
        repeats=3,
        slots=(8, 32),
        threads=(32, 8),
        burst=200,
    )


def about(app: str, load: dict[str, Any], slots: int, workers: int, threads: int) -> dict[str, Any]:
    """The condition that a step measures."""
    bare = {"users": None, "rate_per_s": None, **load}
    model = "open" if bare["users"] is None else "closed"
    return {"app": app, "model": model, **bare, "slots": slots, "workers": workers, "threads": threads}


def make_step(
    folder: Path, how: dict[str, Any], rng: random.Random, unfit: Loads, slowed: Loads
) -> dict[str, Any]:
    """One step of results.json, with its rows simulated and written."""
    app, load = how["app"], how["users"] or how["rate_per_s"]
    bad, full = (app, load) in unfit, (app, load) in slowed
    rows, seen = simulate(how, rng)
    rate = "" if how["users"] else "-a-second"
    burst = f"-burst-{how['burst']}" if "burst" in how else ""
    sizes = f"s{how['slots']}-w{how['workers']}x{how['threads']}"
    name = f"rows/{app}-{load:g}{rate}{burst}-{sizes}-{how['repeat']}.csv"
    write_rows(folder / name, rows)
    measured = in_window(rows, *WINDOW)
    groups = {
        group: [row for row in measured if row.group == group] for group in ("submit", "browse", "content")
    }
    requests = [row for row in measured if row.group != "content"]
    busy = min(78.0, 4.0 + 0.4 * len(requests) / SETTINGS["measure_s"])
    step = {
        **how,
        "requests": len(requests),
        "failures": sum(row.failed for row in requests),
        "unfinished": sum(row.unfinished for row in requests),
        "dropped": 0,
        "window_s": list(WINDOW),
        "offered_per_s": len(requests) / SETTINGS["measure_s"],
        "achieved_per_s": sum(not row.unfinished for row in requests) / SETTINGS["measure_s"],
        **{group: summarise(each, ENDED) for group, each in groups.items()},
        "naive": {group: summarise(groups[group], ENDED, naive=True) for group in ("submit", "browse")},
        "polls_share": 0.35 if app == "queued" else 0.0,
        "fit": not bad,
        "unfit_reasons": ["a tenth of the users were missing"] if bad else [],
        "slowed_reasons": ["the machine was 93 % busy (at most 80 %)"] if full else [],
        "steady": True,
        "unsteady_reasons": [],
        "host_cpu_percent": 93.0 if full else busy,
        "generator_cpu_percent": busy / 3,
        "loop_lag_p99_ms": 1.5,
        "little": {"users": how["users"] * 1.01, "error": 0.01} if how["users"] else None,
        "server": None if app == "host" else make_server(how, rows, seen, ENDED),
        "queue": make_queue(how, seen, WINDOW) if app == "queued" else None,
        "processes": make_processes(how, busy),
        "timeline": make_timeline(how, seen, busy, ENDED),
        "rows": name,
        "ended_s": ENDED,
    }
    return step | {"rule": rule_of(step, full)}


def simulate(how: dict[str, Any], rng: random.Random) -> tuple[list[Row], dict[str, Any]]:
    """Every request of one step, in order of intended start, and what happened inside."""
    web, fetchers = Slots(how["slots"]), Slots(how["workers"] * how["threads"])
    connections = Slots(SETTINGS["connections"])
    rows: list[Row] = []
    jobs: list[tuple[float, float, float]] = []  # enqueued, begun, done
    held: list[float] = []  # how long each POST /feeds held a slot
    if how["users"]:
        waiting = [(rng.expovariate(1 / SETTINGS["think_s"]), user) for user in range(how["users"])]
    else:
        waiting, at = [], 0.0
        while at < ENDED:
            at += rng.expovariate(how["rate_per_s"])
            waiting.append((at, len(waiting)))
        waiting += [(WINDOW[0] + 3.0, len(waiting) + n) for n in range(how.get("burst", 0))]
    heapq.heapify(waiting)
    while waiting and waiting[0][0] < ENDED:
        now, user = heapq.heappop(waiting)
        sent = now if how["users"] or "burst" in how else max(now, connections.free_at[0])
        if user % 10 >= SETTINGS["submitters"] * 10:
            done = web.serve(sent, rng.uniform(0.004, 0.012))
            rows.append(row(user, "browse", "GET /feeds", now, sent, done))
        else:
            fetch = fetch_seconds(rng)
            held.append(rng.uniform(0.008, 0.02) + (0 if how["app"] == "queued" else fetch))
            done = web.serve(sent, held[-1])
            content = done + 0.05
            if how["app"] == "queued":
                content = fetchers.serve(done, fetch) + 0.1
                jobs.append((done, content - 0.1 - fetch, content - 0.1))
            status = 503 if how["app"] == "sync" and rng.random() < 0.002 else 201
            rows.append(row(user, "submit", "POST /feeds", now, sent, done, status))
            rows.append(row(user, "content", "time to content", now, sent, content))
        if how["users"]:
            heapq.heappush(waiting, (done + rng.expovariate(1 / SETTINGS["think_s"]), user))
        else:
            heapq.heapreplace(connections.free_at, done)
    return rows, {"jobs": jobs, "held": held}


def fetch_seconds(rng: random.Random) -> float:
    """The time a feed's server takes: mostly short, sometimes a second, now and then up to the deadline."""
    kind = rng.choices(list(SETTINGS["mix"]), SETTINGS["mix"].values())[0]
    return {"typical": rng.uniform(0.1, 0.3), "slow": rng.uniform(0.8, 1.2), "hang": SETTINGS["deadline_s"]}[
        kind
    ]


def row(
    user: int, group: str, name: str, intended: float, sent: float, done: float, status: int = 200
) -> Row:
    """A request as the recorder would write it: unfinished if it is sent or ends after the step."""
    intended, sent, done = round(intended, 6), round(sent, 6), round(done, 6)
    if sent >= ENDED:
        return Row(user, group, name, intended, None, None, 0, "")
    if done >= ENDED:
        return Row(user, group, name, intended, sent, None, 0, "")
    return Row(user, group, name, intended, sent, done, status, "")


class Slots:
    """A pool of slots, which serve one request each in order of arrival."""

    def __init__(self, count: int) -> None:
        self.free_at = [0.0] * count

    def serve(self, arrival: float, seconds: float) -> float:
        """The time at which a request with this arrival and service time is done."""
        done = max(arrival, self.free_at[0]) + seconds
        heapq.heapreplace(self.free_at, done)
        return done
