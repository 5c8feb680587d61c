"""The report of a file of requests from the plugin: any locustfile, any server.

Groups may have any names. Beside rows.csv lies rows.json, with the generator's record of its own condition.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadtests.errors import UsageError
from loadtests.generator.console import by_group, title
from loadtests.judging.rule import MOST_OVER
from loadtests.judging.samples import Row, Summary, in_window, nearest_rank, summarise
from loadtests.report.chart_rows import MORE_COLOURS, Series, ecdf_figure, timeline_figure
from loadtests.report.figures import Picture
from loadtests.report.page import Body, Line, Table, embedded, render
from loadtests.report.rowsverdict import (
    Recorded,
    Stage,
    headline,
    judge,
    lags_of,
    read_recorded,
    status,
    unfit,
)
from loadtests.wording import counted, duration, figure, percent

MOST_SERIES = 6  # groups in the figures, those with the most requests


def write_rows_report(
    rows_file: Path, folder: Path, rule_ms: float | None = None, warm_up: float | None = None
) -> Path:
    """Write <name>-report.html and its figures to `folder`; returns the path of the report.

    `rule_ms` and `warm_up` (seconds) default to the recording's own. Raises LoadTestError if the file can't
    be read, or has no request after the warm-up.
    """
    recorded = read_recorded(rows_file, rule_ms, warm_up)
    rows = in_window(recorded.rows, recorded.start, recorded.end)
    if not rows:
        raise UsageError(
            f"{rows_file} has no request after a warm-up of {recorded.start:g} s: give a smaller --warm-up"
        )
    judged = judge(rows, recorded)
    reasons = unfit(recorded)
    name = rows_file.stem
    page = render(
        "rowsreport.html",
        name=rows_file.name,
        headline=headline(judged, reasons, recorded.rule_ms),
        status=status(judged, reasons),
        judged=judged,
        reasons=reasons,
        figures=embedded(_pictures(rows, recorded), folder / f"{name}-figures"),
        table=groups_table(rows, recorded, by_name=False),
        names=groups_table(rows, recorded, by_name=True),
        naive=naive_table(rows, recorded) if recorded.open else None,
        stages=[
            (f"{stage.load}, {stage.start:.1f} to {stage.end:.1f} s", _stage_table(recorded, stage))
            for stage in recorded.stages
        ],
        rule=duration(recorded.rule_ms),
        most_over=f"{MOST_OVER * 100:g} %",
        facts=facts(recorded),
        counted=counted(len(rows), "request"),
        rows_link=rows_file.name if folder.resolve() == rows_file.parent.resolve() else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-report.html"
    path.write_text(page, encoding="utf-8")
    return path


def facts(recorded: Recorded) -> list[tuple[str, str]]:
    """The known facts about the load and the generator, as pairs for a table."""
    about, lags = recorded.about, lags_of(recorded)
    started = about.get("started_at")
    arrivals = about.get("arrivals") or {}
    known = {
        "started": started and f"{datetime.fromtimestamp(started, UTC):%Y-%m-%d %H:%M:%S} UTC",
        "model": "open" if recorded.open else "closed",
        "users, at most": about.get("users"),
        "visits a second": about.get("rate_per_s"),
        "counted": f"{recorded.start:.1f} to {recorded.end:.1f} s; recorded until {recorded.ended:.1f} s",
        "the generator was late, p99": f"{nearest_rank(lags, 99):.1f} ms" if lags else "not known",
        "visits planned, sent, dropped, never sent": ", ".join(
            str(arrivals.get(key, "–")) for key in ("planned", "sent", "dropped", "never_sent")
        )
        if arrivals
        else None,
        "processes of the generator": about.get("processes"),
        "requests cut off at the end, with latency unknown": about.get("left_out"),
        "seed": about.get("seed"),
    }
    return [(name, str(value)) for name, value in known.items() if value is not None]


# ---- tables and figures


def _cells(summary: Summary) -> list[str]:
    share, interval = summary["share_over_500ms"], summary["share_ci"]
    return [
        str(summary["count"]),
        str(summary["failures"]),
        str(summary["unfinished"]),
        str(summary["dropped"]),
        "–" if share is None else percent(share),
        "–" if interval is None else f"{interval[0] * 100:.2f} to {interval[1] * 100:.2f} %",
        *(figure(summary, key) for key in ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")),
    ]


CELLS = (
    ("requests", ["all", "failed", "unfinished", "dropped"]),
    ("over the rule", ["share", "95 % interval"]),
    ("latency", ["mean", "p50", "p95", "p99", "max"]),
)


def groups_table(rows: Sequence[Row], recorded: Recorded, by_name: bool) -> Table:
    """The figures of each group, or of each name within a group."""
    if not by_name:
        lines = [
            Line([title(group), *_cells(summarise(members, recorded.ended, recorded.rule_ms))])
            for group, members in by_group(rows).items()
        ]
        return Table("every group", [("", ["group"]), *CELLS], [Body("", lines)])
    bodies = []
    for group, members in by_group(rows).items():
        names: dict[str, list[Row]] = {}
        for row in members:
            names.setdefault(row.name, []).append(row)
        lines = [
            Line([name, *_cells(summarise(each, recorded.ended, recorded.rule_ms))])
            for name, each in sorted(names.items())
        ]
        bodies.append(Body(title(group), lines))
    return Table("every name", [("", ["name"]), *CELLS], bodies)


def naive_table(rows: Sequence[Row], recorded: Recorded) -> Table:
    """Latency from the intended start beside the naive one, from the moment of sending."""
    lines = []
    for group, members in by_group(rows).items():
        pair = [summarise(members, recorded.ended, recorded.rule_ms, naive) for naive in (False, True)]
        keys = ("p50_ms", "p95_ms", "p99_ms")
        lines.append(Line([title(group), *(figure(each, key) for key in keys for each in pair)]))
    both = ["intended", "naive"]
    return Table(
        "corrected and naive latency",
        [("", ["group"]), ("p50, from", both), ("p95, from", both), ("p99, from", both)],
        [Body("", lines)],
    )


def _stage_table(recorded: Recorded, stage: Stage) -> Table:
    """The requests that began in one stage, after its warm-up."""
    rows = in_window(recorded.rows, stage.start + recorded.start, stage.end)
    return groups_table(rows, recorded, by_name=False)


def _pictures(rows: Sequence[Row], recorded: Recorded) -> dict[str, Picture]:
    """The tail of each group, and every request over time."""
    largest = sorted(by_group(rows), key=lambda group: -sum(row.group == group for row in rows))
    window = (recorded.start, recorded.end)
    series = [
        Series(
            title(group),
            MORE_COLOURS[place],
            [row for row in recorded.rows if row.group == group],
            recorded.ended,
            window,
        )
        for place, group in enumerate(largest[:MOST_SERIES])
    ]
    tail = "How many are still waiting, after how long?"
    every = "Every request, when it began and how long it took"
    return {
        "ecdf": Picture(
            ecdf_figure(series, tail, recorded.rule_ms, "requests"),
            "Share of the requests of each group not yet answered against time, both axes logarithmic",
        ),
        "timeline": Picture(timeline_figure(series, every, recorded.rule_ms), every),
    }
