"""What is left of a run for people: report.html with its figures, and the table at the end in the terminal.

The report is one file that needs no other, no network and no script, and explains itself to someone who was
not there. What it says of a setting comes from results.schema.json, so that each has one definition.
"""

import base64
import json
import textwrap
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from loadtests.charts import ecdf_figure, main_figure, save, timeline_figure
from loadtests.samples import in_window, read_rows
from loadtests.verdict import MOST_OVER, comparable, finding
from loadtests.wording import APPS, HOW, duration, figure, percent, user_count

NO_BREAK = "\N{NO-BREAK SPACE}"
HERE = Path(__file__).parent

Results = Mapping[str, Any]
Step = Mapping[str, Any]
Cell = Callable[[Step], str]

TEXT_LINE = "{:>5}  {:6} {:>8}  {:>8} {:>8} {:>8} {:>11}  {:>11}  {:>3}"


def _latency(group: str, key: str) -> Cell:
    return lambda step: figure(step[group], key)


def _share(group: str) -> Cell:
    def cell(step: Step) -> str:
        share = step[group]["share_over_500ms"]
        return "–" if share is None else percent(share)

    return cell


def _interval(step: Step) -> str:
    interval = step["submit"]["share_ci"]
    return "–" if interval is None else f"{interval[0] * 100:.1f} to {interval[1] * 100:.1f} %"


def _number(key: str, form: str = "{:.1f}") -> Cell:
    return lambda step: form.format(step[key]) if step.get(key) is not None else ""


# The table of the report: groups of columns, each with its heading and what a step has there.
COLUMNS: dict[str, dict[str, Cell]] = {
    "": {"users": _number("users", "{}")},
    "verdict": {
        "fit": lambda step: "yes" if step["fit"] else "no",
        "rule": lambda step: "" if not step["fit"] else "kept" if step["within_rule"] else "broken",
    },
    "requests": {
        "sent": _number("requests", "{}"),
        "failed": _number("failures", "{}"),
        "unfinished": _number("unfinished", "{}"),
        "offered /s": _number("offered_per_s"),
        "answered /s": _number("achieved_per_s"),
    },
    "POST /feeds": {
        "over": _share("submit"),
        "95 % interval": _interval,
        "p50": _latency("submit", "p50_ms"),
        "p95": _latency("submit", "p95_ms"),
        "p99": _latency("submit", "p99_ms"),
        "max": _latency("submit", "max_ms"),
    },
    "browsing": {"over": _share("browse"), "p95": _latency("browse", "p95_ms")},
    "time to content": {"p50": _latency("content", "p50_ms"), "p95": _latency("content", "p95_ms")},
    "queue": {"most waiting": _number("backlog_max", "{}"), "jobs /s": _number("jobs_per_s")},
    "machine": {
        "CPU": _number("host_cpu_percent", "{:.0f} %"),
        "generator": _number("generator_cpu_percent", "{:.0f} %"),
        "lag p99": _number("loop_lag_p99_ms", "{:.1f} ms"),
    },
}


def write_report(results: Results, folder: Path) -> Path:
    """Write report.html and figures/*.png and *.svg into `folder`, where results.json and the rows are.

    Returns the path of the report. The figures of single requests need the raw rows of the steps they show,
    and are left out if those are no longer there. Raises LoadTestError if rows can't be read.
    """
    figures = {}
    for name, picture in _figures(results, folder).items():
        _, svg = save(picture, folder / "figures", name)
        figures[name] = "data:image/svg+xml;base64," + base64.b64encode(svg.read_bytes()).decode()
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"unbroken": lambda text: text.replace(" ", NO_BREAK), "user_count": user_count}
    page = environment.get_template("report.html").render(
        results=results,
        steps={app: [s for s in results["steps"] if s["app"] == app] for app in APPS},
        columns=COLUMNS,
        figures=figures,
        finding=finding(results["steps"]),
        rule=duration(results["settings"]["rule_ms"]),
        most_over=f"{MOST_OVER * 100:g} %",
        submitters=f"{results['settings']['submitters'] * 100:g} %",
        shown=comparable(results["steps"]),
        unfit=[step for step in results["steps"] if not step["fit"]],
        repeated=[step for step in results["steps"] if step.get("repeated_because")],
        started=datetime.fromisoformat(results["started_at"]),
        minutes=_minutes(results),
        describe=_descriptions(),
        latency=figure,
        APPS=APPS,
        HOW=HOW,
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _figures(results: Results, folder: Path) -> dict[str, Figure]:
    """All figures that the results and the rows at hand allow, by name."""
    figures = {"main": main_figure(results)}
    shown = comparable(results["steps"])
    if not shown or not all((folder / step["rows"]).exists() for step in shown.values()):
        return figures
    settings = results["settings"]
    window = (settings["warmup_s"], settings["warmup_s"] + settings["measure_s"])
    rows = {app: read_rows(folder / step["rows"]) for app, step in shown.items()}
    ended = {app: step["ended_s"] for app, step in shown.items()}
    measured = {app: in_window(each, *window) for app, each in rows.items()}
    users = next(iter(shown.values()))["users"]
    figures["timeline"] = timeline_figure(rows, ended, window, users, settings["rule_ms"])
    figures["ecdf"] = ecdf_figure(measured, users, settings["rule_ms"])
    return figures


def _minutes(results: Results) -> float:
    start, end = (datetime.fromisoformat(results[key]) for key in ("started_at", "finished_at"))
    return (end - start).total_seconds() / 60


def _descriptions() -> dict[str, str]:
    """What results.schema.json says of each setting."""
    schema = json.loads((HERE / "results.schema.json").read_text(encoding="utf-8"))
    settings = schema["properties"]["settings"]["properties"]
    return {name: setting["description"] for name, setting in settings.items()}


def text_table(results: Results) -> str:
    """The run as plain text, a line for each step, at most 80 columns wide."""
    over = f"over {duration(results['settings']['rule_ms'])}"
    heads = ("users", "app", "requests", "p50", "p95", "p99", over, "content p50", "fit")
    cells: tuple[Cell, ...] = (
        _number("users", "{}"),
        lambda step: str(step["app"]),
        _number("requests", "{}"),
        *(_latency("submit", key) for key in ("p50_ms", "p95_ms", "p99_ms")),
        _share("submit"),
        _latency("content", "p50_ms"),
        lambda step: "yes" if step["fit"] else "no",
    )
    steps = sorted(results["steps"], key=lambda step: int(step["users"]))
    table = [heads, *(tuple(cell(step) for cell in cells) for step in steps)]
    lines = ["p50 to p99: latency of POST /feeds. Content: until the feed can be read."]
    lines += [TEXT_LINE.format(*row) for row in table]
    for step in steps:
        for key, what in (("repeated_because", "Measured once more"), ("unfit_reasons", "Not fit")):
            for reason in step.get(key, []):
                lines += textwrap.wrap(f"{what}: {step['app']}, {user_count(step['users'])}: {reason}", 80)
    return "\n".join(lines)
