"""More slots, workers or threads: how far they carry each app, and what they cost."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.judging.verdict import SWEPT, held, holds_more
from loadtests.records.figures import Figure as Value
from loadtests.records.figures import FigureKey, Group
from loadtests.records.results import Results
from loadtests.records.steps import App, Point, Swept
from loadtests.report.chartparts import (
    COLOURS,
    EndLabel,
    even_ticks,
    head,
    house_style,
    inches,
    label_ends,
    latency_axis,
    number_axis,
    rule_line,
    share_axis,
)
from loadtests.report.chartpoints import Mark, crosses, draw, reach
from loadtests.report.charts import SHORT_LABELS
from loadtests.report.selection import (
    apps_in,
    counted_steps,
    mean_of,
    of_app,
    repeats_of,
)
from loadtests.wording import duration, stated, stated_share, user_count

AXIS: dict[Swept, str] = {
    "slots": "request slots of the web server (logarithmic)",
    "workers": "worker processes (logarithmic)",
    "threads": "threads of each worker (logarithmic)",
}


def swept(results: Results) -> list[Swept]:
    """Which of slots, workers and threads were swept in closed load."""
    return [key for key in SWEPT if len({point[key] for point in sweep_points(results, key)}) > 1]


def sweep_points(results: Results, key: Swept) -> list[Point]:
    """The closed-load points that differ from the default in `key` alone; only the queued app has workers."""
    settings = results["settings"]
    others = [other for other in SWEPT if other != key]
    return [
        point
        for point in results["points"]
        if point["model"] == "closed"
        and all(point[other] == settings[other][0] for other in others)
        and point[key] in settings[key]
        and (key == "slots" or point["app"] == "queued")
    ]


def common_users(points: Sequence[Point], key: Swept) -> list[int]:
    """The numbers of users at which every app is fit with every value of `key`, ascending.

    If there are none, all that were measured.
    """
    users: dict[tuple[App, int], set[int]] = {}
    for point in points:
        users.setdefault((point["app"], point[key]), set()).update([point["users"] or 0] * point["fit"])
    common = set.intersection(*users.values()) if users else set()
    return sorted(common or {point["users"] or 0 for point in points})


def sweep_figure(results: Results, key: Swept) -> Figure:
    """Four panels against `key` ("slots", "workers" or "threads"): users held, latency and share, memory."""
    shown = sweep_points(results, key)
    users = common_users(shown, key)
    rule = duration(results["settings"]["rule_ms"])
    what = {"slots": "request slots", "workers": "worker processes", "threads": "worker threads"}[key]
    with house_style():
        figure = Figure(figsize=(14, 9))
        head(figure, f"More {what}: how far they carry, and what they cost", f"the rule: 99 % under {rule}")
        places = [(0.95, 4.75), (7.8, 4.75), (0.95, 0.75), (7.8, 0.75)]
        panels = [inches(figure, left, bottom, 3.75, 2.75) for left, bottom in places]
        _held(panels[0], results, shown, key)
        if key == "slots":
            _memory(panels[1], results, shown, key, users[-1:], "web server")
            _share(panels[2], results, shown, key, users[-1:])
            _latency(panels[3], results, shown, key, users[:1], "submit", "p95_ms", "POST /feeds: p95")
        else:
            _memory(panels[1], results, shown, key, users[-1:], "worker")
            _latency(panels[2], results, shown, key, users[-1:], "content", "p95_ms", "Time to content: p95")
            _backlog(panels[3], results, shown, key, users[-1:])
    return figure


def _with(title: str, users: Sequence[int]) -> str:
    return f"{title} with {user_count(users[0])}" if users else title


def _held(axes: Axes, results: Results, shown: Sequence[Point], key: Swept) -> None:
    axes.set_title("Users held within the rule (0: none)", weight="bold")
    number_axis(axes, [point[key] for point in shown], AXIS[key])
    labels, top = [], 1.0
    for app in apps_in(results):
        series = []
        for value in sorted({point[key] for point in of_app(shown, app)}):
            tried = [point for point in of_app(shown, app) if point[key] == value]
            most, more = held(tried, "users"), holds_more(tried, "users")
            known = Value(value=float(most or 0), low=None, high=None, lower_bound=more)
            series.append(Mark(value, None if most is None and more else known))
        top = max([top, *reach(series)])
        labels += _labelled(axes, app, series, lambda value: stated(value, say="{:g}".format))
    axes.set_ylim(0, 1.3 * top)
    even_ticks(axes.yaxis, 5, integer=True)
    label_ends(axes, labels)


def _labelled(axes: Axes, app: App, series: Sequence[Mark], say: Callable[[Value], str]) -> list[EndLabel]:
    colour = COLOURS[app]
    return [
        EndLabel(x, value["value"], f"{SHORT_LABELS[app]}: {say(value)}", colour)
        for x, value in draw(axes, series, colour, lw=2, marker="o", ms=6)[-1:]
    ]


def _at(shown: Sequence[Point], users: Sequence[int], app: App, key: Swept) -> list[Point]:
    found = [point for point in of_app(shown, app) if point["users"] in users]
    return sorted(found, key=lambda point: float(point[key]))


def _memory(
    axes: Axes, results: Results, shown: Sequence[Point], key: Swept, users: Sequence[int], process: str
) -> None:
    axes.set_title(_with(f"Memory: {process}", users), weight="bold")
    number_axis(axes, [point[key] for point in shown], AXIS[key])
    axes.set_ylabel("MiB")
    labels, top = [], 1.0
    for app in apps_in(results):
        series = [
            Mark(point[key], _mean_memory(results, point, process)) for point in _at(shown, users, app, key)
        ]
        top = max([top, *reach(series)])
        labels += _labelled(axes, app, series, lambda value: f"{value['value']:.0f} MiB")
    axes.set_ylim(0, 1.2 * top)
    even_ticks(axes.yaxis, 5)
    label_ends(axes, labels)


def _mean_memory(results: Results, point: Point, process: str) -> Value | None:
    """The memory of all processes whose name begins with `process`, together."""
    mean = mean_of(
        [
            sum(seen["memory_mib"] for name, seen in step["processes"].items() if name.startswith(process))
            for step in counted_steps(results, point)
        ]
    )
    return None if not mean else Value(value=mean, low=None, high=None, lower_bound=False)


def _share(axes: Axes, results: Results, shown: Sequence[Point], key: Swept, users: Sequence[int]) -> None:
    rule = duration(results["settings"]["rule_ms"])
    axes.set_title(_with(f"POST over {rule},", users), weight="bold")
    number_axis(axes, [point[key] for point in shown], AXIS[key])
    share_axis(axes)
    at = [point for app in apps_in(results) for point in _at(shown, users, app, key)]
    labels = crosses(axes, results, at, lambda point: float(point[key]))
    for app in apps_in(results):
        series = _marks(results, _at(shown, users, app, key), key, "submit", "share_over")
        labels += _labelled(axes, app, series, stated_share)
    label_ends(axes, labels)


def _latency(
    axes: Axes,
    results: Results,
    shown: Sequence[Point],
    key: Swept,
    users: Sequence[int],
    group: Group,
    figure: FigureKey,
    title: str,
) -> None:
    axes.set_title(_with(f"{title},", users), weight="bold")
    by_app = {
        app: _marks(results, _at(shown, users, app, key), key, group, figure) for app in apps_in(results)
    }
    latency_axis(axes, axes.yaxis, [height for series in by_app.values() for height in reach(series)])
    number_axis(axes, [point[key] for point in shown], AXIS[key])
    at = [point for app in by_app for point in _at(shown, users, app, key)]
    labels = crosses(axes, results, at, lambda point: float(point[key]))
    labels.append(rule_line(axes, results["settings"]["rule_ms"]))
    for app, series in by_app.items():
        labels += _labelled(axes, app, series, stated)
    label_ends(axes, labels)


def _marks(
    results: Results, points: Sequence[Point], key: Swept, group: Group, figure: FigureKey
) -> list[Mark]:
    return [
        Mark(
            point[key],
            point[group][figure] if point["fit"] else None,
            repeats_of(results, point, group, figure),
        )
        for point in points
    ]


def _backlog(axes: Axes, results: Results, shown: Sequence[Point], key: Swept, users: Sequence[int]) -> None:
    axes.set_title(_with("Most jobs that waited,", users), weight="bold")
    number_axis(axes, [point[key] for point in shown], AXIS[key])
    series = []
    for point in _at(shown, users, "queued", key):
        most = mean_of(
            [step["queue"]["backlog_max"] for step in counted_steps(results, point) if step["queue"]]
        )
        series.append(
            Mark(
                point[key],
                None if most is None else Value(value=most, low=None, high=None, lower_bound=False),
            )
        )
    labels = _labelled(axes, "queued", series, lambda value: f"{value['value']:g}")
    axes.set_ylim(0, 1.2 * max([1.0, *reach(series)]))
    even_ticks(axes.yaxis, 5, integer=True)
    label_ends(axes, labels)
