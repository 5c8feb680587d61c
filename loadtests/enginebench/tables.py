"""What the trials have shown, as tables: the same for the terminal, for Markdown and for the page."""

from collections.abc import Callable, Collection, Mapping, Sequence

from loadtests.enginebench.harm import ASK_SECONDS, HARMED, WATCHED_SECONDS
from loadtests.enginebench.plan import EnginePlan, TrialResult, figures_of
from loadtests.enginebench.speed import BACKLOGS, LOADS, PICK_UPS, WAITING_FEEDS, Numbers
from loadtests.enginebench.trials import ENGINE_TRIALS, FIGURE_TITLES, HARMS
from loadtests.engines.engines import ENGINES, app_of
from loadtests.queuebench.report import number
from loadtests.records.figures import Figure
from loadtests.report.page import Body, Line, Table
from loadtests.wording import LABELS

AllFigures = Mapping[tuple[str, str], Numbers | None]  # sets of figures, by engine and name
DASH = "–"
DOUBT = " *"
SETTINGS = {  # of those that are not as they come
    "celery-late": "acks_late, visibility_timeout 15 s",
    "celery-threads": "threads",
    "celery-threads-late": "acks_late, visibility_timeout 15 s",
    "rq": "a pool that has imported all",
    "huey": "fsync",
    "procrastinate": "retried by hand",
}
SHORTENED = (
    "In short: ms of POST /feeds with 300 users, jobs a second of a backlog, ms until an idle worker has"
    " fetched; then the harms to the worker, to the broker or database, and to the web process. There, the"
    " worst that became of feeds, and of how many: lost, still held in the end, fetched by hand, or once a"
    " worker was started again; if none of these, after how long the last was fetched."
)
LEGENDS = {  # of the kinds of trials
    "load": "The load: POST /feeds, and the time until the feed can be read, with 95 % intervals"
    " (none: too few requests for one).",
    "work": f"A backlog: {WAITING_FEEDS} feeds, {BACKLOGS} times, with intervals by Student's t."
    " CPU, in ms a job: of the web server that enqueues it, of the worker, and of Valkey or PostgreSQL, which"
    " also has the reader's own tables. A POST alone: the median of those sent one at a time; on Valkey also"
    f" with an fsync at each write, as a database does at a commit. An idle worker: {PICK_UPS} feeds, one"
    " after the other.",
    "harm": f"Harm: of {HARMED} feeds being fetched (broker: and {HARMED} that are added while it"
    " is away), how many were fetched by themselves, and when the last was, in seconds; how many once a"
    " worker was started again; and by hand, as the engine's guide has it."
    f" Held: not fetched in {WATCHED_SECONDS:.0f} s, but the engine still knows of it. Lost: it does not,"
    f" asked twice in {ASK_SECONDS:.0f} s, and nothing is being fetched. Unsaid: held or lost, though its"
    " visitor was told that it was accepted; the others got an error, or no answer. Again: fetches begun"
    " once more.",
}
WORST_FIRST = {"lost": "lost", "held": "held", "by_hand": "hand", "restarted": "worker"}  # and in short
HARM_HEADS = ("feeds", "itself", "after", "worker", "hand", "held", "lost", "unsaid", "again")
HARM_KEYS = ("stored", "by_itself", "after_s", "restarted", "by_hand", "held", "lost", "unsaid", "again")


def engine_label(engine: str) -> str:
    """The engine in at most 14 characters."""
    return engine if engine == "jobqueue" else LABELS[app_of(engine)]


def place_of(engine: str) -> str:
    """What its jobs are in."""
    kind = ENGINES[engine]
    return "Valkey" if kind.valkey else "PostgreSQL" if kind.postgresql else "SQLite"


def tables(plan: EnginePlan, measured: Sequence[TrialResult]) -> list[Table]:
    """The tables of what was measured, without those of which nothing was."""
    kept = [Line([engine_label(engine), *_kept(engine)]) for engine in plan.engines]
    load, pick = [("ms", ["p50", "p99"])], [("ms", ["p50", "most"])]
    found, backlog = figures_of(measured), ("backlog",)
    shown = [
        _in_short(plan, found),
        _table(plan, found, "POST /feeds", LOADS, load, _answers),
        _table(plan, found, "time to content", LOADS, [("s", ["p50", "p95"])], _content),
        _table(plan, found, "a backlog", backlog, [("", ["jobs/s", "MiB"])], _backlog),
        _table(plan, found, "CPU ms a job", backlog, [("", ["web", "worker", "broker"])], _cpu),
        _table(plan, found, "an idle worker", ("pick-up",), pick, _pick_up),
        _table(plan, found, "harm", HARMS, [("", list(HARM_HEADS))], _harm),
        _table(plan, found, "a POST alone, ms", backlog, [("", ["as set", "fsync each"])], _lone),
        Table("what each is", [("", ["engine", "jobs are in", "on the disk", "as set"])], [Body("", kept)]),
    ]
    return [table for table in shown if table.bodies]


def _in_short(plan: EnginePlan, found: AllFigures) -> Table:
    """One line for each engine, without intervals."""
    names = [name for name in IN_SHORT if any(name == each for _, each in found)]

    def cell(engine: str, name: str) -> str:
        figures = found.get((engine, name))
        return IN_SHORT[name][1](figures) + _mark(figures) if figures else DASH

    lines = [Line([engine_label(engine), *(cell(engine, name) for name in names)]) for engine in plan.engines]
    heads = [IN_SHORT[name][0] for name in names]
    return Table("in short", [("", ["engine"]), ("", heads)], [Body("", lines)] if names else [])


def _fate(figures: Numbers) -> str:
    """The worst that became of a feed, and of how many; else when the last of them was fetched."""
    worst = next((key for key in WORST_FIRST if figures[key]), "")
    return f"{figures[worst]} {WORST_FIRST[worst]}" if worst else f"{figures['after_s']:.0f} s"


def _table(
    plan: EnginePlan,
    found: AllFigures,
    title: str,
    names: Collection[str],
    heads: Sequence[tuple[str, Sequence[str]]],
    cells: Callable[[Numbers], list[str]],
) -> Table:
    """A line for each engine, under the title of each of these sets of figures."""
    bodies: list[Body] = []
    table = Table(title, [("", ["engine"]), *heads], bodies)
    for name in names:
        lines = []
        for engine in plan.engines:
            if (engine, name) in found:
                figures = found[engine, name]
                shown = cells(figures) if figures else [DASH] * (table.width - 1)
                lines.append(Line([engine_label(engine) + _mark(figures), *shown]))
        if lines:
            bodies.append(Body(FIGURE_TITLES[name] if len(names) > 1 else "", lines))
    return table


def _mark(figures: Numbers | None) -> str:
    return DOUBT if figures and figures.get("reasons") else ""


def notes(plan: EnginePlan, measured: Sequence[TrialResult]) -> list[str]:
    """What the figures mean, which to doubt, and what was not measured, and why."""
    kinds = {ENGINE_TRIALS[each.trial].kind for each in measured}
    said = [SHORTENED, *(legend for kind, legend in LEGENDS.items() if kind in kinds)]
    for each in measured:
        if each.figures is None:
            what = f"{engine_label(each.engine)}, {ENGINE_TRIALS[each.trial].title}"
            said.append(f"Not measured: {what}: {each.reason}")
    said += doubts(measured)
    files = [
        engine_label(name) for name in plan.engines if not (ENGINES[name].valkey or ENGINES[name].postgresql)
    ]
    if files and "harm" in kinds:
        said.append(f"There is no broker to kill with {' and '.join(files)}: the jobs are in a file.")
    late = [engine_label(name) for name in plan.engines if "late" in ENGINES[name].options]
    if late:
        said.append(f"{' and '.join(late)}: as it comes, visibility_timeout is an hour.")
    return said


def doubts(measured: Sequence[TrialResult]) -> list[str]:
    """Which figures to doubt, and why."""
    reasons = {key: figures.get("reasons") for key, figures in figures_of(measured).items() if figures}
    return [
        f"* {engine_label(engine)}, {FIGURE_TITLES[name]}: {'; '.join(why)}"
        for (engine, name), why in reasons.items()
        if why
    ]


def text_tables(found: Sequence[Table]) -> str:
    """As text, at most 80 columns wide."""
    return "\n\n".join(_as_text(table) for table in found)


def markdown_tables(found: Sequence[Table]) -> str:
    """As Markdown."""
    return "\n\n".join(_as_markdown(table) for table in found)


def _as_text(table: Table) -> str:
    names = [table.name, *_names(table)[1:]]
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
    titled = any(body.title for body in table.bodies)
    rows = [[*([body.title] if titled else []), *line.cells] for body in table.bodies for line in body.lines]
    names = [*([table.name] if titled else []), *_names(table)]
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _names(table: Table) -> list[str]:
    return [f"{name}, {group}" if group else name for group, names in table.heads for name in names]


IN_SHORT: dict[str, tuple[str, Callable[[Numbers], str]]] = {  # the head, and the cell
    "load-300": ("POST p99", lambda figures: _latency(figures["submit"], "p99", 1, interval=False)),
    "backlog": ("jobs/s", lambda figures: number(figures["per_s"]["value"])),
    "pick-up": ("pick-up", lambda figures: number(figures["p50"])),
    "worker-killed": ("-9", _fate),
    "worker-stopped": ("TERM", _fate),
    "broker-killed": ("broker", _fate),
    "web-killed": ("web", _fate),
}


def _answers(figures: Numbers) -> list[str]:
    return [_latency(figures["submit"], key, 1) for key in ("p50", "p99")]


def _content(figures: Numbers) -> list[str]:
    return [_latency(figures["content"], key, 1000) for key in ("p50", "p95")]


def _latency(summary: Numbers, key: str, unit: float, interval: bool = True) -> str:
    """A latency with its interval; with ≥ if it is a lower bound, since requests were not answered."""
    mark = "≥ " if f"{key}_ms" in summary["lower_bounds"] else ""
    return mark + _with_interval(summary[f"{key}_ms"], summary[f"{key}_ci"] if interval else None, unit)


def _backlog(figures: Numbers) -> list[str]:
    return [_repeated(figures[key]) for key in ("per_s", "memory_mib")]


def _lone(figures: Numbers) -> list[str]:
    return [_repeated(figures[key]) for key in ("post_ms", "durable_ms")]


def _cpu(figures: Numbers) -> list[str]:
    return [_repeated(figures[key]) for key in ("web_ms", "worker_ms", "broker_ms")]


def _repeated(figure: Figure | None) -> str:
    return _with_interval(figure["value"], (figure["low"], figure["high"]), 1) if figure else DASH


def _pick_up(figures: Numbers) -> list[str]:
    return [_with_interval(figures["p50"], figures["p50_ci"], 1), _figure(figures["most"])]


def _harm(figures: Numbers) -> list[str]:
    return [_figure(figures[key]) if key == "after_s" else str(figures[key]) for key in HARM_KEYS]


def _kept(engine: str) -> list[str]:
    return [
        place_of(engine),
        "fsync each second" if ENGINES[engine].valkey else "fsync at commit",
        SETTINGS.get(engine, "as it comes"),
    ]


def _figure(value: float | None) -> str:
    return DASH if value is None else number(value)


def _with_interval(value: float | None, interval: Sequence[float | None] | None, unit: float) -> str:
    """ "9.1 (8.9–9.4)"; "?" is an end that is not bounded."""
    if value is None:
        return DASH
    ends = ["?" if end is None else number(end / unit) for end in interval or ()]
    return number(value / unit) + (f" ({DASH.join(ends)})" if ends else "")
