"""The tables of steps and points in a report, and the contents of each column. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadtests.judging.points import Figure
from loadtests.judging.verdict import SWEPT
from loadtests.report.page import Body, Line, Table
from loadtests.report.selection import (
    LOADS,
    Point,
    Results,
    Step,
    apps_in,
    load_of,
    of_app,
    points_in,
)
from loadtests.wording import (
    app_name,
    figure,
    load,
    percent,
    setting,
    stated,
    stated_share,
    with_interval,
)

Cell = Callable[[Mapping[str, Any]], str]
Columns = Mapping[str, Mapping[str, Cell]]


def _of(*path: str, form: str = "{}") -> Cell:
    """The value at `path`, or an empty cell."""

    def cell(step: Mapping[str, Any]) -> str:
        value: Any = step
        for key in path:
            value = None if value is None else value.get(key)
        return "" if value is None else form.format(value).replace("%", " %").replace("  %", " %")

    return cell


def _latency(group: str, key: str) -> Cell:
    return lambda step: figure(step[group], key)


def _share(*path: str) -> Cell:
    def cell(step: Mapping[str, Any]) -> str:
        value: Any = step
        for key in path:
            value = None if value is None else value[key]
        return "–" if value is None else percent(value)

    return cell


def _interval(step: Mapping[str, Any]) -> str:
    interval = step["submit"]["share_ci"]
    return "–" if interval is None else f"{interval[0] * 100:.1f} to {interval[1] * 100:.1f} %"


def _rule(step: Mapping[str, Any]) -> str:
    return str(step["rule"]) if step["fit"] else ""


def _yes(key: str) -> Cell:
    return lambda step: "yes" if step[key] else "no"


STEP_COLUMNS: Columns = {
    "": {"load": load, "setting": setting, "repeat": _of("repeat")},
    "verdict": {"fit": _yes("fit"), "rule": _rule},
    "requests": {
        "sent": _of("requests"),
        "failed": _of("failures"),
        "unfinished": _of("unfinished"),
        "dropped": _of("dropped"),
        "offered /s": _of("offered_per_s", form="{:.1f}"),
        "answered /s": _of("achieved_per_s", form="{:.1f}"),
    },
    "POST /feeds": {
        "over": _share("submit", "share_over"),
        "95 % interval": _interval,
        "mean": _latency("submit", "mean_ms"),
        "p50": _latency("submit", "p50_ms"),
        "p95": _latency("submit", "p95_ms"),
        "p99": _latency("submit", "p99_ms"),
        "max": _latency("submit", "max_ms"),
    },
    "browsing": {"over": _share("browse", "share_over"), "p95": _latency("browse", "p95_ms")},
    "time to content": {"p50": _latency("content", "p50_ms"), "p95": _latency("content", "p95_ms")},
}

FITNESS_COLUMNS: Columns = {
    "": {"load": load, "setting": setting, "repeat": _of("repeat")},
    "verdict": {"fit": _yes("fit"), "steady": _yes("steady")},
    "load generator": {
        "late, p99": _of("loop_lag_p99_ms", form="{:.1f} ms"),
        "CPU of its core": _of("generator_cpu_percent", form="{:.0f} %"),
    },
    "machine": {"CPU": _of("host_cpu_percent", form="{:.0f} %")},
    "Little's law": {
        "users": _of("little", "users", form="{:.1f}"),
        "off by": _of("little", "error", form="{:.1%}"),
    },
    "requests, counted by": {
        "client: sent": _of("server", "sent"),
        "server: taken": _of("server", "requests"),
        "client: answered": _of("server", "answered"),
    },
    "request slots": {
        "seen": _of("server", "slots"),
        "in use": _of("server", "utilisation", form="{:.0%}"),
        "D of POST /feeds": _of("server", "demand_ms", "submit", form="{:.1f} ms"),
    },
}


def _value(*path: str) -> Cell:
    def cell(point: Mapping[str, Any]) -> str:
        found: Figure | None = point[path[0]] if len(path) == 1 else point[path[0]][path[1]]
        if path[-1] == "share_over":
            return with_interval(found, stated_share)
        return with_interval(
            found, stated if path[-1].endswith("_ms") else lambda each: f"{each['value']:.1f}"
        )

    return cell


POINT_COLUMNS: Columns = {
    "": {
        "load": load,
        "setting": setting,
        "fit repeats": lambda point: f"{point['fit_repeats']} of {len(point['steps'])}",
    },
    "verdict": {"rule": _rule, "steady": _yes("steady")},
    "POST /feeds": {
        "requests": _of("submit", "count"),
        "over": _value("submit", "share_over"),
        "mean": _value("submit", "mean_ms"),
        "p50": _value("submit", "p50_ms"),
        "p95": _value("submit", "p95_ms"),
        "p99": _value("submit", "p99_ms"),
    },
    "browsing": {"over": _value("browse", "share_over"), "p95": _value("browse", "p95_ms")},
    "time to content": {"p50": _value("content", "p50_ms"), "p95": _value("content", "p95_ms")},
    "all requests": {"answered /s": _value("achieved_per_s")},
}


def steps_table(results: Results) -> Table:
    """The figures of every step, by app and load."""
    return _table("every step", results, results["steps"], STEP_COLUMNS)


def fitness_table(results: Results) -> Table:
    """The data by which each step's fitness is judged."""
    return _table("the fitness of every step", results, results["steps"], FITNESS_COLUMNS)


def points_table(results: Results) -> Table:
    """The figures of each condition over all repeats, with intervals."""
    return _table("all repeats together", results, points_in(results), POINT_COLUMNS)


def _table(name: str, results: Results, rows: Sequence[Step | Point], columns: Columns) -> Table:
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
            name_of_app = app_name(app, results["settings"]["host"])
            bodies.append(Body(name_of_app[0].upper() + name_of_app[1:], lines, app))
    return Table(name, [(heading, list(cells)) for heading, cells in kept.items()], bodies)


def _order(row: Step | Point) -> tuple[Any, ...]:
    return (
        list(LOADS).index(row["model"]),
        *(row[key] for key in SWEPT),
        load_of(row),
        row.get("burst", 0),
        row.get("repeat", 0),
    )


def _says_something(results: Results, rows: Sequence[Step | Point], name: str, cell: Cell) -> bool:
    said = {cell(row) for row in rows}
    if name == "setting":
        return len({tuple(row[key] for key in SWEPT) for row in rows}) > 1
    if name == "repeat":
        return bool(results["settings"]["repeats"] > 1)
    if name == "dropped":
        return said != {"0"}
    return not said <= {"", "–"}
