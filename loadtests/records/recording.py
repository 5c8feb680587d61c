"""What one load left behind: its rows, the generator's own health, and everything needed to judge it.

A recording is a file of rows (CSV) and a JSON file beside it, or one Parquet file. Reading it again gives the
same record, so that a later judgement gives the same verdict.
"""

from operator import add
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from loadtests.errors import UsageError
from loadtests.files import writing
from loadtests.records import parquet
from loadtests.records.constants import MOST_OVER, RULE_MS
from loadtests.records.rows import Row, as_written, read_rows, write_rows

RECORDING_SCHEMA, RECORDING_VERSION = "500ms/recording", 1

Model = Literal["closed", "open"]


class Vital(NamedTuple):
    """A sample of a process at a time (seconds): CPU seconds used so far, and users running."""

    at: float
    generator: float
    host_busy: float
    host_total: float
    users: int


class Lag(NamedTuple):
    """How late the generator woke up at a time (seconds)."""

    at: float
    ms: float


class Stage(NamedTuple):
    """A period of constant load, in seconds: `load` users, or visits a second."""

    load: float
    start_s: float
    end_s: float


class Arrivals(msgspec.Struct, frozen=True):
    """What became of open load's visits that were due: `planned` is the sum of the others."""

    planned: int = 0
    sent: int = 0
    dropped: int = 0  # too many were in flight
    never_sent: int = 0  # still waiting for a connection, or the generator was late

    def __add__(self, other: "Arrivals") -> "Arrivals":
        return Arrivals(*map(add, *map(msgspec.structs.astuple, (self, other))))


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One load, as one process or all of them recorded it. Times are seconds since `started_at` (Unix time).

    In the files, `rows` are apart from the rest, which is JSON.
    """

    started_at: float
    stopped_s: float  # when the load ended; requests in flight could still finish until `ended_s`
    ended_s: float
    rows: tuple[Row, ...] = ()
    # What was asked for.
    model: Model = "closed"
    users_asked: int | None = None  # of closed load
    rate_per_s: float | None = None  # of open load
    connections: int = 0  # of open load: the most at a time, or 0 for as many as needed
    stages: tuple[Stage, ...] = ()  # of a stepped load
    warm_up_s: float = 0.0  # of the load, or of each stage: not judged
    seed: int = 1
    # What it is judged by.
    rule_ms: float = RULE_MS
    most_over: float = MOST_OVER
    expectations: tuple[str, ...] = ()  # beyond the rule, in words: see expectations.py
    # Of a load that may end as soon as it is decided: how often each stage was looked at (one number if there
    # are no stages), and up to when requests were counted, if that was why it ended.
    looks: tuple[int, ...] = ()
    decided_s: float | None = None
    # What came of it.
    visits: tuple[str, ...] = ()  # groups whose rows are whole visits, not requests: the rule does not apply
    arrivals: Arrivals | None = None  # of open load
    resent: int = 0  # requests sent twice, because the server had closed their idle connection
    left_out: int = 0  # requests cut off too early to tell how long they would have taken
    processes_lost: int = 0  # load generators that did not report
    clock_error_s: float = 0.0  # to within which the clocks of the load generators are known to agree
    faults: tuple[str, ...] = ()  # why the load is in doubt by the generator's own account, in words
    lag: tuple[Lag, ...] = ()
    vitals: tuple[tuple[Vital, ...], ...] = ()  # of each process

    @property
    def open(self) -> bool:
        return self.model == "open"

    def users(self) -> int:
        """The most users that each process ran, added up."""
        return sum(max((vital.users for vital in process), default=0) for process in self.vitals)

    def users_at(self, time: float) -> int:
        """How many users ran at each process's last sample up to `time`."""
        seen = ([vital.users for vital in process if vital.at <= time] for process in self.vitals)
        return sum(counts[-1] if counts else 0 for counts in seen)

    def judged_until(self, start: float, end: float) -> float:
        """The end (seconds) of the requests that count, of those that were due from `start` to `end`.

        The load may end without waiting for requests in flight. Of the last ones sent, only the fast have
        ended by then; the others had no time to be slow. Counting only the fast ones would flatter the app.
        """
        decided = self.ended_s - self.rule_ms / 1000
        if not start < decided < end:
            return end
        late = (row for row in self.rows if decided < row.intended_s < end)
        return decided if any(row.unfinished for row in late) else end

    def cpu(self, start: float, end: float) -> tuple[float, float] | None:
        """`(generator, host)`, the busiest process in percent of one core, the busiest machine of all cores.

        None if no process was sampled twice in that time.
        """
        shares = []
        for process in self.vitals:
            inside = [vital for vital in process if start <= vital.at <= end]
            if len(inside) > 1 and inside[-1].at > inside[0].at:
                first, last = inside[0], inside[-1]
                total = last.host_total - first.host_total
                busy = 100 * (last.host_busy - first.host_busy) / total if total else 0.0
                shares.append((100 * (last.generator - first.generator) / (last.at - first.at), busy))
        generators, hosts = zip(*shares, strict=True) if shares else ((), ())
        return (max(generators), max(hosts)) if shares else None


def write_recording(path: Path, recording: Recording) -> None:
    """Write the rows to `path` (CSV), and the rest to a JSON file beside it. Raises WriteError.

    If its name ends so, `path` is a Parquet file, which holds the rest, too.
    """
    about = {"schema": RECORDING_SCHEMA, "version": RECORDING_VERSION, **msgspec.to_builtins(recording)}
    del about["rows"]
    rest = msgspec.json.format(msgspec.json.encode(about), indent=1) + b"\n"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == parquet.ENDING:
            parquet.write_parquet_file(path, [as_written(row) for row in recording.rows], rest)
        else:
            write_rows(path, recording.rows)
            path.with_suffix(".json").write_bytes(rest)


def read_recording(path: Path) -> Recording:
    """The recording whose rows are in `path`. Raises UsageError, which says what is missing or wrong."""
    rows, beside, rest = _parts(path)
    try:
        about: dict[str, Any] = msgspec.json.decode(rest, type=dict)
    except msgspec.DecodeError as error:
        raise UsageError(f"{beside} is not a recording: {error}") from error
    if about.get("schema") != RECORDING_SCHEMA or about.get("version") != RECORDING_VERSION:
        raise UsageError(
            f"{beside} is not of this version of loadtests.plugin, and lacks what a verdict needs:"
            " measure again"
        )
    try:
        return msgspec.convert({**about, "rows": rows}, Recording)
    except msgspec.ValidationError as error:
        raise UsageError(f"{beside} is not a recording: {error}") from error


def _parts(path: Path) -> tuple[list[Row], Path, bytes]:
    """The rows, and the file that holds the rest, with its JSON."""
    if path.suffix == parquet.ENDING:
        rows, rest = parquet.read_parquet_file(path)
        return rows, path, rest
    rows, beside = read_rows(path), path.with_suffix(".json")
    try:
        return rows, beside, beside.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{beside} can't be read ({error.strerror}). It is written beside {path.name}, and says how"
            " the load went: copy both"
        ) from error
