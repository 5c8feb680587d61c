"""A burst of jobs on top of a load that goes on: how long until the workers have caught up. Pure."""

import math
from collections.abc import Sequence

from loadtests.records.constants import BURST_AT
from loadtests.records.predictions import Drained
from loadtests.records.results import Measured
from loadtests.records.steps import Look, QueueSide, Step
from loadtests.theory import drain_time

__all__ = ["burst"]


def burst(results: Measured) -> Drained | None:
    """Of the fit burst step in results.json, how long the backlog took to drain, predicted and measured.

    None without one. Seconds from the burst until no more jobs wait than before it; None where that never
    happens, or was not seen.
    """
    for step in results["steps"]:
        jobs, queue = step.get("burst"), step["queue"]
        if jobs and queue and step["fit"]:
            return Drained(
                jobs=jobs,
                predicted_s=_predicted(step, queue, jobs, results["settings"]["measure_s"]),
                measured_s=_measured(step["timeline"], step["window_s"][0]),
            )
    return None


def _predicted(step: Step, queue: QueueSide, jobs: int, seconds: float) -> float | None:
    """The fluid limit: what does not find an idle thread waits, and drains at what the threads can spare.

    The jobs that came in `seconds` include the burst, which is no part of the load that goes on.
    """
    threads, demand = step["workers"] * step["threads"], queue["demand_s"]
    if not demand:
        return None
    rate = max(0.0, queue["in_per_s"] - jobs / seconds)
    idle = max(0.0, threads - rate * demand)
    drained = drain_time(max(0.0, jobs - idle), threads, demand, rate)
    return drained if math.isfinite(drained) else None


def _measured(timeline: Sequence[Look], begun: float) -> float | None:
    """Seconds from the burst to the first look that sees no more jobs waiting than there were before it.

    0 if no look saw more; None if they were still more at the last look, or nobody looked before or after.
    """
    burst_at = begun + BURST_AT
    looks = [(look["t_s"], look["backlog"]) for look in timeline if look["backlog"] is not None]
    before = [backlog for at, backlog in looks if begun <= at < burst_at]
    after = [(at, backlog) for at, backlog in looks if at >= burst_at]
    if not before or not after:
        return None
    usual = max(before)
    more = [at for at, backlog in after if backlog > usual]
    if not more:
        return 0.0
    back = [at for at, backlog in after if at > more[0] and backlog <= usual]
    return back[0] - burst_at if back else None
