"""What each process of a load recorded, and all of it put together.

The processes' clocks differ. Each recording says when it began, in Unix time, and is moved by as much as that
was later than the whole: on one machine that is exact, between machines as good as their clocks agree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import psutil

from loadtests.generator.arrivals import Count
from loadtests.judging.samples import Row

ROWS_A_MESSAGE = 5000


class Vital(NamedTuple):
    """How a process was doing at a time (seconds): CPU seconds until then, and users that were there."""

    at: float
    generator: float
    host_busy: float
    host_total: float
    users: int


@dataclass
class Recording:
    """What was recorded, by one process or by all. Times are seconds since `started_at` (Unix time)."""

    started_at: float
    stopped: float  # when the load ended; what was in flight could still end until `ended`
    ended: float
    rows: list[Row]
    lag: list[tuple[float, float]] = field(default_factory=list)  # (when, ms late)
    vitals: list[list[Vital]] = field(default_factory=list)  # of each process
    arrivals: Count | None = None  # of open load
    visits: set[str] = field(default_factory=set)  # groups whose rows are whole visits, no requests
    left_out: int = 0  # requests cut off before anybody could say how long they would take

    def users(self) -> int:
        """How many users were there at most."""
        return sum(max((vital.users for vital in process), default=0) for process in self.vitals)

    def users_at(self, time: float) -> int:
        """How many users were there when each process was last looked at until `time`."""
        seen = ([vital.users for vital in process if vital.at <= time] for process in self.vitals)
        return sum(counts[-1] if counts else 0 for counts in seen)

    def cpu(self, start: float, end: float) -> tuple[float, float]:
        """`(generator, host)` in percent: of one core for the busiest process, of all cores for its machine.

        Zero where the window is too short to tell.
        """
        generators, hosts = [0.0], [0.0]
        for process in self.vitals:
            inside = [vital for vital in process if start <= vital.at <= end]
            if len(inside) > 1 and inside[-1].at > inside[0].at:
                first, last = inside[0], inside[-1]
                generators.append(100 * (last.generator - first.generator) / (last.at - first.at))
                total = last.host_total - first.host_total
                hosts.append(100 * (last.host_busy - first.host_busy) / total if total else 0.0)
        return max(generators), max(hosts)


def look(at: float, users: int) -> Vital:
    """How this process is doing now."""
    own, host = psutil.Process().cpu_times(), psutil.cpu_times()
    total = sum(host) - getattr(host, "guest", 0.0) - getattr(host, "guest_nice", 0.0)  # counted in user
    busy = total - host.idle - getattr(host, "iowait", 0.0)
    return Vital(at, own.user + own.system, busy, total, users)


def merged(parts: Sequence[Recording], started_at: float) -> Recording:
    """All recordings as one, which began at `started_at` (Unix time). No parts: an empty one."""
    whole = Recording(started_at=started_at, stopped=0.0, ended=0.0, rows=[])
    for part in parts:
        later = part.started_at - started_at
        whole.stopped = max(whole.stopped, part.stopped + later)
        whole.ended = max(whole.ended, part.ended + later)
        whole.rows += [_moved(row, later) for row in part.rows]
        whole.lag += [(at + later, late) for at, late in part.lag]
        whole.vitals += [
            [vital._replace(at=vital.at + later) for vital in process] for process in part.vitals
        ]
        whole.visits |= part.visits
        whole.left_out += part.left_out
        if part.arrivals:
            before = asdict(whole.arrivals or Count())
            whole.arrivals = Count(**{key: before[key] + n for key, n in asdict(part.arrivals).items()})
    whole.rows.sort(key=lambda row: row.intended_s)
    whole.lag.sort()
    return whole


def _moved(row: Row, later: float) -> Row:
    sent = None if row.sent_s is None else row.sent_s + later
    done = None if row.done_s is None else row.done_s + later
    return Row(row.user, row.group, row.name, row.intended_s + later, sent, done, row.status, row.error)


def pack(recording: Recording) -> Iterator[dict[str, Any]]:
    """The messages, of plain lists and numbers, that a worker sends; the last one says that it is."""
    rows = recording.rows
    for first in range(0, len(rows), ROWS_A_MESSAGE):
        yield {"rows": [_cells(row) for row in rows[first : first + ROWS_A_MESSAGE]]}
    yield {
        "last": True,
        "started_at": recording.started_at,
        "stopped": recording.stopped,
        "ended": recording.ended,
        "lag": [list(sample) for sample in recording.lag],
        "vitals": [[list(vital) for vital in process] for process in recording.vitals],
        "arrivals": recording.arrivals.to_json() if recording.arrivals else None,
        "visits": sorted(recording.visits),
        "left_out": recording.left_out,
    }


def _cells(row: Row) -> list[Any]:
    times = row.intended_s, row.sent_s, row.done_s
    return [row.user, row.group, row.name, *times, row.status, row.error]


class Collector:
    """Puts one worker's messages together again."""

    def __init__(self) -> None:
        self.recording: Recording | None = None  # once the last message is here
        self._rows: list[Row] = []

    def add(self, message: dict[str, Any]) -> None:
        self._rows += [Row(*cells) for cells in message.get("rows", ())]
        if message.get("last"):
            arrivals = message["arrivals"]
            self.recording = Recording(
                started_at=message["started_at"],
                stopped=message["stopped"],
                ended=message["ended"],
                rows=self._rows,
                lag=[(at, late) for at, late in message["lag"]],
                vitals=[[Vital(*vital) for vital in process] for process in message["vitals"]],
                arrivals=Count(**arrivals) if arrivals else None,
                visits=set(message["visits"]),
                left_out=message["left_out"],
            )
