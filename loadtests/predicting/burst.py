"""A burst of jobs on top of a steady load: how long the workers take to catch up. Pure."""

import math
from collections.abc import Sequence

from loadtests.records.constants import BURST_AT
from loadtests.records.inside import Look, QueueSide
from loadtests.records.predictions import Drained
from loadtests.records.results import Measured
from loadtests.records.steps import Step, sound
from loadtests.theory import drain_time


def burst(results: Measured) -> Drained | None:
    """How long the backlog took to drain in the sound burst step of results.json, predicted and measured.

    None if there is no such step. Seconds from the burst until no more jobs wait than before it; None if that
    never happens, or was not observed.
    """
    for step in results["steps"]:
        jobs, queue = step.get("burst"), step["queue"]
        if jobs and queue and sound(step):
            return Drained(
                jobs=jobs,
                predicted_s=_predicted(step, queue, jobs, results["settings"]["measure_s"]),
                measured_s=_measured(step["timeline"], step["window_s"][0]),
            )
    return None


def _predicted(step: Step, queue: QueueSide, jobs: int, seconds: float) -> float | None:
    """The fluid limit: jobs that find no idle thread wait, and drain at the threads' spare capacity.

    The arrivals counted over `seconds` include the burst, which is not part of the steady load.
    """
    threads, demand = step["workers"] * step["threads"], queue["demand_s"]
    if not demand:
        return None
    rate = max(0.0, queue["in_per_s"] - jobs / seconds)
    idle = max(0.0, threads - rate * demand)
    drained = drain_time(max(0.0, jobs - idle), threads, demand, rate)
    return drained if math.isfinite(drained) else None


def _measured(timeline: Sequence[Look], begun: float) -> float | None:
    """Seconds from the burst to the first look at which no more jobs wait than before it.

    0 if no look saw more; None if more were still waiting at the last look, or there was no look before or
    after the burst.
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
