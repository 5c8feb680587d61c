"""What `jobqueue doctor` finds: each with a figure, and what to do."""

from dataclasses import dataclass
from typing import Literal

from jobqueue.tools.printing import paragraph

Level = Literal["ok", "warn", "fail"]
COLUMN = 30  # where the text begins


@dataclass(frozen=True)
class Finding:
    """`fail`: jobs may be lost, run twice at once, or not run. `warn`: this will cause trouble one day."""

    level: Level
    check: str
    text: str

    def __str__(self) -> str:
        return paragraph(self.text, mark=f"{self.level:<4}  {self.check}".ljust(COLUMN))


def judge(
    check: str, value: float, warn_above: float, fail_above: float, figure: str, advice: str
) -> Finding:
    """Judge a value of which higher is worse; `advice` is added when it is too high."""
    level: Level = "fail" if value > fail_above else "warn" if value > warn_above else "ok"
    return Finding(level, check, figure if level == "ok" else f"{figure}: {advice}")
