"""Select the steps and points of a run for a figure, table or sentence. Pure: from results.json."""

from collections.abc import Sequence
from typing import TypeVar

from loadtests.judging.limits import is_default
from loadtests.judging.points import figure_of, together, upper_bound
from loadtests.judging.rule import Ruled
from loadtests.judging.verdict import comparable
from loadtests.records.figures import Figure, FigureKey, Group
from loadtests.records.predictions import Curve
from loadtests.records.recording import Model
from loadtests.records.results import Results
from loadtests.records.steps import APPS, About, App, Point, Step, counting, load_of, sound

A = TypeVar("A", bound=About)


def apps_in(results: Results) -> list[App]:
    """The measured apps, in reporting order."""
    return [app for app in APPS if any(step["app"] == app for step in results["steps"])]


def usual(results: Results, model: Model) -> list[Point]:
    """The points of one model with the default slots, workers and threads, by load."""
    steps, settings = results["steps"], results["settings"]
    found = [p for p in results["points"] if p["model"] == model and is_default(p, steps, settings)]
    return sorted(found, key=load_of)


def unusual(results: Results) -> list[Point]:
    """The points with other slots, workers or threads."""
    steps, settings = results["steps"], results["settings"]
    return [point for point in results["points"] if not is_default(point, steps, settings)]


def main_model(results: Results) -> Model:
    """The load model of the main figure: closed, unless only open load was measured."""
    return "closed" if usual(results, "closed") or not usual(results, "open") else "open"


def of_app(measured: Sequence[A], app: App) -> list[A]:
    """The steps or points of one app, in order."""
    return [each for each in measured if each["app"] == app]


def counted_steps(results: Results, point: Point) -> list[Step]:
    """The repeats of a point that count."""
    return counting([results["steps"][index] for index in point["steps"]])


def repeats_of(results: Results, point: Point, group: Group, key: FigureKey) -> list[float]:
    """The figure in each repeat that counts; empty if there is only one, which is the point itself."""
    found = (step[group][key] for step in counted_steps(results, point))
    values = [value for value in found if value is not None]
    return values if len(values) > 1 else []


def naive_figure(results: Results, point: Point, group: Ruled, key: FigureKey) -> Figure | None:
    """A figure of the naive latencies, from the moment of sending, over all repeats that count."""
    found = [figure_of(step["naive"][group], key) for step in counted_steps(results, point)]
    figure = together([figure for figure in found if figure is not None])
    return upper_bound(figure) if figure and point["slowed_reasons"] else figure


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def shown_steps(results: Results) -> dict[App, Step]:
    """The step of each app that is shown request by request: at the highest load at which every app is
    sound.

    In closed load if there is any, else open; with the default slots, workers and threads. May be empty.
    """
    if found := comparable(results["steps"], results["settings"]):
        return found
    opened = [point for point in usual(results, "open") if sound(point)]
    apps = [app for app in apps_in(results) if of_app(usual(results, "open"), app)]
    common = [{load_of(point) for point in of_app(opened, app)} for app in apps]
    loads = set.intersection(*common) if common else set()
    if not loads:
        return {}
    return {
        point["app"]: counted_steps(results, point)[0] for point in opened if load_of(point) == max(loads)
    }


def shown_points(results: Results) -> dict[App, Point]:
    """The points to which the shown steps belong."""
    return {
        app: next(point for point in results["points"] if step in counted_steps(results, point))
        for app, step in shown_steps(results).items()
    }


def queue_step(results: Results) -> Step | None:
    """The step that shows the queue at work: the queued app's shown step, or its sound one of highest
    load."""
    if step := shown_steps(results).get("queued"):
        return step
    found = [p for p in usual(results, main_model(results)) if p["app"] == "queued" and sound(p)]
    return counted_steps(results, found[-1])[0] if found else None


def burst_step(results: Results) -> Step | None:
    """The first sound step in which many feeds were added at once."""
    return next((step for step in results["steps"] if step.get("burst") and sound(step)), None)


def curves(results: Results, model: Model | None = None) -> list[Curve]:
    """The predictions for the default slots, workers and threads, of one model or of both."""
    theory, steps, settings = results["theory"], results["steps"], results["settings"]
    return [
        curve
        for curve in (theory["curves"] if theory else ())
        if model in (None, curve["model"]) and is_default(curve, steps, settings)
    ]
