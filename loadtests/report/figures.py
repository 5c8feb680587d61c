"""The figures that a run's results and rows allow, each with its alternative text."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from loadtests.judging.verdict import finding
from loadtests.records.results import Results
from loadtests.records.rows import read_rows
from loadtests.report.chart_machine import cpu_figure, cpu_points, floor_figure
from loadtests.report.chart_open import open_figure
from loadtests.report.chart_percentiles import percentiles_figure, spectrum_figure
from loadtests.report.chart_queue import burst_figure, queue_figure
from loadtests.report.chart_rows import Series, app_series, ecdf_figure, timeline_figure
from loadtests.report.chart_sweep import sweep_figure, swept
from loadtests.report.chart_theory import theory_figure, throughput_figure
from loadtests.report.chartparts import described
from loadtests.report.charts import main_figure
from loadtests.report.selection import burst_step, curves, queue_step, shown_steps, usual
from loadtests.wording import app_name, load

Pictures = dict[str, Figure]  # by file name


def pictures(results: Results, folder: Path) -> Pictures:
    """All figures that the results and the rows in `folder` allow.

    Raises LoadTestError if the rows can't be read.
    """
    settings = results["settings"]
    finding_now = finding(results["steps"], settings)
    found = {"main": described(main_figure(results), f"{finding_now}: latencies and shares against the load")}
    for curve in curves(results):
        name = f"theory-{curve['app']}-{curve['model']}"
        found[name] = described(
            theory_figure(curve, settings["rule_ms"]),
            f"Latency and share over the rule under {curve['model']} load as predicted, simulated and"
            f" measured for {app_name(curve['app'], settings['host'])}, with residuals",
        )
    if closed := curves(results, "closed"):
        found["throughput"] = described(
            throughput_figure(closed), "Requests answered a second against users, with asymptotic bounds"
        )
    if usual(results, "open"):
        found["open"] = described(
            open_figure(results),
            "Open load: latency from the intended start beside that from sending, against the rate",
        )
    if (step := queue_step(results)) and step["timeline"]:
        found["queue"] = described(
            queue_figure(results, step),
            "The queue over time: backlog, jobs in and out, workers in use; time to answer and to content",
        )
    if (step := burst_step(results)) and step["timeline"]:
        found["burst"] = described(burst_figure(results, step), "Jobs left after a burst, against time")
    for key in swept(results):
        found[key] = described(
            sweep_figure(results, key),
            f"Users held, latencies and memory against the number of {key}, for each app",
        )
    found |= _of_requests(results, folder)
    if cpu_points(results):
        found["cpu"] = described(
            cpu_figure(results), "CPU of each process, stacked, for each app under its largest fit loads"
        )
    if results["floor"] and results["floor"]["rates"]:
        found["floor"] = described(
            floor_figure(results["floor"], settings["rule_ms"]),
            "What the load generator adds to a latency and what it takes, against requests a second",
        )
    return found


def _of_requests(results: Results, folder: Path) -> Pictures:
    """The figures of single requests; none if the rows are missing."""
    shown = shown_steps(results)
    if not shown or not all((folder / step["rows"]).exists() for step in shown.values()):
        return {}
    series = app_series({app: read_rows(folder / step["rows"]) for app, step in shown.items()}, shown)
    much = load(next(iter(shown.values())))
    titles = Titles(
        f"Every POST /feeds with {much}, when it began and how long it took",
        f"How many are still waiting, after how long? With {much}",
        f"How late is the slowest part? POST /feeds with {much}",
        f"POST /feeds over time with {much}",
    )
    return of_series(series, titles, results["settings"]["rule_ms"], "POST /feeds")


class Titles(NamedTuple):
    """Those of the figures of single requests."""

    every: str
    tail: str
    late: str
    over_time: str


def of_series(
    series: Sequence[Series], titles: Titles, rule_ms: float, what: str, naive: bool = False
) -> Pictures:
    """The figures of single requests, of `what`; `naive`: also counted from the moment of sending."""
    return {
        "timeline": timeline_figure(series, titles.every, rule_ms),
        "ecdf": ecdf_figure(series, titles.tail, rule_ms, what),
        "percentiles": percentiles_figure(series, titles.over_time, rule_ms),
        "spectrum": spectrum_figure(series, titles.late, rule_ms, naive),
    }
