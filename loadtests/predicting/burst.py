"""A burst of jobs on top of a steady load: how long the workers take to catch up. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.records.constants import BURST_AT
from loadtests.theory import drain_time

__all__ = ["burst"]

Record = Mapping[str, Any]


def burst(results: Record) -> dict[str, Any] | None:
    """How long the backlog took to drain in the fit burst step of results.json, predicted and measured.

    None if there is no such step. Seconds from the burst until no more jobs wait than before it; None if that
    never happens, or was not observed.
    """
    steps = (step for step in results["steps"] if step.get("burst") and step["fit"] and step["queue"])
    step = next(steps, None)
    if step is None:
        return None
    settings = results["settings"]
    return {
        "jobs": step["burst"],
        "predicted_s": _predicted(step, settings["measure_s"]),
        "measured_s": _measured(step["timeline"], step["window_s"][0]),
    }


def _predicted(step: Record, seconds: float) -> float | None:
    """The fluid limit: jobs that find no idle thread wait, and drain at the threads' spare capacity.

    The arrivals counted over `seconds` include the burst, which is not part of the steady load.
    """
    queue, threads = step["queue"], step["workers"] * step["threads"]
    demand = queue["demand_s"]
    if not demand:
        return None
    rate = max(0.0, queue["in_per_s"] - step["burst"] / seconds)
    idle = max(0.0, threads - rate * demand)
    drained = drain_time(max(0.0, step["burst"] - idle), threads, demand, rate)
    return drained if math.isfinite(drained) else None


def _measured(timeline: Sequence[Record], begun: float) -> float | None:
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
