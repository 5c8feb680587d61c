"""More slots, workers or threads: how far they carry each app, and what they cost."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.judging.limits import SWEPT, held, holds_more
from loadtests.records.figures import Figure as Value
from loadtests.records.figures import Group, without_interval
from loadtests.records.results import Results
from loadtests.records.steps import App, Point, Step, Swept
from loadtests.report.chartparts import (
    COLOURS,
    EndLabel,
    even_ticks,
    headed,
    inches,
    label_ends,
    latency_axis,
    number_axis,
    rule_line,
    share_axis,
)
from loadtests.report.chartpoints import Mark, crosses, draw, marks, reach
from loadtests.report.selection import apps_in, counted_steps, mean_of, of_app
from loadtests.wording import LABELS, duration, stated, stated_share, user_count

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
    most, least = _at(results, shown, users[-1:], key), _at(results, shown, users[:1], key)
    rule = duration(results["settings"]["rule_ms"])
    what = {"slots": "request slots", "workers": "worker processes", "threads": "worker threads"}[key]
    title = f"More {what}: how far they carry, and what they cost"
    with headed(9, title, f"the rule: 99 % under {rule}") as figure:
        places = [(0.95, 4.75), (7.8, 4.75), (0.95, 0.75), (7.8, 0.75)]
        panels = [inches(figure, left, bottom, 3.75, 2.75) for left, bottom in places]
        for axes in panels:
            number_axis(axes, [point[key] for point in shown], AXIS[key])
        _held(panels[0], results, shown, key)
        if key == "slots":
            _memory(panels[1], results, most, key, "web server")
            _share(panels[2], results, most, key)
            _latency(panels[3], results, least, key, "submit", "POST /feeds: p95")
        else:
            _memory(panels[1], results, most, key, "worker")
            _latency(panels[2], results, most, key, "content", "Time to content: p95")
            _backlog(panels[3], results, most["queued"], key)
    return figure


def _at(results: Results, shown: Sequence[Point], users: Sequence[int], key: Swept) -> dict[App, list[Point]]:
    """Each app's points with that many users, ascending by `key`."""
    found = sorted((point for point in shown if point["users"] in users), key=lambda point: point[key])
    return {app: of_app(found, app) for app in apps_in(results)}


def _title(axes: Axes, title: str, by_app: Mapping[App, Sequence[Point]]) -> None:
    users = next((point["users"] for points in by_app.values() for point in points), None)
    axes.set_title(title if users is None else f"{title} with {user_count(users)}", weight="bold")


def _held(axes: Axes, results: Results, shown: Sequence[Point], key: Swept) -> None:
    axes.set_title("Users held within the rule (0: none)", weight="bold")
    by_app: dict[App, list[Mark]] = {}
    for app in apps_in(results):
        for value in sorted({point[key] for point in of_app(shown, app)}):
            tried = [point for point in of_app(shown, app) if point[key] == value]
            most, more = held(tried, "users"), holds_more(tried, "users")
            known = None if most is None and more else without_interval(float(most or 0), more)
            by_app.setdefault(app, []).append(Mark(value, known))
    _amounts(axes, by_app, lambda value: stated(value, say="{:g}".format), room=1.3, integer=True)


def _memory(
    axes: Axes, results: Results, by_app: Mapping[App, Sequence[Point]], key: Swept, process: str
) -> None:
    """The memory of all processes whose name begins with `process`, together."""
    _title(axes, f"Memory: {process}", by_app)
    axes.set_ylabel("MiB")

    def memory(step: Step) -> float | None:
        found = (seen["memory_mib"] for name, seen in step["processes"].items() if name.startswith(process))
        return sum(found) or None

    series = {
        app: [Mark(point[key], _mean(map(memory, counted_steps(results, point)))) for point in points]
        for app, points in by_app.items()
    }
    _amounts(axes, series, lambda value: f"{value['value']:.0f} MiB")


def _backlog(axes: Axes, results: Results, points: Sequence[Point], key: Swept) -> None:
    _title(axes, "Most jobs that waited,", {"queued": points})
    queues = [[step["queue"] for step in counted_steps(results, point)] for point in points]
    series = [
        Mark(point[key], _mean(queue["backlog_max"] for queue in seen if queue))
        for point, seen in zip(points, queues, strict=True)
    ]
    _amounts(axes, {"queued": series}, lambda value: f"{value['value']:g}", integer=True)


def _mean(values: Iterable[float | None]) -> Value | None:
    mean = mean_of(list(values))
    return None if mean is None else without_interval(mean)


def _amounts(
    axes: Axes,
    by_app: Mapping[App, Sequence[Mark]],
    say: Callable[[Value], str],
    room: float = 1.2,
    integer: bool = False,
) -> None:
    """A line for each app on a linear axis from 0, with `room` times the height that it needs."""
    labels = [label for app, series in by_app.items() for label in _draw(axes, app, series, say)]
    axes.set_ylim(0, room * max([1.0, *(height for series in by_app.values() for height in reach(series))]))
    even_ticks(axes.yaxis, 5, integer=integer)
    label_ends(axes, labels)


def _draw(axes: Axes, app: App, series: Sequence[Mark], say: Callable[[Value], str]) -> list[EndLabel]:
    return draw(axes, series, COLOURS[app], LABELS[app], say, lw=2, marker="o", ms=6)


def _share(axes: Axes, results: Results, by_app: Mapping[App, Sequence[Point]], key: Swept) -> None:
    _title(axes, f"POST over {duration(results['settings']['rule_ms'])},", by_app)
    share_axis(axes)
    at = [point for points in by_app.values() for point in points]
    labels = crosses(axes, results, at, lambda point: point[key])
    for app, points in by_app.items():
        series = marks(results, points, "submit", "share_over", lambda point: point[key])
        labels += _draw(axes, app, series, stated_share)
    label_ends(axes, labels)


def _latency(
    axes: Axes, results: Results, by_app: Mapping[App, Sequence[Point]], key: Swept, group: Group, title: str
) -> None:
    _title(axes, f"{title},", by_app)
    lines = {
        app: marks(results, points, group, "p95_ms", lambda point: point[key])
        for app, points in by_app.items()
    }
    latency_axis(axes, axes.yaxis, [height for series in lines.values() for height in reach(series)])
    at = [point for points in by_app.values() for point in points]
    labels = crosses(axes, results, at, lambda point: point[key])
    labels.append(rule_line(axes, results["settings"]["rule_ms"]))
    for app, series in lines.items():
        labels += _draw(axes, app, series, stated)
    label_ends(axes, labels)
