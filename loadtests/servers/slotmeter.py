"""The work of the web server's slots, counted by the server itself: requests by kind, and the time they took.

Each slot (a process or a thread) has its own memory-mapped file in a folder: counting costs a microsecond
and needs no lock. The load test reads all of them. So the slots c and the service demand D that a prediction
needs are measured at the source, and the server's count can be checked against the client's. The sum of the
squared times gives their variability: the c_s^2 of queueing theory.
"""

import mmap
import os
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = "LOADTESTS_SLOTS"  # environment variable: the folder of the slots' files
DEADLINE_FILE = "LOADTESTS_DEADLINE"  # another: a file with a deadline, which may change meanwhile
REQUEST_KINDS = ("submit", "page", "poll", "list", "other")
FIELDS = ("count", "busy", "squares")  # of each kind
# When the request under way began (0: none is); then the fields, kind by kind.
LAYOUT = struct.Struct(f"={1 + len(FIELDS) * len(REQUEST_KINDS)}d")
BEGAN = struct.Struct("=d")
SUMS = struct.Struct(f"={len(FIELDS)}d")


def kind_of_request(method: str, path: str) -> str:
    """The kind, one of REQUEST_KINDS, of a request to either reader.

    The names are those of the rows' groups, but a slot can't tell who asks: what the rows call `browse` is
    `list` or `page` here.
    """
    if path == "/":
        return "list"
    if not path.startswith("/feeds"):
        return "other"
    if method == "POST":
        return "submit"
    return "poll" if path.endswith(".json") else "page"


class SlotMeter:
    """Counts the requests of this process's slots. All methods are called in the slot's own thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._local = threading.local()

    def begin(self) -> None:
        """A request begins."""
        self._local.began = time.monotonic()
        BEGAN.pack_into(self.open(), 0, self._local.began)

    def end(self, method: str, path: str) -> None:
        """It has been answered."""
        memory = self.open()
        place = BEGAN.size + SUMS.size * REQUEST_KINDS.index(kind_of_request(method, path))
        count, busy, squares = SUMS.unpack_from(memory, place)
        took = time.monotonic() - self._local.began
        SUMS.pack_into(memory, place, count + 1, busy + took, squares + took * took)
        BEGAN.pack_into(memory, 0, 0.0)

    def open(self) -> mmap.mmap:
        """The slot's file, which makes it count as one. Needed only if it may never take a request."""
        if not hasattr(self._local, "memory"):
            path = self._folder / f"{os.getpid()}-{threading.get_ident()}"
            path.write_bytes(bytes(LAYOUT.size))
            with path.open("r+b") as file:
                self._local.memory = mmap.mmap(file.fileno(), LAYOUT.size)
        memory: mmap.mmap = self._local.memory
        return memory


@dataclass(frozen=True, slots=True)
class SlotCounts:
    """The totals of all slots since the server's start. Times are in seconds."""

    slots: int = 0  # that have opened their file: all processes, and the threads that took a request
    requests: Mapping[str, int] = field(default_factory=dict)  # answered, by kind
    busy_s: Mapping[str, float] = field(default_factory=dict)  # spent on those, by kind
    under_way: int = 0
    under_way_s: float = 0.0  # spent so far on those under way
    squares_s2: Mapping[str, float] = field(default_factory=dict)  # sum of the squared times, by kind

    @property
    def taken(self) -> int:
        """Visitors' requests that a slot has taken, answered or not."""
        return sum(count for kind, count in self.requests.items() if kind != "other") + self.under_way

    @property
    def total_busy_s(self) -> float:
        """Busy slot-seconds so far."""
        return sum(self.busy_s.values()) + self.under_way_s


def read_slots(folder: Path) -> SlotCounts:
    """The totals so far of the slots that count in `folder`."""
    now = time.monotonic()
    rows = [LAYOUT.unpack(data) for path in folder.iterdir() if len(data := path.read_bytes()) == LAYOUT.size]
    began = [row[0] for row in rows if row[0]]
    count, busy, squares = (
        {kind: sum(row[1 + len(FIELDS) * n + place] for row in rows) for n, kind in enumerate(REQUEST_KINDS)}
        for place in range(len(FIELDS))
    )
    return SlotCounts(
        slots=len(rows),
        requests={kind: round(number) for kind, number in count.items()},
        busy_s=busy,
        under_way=len(began),
        under_way_s=sum(max(0.0, now - start) for start in began),
        squares_s2=squares,
    )


def slots_held(folder: Path) -> list[float | None]:
    """For how many seconds each slot has held its request, always in the same order; None: it is free."""
    now = time.monotonic()
    slots = [data for path in sorted(folder.iterdir()) if len(data := path.read_bytes()) == LAYOUT.size]
    return [max(0.0, now - began) if (began := BEGAN.unpack_from(data)[0]) else None for data in slots]
