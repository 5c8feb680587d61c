"""Measure: one step is one app, one number of users, a fresh stack and a fresh database.

Start the stack, put the visitors on it, leave out the warm-up, measure, let what is in flight end, stop it
all.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.errors import ProcessError
from loadtests.feedkinds import DEFAULT_MIX, written_mix
from loadtests.fitness import unfit_reasons
from loadtests.processes import Process
from loadtests.sampler import Sampler, Window, window
from loadtests.samples import in_window, nearest_rank, read_rows, summarise
from loadtests.stack import Stack, StackSettings
from loadtests.verdict import within_rule

SETUP_SECONDS = 6.0  # about what starting and stopping takes beside the load itself
# Locust goes on a little longer than it is measured: it ends its runs up to a second early, and cuts off a
# request that a user sends at that very moment.
OVERRUN_SECONDS = 1.5
LOCUST_SECONDS = 60.0  # how much longer than planned Locust may take before it is given up
SUBMITTERS = 0.7  # of ten visitors seven submit feeds; the weights in loadtests/feeds.py


@dataclass(frozen=True)
class Plan:
    """What to measure, and how. Times in seconds."""

    users: tuple[int, ...] = (1, 5, 10, 20, 50, 100)
    apps: tuple[str, ...] = ("sync", "queued")
    warmup: float = 2.5
    measure: float = 11.0
    drain: float = 4.0  # for what is in flight at the end
    think: float = 2.0
    slots: int = 8
    workers: int = 1
    threads: int = 32
    deadline: float = (
        5.0  # of one fetch; the readers' own default is 10, and would double the length of a step
    )
    database: str = "sqlite"
    mix: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_MIX))
    seed: int = 1

    @property
    def step_seconds(self) -> float:
        """About how long one step takes."""
        return self.warmup + self.measure + OVERRUN_SECONDS + self.drain + SETUP_SECONDS

    def steps(self) -> list[tuple[str, int]]:
        """(app, users) in the order in which they are measured: the apps alternate."""
        return [(app, users) for users in self.users for app in self.apps]


def measure_step(
    plan: Plan, app: str, users: int, folder: Path, tick: Callable[[], object], server: str
) -> dict[str, Any]:
    """Measure one step; returns its entry for results.json. Rows and logs go below `folder`.

    `tick` is called some times a second meanwhile; `server` is where databases are made, "sqlite" or a URL.
    Raises ProcessError if a process fails.
    """
    name = f"{app}-{users:03}"
    logs = folder / "logs" / name
    rows_file = folder / "rows" / f"{name}.csv"
    settings = StackSettings(
        app=app,
        slots=plan.slots,
        threads=plan.threads,
        workers=plan.workers,
        deadline=plan.deadline,
        database=server,
        mix=written_mix(plan.mix),
        folder=logs,
    )
    with Stack(settings) as stack:
        locust = Process(
            "load generator", _locust_command(plan, users, stack, rows_file), logs / "locust.log"
        )
        with (
            locust,
            Sampler(
                {**stack.processes, "load generator": locust}, stack.database_url, app == "queued"
            ) as sampler,
        ):
            status = locust.wait_with(tick, plan.warmup + plan.measure + plan.drain + LOCUST_SECONDS)
        if status != 0 or not rows_file.exists():
            raise ProcessError(
                f"The load generator ended with status {status}. It said:\n{locust.output()[-1500:]}"
            )
    return _entry(plan, app, users, rows_file, sampler, folder)


def _locust_command(plan: Plan, users: int, stack: Stack, rows_file: Path) -> list[str]:
    locustfile = Path(__file__).with_name("feeds.py")
    return [
        *(sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--only-summary"),
        *("--host", stack.url, "--feeds", stack.feeds_url, "--rows", str(rows_file)),
        *("--users", str(users), "--spawn-rate", str(users), "--think", str(plan.think)),
        *("--run-time", f"{math.ceil(plan.warmup + plan.measure + OVERRUN_SECONDS)}s"),  # whole seconds
        *(
            "--stop-timeout",
            f"{plan.drain:g}",
        ),
        *("--warm-up", str(plan.warmup), "--seed", str(plan.seed), "--exit-code-on-error", "0"),
    ]


def _entry(
    plan: Plan, app: str, users: int, rows_file: Path, sampler: Sampler, folder: Path
) -> dict[str, Any]:
    """One step of results.json, from its rows, what Locust said of itself, and the samples."""
    start, end = plan.warmup, plan.warmup + plan.measure
    about = json.loads(rows_file.with_suffix(".json").read_text())
    rows = in_window(read_rows(rows_file), start, end)
    requests = [row for row in rows if row.group != "content"]
    lags = [late for at, late in about["lag"] if start <= at < end]
    origin = about["started_at"]
    seen = window(sampler.samples, origin + start, origin + end, origin)
    if not lags:
        raise ProcessError(
            "The load generator was so late that it did not notice: no sign of life when it counted."
        )
    lag = nearest_rank(lags, 99)
    generator = seen.cpu_percent["load generator"]
    reasons = unfit_reasons(
        lag_p99_ms=lag,
        host_cpu_percent=seen.host_cpu_percent,
        generator_cpu_percent=generator,
        users=users,
        started=about["users"],
    )
    step = {
        "app": app,
        "users": users,
        "model": "closed",
        "requests": len(requests),
        "failures": sum(row.failed for row in requests),
        "unfinished": sum(row.unfinished for row in requests),
        "offered_per_s": len(requests) / plan.measure,
        "achieved_per_s": sum(row.done_s is not None and row.done_s < end for row in requests) / plan.measure,
        "fit": not reasons,
        "unfit_reasons": reasons,
        **{
            group: summarise([row for row in rows if row.group == group], about["ended_s"])
            for group in ("submit", "browse", "content")
        },
        "host_cpu_percent": seen.host_cpu_percent,
        "generator_cpu_percent": generator,
        "loop_lag_p99_ms": lag,
        "rows": str(rows_file.relative_to(folder)),
        "ended_s": about["ended_s"],
        **_machinery(app, seen),
    }
    return {**step, "within_rule": within_rule(step)}


def _machinery(app: str, seen: Window) -> dict[str, Any]:
    return {
        "processes": {
            name: {"cpu_percent": round(percent, 1), "memory_mib": round(seen.memory_mib[name], 1)}
            for name, percent in seen.cpu_percent.items()
        },
        "timeline": seen.timeline,
        **({"backlog_max": seen.backlog_max, "jobs_per_s": seen.fetched_per_s} if app == "queued" else {}),
    }
