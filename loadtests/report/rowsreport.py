"""The report of a file of requests from the plugin: any locustfile, any server.

Groups may have any names. Beside rows.csv lies rows.json, with the generator's record of its own condition.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec

from loadtests.errors import UsageError
from loadtests.judging.judge import GroupVerdict, Judgement, StageVerdict, judge
from loadtests.judging.samples import by_group, nearest_rank, summarise, title
from loadtests.records.recording import Recording, read_recording
from loadtests.records.rows import Row, in_window
from loadtests.records.steps import LOAD_KEYS
from loadtests.report.chart_rows import MORE_COLOURS, Series
from loadtests.report.figures import Pictures, Titles, of_series
from loadtests.report.page import Body, Line, Table, embedded, render
from loadtests.status import Status
from loadtests.wording import EXCUSE, counted, duration, figure, percent, said_load


def write_rows_report(
    rows_file: Path, folder: Path, rule_ms: float | None = None, warm_up: float | None = None
) -> Path:
    """Write <name>-report.html and its figures to `folder`; returns the path of the report.

    `rule_ms` and `warm_up` (seconds) default to the recording's own. Raises LoadTestError if the file can't
    be read, or has no request after the warm-up.
    """
    judgement = judged_rows(rows_file, rule_ms, warm_up)
    recording = judgement.recording
    rows = in_window(recording.rows, *_window(recording))
    if not rows:
        raise UsageError(
            f"{rows_file} has no request after a warm-up of {recording.warm_up_s:g} s: give a smaller"
            " --warm-up"
        )
    name = rows_file.stem
    page = render(
        "rowsreport.html",
        name=rows_file.name,
        headline=headline(judgement),
        status=judgement.status.name.lower(),
        verdicts=[_told(stage, recording) for stage in judgement.stages],
        figures=embedded(_pictures(rows, recording), folder / f"{name}-figures"),
        table=groups_table(rows, recording),
        names=names_table(rows, recording),
        naive=naive_table(rows, recording) if recording.open else None,
        rule=duration(recording.rule_ms),
        most_over=percent(recording.most_over),
        facts=facts(recording),
        counted=counted(len(rows), "request"),
        rows_link=rows_file.name if folder.resolve() == rows_file.parent.resolve() else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-report.html"
    path.write_text(page, encoding="utf-8")
    return path


def judged_rows(rows_file: Path, rule_ms: float | None = None, warm_up: float | None = None) -> Judgement:
    """The verdict on a file of requests, by another rule or warm-up if given. Raises LoadTestError."""
    given = {"rule_ms": rule_ms, "warm_up_s": warm_up}
    changed = {name: value for name, value in given.items() if value is not None}
    return judge(msgspec.structs.replace(read_recording(rows_file), **changed))


def _window(recording: Recording) -> tuple[float, float]:
    """From when to when (seconds) requests began that count."""
    start = recording.warm_up_s
    return start, recording.judged_until(start, recording.stopped_s)


def headline(judgement: Judgement) -> str:
    """The verdict in one line."""
    rule = f"the rule of {duration(judgement.recording.rule_ms)}"
    fit = [stage for stage in judgement.stages if not stage.doubts]
    groups = [(stage, group) for stage in fit for group in stage.groups]
    expected = [(stage, each) for stage in fit for each in stage.expectations]
    match judgement.status:
        case Status.USAGE:
            return "Nothing was tested"
        case Status.UNFIT:
            return "Not fit for a verdict"
        case Status.KEPT:
            more = " and what else was expected" if expected else ""
            return f"All groups of requests kept {rule}{more}"
        case Status.UNDECIDED:
            unsure = [group for _, group in groups if group.word == "undecided"]
            unmet = [each for _, each in expected if each.word == "undecided"]
            names = " and ".join(dict.fromkeys(title(group.group) for group in unsure))
            told = [f"{names} kept {rule}"] if names else []
            told += dict.fromkeys(f"“{each.text}” holds" for each in unmet)
            busy = any([each.excused for each in unsure] + [each.excused for each in unmet])
            why = "The machine or the load generator was too busy" if busy else "Too few requests"
            return f"{why} to say whether {' and '.join(told)}"
    broken = [(stage, group) for stage, group in groups if group.word == "broken"]
    if not broken:
        stage, first = next((stage, each) for stage, each in expected if each.word == "broken")
        return f"Not as expected{_with(stage, judgement.recording)}: {first.text} is broken, {first.reason}"
    stage, worst = max(broken, key=lambda each: each[1].summary["share_over"] or 0.0)
    share, load = percent(worst.summary["share_over"] or 0.0), _with(stage, judgement.recording)
    return f"{title(worst.group)} broke {rule}{load}: {share} took longer or failed"


def _with(stage: StageVerdict, recording: Recording) -> str:
    return f" with {stage_load(stage, recording)}" if stage.stage else ""


def stage_load(verdict: StageVerdict, recording: Recording) -> str:
    """What a stage put on, in words; empty for a load of one stage."""
    return said_load(verdict.stage.load, LOAD_KEYS[recording.model]) if verdict.stage else ""


def _told(verdict: StageVerdict, recording: Recording) -> dict[str, object]:
    """One stage for the page: its heading, its doubts, each group's verdict, its table."""
    span = f", {verdict.start:.1f} to {verdict.end:.1f} s" if verdict.stage else ""
    heading = stage_load(verdict, recording) + span
    return {
        "heading": heading,
        "doubts": [*verdict.doubts, *verdict.slowed] if verdict.doubts else [],
        "slowed": verdict.slowed,
        "groups": [(title(each.group), each.word, reason_of(each, recording)) for each in verdict.groups],
        "expectations": [(each.text, each.word, each.reason) for each in verdict.expectations],
        "table": groups_table(verdict.rows, recording, heading) if verdict.rows else None,
    }


def reason_of(verdict: GroupVerdict, recording: Recording) -> str:
    """Why a group's verdict is what it is."""
    share, interval = verdict.summary["share_over"], verdict.interval
    if verdict.word == "visit":
        return "whole visits, to which the rule does not apply"
    if share is None or interval is None:
        return "nothing was answered"
    limit = percent(recording.most_over)
    if verdict.excused:
        return f"{share * 100:.2f} % over ({interval}): {EXCUSE}"
    where = {
        "kept": f"all of it within {limit}",
        "broken": f"all of it above {limit}",
        "undecided": f"on both sides of {limit}"
        + (f": about {verdict.more} more requests would decide" if verdict.more else ""),
    }[verdict.word]
    return f"{share * 100:.2f} % over ({interval}, {where})"


def facts(recording: Recording) -> list[tuple[str, str]]:
    """What is known of the load and the generator, as pairs for a table."""
    start, end = recording.warm_up_s, recording.stopped_s
    lags = [lag.ms for lag in recording.lag if start <= lag.at < end]
    cpu = recording.cpu(start, end)
    count = recording.arrivals
    known = {
        "started": f"{datetime.fromtimestamp(recording.started_at, UTC):%Y-%m-%d %H:%M:%S} UTC",
        "model": recording.model,
        "users asked for": recording.users_asked,
        "users, at most": None if recording.open else recording.users(),
        "visits a second": recording.rate_per_s,
        "counted": f"{start:.1f} to {end:.1f} s; recorded until {recording.ended_s:.1f} s",
        "the generator was late, p99": f"{nearest_rank(lags, 99):.1f} ms" if lags else "not known",
        "the generator's CPU, of one core": f"{cpu[0]:.0f} %" if cpu else "not known",
        "the machine's CPU": f"{cpu[1]:.0f} %" if cpu else "not known",
        "visits planned, sent, dropped, never sent": count
        and f"{count.planned}, {count.sent}, {count.dropped}, {count.never_sent}",
        "processes of the generator": len(recording.vitals),
        "their clocks agree to within": duration(1000 * recording.clock_error_s)
        if recording.clock_error_s
        else None,
        "requests cut off at the end, with latency unknown": recording.left_out,
        "seed": recording.seed,
    }
    return [(name, str(value)) for name, value in known.items() if value is not None]


# ---- tables and figures


COLUMN_GROUPS = (
    ("requests", ["all", "failed", "unfinished", "dropped"]),
    ("over the rule", ["share", "95 % interval"]),
    ("latency", ["mean", "p50", "p95", "p99", "max"]),
)


def _line(name: str, rows: Sequence[Row], recording: Recording) -> Line:
    summary = summarise(rows, recording.ended_s, recording.rule_ms)
    share, interval = summary["share_over"], summary["share_ci"]
    counts = (summary["count"], summary["failures"], summary["unfinished"], summary["dropped"])
    return Line(
        [
            *(name, *map(str, counts), "–" if share is None else percent(share)),
            "–" if interval is None else f"{interval[0] * 100:.2f} to {interval[1] * 100:.2f} %",
            *(figure(summary, key) for key in ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")),
        ]
    )


def groups_table(rows: Sequence[Row], recording: Recording, where: str = "") -> Table:
    """The figures of each group. `where`: of which stage, if not of all."""
    lines = [_line(title(group), members, recording) for group, members in by_group(rows).items()]
    name = f"every group: {where}" if where else "every group"
    return Table(name, [("", ["group"]), *COLUMN_GROUPS], [Body("", lines)])


def names_table(rows: Sequence[Row], recording: Recording) -> Table:
    """The figures of each name within a group."""
    bodies = []
    for group, members in by_group(rows).items():
        names = groupby(sorted(members, key=lambda row: row.name), key=lambda row: row.name)
        lines = [_line(name, list(each), recording) for name, each in names]
        bodies.append(Body(title(group), lines))
    return Table("every name", [("", ["name"]), *COLUMN_GROUPS], bodies)


def naive_table(rows: Sequence[Row], recording: Recording) -> Table:
    """Latency from the intended start beside the naive one, from the moment of sending."""
    lines = []
    for group, members in by_group(rows).items():
        pair = [summarise(members, recording.ended_s, recording.rule_ms, naive) for naive in (False, True)]
        cells = [figure(each, key) for key in ("p50_ms", "p95_ms", "p99_ms") for each in pair]
        lines.append(Line([title(group), *cells]))
    both = ["intended", "naive"]
    return Table(
        "corrected and naive latency",
        [("", ["group"]), ("p50, from", both), ("p95, from", both), ("p99, from", both)],
        [Body("", lines)],
    )


def _pictures(rows: Sequence[Row], recording: Recording) -> Pictures:
    """The tail of each group, and every request over time."""
    groups = by_group(rows)
    largest = sorted(groups, key=lambda group: -len(groups[group]))
    ends = recording.ended_s, _window(recording)
    series = [
        Series(title(group), colour, [row for row in recording.rows if row.group == group], *ends)
        for group, colour in zip(largest, MORE_COLOURS, strict=False)  # as many as there are colours
    ]
    titles = Titles(
        "Every request, when it began and how long it took",
        "How many are still waiting, after how long?",
        "How late is the slowest part?",
        "Percentiles over time",
    )
    return of_series(series, titles, recording.rule_ms, "requests", recording.open)
