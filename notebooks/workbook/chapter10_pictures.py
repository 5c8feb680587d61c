"""The picture of chapter 10: how long a backlog takes with more and more workers."""

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure

from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    head,
    house_style,
    inches,
    label_ends,
    number_axis,
)
from workbook.words import in_words

DATABASES = {"sqlite": ("SQLite", "#007A5A", "o"), "postgresql": ("PostgreSQL", COLOURS["queued"], "s")}


def drains_figure(done: Mapping[str, Mapping[str, float]], theory: Callable[[int], float]) -> Figure:
    """Seconds until all jobs are done against the number of workers, and what theory says."""
    workers = [int(number) for number in next(iter(done.values()))]
    with house_style():
        figure = Figure(figsize=(11, 4.7))
        what = "120 jobs that wait 0.1 s each; every worker has 4 threads"
        head(figure, "Twice the workers, half the time, with either database", what)
        axes = inches(figure, 0.95, 0.75, 7.6, 3.0)
        number_axis(axes, workers, "worker processes (logarithmic)")
        axes.set_ylim(0, 1.15 * max(max(times.values()) for times in done.values()))
        axes.set_ylabel("seconds until all is done")
        expected = [theory(number) for number in workers]
        axes.plot(workers, expected, color=GREY, lw=1.6, ls=(0, (4, 2)))
        labels = [EndLabel(workers[-1], expected[-1], f"theory: {in_words(expected[-1])}", GREY)]
        for database, times in done.items():
            name, colour, marker = DATABASES[database]
            seconds = [times[str(number)] for number in workers]
            axes.plot(workers, seconds, marker=marker, color=colour, ms=8, lw=1.6)
            labels.append(EndLabel(workers[-1], seconds[-1], f"{name}: {in_words(seconds[-1])}", colour))
        label_ends(axes, labels)
    return figure
