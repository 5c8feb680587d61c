"""The pictures of chapter 12: what became of feeds, and a backlog with more and more workers."""

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.enginebench.chart import FATES
from loadtests.enginebench.harm import Aftermath
from loadtests.enginebench.tables import engine_label
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
    number_axis,
)
from workbook.words import in_words

DATABASE_STYLES = {"sqlite": ("SQLite", "#007A5A", "o"), "postgresql": ("PostgreSQL", COLOURS["queued"], "s")}


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


def killed_figure(killed: Mapping[str, Aftermath]) -> Figure:
    """What became of the ten feeds of each engine, and when the last of those that came did."""
    feeds = max(each["stored"] for each in killed.values())
    losing = sum(each["lost"] > 0 for each in killed.values())
    title = f"Of {len(killed)} engines, {losing} lose what their worker had in hand"
    told = [f"{title}."]
    with house_style():
        figure = Figure(figsize=(11, 1.5 + 0.5 * len(killed)))
        head(figure, title, f"{feeds} feeds were being fetched when the only worker was killed")
        axes = inches(figure, 1.7, 0.3, 7.0, 0.5 * len(killed))
        axes.set_xlim(0, feeds)
        axes.set_ylim(len(killed) - 0.5, -0.5)
        axes.set_yticks(range(len(killed)), map(engine_label, killed))
        axes.set_xticks([])
        axes.grid(visible=False)
        for place, (engine, each) in enumerate(killed.items()):
            words = _bar(axes, place, each)
            if each["after_s"]:
                words.append(f"the last after {in_words(each['after_s'])}")
                axes.text(1.01 * feeds, place, words[-1], size=11, va="center")
            told.append(f"{engine_label(engine)}: {', '.join(words)}.")
    return described(figure, " ".join(told))


def _bar(axes: Axes, place: int, aftermath: Aftermath) -> list[str]:
    """Draw what became of an engine's feeds; returns it in words."""
    left, words = 0, []
    for key, (fate, colour) in FATES.items():
        if number := aftermath[key]:  # type: ignore[literal-required]
            words.append(f"{number} {fate}")
            axes.barh(place, number, left=left, height=0.7, color=colour)
            ink = "black" if key == "held" else "white"
            axes.text(left + number / 2, place, words[-1], color=ink, ha="center", va="center")
            left += number
    return words
