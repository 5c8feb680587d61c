"""The five steps of the story, and how the tour goes through them by itself. Pure."""

from typing import NamedTuple

from loadtests.demo.controls import Wanted


class TourStep(NamedTuple):
    """A step: what it runs, for how many seconds, and what is to be seen."""

    title: str
    says: str
    seconds: float
    wanted: Wanted
    hang: int = 0  # feeds that hang all the time, besides those of the mix
    kill_s: float | None = None  # when the worker is killed, in seconds
    replace_s: float | None = None  # when another takes its place


CALM = Wanted(visitors=40, slow=0, hanging=0)
TOUR = (
    TourStep(
        "One visitor",
        "Each request takes one of eight slots. On the left it keeps the slot while the feed is fetched; on"
        " the right it leaves a job behind and is answered at once.",
        20,
        CALM.changed(visitors=1),
    ),
    TourStep(
        "Forty visitors",
        "A feed takes a third of a second, some twice that; on the left its visitor waits that long. Eight"
        " slots are enough: hardly anybody stands in line.",
        30,
        CALM,
    ),
    TourStep(
        "One feed hangs",
        "Somebody else's server does not answer. On the left it takes one slot away, until the deadline.",
        35,
        CALM,
        hang=1,
    ),
    TourStep(
        "Eight feeds hang",
        "On the left no slot is free: nobody gets a page, not even those who only look. On the right"
        " the worker waits, and no visitor does.",
        45,
        CALM,
        hang=8,
    ),
    TourStep(
        "The queue",
        "One feed in five is now slow or hangs. On the right even a killed worker delays no request: its jobs"
        " stay in the table, and the next worker picks them up.",
        50,
        Wanted(visitors=40),
        kill_s=15,
        replace_s=27,
    ),
)
TOUR_SECONDS = sum(step.seconds for step in TOUR)


def step_at(seconds: float) -> int | None:
    """Which step the tour shows so many seconds after its start; None once it is over."""
    for number, step in enumerate(TOUR):
        seconds -= step.seconds
        if seconds < 0:
            return number
    return None
