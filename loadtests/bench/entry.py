"""The entry of a measured step in results.json. Pure: step.py does the measuring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.bench.plan import Condition, Plan, Step
from loadtests.errors import ProcessError
from loadtests.judging.fitness import little, unfit_reasons, unsteady_reasons
from loadtests.judging.rule import within_rule
from loadtests.judging.samples import Row, in_window, nearest_rank, summarise
from loadtests.servers.sampler import Sampler, Window, timeline, window
from loadtests.servers.slotmeter import SlotCounts
from loadtests.theory import workers_needed

GROUPS = ("submit", "browse", "content", "page", "poll")


@dataclass(frozen=True)
class Seen:
    """Everything known about a step when it is over."""

    rows: list[Row]
    about: dict[str, Any]  # what the load generator says about itself
    sampler: Sampler
    slots: SlotCounts  # at the end
    drain_s: float | None


def entry(plan: Plan, step: Step, seen: Seen) -> dict[str, Any]:
    """One step of results.json, without the path of its rows.

    Raises ProcessError if the servers or the generator's lag were sampled too rarely.
    """
    condition, (start, end) = step.condition, plan.window(step.condition)
    ended = float(seen.about["ended_s"])
    rows = in_window(seen.rows, start, end)
    groups = {group: [row for row in rows if row.group == group] for group in GROUPS}
    requests = [row for row in rows if row.group != "content"]
    origin = seen.about["started_at"]
    view = window(seen.sampler.samples, origin + start, origin + end)
    lags = [late for at, late in seen.about["lag"] if start <= at < end]
    if not lags:
        raise ProcessError(
            "The load generator was so late that its lag was never sampled in the measured time."
        )
    lag, generator = nearest_rank(lags, 99), view.cpu_percent["load generator"]
    law = little(seen.rows, start, end, condition.users) if condition.users else None
    arrivals = seen.about.get("arrivals")
    served = None if plan.host else _server(seen, view, condition, plan.measure)
    unfit = unfit_reasons(
        lag_p99_ms=lag,
        host_cpu_percent=view.host_cpu_percent,
        generator_cpu_percent=generator,
        users=(condition.users, seen.about["users"]) if condition.users else None,
        little=law,
        visits=(arrivals["planned"], arrivals["sent"], arrivals["dropped"]) if arrivals else None,
        counts=(served["answered"], served["requests"], served["sent"]) if served else None,
    )
    unsteady = [] if condition.burst else _unsteady(groups, view, start, end, ended)
    result = {
        **condition.about,
        "repeat": step.repeat,
        "window_s": [start, end],
        "requests": len(requests),
        "failures": sum(row.failed for row in requests),
        "unfinished": sum(row.unfinished for row in requests),
        "dropped": sum(row.dropped for row in requests),
        "offered_per_s": len(requests) / plan.measure,
        "achieved_per_s": _answered(seen.rows, start, end) / plan.measure,
        **{group: summarise(groups[group], ended) for group in ("submit", "browse", "content")},
        "naive": {group: summarise(groups[group], ended, naive=True) for group in ("submit", "browse")},
        "polls_share": len(groups["poll"]) / len(requests) if requests else 0.0,
        "fit": not unfit,
        "unfit_reasons": unfit,
        "steady": not unsteady,
        "unsteady_reasons": unsteady,
        "host_cpu_percent": view.host_cpu_percent,
        "generator_cpu_percent": generator,
        "loop_lag_p99_ms": lag,
        "little": {"users": law.users, "error": law.error} if law else None,
        "server": served,
        "queue": _queue(condition, view, seen.drain_s) if condition.app == "queued" else None,
        "processes": {
            name: {
                "cpu_percent": round(percent, 1),
                "memory_mib": round(seen.sampler.memory.get(name, 0) / 2**20, 1),
            }
            for name, percent in view.cpu_percent.items()
        },
        "timeline": timeline(seen.sampler.samples, origin),
        "ended_s": ended,
    }
    return {**result, "within_rule": within_rule(result)}


def _answered(rows: Sequence[Row], start: float, end: float) -> int:
    """How many requests ended in this time, whenever they were sent: the server's throughput."""
    ended = [row.done_s for row in rows if row.group != "content" and row.done_s is not None]
    return sum(start <= done < end for done in ended)


def _server(seen: Seen, view: Window, condition: Condition, seconds: float) -> dict[str, Any]:
    """The step as the web server saw it, beside what the load generator counted over the whole step."""
    sent = [row for row in seen.rows if row.group != "content" and row.sent_s is not None]
    return {
        "requests": seen.slots.taken,
        "sent": len(sent),
        "answered": sum(row.status > 0 for row in sent),
        "slots": seen.slots.slots,
        "utilisation": view.slots_busy / condition.slots,
        "served": view.served,
        "demand_ms": {kind: 1000 * view.busy_s[kind] / count for kind, count in view.served.items()},
        "demand_scv": view.demand_scv,
    }


def _queue(condition: Condition, view: Window, drain_s: float | None) -> dict[str, Any]:
    """The step as the workers saw it."""
    demand = view.running / view.out_per_s if view.out_per_s else None
    return {
        "in_per_s": view.in_per_s,
        "out_per_s": view.out_per_s,
        "utilisation": view.running / (condition.workers * condition.threads),
        "demand_s": demand,
        "workers_needed": workers_needed(view.in_per_s, demand) if demand else None,
        "backlog_max": max(view.backlogs, default=0),
        "backlog_mean": sum(view.backlogs) / len(view.backlogs) if view.backlogs else 0.0,
        "drain_s": drain_s,
    }


def _unsteady(
    groups: Mapping[str, Sequence[Row]], view: Window, start: float, end: float, ended: float
) -> list[str]:
    middle = (start + end) / 2
    halves = {}
    for group, name in (("submit", "POST /feeds"), ("browse", "browsing")):
        waits = [(row.intended_s < middle, row.waited_ms(ended)) for row in groups[group] if not row.failed]
        halves[name] = [ms for first, ms in waits if first], [ms for first, ms in waits if not first]
    return unsteady_reasons(halves, view.backlogs)
