"""The pictures of chapter 12: a backlog with more and more workers, and the reader on two engines."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from matplotlib.figure import Figure

from loadtests.records.constants import RULE_MS
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    described,
    even_ticks,
    head,
    house_style,
    inches,
    label_ends,
    latency_axis,
    number_axis,
)
from loadtests.wording import duration
from workbook.words import in_words

DATABASE_STYLES = {"sqlite": ("SQLite", "#007A5A", "o"), "postgresql": ("PostgreSQL", COLOURS["queued"], "s")}
ENGINE_NAMES = {"jobqueue": "jobqueue", "procrastinate": "Procrastinate"}
ENGINE_COLOURS = {"jobqueue": COLOURS["queued"], "procrastinate": "#007A5A"}


def drains_figure(done: Mapping[str, Mapping[str, float]], theory: Callable[[int], float]) -> Figure:
    """Seconds until all jobs are done, against the number of workers; and what theory says."""
    workers = [int(number) for number in next(iter(done.values()))]
    with house_style():
        figure = Figure(figsize=(11, 4.7))
        what = "80 jobs that wait 0.1 s each; every worker has 4 threads"
        head(figure, "Twice the workers, nearly half the time, with either database", what)
        axes = inches(figure, 0.95, 0.75, 7.6, 3.0)
        number_axis(axes, workers, "worker processes (logarithmic)")
        axes.set_ylim(0, 1.15 * max(max(times.values()) for times in done.values()))
        even_ticks(axes.yaxis)
        axes.set_ylabel("seconds until all is done")
        expected = [theory(number) for number in workers]
        axes.plot(workers, expected, color=GREY, lw=1.6, ls=(0, (4, 2)))
        labels = [EndLabel(workers[-1], expected[-1], f"theory: {in_words(expected[-1])}", GREY)]
        for database, times in done.items():
            name, colour, marker = DATABASE_STYLES[database]
            seconds = [times[str(number)] for number in workers]
            axes.plot(workers, seconds, marker=marker, color=colour, ms=8, lw=1.6)
            labels.append(EndLabel(workers[-1], seconds[-1], f"{name}: {in_words(seconds[-1])}", colour))
        label_ends(axes, labels)
    told = "; ".join(label.text for label in labels)
    return described(figure, f"Until all jobs are done, with {workers[-1]} workers. {told}.")


def engines_figure(visits: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """A dot for each feed: when its answer came, and its content, with each engine; lines: the medians."""
    rows = [(engine, what) for what in ("answer", "content") for engine in visits]
    with house_style():
        figure = Figure(figsize=(11, 4.3))
        head(
            figure,
            "The same reader on two engines",
            f"{len(visits['jobqueue'])} feeds; lines: medians",
        )
        axes = inches(figure, 2.3, 0.75, 7.3, 2.3)
        latency_axis(
            axes, axes.xaxis, [1000 * each[what] for engine, what in rows for each in visits[engine]]
        )
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.axvline(RULE_MS, color="black", lw=1.4)
        axes.text(RULE_MS, -0.7, f"{duration(RULE_MS)}: the rule", ha="center", size=11)
        told = []
        for place, (engine, what) in enumerate(rows):
            times = [1000 * each[what] for each in visits[engine]]
            spread = [
                place + 0.22 * (n % 5 - 2) / 2 for n in range(len(times))
            ]  # so that they don't hide each other
            axes.plot(times, spread, "o", color=ENGINE_COLOURS[engine], ms=5, alpha=0.45, mew=0)
            half = median(times)
            axes.plot([half, half], [place - 0.36, place + 0.36], color=ENGINE_COLOURS[engine], lw=2.5)
            across = axes.get_yaxis_transform()
            said = in_words(half / 1000)
            told.append(f"{what}, {ENGINE_NAMES[engine]}: half within {said}")
            axes.text(1.02, place, said, color=ENGINE_COLOURS[engine], size=11, va="center", transform=across)
        axes.set_yticks(range(len(rows)), [f"{what}, {ENGINE_NAMES[engine]}" for engine, what in rows])
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("time since the feed was submitted (logarithmic)")
    return described(figure, f"The time since the feed was submitted. {'; '.join(told)}.")
