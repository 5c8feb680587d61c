"""What a comparison comes to, as `compare --json` writes it."""

from typing import Literal, TypedDict

from loadtests.records.figures import FigureKey

SideName = Literal["before", "after"]
ChangeWord = Literal["slower", "slower within the margin", "faster", "none seen", "not judged"]


class Question(TypedDict):
    """One figure on both sides. Latencies in ms, shares from 0 to 1; None: not known."""

    condition: str
    group: str
    figure: FigureKey
    repeats: tuple[int, int]  # fit ones, before and after
    between: bool  # the interval is from the spread of repeats; False: from the rows of single runs
    before: float
    after: float
    lower_bounds: tuple[bool, bool]
    difference: float  # after minus before
    low: float | None  # of its 95 % interval, for this question alone
    high: float | None
    chance: float | None  # p-value: of a difference at least as large if there were none
    adjusted: float | None  # the same, adjusted for how many questions are asked
    margin: float  # how much worse the figure may become
    finding: ChangeWord


class Lost(TypedDict):
    """A condition that can't be compared, since one side has no repeat of it that is fit to compare."""

    condition: str
    side: SideName
    reasons: list[str]


class Comparison(TypedDict):
    """What `compare --json` writes."""

    schema: str
    version: int
    before: str
    after: str
    worse_percent: float
    questions: list[Question]
    unfit: list[Lost]
    left_out: list[str]  # conditions that only one side has
    warnings: list[str]
    exit_status: int
    sentence: str
