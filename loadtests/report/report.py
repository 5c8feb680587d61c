"""Output for people: report.html with its figures.

    python -m loadtests report reports/2030-01-31-120000     # rewrites the report of a run
    python -m loadtests report rows.csv                      # reports on a file of requests from the plugin

The report is one self-contained file, without network access or scripts, and needs no prior knowledge of the
run. The descriptions of settings come from their types, as in results.schema.json.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loadtests.arguments import above_zero
from loadtests.errors import UsageError
from loadtests.files import put, write_all, writing
from loadtests.generator.loadoptions import not_negative
from loadtests.judging.limits import TOLD_FIRST, held, held_users, holds_more, judged_app
from loadtests.judging.verdict import unsure
from loadtests.records.constants import MOST_OVER
from loadtests.records.results import Results, Settings, read_results
from loadtests.records.schema import descriptions
from loadtests.records.steps import LOAD_KEYS, App, LoadKey, Point, load_of
from loadtests.report.figures import pictures
from loadtests.report.page import embedded, render
from loadtests.report.pipelines import junit_judgement
from loadtests.report.rowsreport import judged_rows, write_rows_report
from loadtests.report.selection import apps_in, burst_step, of_app, queue_step, shown_points, unusual, usual
from loadtests.report.sidetables import cost_table, processes_table, queue_table, theory_table
from loadtests.report.tables import fitness_table, points_table, steps_table
from loadtests.wording import HOW, SHORT, app_name, duration, load, said_load, setting, stated


@dataclass(frozen=True)
class Held:
    """How much load an app holds within the rule: for the headline, with notes."""

    app: App
    name: str
    most: str  # "20 users"
    notes: list[str]


def write_report(results: Results, folder: Path) -> Path:
    """Write report.html and figures/*.png and *.svg to `folder`, which holds results.json and the rows.

    Returns the path of the report. The figures of single requests need the raw rows of the steps they show,
    and are left out if those are missing. Raises LoadTestError if rows can't be read.
    """
    settings, steps = results["settings"], results["steps"]
    started, ended = (datetime.fromisoformat(results[key]) for key in ("started_at", "finished_at"))
    page = render(
        "report.html",
        results=results,
        settings=settings,
        headline=headline(results),
        held=holdings(results),
        figures=embedded(pictures(results, folder), folder / "figures"),
        tables={
            "points": points_table(results) if settings["repeats"] > 1 else None,
            "steps": steps_table(results),
            "fitness": fitness_table(results),
            "queue": queue_table(results),
            "processes": processes_table(results),
            "cost": cost_table(results),
            "theory": theory_table(results),
        },
        rule=duration(settings["rule_ms"]),
        most_over=f"{MOST_OVER * 100:g} %",
        shown=shown_points(results),
        queue_step=queue_step(results),
        burst_step=burst_step(results),
        by_app={app: of_app(steps, app) for app in apps_in(results)},
        started=started,
        minutes=(ended - started).total_seconds() / 60,
        describe=descriptions(Settings),
        judged=judged_app(results["points"]),
        app_name=app_name,
        stated=stated,
        load=load,
        setting=setting,
        HOW=HOW,
        SHORT=SHORT,
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def headline(results: Results) -> str:
    """How much load each app holds within the rule, as one line without a full stop."""
    told = [f"{each.name} holds {each.most}" for each in holdings(results)]
    rule = duration(results["settings"]["rule_ms"])
    return f"Within {rule} {', '.join(told)}" if told else "No step of this run is fit for a verdict"


def holdings(results: Results) -> list[Held]:
    """For each app with a fit point: the load it holds with the default settings, and with others."""
    found = []
    for app in TOLD_FIRST:
        said = {model: most_held(of_app(usual(results, model), app), key) for model, key in LOAD_KEYS.items()}
        told = [text for text in said.values() if text]
        notes = [f"in open load {said['open']}"] if said["closed"] and said["open"] else []
        if told:
            notes += _with_other_settings(results, app)
            found.append(Held(app, app_name(app, results["settings"]["host"]), told[0], notes))
    return found


def _with_other_settings(results: Results, app: App) -> list[str]:
    """The non-default setting that holds the most users, if that is more than the default holds."""
    by_setting: dict[str, list[Point]] = {}
    for point in of_app(unusual(results), app):
        if point["model"] == "closed":
            by_setting.setdefault(setting(point), []).append(point)
    default = held_users(of_app(usual(results, "closed"), app)) or 0
    most, name = max(
        ((held_users(points) or 0, name) for name, points in by_setting.items()), default=(0, "")
    )
    return [f"{most_held(by_setting[name], 'users')} with {name}"] if most > default else []


def most_held(points: Sequence[Point], key: LoadKey) -> str:
    """ "20 users", "at least 20 users", "not even 1 user"; empty if nothing is fit.

    Where that is undecided: "fewer than 20 users", or "an unknown number of users".
    """
    fit = sorted((point for point in points if point["fit"]), key=load_of)
    if not fit:
        return ""
    most = held(points, key)
    if most is not None:
        said = said_load(most, key)
        return f"at least {said}" if holds_more(points, key) else said
    broke = next((point for point in fit if point["rule"] == "broken"), None)
    if broke is None:
        return f"an unknown number of {said_load(2, key).partition(' ')[2]} ({unsure(fit)})"
    said = said_load(load_of(broke), key)
    return f"not even {said}" if broke is fit[0] else f"fewer than {said}"


# ---- the command


def main(argv: Sequence[str] | None = None) -> int:
    """Write a report, print its path, and return 0 whatever its verdict. Raises LoadTestError."""
    options = _parser().parse_args(argv)
    source: Path = options.source
    if source.is_dir() or source.name == "results.json":
        folder = source if source.is_dir() else source.parent
        if options.out or options.junit or options.rule is not None or options.warm_up is not None:
            raise UsageError(
                "--out, --junit, --rule and --warm-up are for a file of requests. The report of a run is"
                " written beside its results.json, with the run's own rule and warm-up"
            )
        with writing(folder / "report.html"):
            path = write_report(read_results(folder / "results.json"), folder)
    elif source.is_file():
        out: Path = options.out or source.parent
        with writing(out):
            path = write_rows_report(source, out, rule_ms=options.rule, warm_up=options.warm_up)
        if options.junit:
            judgement = judged_rows(source, options.rule, options.warm_up)
            write_all((options.junit, put(junit_judgement(judgement))))
    else:
        raise UsageError(
            f"There is no {source}. Name the folder of a run, such as reports/2030-01-31-120000, or a file of"
            " requests that was written with --rows"
        )
    print(f"The report: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests report",
        description="Rewrite the report of a run, or write that of a file of requests. It only shows what was"
        " measured: the exit status is 0 whatever the verdict, and 2 if there is nothing to show.",
    )
    option = parser.add_argument
    source = "the folder of a run, or a file of requests (CSV or Parquet) written with --rows"
    option("source", metavar="PATH", type=Path, help=source)
    rule = "the rule in milliseconds (default: the recording's own, or 500)"
    option("--rule", metavar="MS", type=above_zero, help=rule)
    warm_up = "seconds at the start that are left out (default: the recording's own)"
    option("--warm-up", metavar="S", type=not_negative, help=warm_up)
    out = "where to write (default: beside the file of requests)"
    option("--out", metavar="DIR", type=Path, help=out)
    junit = "also write the verdict on a file of requests as JUnit-style XML"
    option("--junit", metavar="FILE", type=Path, help=junit)
    return parser
