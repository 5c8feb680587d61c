"""The figure of a run: how long the answer takes, jobs a second, and what became of the feeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from loadtests.enginebench.plan import EnginePlan, TrialResult, figures_of
from loadtests.enginebench.tables import DASH, engine_label
from loadtests.enginebench.trials import FIGURE_TITLES, HARMS
from loadtests.queuebench.report import number
from loadtests.records.constants import RULE_MS
from loadtests.report.chartparts import COLOURS, GREY, described, headed, inches, latency_axis
from loadtests.wording import counted

FATES = {  # in the order of the bars; the colours differ in greyscale, too
    "by_itself": ("fetched unaided", COLOURS["queued"]),
    "restarted": ("with a worker started again", "#56B4E9"),
    "by_hand": ("by hand", "#A6D5F0"),
    "held": ("held, not fetched", "#BBBBBB"),
    "lost": ("lost", COLOURS["sync"]),
}
ENGINE_INCHES = 0.36
LABELS_INCHES = 1.9
Found = Mapping[tuple[str, str], dict[str, Any]]


def finding(plan: EnginePlan, measured: Sequence[TrialResult]) -> str:
    """What the run says first, without a full stop."""
    figures = figures_of(measured).items()
    tried = {engine: found for (engine, name), found in figures if name == "worker-killed" and found}
    losing = [engine_label(engine) for engine, found in tried.items() if found["lost"]]
    if not tried:
        return f"The same reader on {counted(len(plan.engines), 'engine')}"
    if not losing:
        return f"None of {counted(len(tried), 'engine')} loses a feed when its worker is killed"
    names = ", ".join(sorted(losing))
    verb = "lose" if len(losing) > 1 else "loses"
    return f"{len(losing)} of {counted(len(tried), 'engine')} {verb} feeds when a worker is killed: {names}"


def chart(plan: EnginePlan, measured: Sequence[TrialResult], subtitle: str) -> Figure:
    """A row for each engine, and a panel for each thing measured."""
    found = {key: figures for key, figures in figures_of(measured).items() if figures}
    panels = [name for name in FIGURE_TITLES if name != "load-30" and any(name == each for _, each in found)]
    high = ENGINE_INCHES * len(plan.engines)
    shares = [2 if name == "load-300" else 1 for name in panels]  # its ticks are long
    unit = (14 - LABELS_INCHES - 0.3) / sum(shares)
    with headed(high + 2.4, finding(plan, measured), subtitle) as figure:
        for place, name in enumerate(panels):
            axes = inches(
                figure, LABELS_INCHES + unit * sum(shares[:place]), 0.95, unit * shares[place] - 0.3, high
            )
            axes.set_ylim(len(plan.engines) - 0.5, -0.5)
            axes.set_yticks(range(len(plan.engines)), map(engine_label, plan.engines) if place == 0 else [])
            _panel(axes, name, plan.engines, found)
        if not {*HARMS}.isdisjoint(panels):
            handles = [Patch(color=colour, label=name) for name, colour in FATES.values()]
            figure.legend(handles=handles, loc="lower right", ncols=len(handles), frameon=False, fontsize=11)
    return described(figure, _told(plan, measured, found))


def _panel(axes: Axes, name: str, engines: Sequence[str], found: Found) -> None:
    axes.grid(visible=name == "load-300", axis="x")
    axes.grid(visible=False, axis="y")
    if name == "load-300":
        axes.set_title("POST p99", weight="bold")
        _latencies(axes, engines, found)
    elif name in HARMS:
        axes.set_title(FIGURE_TITLES[name], weight="bold", size=11)
        _fates(axes, name, engines, found)
    else:
        axes.set_title("jobs/s" if name == "backlog" else "pick-up, ms", weight="bold")
        figures = {
            place: found[engine, name] for place, engine in enumerate(engines) if (engine, name) in found
        }
        values = {
            place: each["per_s"]["value"] if name == "backlog" else each["p50"]
            for place, each in figures.items()
        }
        axes.barh(list(values), list(values.values()), height=0.7, color=COLOURS["queued"])
        for place, value in values.items():
            axes.annotate(
                number(value), (value, place), (4, 0), textcoords="offset points", va="center", size=11
            )
        axes.set_xlim(0, 1.45 * max(values.values()))
        axes.set_xticks([])


def _latencies(axes: Axes, engines: Sequence[str], found: Found) -> None:
    marks = {"load-30": ("o", "white", -0.15), "load-300": ("o", COLOURS["queued"], 0.15)}
    values = []
    for name, (marker, face, shift) in marks.items():
        for place, engine in enumerate(engines):
            submit = found.get((engine, name), {}).get("submit")
            if submit and submit["p99_ms"] is not None:
                low, high = submit["p99_ci"] or (None, None)
                values += [submit["p99_ms"], high or submit["p99_ms"]]
                ends = [low or submit["p99_ms"], high or submit["p99_ms"]]
                axes.plot(ends, [place + shift] * 2, color=COLOURS["queued"], lw=1.2)
                style: dict[str, Any] = {"mfc": face, "mec": COLOURS["queued"], "ms": 6, "ls": ""}
                axes.plot(submit["p99_ms"], place + shift, marker=marker, **style)
    latency_axis(axes, axes.xaxis, values)
    axes.axvline(RULE_MS, color="black", lw=1.4)
    axes.set_xlabel("○ 30 users, ● 300", size=11)


def _fates(axes: Axes, name: str, engines: Sequence[str], found: Found) -> None:
    for place, engine in enumerate(engines):
        if (engine, name) not in found:
            axes.text(0.02, place, DASH, color=GREY, size=11, va="center")
            continue
        figures, left = found[engine, name], 0.0
        for key, (_, colour) in FATES.items():
            share = figures[key] / max(1, figures["stored"])
            axes.barh(place, share, left=left, height=0.7, color=colour)
            left += share
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "half", "all"])


def _told(plan: EnginePlan, measured: Sequence[TrialResult], found: Found) -> str:
    """The alternative text."""
    parts = [f"{finding(plan, measured)}. A row for each engine."]
    rates = {
        name: found[name, "backlog"]["per_s"]["value"] for name in plan.engines if (name, "backlog") in found
    }
    if rates:
        listed = ", ".join(f"{engine_label(name)} {number(rate)}" for name, rate in rates.items())
        parts.append(f"Jobs a second: {listed}.")
    for harm in HARMS:
        fates = [(name, found[name, harm]) for name in plan.engines if (name, harm) in found]
        if fates:
            listed = ", ".join(
                f"{engine_label(name)} {each['lost']} of {each['stored']}" for name, each in fates
            )
            parts.append(f"Lost, {FIGURE_TITLES[harm]}: {listed}.")
    return " ".join(parts)
