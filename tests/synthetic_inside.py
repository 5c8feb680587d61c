"""What the server, the workers and the machine would have reported of an invented step."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from loadtests.records.rows import Row
from loadtests.theory import workers_needed


def make_server(
    how: dict[str, Any], rows: Sequence[Row], seen: dict[str, Any], ended: float
) -> dict[str, Any]:
    """The step as the web server would have counted it."""
    sent = [each for each in rows if each.group != "content" and each.sent_s is not None]
    answered = sum(not each.unfinished for each in sent)
    return {
        "requests": answered,
        "sent": len(sent),
        "answered": answered,
        "slots": how["slots"],
        "utilisation": min(1.0, sum(seen["held"]) / ended / how["slots"]),
        "demand_ms": {"submit": 1000 * mean(seen["held"] or [0.5]), "page": 8.0, "list": 6.0},
        "served": {"submit": len(seen["held"]), "page": len(seen["held"]), "poll": 0, "list": answered},
        "demand_scv": {"submit": 1.7, "page": 0.2},
    }


def make_queue(how: dict[str, Any], seen: dict[str, Any], window: tuple[float, float]) -> dict[str, Any]:
    """The step as the workers would have seen it."""
    jobs, threads = seen["jobs"], how["workers"] * how["threads"]
    into = sum(window[0] <= enqueued < window[1] for enqueued, _, _ in jobs) / (window[1] - window[0])
    out = sum(window[0] <= done < window[1] for _, _, done in jobs) / (window[1] - window[0])
    demand = mean([done - begun for _, begun, done in jobs] or [0.5])
    waited = [waiting_at(jobs, second) for second in range(int(window[0]), int(window[1]))]
    return {
        "in_per_s": into,
        "out_per_s": out,
        "utilisation": min(1.0, out * demand / threads),
        "demand_s": demand,
        "workers_needed": workers_needed(into, demand),
        "backlog_max": max(waited),
        "backlog_mean": mean(waited),
        "drain_s": 1.5,
    }


def waiting_at(jobs: Sequence[tuple[float, float, float]], at: float) -> int:
    """The number of jobs waiting at that time."""
    return sum(enqueued <= at < begun for enqueued, begun, _ in jobs)


def make_processes(how: dict[str, Any], busy: float) -> dict[str, dict[str, float]]:
    """CPU and memory of each process."""
    used = {"load generator": (busy / 3, 80.0)}
    if how["app"] != "host":
        used |= {"feed server": (busy / 8, 40.0), "web server": (busy, 30.0 + 25.0 * how["slots"])}
    if how["app"] == "queued":
        used |= {f"worker {n + 1}": (busy / 2, 60.0 + how["threads"]) for n in range(how["workers"])}
    return {name: {"cpu_percent": cpu, "memory_mib": memory} for name, (cpu, memory) in used.items()}


def make_timeline(
    how: dict[str, Any], seen: dict[str, Any], busy: float, ended: float
) -> list[dict[str, Any]]:
    """A sample every half second, until some seconds after the load."""
    queued, jobs = how["app"] == "queued", seen["jobs"]
    return [
        {
            "t_s": half / 2,
            "host_cpu_percent": busy,
            "enqueued": sum(enqueued <= half / 2 for enqueued, _, _ in jobs),
            "fetched": sum(done <= half / 2 for _, _, done in jobs),
            "backlog": waiting_at(jobs, half / 2) if queued else None,
            "running": sum(begun <= half / 2 < done for _, begun, done in jobs) if queued else None,
        }
        for half in range(1, int(2 * ended) + 6)
    ]


def make_floor() -> dict[str, Any]:
    """The floor of a load generator that is fit up to 750 requests a second."""
    rates = [
        {
            "rate_per_s": rate,
            "planned_per_s": rate,
            "achieved_per_s": rate,
            "failures": 0,
            "dropped": 0,
            "p50_ms": 0.8 + rate / 2000,
            "p99_ms": 2.0 + rate / 200,
            "lag_p99_ms": 1.0 + rate / 250,
            "cpu_percent": min(99.0, 5 + rate / 11),
            "host_cpu_percent": min(95.0, 5 + rate / 13),
            "fit": rate <= 750,
            "unfit_reasons": [] if rate <= 750 else [f"generator {5 + rate / 11:.0f} % of a core"],
        }
        for rate in (100.0, 250.0, 500.0, 750.0, 1000.0)
    ]
    return {"rates": rates, "highest_fit_per_s": 750.0, "what": "Open load on a server that answers at once."}
