"""The demo's screen in a terminal: it fits, and shows what there is."""

import pytest
from shown_readers import CALM, STUCK

from loadtests.demo.controls import CONTROLS, Wanted
from loadtests.demo.running import Dot, Now
from loadtests.demo.screen import SCREEN_COLUMNS, Glimpse, chart, line, screen
from loadtests.demo.tour import TOUR


def glimpse(*now: Now, step: int | None = 4) -> Glimpse:
    """A screen with a request of each latency a second, and those that wait."""
    dots = [Dot(1000.0 - age, 3.0 * 1.4**age, "submit") for age in range(40)]
    wanted = Wanted().changed(**{name: control.most for name, control in CONTROLS.items()})
    return Glimpse(
        1000.0,
        ("sync", "queued"),
        now,
        (dots, dots),
        wanted,
        TOUR[step] if step is not None else None,
        3599.0,
    )


@pytest.mark.parametrize("now", [CALM, STUCK])
@pytest.mark.parametrize("step", [None, *range(len(TOUR))])
def test_the_screen_has_24_lines_of_at_most_80_columns(now: Now, step: int | None) -> None:
    """With the largest figures, too; no sentence of the tour is cut."""
    lines = screen(glimpse(now._replace(jobs=None), now, step=step))
    assert len(lines) == 24
    assert max(text.cell_len for text in lines) <= SCREEN_COLUMNS
    assert lines[5].plain.count("only looking") == 2  # nothing of the figures is cut
    if step is not None:
        assert " ".join(text.plain for text in lines[1:3]).split() == TOUR[step].says.split()
    for app in ("sync", "queued"):
        assert len(line(app, now)) <= SCREEN_COLUMNS - len("59:59 ")


def test_the_chart_has_the_newest_on_the_right_and_the_slow_above_the_line() -> None:
    """Who waits is a circle, at the time waited so far; polls are not drawn."""
    dots = [Dot(999.5, 3.0, "browse"), Dot(990.5, 700.0, "submit"), Dot(990.5, 700.0, "poll")]
    rows = [text.plain for text in chart(dots, [Dot(997.5, None, "submit")], 1000.0)]
    rule = next(number for number, row in enumerate(rows) if row.startswith("500 ms"))
    assert rows[-1].endswith("·") and rows[-1].count("·") == 1
    assert rows[rule - 1][-10] == "·" and "".join(rows).count("·") == 2
    (waiting,) = [number for number, row in enumerate(rows) if "○" in row]
    assert rows[waiting][-3] == "○" and waiting < rule - 1
