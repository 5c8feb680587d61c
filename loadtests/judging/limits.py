"""Up to which load each app keeps the rule: from the points of a run, without words. Pure."""

from collections.abc import Iterable, Sequence

from loadtests.judging.judge import STATUS_OF
from loadtests.judging.rule import all_of, is_excused
from loadtests.records.figures import Word
from loadtests.records.results import Settings
from loadtests.records.steps import ENGINED, App, Capacity, LoadKey, Point, Step, Swept, load_of
from loadtests.status import Status

SWEPT: dict[Swept, str] = {"slots": "slot", "workers": "worker", "threads": "thread"}
TOLD_FIRST: tuple[App, ...] = ("queued", *ENGINED, "sync", "host")


def judged_app(measured: Sequence[Point]) -> App:
    """The app that the verdict is on: the queued one, or the only one measured."""
    return next((app for app in TOLD_FIRST if any(point["app"] == app for point in measured)), "queued")


def status_of(judged: Sequence[Point], search: bool) -> Status:
    """What the points of one app prove: kept, broken, undecided, or not fit. `search`: for its limit."""
    if not any(point["fit"] for point in judged):
        return Status.UNFIT
    word = all_of(
        _limit_word(series) if search and series[0]["model"] == "closed" else _series_word(series)
        for series in series_of(judged)
    )
    return STATUS_OF[word]


def series_of(measured: Sequence[Point]) -> list[list[Point]]:
    """The points in groups that differ in their load alone, each with the smallest load first."""
    series: dict[tuple[object, ...], list[Point]] = {}
    for point in sorted(measured, key=load_of):
        capacity = (point[key] for key in SWEPT)
        series.setdefault((point["app"], point["model"], *capacity), []).append(point)
    return list(series.values())


def _series_word(series: Sequence[Point]) -> Word:
    """What growing loads prove together: the largest one speaks for smaller ones that are undecided."""
    words: list[Word] = [point["rule"] for point in series]
    return "broken" if "broken" in words else words[-1]


def _limit_word(series: Sequence[Point]) -> Word:
    """What a search proves: kept if any load is held, broken if the smallest one broke the rule."""
    if held(series, "users") is not None:
        return "kept"
    smallest = next((point for point in series if point["fit"]), None)
    return "broken" if smallest and smallest["rule"] == "broken" else "undecided"


def is_default(given: Capacity, steps: Sequence[Step], settings: Settings | None) -> bool:
    """True if these are the first of the slots, workers and threads that were asked for."""
    return all(
        given[key] == ((settings.get(key) if settings else None) or [steps[0][key]])[0] for key in SWEPT
    )


def held_users(points_of_app: Sequence[Point]) -> int | None:
    """The most users with whom the rule was kept, as `held`."""
    most = held(points_of_app, "users")
    return None if most is None else round(most)


def held(points_of_app: Sequence[Point], key: LoadKey) -> float | None:
    """The largest load that kept the rule, no smaller one having broken it; None if there is none.

    `key`: users, for closed load, or rate_per_s, for open. A larger load that keeps it again may be luck.
    What was not fit, or is undecided, neither keeps nor breaks it.
    """
    most = None
    for point in by_load(points_of_app, key):
        if point["rule"] == "broken":
            break
        if point["rule"] == "kept":
            most = point[key]
    return most


def holds_more(points_of_app: Sequence[Point], key: LoadKey) -> bool:
    """True if the load that is `held` is a lower bound: the next larger one that can be judged did not break
    the rule, or there is none.
    """
    most, fit = held(points_of_app, key) or 0, by_load(points_of_app, key)
    return next((point["rule"] != "broken" for point in fit if load_of(point) > most), True)


def by_load(measured: Iterable[Point], key: LoadKey) -> list[Point]:
    """The fit points under closed or open load, as `key` says, smallest load first."""
    return sorted((point for point in measured if point["fit"] and point[key] is not None), key=load_of)


def is_doubtful(point: Point) -> bool:
    """True if a load could not be judged, but not for want of requests: not fit, or slowed and over."""
    return not point["fit"] or is_excused(point, bool(point["slowed_reasons"]))
