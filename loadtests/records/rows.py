"""One request as a row, and rows as a CSV file. Pure but for the file."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from loadtests.errors import LoadTestError

DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Row:
    """One request of one user. Times are seconds since the start of the run, to the microsecond."""

    user: int
    group: str  # submit, page, poll, browse or content; or the locustfile's own name
    name: str
    intended_s: float  # when it should have been sent
    sent_s: float | None  # None: never sent
    done_s: float | None  # None: no answer when the run ended
    status: int  # HTTP status; 0 when there was no answer
    error: str  # empty on success; DROPPED: not sent, too many were in flight

    @property
    def dropped(self) -> bool:
        """True for an arrival of open load that was never sent, since too many were in flight."""
        return self.sent_s is None and self.error == DROPPED

    @property
    def unfinished(self) -> bool:
        """True if the run ended before the answer came, even if it still waited for a connection."""
        return self.done_s is None and not self.dropped

    @property
    def failed(self) -> bool:
        """True if it ended with an error, or with a status of 400 or above."""
        return self.done_s is not None and (bool(self.error) or self.status >= 400)

    def moved(self, later: float) -> "Row":
        """The same request by a clock that began `later` seconds before."""
        sent = None if self.sent_s is None else self.sent_s + later
        done = None if self.done_s is None else self.done_s + later
        due = self.intended_s + later
        return Row(self.user, self.group, self.name, due, sent, done, self.status, self.error)

    def waited_ms(self, ended: float, naive: bool = False) -> float:
        """Milliseconds from the intended start to the answer, or to `ended` (seconds) if none had come.

        `naive` counts from the moment of sending, as most tools do; raises ValueError if it was never sent.
        Rounded to the microsecond: the difference of two floats must not turn 500 ms into 500.0000000001.
        """
        done = ended if self.done_s is None else self.done_s
        start = self.sent_s if naive else self.intended_s
        if start is None:
            raise ValueError(f"{self.name} was never sent: it has no naive latency")
        return round((done - start) * 1000, 3)


HEADER = [field.name for field in fields(Row)]
cells = attrgetter(*HEADER)  # of a row


def read_rows(path: Path) -> list[Row]:
    """Every row of a CSV file, in order. Raises LoadTestError, naming the line, if one can't be read."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if next(lines, None) != HEADER:
            raise LoadTestError(f"{path} is not a file of requests: its first line is not {','.join(HEADER)}")
        rows = []
        try:
            for user, group, name, intended, sent, done, status, error in lines:
                times = float(intended), _seconds(sent), _seconds(done)
                rows.append(Row(int(user), group, name, *times, int(status), error))
        except (ValueError, csv.Error) as problem:
            raise LoadTestError(f"{path}, line {lines.line_num} is not a request: {problem}") from problem
        return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV, one a line; times have six decimals, or are empty if None."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for row in map(as_written, rows):
            writer.writerow(f"{cell:.6f}" if isinstance(cell, float) else cell for cell in cells(row))


def as_written(row: Row) -> Row:
    """The row as files hold it: times to the microsecond, an error's lines joined."""
    return Row(*map(_written, cells(row)))


def _seconds(text: str) -> float | None:
    return float(text) if text else None


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    return round(value, 6) if isinstance(value, float) else value


def in_window(rows: Iterable[Row], start: float, end: float) -> list[Row]:
    """The rows whose intended start lies in [start, end), in seconds: a step without its warm-up."""
    return [row for row in rows if start <= row.intended_s < end]
