"""The tables of steps and points in a report, and the contents of each column. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from loadtests.judging.limits import SWEPT
from loadtests.records.figures import Figure, FigureKey, Group, LatencyKey
from loadtests.records.inside import ServerSide
from loadtests.records.results import Results
from loadtests.records.steps import LOAD_KEYS, LittlesUsers, Point, Step, load_of, sound
from loadtests.report.page import Body, Line, Table
from loadtests.report.selection import apps_in, of_app
from loadtests.wording import (
    app_name,
    capitalised,
    figure,
    load,
    percent,
    setting,
    stated,
    stated_share,
    with_interval,
)

R = TypeVar("R", Step, Point)
Columns = Mapping[str, Mapping[str, Callable[[R], str]]]


def _number(value: float | None, form: str = "{}") -> str:
    """A number in that form; nothing where there is none."""
    return "" if value is None else form.format(value).replace("%", " %").replace("  %", " %")


def _latency(group: Group, key: LatencyKey) -> Callable[[Step], str]:
    """A latency of a step, marked if it is an upper bound; as for points, "~" if it may be off either way."""

    def cell(step: Step) -> str:
        both = key in step[group]["lower_bounds"]
        if not step["slowed_reasons"] or step[group][key] is None:
            return figure(step[group], key)
        return ("~ " if both else "≤ ") + figure(step[group], key, at_least="")

    return cell


def _share(group: Group) -> Callable[[Step], str]:
    def cell(step: Step) -> str:
        share = step[group]["share_over"]
        return "–" if share is None else ("≤ " if step["slowed_reasons"] else "") + percent(share)

    return cell


def _interval(step: Step) -> str:
    interval = step["submit"]["share_ci"]
    return "–" if interval is None else f"{interval[0] * 100:.1f} to {interval[1] * 100:.1f} %"


def _rule(row: R) -> str:
    return row["rule"] if row["fit"] else ""


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _fit(step: Step) -> str:
    return "slowed" if step["fit"] and not sound(step) else _yes(step["fit"])


STEP_COLUMNS: Columns[Step] = {
    "": {"load": load, "setting": setting, "repeat": lambda step: _number(step["repeat"])},
    "verdict": {"fit": _fit, "rule": _rule},
    "requests": {
        "sent": lambda step: _number(step["requests"]),
        "failed": lambda step: _number(step["failures"]),
        "unfinished": lambda step: _number(step["unfinished"]),
        "dropped": lambda step: _number(step["dropped"]),
        "offered /s": lambda step: _number(step["offered_per_s"], "{:.1f}"),
        "answered /s": lambda step: _number(step["achieved_per_s"], "{:.1f}"),
    },
    "POST /feeds": {
        "over": _share("submit"),
        "95 % interval": _interval,
        "mean": _latency("submit", "mean_ms"),
        "p50": _latency("submit", "p50_ms"),
        "p95": _latency("submit", "p95_ms"),
        "p99": _latency("submit", "p99_ms"),
        "max": _latency("submit", "max_ms"),
    },
    "browsing": {"over": _share("browse"), "p95": _latency("browse", "p95_ms")},
    "time to content": {"p50": _latency("content", "p50_ms"), "p95": _latency("content", "p95_ms")},
}


def _little(say: Callable[[LittlesUsers], str]) -> Callable[[Step], str]:
    """Of a step of closed load; empty for another."""
    return lambda step: say(step["little"]) if step["little"] else ""


def _server(say: Callable[[ServerSide], str]) -> Callable[[Step], str]:
    """Of a step whose web server was started for it; empty for another."""
    return lambda step: say(step["server"]) if step["server"] else ""


FITNESS_COLUMNS: Columns[Step] = {
    "": {"load": load, "setting": setting, "repeat": lambda step: _number(step["repeat"])},
    "verdict": {"fit": _fit, "steady": lambda step: _yes(step["steady"])},
    "load generator": {
        "late, p99": lambda step: _number(step["loop_lag_p99_ms"], "{:.1f} ms"),
        "CPU of its core": lambda step: _number(step["generator_cpu_percent"], "{:.0f} %"),
    },
    "machine": {"CPU": lambda step: _number(step["host_cpu_percent"], "{:.0f} %")},
    "Little's law": {
        "users": _little(lambda law: _number(law["users"], "{:.1f}")),
        "off by": _little(lambda law: _number(law["error"], "{:.1%}")),
    },
    "requests, counted by": {
        "client: sent": _server(lambda seen: _number(seen["sent"])),
        "server: taken": _server(lambda seen: _number(seen["requests"])),
        "client: answered": _server(lambda seen: _number(seen["answered"])),
    },
    "request slots": {
        "seen": _server(lambda seen: _number(seen["slots"])),
        "in use": _server(lambda seen: _number(seen["utilisation"], "{:.0%}")),
        "D of POST /feeds": _server(lambda seen: _number(seen["demand_ms"].get("submit"), "{:.1f} ms")),
    },
}


def _value(group: Group, key: FigureKey) -> Callable[[Point], str]:
    say = stated_share if key == "share_over" else stated
    return lambda point: with_interval(point[group][key], say)


def _per_s(figure: Figure) -> str:
    return f"{figure['value']:.1f}"


POINT_COLUMNS: Columns[Point] = {
    "": {
        "load": load,
        "setting": setting,
        "repeats": lambda point: f"{point['fit_repeats']} of {len(point['steps'])}",
    },
    "verdict": {"rule": _rule, "steady": lambda point: _yes(point["steady"])},
    "POST /feeds": {
        "requests": lambda point: _number(point["submit"]["count"]),
        "over": _value("submit", "share_over"),
        "mean": _value("submit", "mean_ms"),
        "p50": _value("submit", "p50_ms"),
        "p95": _value("submit", "p95_ms"),
        "p99": _value("submit", "p99_ms"),
    },
    "browsing": {"over": _value("browse", "share_over"), "p95": _value("browse", "p95_ms")},
    "time to content": {"p50": _value("content", "p50_ms"), "p95": _value("content", "p95_ms")},
    "all requests": {"answered /s": lambda point: with_interval(point["achieved_per_s"], _per_s)},
}


def steps_table(results: Results) -> Table:
    """The figures of every step, by app and load."""
    return _table("every step", results, results["steps"], STEP_COLUMNS)


def fitness_table(results: Results) -> Table:
    """The data by which each step's fitness is judged."""
    return _table("the fitness of every step", results, results["steps"], FITNESS_COLUMNS)


def points_table(results: Results) -> Table:
    """The figures of each condition over all repeats, with intervals."""
    return _table("all repeats together", results, results["points"], POINT_COLUMNS)


def _table(name: str, results: Results, rows: Sequence[R], columns: Columns[R]) -> Table:
    """Rows by app and load, without columns that are empty, or settings that are the same, in all of them."""
    kept = {
        heading: {name: cell for name, cell in cells.items() if _says_something(results, rows, name, cell)}
        for heading, cells in columns.items()
    }
    kept = {heading: cells for heading, cells in kept.items() if cells}
    bodies = []
    for app in apps_in(results):
        ordered = sorted(of_app(rows, app), key=_order)
        lines = [
            Line(
                [cell(row) for cells in kept.values() for cell in cells.values()],
                "" if row["fit"] else "unfit",
            )
            for row in ordered
        ]
        if lines:
            bodies.append(Body(capitalised(app_name(app, results["settings"]["host"])), lines, app))
    return Table(name, [(heading, list(cells)) for heading, cells in kept.items()], bodies)


def _order(row: R) -> tuple[object, ...]:
    model, repeat = list(LOAD_KEYS).index(row["model"]), (row.get("burst", 0), row.get("repeat", 0))
    return model, row["slots"], row["workers"], row["threads"], load_of(row), repeat


def _says_something(results: Results, rows: Sequence[R], name: str, cell: Callable[[R], str]) -> bool:
    said = {cell(row) for row in rows}
    if name == "setting":
        return len({tuple(row[key] for key in SWEPT) for row in rows}) > 1
    if name == "repeat":
        return results["settings"]["repeats"] > 1
    if name == "dropped":
        return said != {"0"}
    return not said <= {"", "–"}
