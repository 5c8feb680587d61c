"""An invented run for the tests of charts and report: rows from a small simulation, nothing measured.

Users think, send, wait and think again. A pool of slots serves them, first come, first served: in the
synchronous app the fetch of a feed is part of the request, in the queued app another pool does it later.
"""

import heapq
import random
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from loadtests.samples import Row, in_window, summarise, write_rows
from loadtests.verdict import verdict, within_rule

SETTINGS: dict[str, Any] = {
    "users": [],
    "apps": [],
    "model": "closed",
    "rule_ms": 500,
    "warmup_s": 5.0,
    "measure_s": 40.0,
    "drain_s": 3.0,
    "think_s": 2.0,
    "submitters": 0.7,
    "slots": 8,
    "workers": 1,
    "threads": 32,
    "database": "sqlite",
    "deadline_s": 5.0,
    "mix": {"typical": 80, "slow": 15, "hang": 5},
}
ENDED = SETTINGS["warmup_s"] + SETTINGS["measure_s"] + SETTINGS["drain_s"]


def make_run(
    folder: Path,
    users: Sequence[int] = (1, 5, 10, 20, 50, 100),
    apps: Sequence[str] = ("sync", "queued"),
    unfit: Collection[tuple[str, int]] = (),
    seed: int = 500,
) -> dict[str, Any]:
    """The results of a run as in results.json, its rows written to `folder`; `unfit` steps are called so."""
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    steps = [make_step(folder, app, count, rng, (app, count) in unfit) for count in users for app in apps]
    return {
        "schema": "500ms/results",
        "version": 1,
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
        "settings": SETTINGS | {"users": list(users), "apps": list(apps)},
        "seed": seed,
        "steps": steps,
        "verdict": verdict(steps),
    }


def make_step(folder: Path, app: str, users: int, rng: random.Random, unfit: bool) -> dict[str, Any]:
    """One step of results.json, its rows simulated and written."""
    rows = simulate(app, users, rng)
    path = folder / "rows" / f"{app}-{users}.csv"
    write_rows(path, rows)
    window = (SETTINGS["warmup_s"], SETTINGS["warmup_s"] + SETTINGS["measure_s"])
    measured = in_window(rows, *window)
    groups = {
        group: summarise([row for row in measured if row.group == group], ENDED)
        for group in ("submit", "browse", "content")
    }
    requests = [row for row in measured if row.group != "content"]
    jobs = [row.done_s for row in measured if row.group == "content" and row.done_s]
    queue = {"backlog_max": len(jobs) // 5, "jobs_per_s": len(jobs) / SETTINGS["measure_s"]}
    step = {
        "app": app,
        "users": users,
        "model": "closed",
        "requests": len(requests),
        "failures": sum(row.failed for row in requests),
        "unfinished": sum(row.unfinished for row in requests),
        "offered_per_s": len(requests) / SETTINGS["measure_s"],
        "achieved_per_s": sum(not row.unfinished for row in requests) / SETTINGS["measure_s"],
        "fit": not unfit,
        "unfit_reasons": ["host CPU 93 % (at most 80 %)"] if unfit else [],
        **groups,
        **(queue if app == "queued" else {}),
        "host_cpu_percent": 93.0 if unfit else 4.0 + users / 3,
        "generator_cpu_percent": 2.0 + users / 5,
        "loop_lag_p99_ms": 1.5,
        "rows": f"rows/{app}-{users}.csv",
        "ended_s": ENDED,
    }
    return step | {"within_rule": within_rule(step)}


def simulate(app: str, users: int, rng: random.Random) -> list[Row]:
    """Every request of one step, in order of their intended start."""
    web, fetchers = Slots(SETTINGS["slots"]), Slots(SETTINGS["slots"])
    thinking = [(rng.expovariate(1 / SETTINGS["think_s"]), user) for user in range(users)]
    heapq.heapify(thinking)
    rows = []
    while thinking[0][0] < ENDED:
        now, user = heapq.heappop(thinking)
        if user % 10 >= SETTINGS["submitters"] * 10:
            done = web.serve(now, rng.uniform(0.004, 0.012))
            rows.append(row(user, "browse", "GET /feeds", now, done))
        else:
            fetch = fetch_seconds(rng)
            done = web.serve(now, rng.uniform(0.008, 0.02) + (fetch if app == "sync" else 0))
            content = done + 0.05 if app == "sync" else fetchers.serve(done, fetch) + 0.1
            status = 503 if rng.random() < 0.002 else 201
            rows.append(row(user, "submit", "POST /feeds", now, done, status))
            rows.append(row(user, "content", "time to content", now, content))
        heapq.heappush(thinking, (done + rng.expovariate(1 / SETTINGS["think_s"]), user))
    return rows


def fetch_seconds(rng: random.Random) -> float:
    """How long a feed's server takes: mostly little, sometimes a second, now and then until the deadline."""
    kind = rng.choices(list(SETTINGS["mix"]), SETTINGS["mix"].values())[0]
    return {"typical": rng.uniform(0.1, 0.3), "slow": rng.uniform(0.8, 1.2), "hang": SETTINGS["deadline_s"]}[
        kind
    ]


def row(user: int, group: str, name: str, start: float, done: float, status: int = 200) -> Row:
    """A request as the recorder would write it, unfinished if it ends after the step."""
    start, done = round(start, 6), round(done, 6)
    if done >= ENDED:
        return Row(user, group, name, start, start, None, 0, "")
    return Row(user, group, name, start, start, done, status, "")


class Slots:
    """A pool that serves one thing a slot, in the order they arrive."""

    def __init__(self, count: int) -> None:
        self.free_at = [0.0] * count

    def serve(self, arrival: float, seconds: float) -> float:
        """When something that arrives then and takes so long is done."""
        done = max(arrival, self.free_at[0]) + seconds
        heapq.heapreplace(self.free_at, done)
        return done
