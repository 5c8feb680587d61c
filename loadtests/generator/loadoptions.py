"""The options that the plugin adds to Locust's own, and the load they describe. Pure: no Locust needed."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from loadtests.arguments import number, numbers
from loadtests.errors import UsageError
from loadtests.generator.arrivals import Piece
from loadtests.records import parquet
from loadtests.records.constants import MOST_OVER, RULE_MS
from loadtests.records.expectations import expectation

MODELS = ("closed", "open")
MOST_RUN_SECONDS = 600  # of a load that runs until it is decided, unless --run-time says otherwise


@dataclass(frozen=True)
class Load:
    """The load, and the limits it is judged by. Times in seconds unless the name says otherwise."""

    model: str = "closed"
    rate: float = 0.0  # visits a second, over all processes
    in_flight: int = 1000  # most visits at a time
    connections: int = 0  # 0: as many as needed
    burst: int = 0
    burst_at: float = 0.0
    steps: tuple[float, ...] = ()  # users, or visits a second
    step_seconds: float = 20.0
    warm_up: float = 0.0
    seed: int = 1
    rows: Path | None = None
    rule_ms: float = RULE_MS
    fail_over: float | None = None  # percent
    expectations: tuple[str, ...] = ()  # beyond the rule
    until_decided: bool = False
    stop_when_broken: bool = False
    prometheus: int = 0  # the port; 0: none

    @property
    def open(self) -> bool:
        return self.model == "open"

    @property
    def most_over(self) -> float:
        """The share of a group's requests that may take longer than the rule says."""
        return MOST_OVER if self.fail_over is None else self.fail_over / 100

    @property
    def sets_status(self) -> bool:
        """True if the exit status follows the verdict."""
        return self.fail_over is not None or bool(self.expectations)

    @property
    def may_end(self) -> bool:
        """True if it ends as soon as it is decided."""
        return self.until_decided or self.stop_when_broken

    def pieces(self) -> list[Piece]:
        """The rates of open load over time."""
        if not self.steps:
            return [Piece(self.rate, 0.0, math.inf)]
        starts = [number * self.step_seconds for number in range(len(self.steps))]
        return [Piece(rate, at, at + self.step_seconds) for rate, at in zip(self.steps, starts, strict=True)]


def add_options(option: Callable[..., Any]) -> None:
    """Add the options by calling `option`, which takes what Locust's own add_argument takes.

    The first sentence of a help text is also a label on Locust's page, where there is little room. What
    concerns the process or files is not there.
    """
    count = {"metavar": "N", "type": whole}
    seconds = {"metavar": "S", "type": not_negative}
    option(
        "--model",
        choices=MODELS,
        default="closed",
        help="kind of load. Closed: users (--users) who wait for an answer before they go on. Open:"
        " visits that begin at --rate, whether or not earlier ones were answered, and count from when they"
        " should have begun; --users is then ignored. Default: closed",
    )
    rate = "open load: visits a second. Over all processes; a visit is one task"
    option("--rate", metavar="R", type=not_negative, default=0.0, help=rate)
    in_flight = "open load: most visits at a time. Those beyond are dropped, and counted. Default: 1000"
    option("--in-flight", **count, default=1000, help=in_flight)
    connections = "open load: most connections at a time. Other visits wait. Default: 0, as many as needed"
    option("--connections", **count, default=0, help=connections)
    option("--burst", **count, default=0, help="open load: extra visits, all at once. Default: 0")
    option("--burst-at", **seconds, default=0.0, help="open load: seconds before the burst. Default: 0")
    option("--seed", type=int, default=1, help="the same seed gives the same visits. Default: 1")
    warm_up = "seconds at the start that are not judged. With --steps: of every step. Default: 0"
    option("--warm-up", **seconds, default=0.0, help=warm_up)
    rule = f"how long a request may take, in ms. Default: {RULE_MS:g}"
    option("--rule", metavar="MS", type=float, default=RULE_MS, help=rule)

    option = partial(option, include_in_web_ui=False)
    option(
        "--steps",
        metavar="N,N,...",
        type=steps,
        default=(),
        help="numbers of users, one after the other, each reported separately; with --model open: rates",
    )
    step_seconds = "length of each of the --steps, in whole seconds; default 20"
    option("--step-seconds", **seconds, default=20.0, help=step_seconds)
    option(
        "--rows",
        metavar="FILE",
        default="",
        help="write every request to this CSV file, and facts about the load to a .json file beside it; or"
        " all of it to one file, if its name ends in .parquet",
    )
    option(
        "--fail-over",
        metavar="PERCENT",
        type=not_negative,
        default=None,
        help="exit with status 1 if more than PERCENT of the requests of any group took longer than the"
        " --rule or failed, beyond doubt; 3 if it was not the load asked for, and 4 if there were too few"
        " requests, or the machine was too busy",
    )
    option(
        "--expect",
        metavar="EXPECTATION",
        type=expected,
        action="append",
        default=[],
        help="judge this, too, and let the exit status follow all verdicts; repeatable. A group, a name in"
        " quotes or all; a percentile, mean, over (the share over the --rule or failed), failed (a share) or"
        " rate; <, <=, > or >=; a number in ms, s, %% or /s. Such as 'pay p99.9 < 2s' or 'all failed < 1%%'",
    )
    option(
        "--until-decided",
        action="store_true",
        help="run until every group of requests has kept or broken the rule beyond doubt, but no longer"
        f" than --run-time (default: {MOST_RUN_SECONDS // 60} minutes); with --steps: run each step so, for"
        " at most --step-seconds",
    )
    stop = "stop as soon as a group of requests has broken the rule beyond doubt; leave out later --steps"
    option("--stop-when-broken", action="store_true", help=stop)
    prometheus = "while Locust runs, offer metrics at http://127.0.0.1:PORT/metrics, for this machine only"
    option("--prometheus", metavar="PORT", type=port, default=0, help=prometheus)
    more = "show all options and exit (Locust prints its --help before it knows those of a locustfile)"
    option("--help-load", action="help", help=more)


def load_from(options: Any) -> Load:
    """The load that the options describe; Locust's page may have changed them. Raises UsageError."""
    names = {field.name: field.name for field in fields(Load)} | {"rule_ms": "rule", "expectations": "expect"}
    given = {field: getattr(options, name) for field, name in names.items()}
    sequences = {name: tuple(given[name]) for name in ("steps", "expectations")}
    load = Load(**given | sequences | {"rows": Path(options.rows) if options.rows else None})
    _check(load)
    return load


def _check(load: Load) -> None:
    """Raise UsageError, saying what to do, for the first options that contradict one another."""
    rows, stepped, seconds = load.rows, bool(load.steps), load.step_seconds
    options = {"--rate": load.rate, "--connections": load.connections, "--burst": load.burst}
    closed = [option for option, value in options.items() if value and not load.open]
    no_rate = load.open and not stepped and not 0 < load.rate < math.inf
    least = min(load.connections, load.burst, load.burst_at)
    no_parquet = rows is not None and rows.suffix == parquet.ENDING and not parquet.installed()
    not_a_file = rows is not None and (rows.is_dir() or rows.suffix == ".json")
    wrong = (
        (load.model not in MODELS, f"There is no --model {load.model}. Choose closed or open."),
        (no_rate, "Open load needs a rate: say how many visits a second, such as --rate 10."),
        (closed, f"{' and '.join(closed)}: only for open load. Add --model open."),
        (load.in_flight < 1, "With --in-flight 0 no visit could begin. Allow at least 1."),
        (least < 0, "--connections, --burst and --burst-at can't be less than 0."),
        (stepped and load.open and load.rate > 0, "--steps are the rates of open load: leave out --rate."),
        (not load.open and any(n % 1 for n in load.steps), "--steps are numbers of users: give whole ones."),
        (
            stepped and (seconds < 1 or seconds % 1 > 0),
            "--step-seconds must be whole, and at least 1: Locust asks once a second for a new load.",
        ),
        (
            stepped and load.warm_up >= seconds,
            "--warm-up leaves nothing of a step: make --step-seconds longer.",
        ),
        (
            stepped and load.open and load.until_decided,
            "The --steps of open load are scheduled in advance: leave out --until-decided.",
        ),
        (load.warm_up < 0, "--warm-up can't be less than 0."),
        (load.rule_ms <= 0, "--rule must be more than 0 ms."),
        (no_parquet, f"--rows {rows}: {parquet.MISSING}."),
        (not_a_file, f"--rows {rows} can't be written: name a file such as rows.csv."),
    )
    for mistaken, what_to_do in wrong:
        if mistaken:
            raise UsageError(what_to_do)


def port(text: str) -> int:
    """Parse the number of a port."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, from 1 to 65535")
    return int(text)


def whole(text: str) -> int:
    """Parse a non-negative whole number."""
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or above")
    return int(text)


def not_negative(text: str, what: str = "a number") -> float:
    """Parse a non-negative number; `what` names it in the message."""
    value = number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}, 0 or above")
    return value


def expected(text: str) -> str:
    """Parse an expectation; returns it in words, as a recording holds it."""
    try:
        return expectation(text).text
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def steps(text: str) -> tuple[float, ...]:
    """Parse the numbers of users, or the rates, of --steps."""
    return numbers(text, "a list such as 10,20,50")
