"""What the trials have shown, as tables: the same for the terminal, for Markdown and for the page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadtests.enginebench.harm import TRIES, WATCHED_SECONDS
from loadtests.enginebench.plan import EnginePlan, Measured
from loadtests.enginebench.speed import BACKLOG, PICK_UPS
from loadtests.enginebench.trials import TRIALS
from loadtests.engines.engines import ENGINES, app_of
from loadtests.queuebench.report import number
from loadtests.report.page import Body, Line, Table
from loadtests.wording import LABELS

Figures = Mapping[str, Any]

NONE = "–"
DOUBT = " *"
ENGINE = ("", ["engine"])
SETTINGS = {
    "celery": "as it comes",
    "celery-late": "acks_late, visibility_timeout 15 s",
    "celery-threads": "threads",
    "celery-threads-late": "acks_late, visibility_timeout 15 s",
    "rq": "as it comes",
    "dramatiq": "as it comes",
    "huey": "fsync",
    "procrastinate": "retried by hand",
    "pgqueuer": "as it comes",
}
LEGEND = (
    "The load: POST /feeds, and the time until the feed can be read; with 95 % intervals."
    f" A backlog: {BACKLOG} feeds; CPU in ms a job. An idle worker: {PICK_UPS} feeds, one after the other.",
    f"Harm: of {TRIES} feeds that are being fetched (broker: and {TRIES} that are added while it is away),"
    " how many were fetched by themselves, and when the last was, in seconds; how many once a worker was"
    " started again; and by hand, as the engine's guide has it."
    f" Held: not fetched in {WATCHED_SECONDS:.0f} s, but the engine still knows of it. Lost: it does not."
    " Unsaid: held or lost, though its visitor was told that it was accepted."
    " Again: fetches begun once more.",
)
HARM_HEADS = ("feeds", "itself", "after", "worker", "hand", "held", "lost", "unsaid", "again")
HARM_KEYS = ("stored", "by_itself", "after_s", "restarted", "by_hand", "held", "lost", "unsaid", "again")


def engine_label(engine: str) -> str:
    """The engine in at most 14 characters."""
    return engine if engine == "jobqueue" else LABELS[app_of(engine)]


def tables(plan: EnginePlan, measured: Sequence[Measured]) -> list[Table]:
    """The tables of what was measured, without those of which nothing was."""
    found = {(each.engine, each.trial): each.figures for each in measured}

    def body(title: str, trial: str, cells: Callable[[Figures], list[str]], columns: int) -> list[Body]:
        lines = []
        for engine in plan.engines:
            if (engine, trial) in found:
                figures = found[engine, trial]
                mark = DOUBT if figures and figures.get("reasons") else ""
                shown = cells(figures) if figures else [NONE] * columns
                lines.append(Line([engine_label(engine) + mark, *shown]))
        return [Body(title, lines)] if lines else []

    load = [each for trial in ("load-30", "load-300") for each in body(TRIALS[trial].title, trial, _load, 4)]
    drain = body("", "backlog", _backlog, 4)
    pick = body("", "pick-up", _pick_up, 2)
    harm = [
        each
        for trial, kind in TRIALS.items()
        if kind.kind == "harm"
        for each in body(kind.title, trial, _harm, len(HARM_KEYS))
    ]
    kept = [Line([engine_label(engine), *_kept(engine)]) for engine in plan.engines]
    heads = {
        "the load": (
            [("", ["engine"]), ("POST /feeds, ms", ["p50", "p99"]), ("content, s", ["p50", "p95"])],
            load,
        ),
        "a backlog": (
            [("", ["engine"]), ("", ["jobs/s"]), ("CPU a job", ["worker", "broker"]), ("", ["MiB"])],
            drain,
        ),
        "an idle worker": ([ENGINE, ("content, ms", ["p50", "most"])], pick),
        "harm": ([ENGINE, ("", list(HARM_HEADS))], harm),
        "what each is": ([("", ["engine", "jobs are in", "on the disk", "as set"])], [Body("", kept)]),
    }
    return [Table(name, groups, bodies) for name, (groups, bodies) in heads.items() if bodies]


def notes(plan: EnginePlan, measured: Sequence[Measured]) -> list[str]:
    """What was not measured and why, and of which figures to doubt."""
    said = []
    for each in measured:
        what = f"{engine_label(each.engine)}, {TRIALS[each.trial].title}"
        if each.figures is None:
            said.append(f"Not measured: {what}: {each.reason}")
        elif reasons := each.figures.get("reasons"):
            said.append(f"* {what}: {'; '.join(reasons)}")
    files = [
        engine_label(name) for name in plan.engines if not (ENGINES[name].valkey or ENGINES[name].postgresql)
    ]
    if files and "harm" in plan.kinds:
        said.append(f"There is no broker to kill with {' and '.join(files)}: the jobs are in a file.")
    late = [engine_label(name) for name in plan.engines if "late" in ENGINES[name].options]
    if late:
        said.append(f"{' and '.join(late)}: as it comes, visibility_timeout is an hour.")
    return said


def text_tables(found: Sequence[Table]) -> str:
    """As text, at most 80 columns wide."""
    return "\n\n".join(_as_text(table) for table in found)


def markdown_tables(found: Sequence[Table]) -> str:
    """As Markdown."""
    return "\n\n".join(_as_markdown(table) for table in found)


def _as_text(table: Table) -> str:
    names = [
        f"{group} {name}".strip() if group and len(group) < 10 else name for group, name in _columns(table)
    ]
    names[0] = table.name
    rows = [line.cells for body in table.bodies for line in body.lines]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        pairs = list(zip(cells, widths, strict=True))
        words = [cell.ljust(width) for cell, width in pairs[: table.words]]
        return " ".join([*words, *(cell.rjust(width) for cell, width in pairs[table.words :])]).rstrip()

    lines = [line(names), "-" * min(80, sum(widths) + len(widths) - 1)]
    for body in table.bodies:
        lines += [f"{body.title}:"] if body.title else []
        lines += [line(each.cells) for each in body.lines]
    return "\n".join(lines)


def _as_markdown(table: Table) -> str:
    names = [f"{name} ({group})" if group else name for group, name in _columns(table)]
    titled = any(body.title for body in table.bodies)
    rows = [[*([body.title] if titled else []), *line.cells] for body in table.bodies for line in body.lines]
    names = [*([table.name] if titled else []), *names]
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _columns(table: Table) -> list[tuple[str, str]]:
    return [(group, name) for group, names in table.heads for name in names]


def _load(figures: Figures) -> list[str]:
    submit, content = figures["submit"], figures["content"]
    return [
        *(_with_interval(submit[f"{key}_ms"], submit[f"{key}_ci"], 1) for key in ("p50", "p99")),
        *(_with_interval(content[f"{key}_ms"], content[f"{key}_ci"], 1000) for key in ("p50", "p95")),
    ]


def _backlog(figures: Figures) -> list[str]:
    return [_figure(figures[key]) for key in ("per_s", "worker_ms", "broker_ms", "memory_mib")]


def _pick_up(figures: Figures) -> list[str]:
    return [_with_interval(figures["p50"], figures["p50_ci"], 1), _figure(figures["most"])]


def _harm(figures: Figures) -> list[str]:
    return [_figure(figures[key]) if key == "after_s" else str(figures[key]) for key in HARM_KEYS]


def _kept(engine: str) -> list[str]:
    kind = ENGINES[engine]
    place = "Valkey" if kind.valkey else "PostgreSQL" if kind.postgresql else "SQLite"
    return [
        place,
        "fsync each second" if kind.valkey else "fsync at commit",
        SETTINGS.get(engine, "as it comes"),
    ]


def _figure(value: float | None) -> str:
    return NONE if value is None else number(value)


def _with_interval(value: float | None, interval: Sequence[float | None] | None, unit: float) -> str:
    """ "9.1 (8.9–9.4)"; "?" is an end that is not bounded."""
    if value is None:
        return NONE
    ends = ["?" if end is None else number(end / unit) for end in interval or ()]
    return number(value / unit) + (f" ({NONE.join(ends)})" if ends else "")
