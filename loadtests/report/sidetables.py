"""Tables that compare: processes, the workers, the queue's cost, prediction and measurement. Pure."""

from collections.abc import Callable, Sequence
from statistics import fmean

from loadtests.records.inside import QueueKey
from loadtests.records.predictions import At, SimulatedKey
from loadtests.records.results import Results
from loadtests.records.steps import LOAD_KEYS, App, Point, Step, load_of, sound
from loadtests.report.page import Body, Line, Table
from loadtests.report.selection import apps_in, counted_steps, mean_of, of_app, usual
from loadtests.wording import app_name, capitalised, duration, load, percent, setting, stated


def processes_table(results: Results) -> Table:
    """CPU (percent of one core) and peak memory (MiB) of each process, the means of a point's repeats."""
    shown = [point for point in results["points"] if point["fit"]]
    names = sorted(
        {name for point in shown for step in counted_steps(results, point) for name in step["processes"]}
    )
    bodies = []
    for app in apps_in(results):
        lines = [
            Line([load(point), setting(point), *_used(counted_steps(results, point), names)])
            for point in of_app(shown, app)
        ]
        if lines:
            bodies.append(Body(capitalised(app_name(app, results["settings"]["host"])), lines, app))
    heads = [("", ["load", "setting"]), *((name, ["CPU", "MiB"]) for name in names)]
    return Table("each process's CPU and memory", heads, bodies)


def _used(steps: Sequence[Step], names: Sequence[str]) -> list[str]:
    cells = []
    for name in names:
        seen = [step["processes"][name] for step in steps if name in step["processes"]]
        cpu, memory = (mean_of([each[key] for each in seen]) for key in ("cpu_percent", "memory_mib"))
        cells += ["" if cpu is None else f"{cpu:.0f} %", "" if memory is None else f"{memory:.0f}"]
    return cells


def queue_table(results: Results) -> Table | None:
    """The workers at every load, as means over a point's repeats; None without a queue, or a sound point."""
    lines = []
    for point in filter(sound, of_app(results["points"], "queued")):
        seen = [step["queue"] for step in counted_steps(results, point) if step["queue"]]
        if seen:
            known = {key: mean_of([each[key] for each in seen]) for key in QUEUE_FORMS}
            said = {
                key: "" if (mean := known[key]) is None else form(mean) for key, form in QUEUE_FORMS.items()
            }
            there = str(point["workers"] * point["threads"])
            into, held = known["in_per_s"], known["demand_s"]
            needed = "" if into is None or held is None else f"{into * held:.1f}"
            lines.append(
                Line(
                    [
                        *(load(point), setting(point), said["in_per_s"], said["out_per_s"]),
                        *(said["demand_s"], needed, there, said["utilisation"]),
                        *(said["backlog_mean"], said["backlog_max"], said["drain_s"]),
                        *(stated(point["content"][key]) for key in ("p50_ms", "p95_ms")),
                    ]
                )
            )
    heads = [
        ("", ["load", "setting"]),
        ("jobs a second", ["in (λ)", "out"]),
        ("threads", ["D of a job", "needed (λ·D)", "there", "in use"]),
        ("backlog", ["mean", "most", "gone after"]),
        ("time to content", ["p50", "p95"]),
    ]
    return Table("the workers at every load", heads, [Body("", lines)]) if lines else None


QUEUE_FORMS: dict[QueueKey, Callable[[float], str]] = {
    "in_per_s": "{:.1f}".format,
    "out_per_s": "{:.1f}".format,
    "demand_s": "{:.2f} s".format,
    "utilisation": percent,
    "backlog_mean": "{:.1f}".format,
    "backlog_max": "{:.0f}".format,
    "drain_s": "{:.1f} s".format,
}


def cost_table(results: Results) -> Table | None:
    """The queued app's extra load, beside the synchronous app's under the same number of users or visits.

    None unless both are fit at some load.
    """
    lines = []
    for model in LOAD_KEYS:
        by_app: dict[App, dict[float, Point]] = {
            app: {
                load_of(point): point
                for point in usual(results, model)
                if point["app"] == app and point["fit"]
            }
            for app in ("sync", "queued")
        }
        for much in sorted(set(by_app["sync"]) & set(by_app["queued"])):
            both = [counted_steps(results, by_app[app][much]) for app in ("sync", "queued")]
            cells = [load(by_app["sync"][much])]
            for say in COSTS.values():
                cells += [say(steps, results["settings"]["measure_s"]) for steps in both]
            lines.append(Line(cells))
    if not lines:
        return None
    heads = [("", ["load"]), *((name, ["sync", "queued"]) for name in COSTS)]
    return Table("the cost of the queue", heads, [Body("", lines)])


COSTS: dict[str, Callable[[Sequence[Step], float], str]] = {  # of steps that were measured for that long
    "feeds added /s": lambda steps, s: f"{fmean(step['submit']['count'] for step in steps) / s:.1f}",
    "requests sent /s": lambda steps, _: f"{fmean(step['offered_per_s'] for step in steps):.1f}",
    "of them polls": lambda steps, _: percent(fmean(step["polls_share"] for step in steps)),
    "machine's CPU": lambda steps, _: f"{fmean(step['host_cpu_percent'] for step in steps):.0f} %",
}


def theory_table(results: Results) -> Table | None:
    """Measured, predicted and simulated figures of POST /feeds at each load; None without predictions."""
    curves = results["theory"]["curves"] if results["theory"] else ()
    bodies = []
    for curve in curves:
        lines = [Line([f"{each['load']:g}", *_compared(each)]) for each in curve["at"]]
        if lines:
            what = "users" if curve["model"] == "closed" else "visits a second"
            title = f"{app_name(curve['app'])}, {curve['slots']} slots, {what}"
            bodies.append(Body(capitalised(title), lines, curve["app"]))
    names = ("mean", "p95", "over the rule", "requests /s")  # of COMPARED
    heads = [("", ["load"]), *((name, ["measured", "predicted", "simulated"]) for name in names)]
    return Table("prediction and measurement", heads, bodies) if bodies else None


COMPARED: dict[SimulatedKey, Callable[[float], str]] = {
    "mean_ms": duration,
    "p95_ms": duration,
    "share_over": percent,
    "achieved_per_s": "{:.1f}".format,
}


def _compared(at: At) -> list[str]:
    cells = []
    for key, say in COMPARED.items():
        found = at["measured"][key]
        bound = "≥ " if found and found["lower_bound"] else ""
        cells.append("–" if found is None else bound + say(found["value"]))
        for source in (at["predicted"], at["simulated"]):
            value = source[key] if source else None
            cells.append("–" if value is None else say(value))
    return cells
