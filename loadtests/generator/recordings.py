"""The recordings of a load's processes, and how they are merged.

Each process counts time from its own start. A recording states that start in Unix time, and is shifted to the
start of the whole: exactly on one machine, and between machines as well as their clocks agree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import psutil

from loadtests.generator.arrivals import Count
from loadtests.judging.samples import Row

ROWS_A_MESSAGE = 5000


class Vital(NamedTuple):
    """A sample of a process at a time (seconds): CPU seconds used so far, and users running."""

    at: float
    generator: float
    host_busy: float
    host_total: float
    users: int


@dataclass
class Recording:
    """The recording of one process, or of all. Times are seconds since `started_at` (Unix time)."""

    started_at: float
    stopped: float  # when the load ended; requests in flight could still finish until `ended`
    ended: float
    rows: list[Row]
    lag: list[tuple[float, float]] = field(default_factory=list)  # (when, ms late)
    vitals: list[list[Vital]] = field(default_factory=list)  # of each process
    arrivals: Count | None = None  # of open load
    visits: set[str] = field(default_factory=set)  # groups whose rows are whole visits, not requests
    left_out: int = 0  # requests cut off too early to tell how long they would have taken

    def users(self) -> int:
        """The most users that each process ran, added up."""
        return sum(max((vital.users for vital in process), default=0) for process in self.vitals)

    def users_at(self, time: float) -> int:
        """How many users ran at each process's last sample up to `time`."""
        seen = ([vital.users for vital in process if vital.at <= time] for process in self.vitals)
        return sum(counts[-1] if counts else 0 for counts in seen)

    def cpu(self, start: float, end: float) -> tuple[float, float]:
        """`(generator, host)` in percent: the busiest process of one core, the busiest machine of all cores.

        Zero if the window is too short to tell.
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
    """A sample of this process, now."""
    own, host = psutil.Process().cpu_times(), psutil.cpu_times()
    total = sum(host) - getattr(host, "guest", 0.0) - getattr(host, "guest_nice", 0.0)  # counted in user
    busy = total - host.idle - getattr(host, "iowait", 0.0)
    return Vital(at, own.user + own.system, busy, total, users)


def merged(parts: Sequence[Recording], started_at: float) -> Recording:
    """All recordings as one that began at `started_at` (Unix time); an empty one if there are no parts."""
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
    """The messages that a worker sends, of plain lists and numbers; the last one has `last` set."""
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
    """Reassembles one worker's recording from its messages."""

    def __init__(self) -> None:
        self.recording: Recording | None = None  # set by the last message
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
