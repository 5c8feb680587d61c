"""The harness against a server with known latencies: real load runs report the truth, and nothing else.

The truth is that of tests/truth_server.py. Delays, failures and the schedule of arrivals are fixed by seeds,
and a freeze begins a fixed time after the first request, so every run draws the same sample: an interval that
holds the truth once always holds it. (One sample in twenty misses it; these seeds avoid those.) What does
vary between runs is how late the processes are: see `tolerance_ms`.
"""

import contextlib
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import truth_server as truth

from loadtests.judging.samples import nearest_rank, summarise
from loadtests.records.constants import RULE_MS
from loadtests.records.figures import Summary
from loadtests.records.rows import Row, in_window, read_rows
from loadtests.servers.processes import Process

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}


class Run(NamedTuple):
    """What a load run leaves behind."""

    rows: list[Row]
    meta: dict[str, Any]
    said: str
    stats: dict[str, str]  # Locust's own figures, over all requests

    @property
    def tolerance_ms(self) -> float:
        """By how much a latency may exceed the server's delay.

        Sending, answering and receiving take a few milliseconds. Besides, the generator and the server must
        each be woken in time, and share the machine with whatever else runs: each is allowed the lateness
        (p99) that the generator reports of itself. Latencies can't come out too short, so this widens the
        truth in one direction only, and never the interval.
        """
        return 5 + 2 * nearest_rank([late for _, late in self.meta["lag"]], 99)

    def summary(self, naive: bool = False) -> Summary:
        return summarise(self.rows, self.meta["ended_s"], naive=naive)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a truth server."""
    log = tmp_path_factory.mktemp("truth") / "log"
    with Process("truth server", [sys.executable, str(HERE / "truth_server.py")], log) as process:
        yield process.wait_for_address()


def load(server: str, folder: Path, *runs: str) -> list[Run]:
    """Run Locust once for each line of options, in parallel, to completion."""
    with contextlib.ExitStack() as stack:
        processes = []
        for number, options in enumerate(runs):
            here = folder / str(number)
            here.mkdir()
            command = [
                *(sys.executable, "-m", "locust", "-f", str(HERE / "truth_locustfile.py"), *options.split()),
                *("--headless", "--host", server, "--rows", str(here / "rows.csv"), "--seed", "1"),
                *("--csv", str(here / "locust"), "--exit-code-on-error", "0"),
            ]
            process = Process("load generator", command, here / "log")
            processes.append(stack.enter_context(process))
        for process in processes:
            assert process.wait_with(lambda: None, timeout=60) == 0, process.output()
    return [_read(folder / str(number)) for number in range(len(runs))]


def _read(folder: Path) -> Run:
    with (folder / "locust_stats.csv").open(newline="") as file:
        *_, total = csv.DictReader(file)
    meta = json.loads((folder / "rows.json").read_text())
    return Run(read_rows(folder / "rows.csv"), meta, (folder / "log").read_text(), total)


def holds(interval: Sequence[float | None] | None, least: float, most: float) -> bool:
    """Whether the interval contains a value that may be true; an end of None is open."""
    if interval is None or interval[0] is None or interval[0] > most:
        return False
    return interval[1] is None or interval[1] >= least


def disagreements(
    summary: Summary, run: Run, quantile_ms: Any, share_over: Any, extra_ms: float = 0
) -> list[str]:
    """Each 95 % interval that does not contain the truth."""
    tolerance = run.tolerance_ms + extra_ms
    figures: Any = summary
    wrong = []
    for name, percent in PERCENTILES.items():
        true, interval = quantile_ms(percent), figures[f"{name}_ci"]
        if not holds(interval, true, true + tolerance):
            wrong.append(f"{name}: true {true:.1f} ms to {tolerance:.1f} ms more, measured {interval}")
    least, most = share_over(RULE_MS), share_over(RULE_MS - tolerance)
    if not holds(summary["share_ci"], least, most):
        wrong.append(f"share over: true {least:.4f} to {most:.4f}, measured {summary['share_ci']}")
    return wrong


def test_percentiles_and_share_are_those_of_the_known_distribution(server: str, tmp_path: Path) -> None:
    """A thousand requests with lognormal latency: each 95 % interval contains the truth."""
    [run] = load(server, tmp_path, "Lognormal --model open --rate 200 --run-time 5s --stop-timeout 30")
    summary = run.summary()
    assert summary["count"] > 900 and summary["failures"] == summary["unfinished"] == summary["dropped"] == 0
    assert not summary["lower_bounds"]
    assert not disagreements(summary, run, truth.lognormal_quantile_ms, truth.lognormal_share_over)


def test_a_freeze_is_in_the_corrected_latency_and_not_in_the_naive_one(server: str, tmp_path: Path) -> None:
    """Frozen for a third of the time, behind four connections.

    During a freeze the arrivals of an open load go on, and wait for a connection: counted from the intended
    start, their latency is what a visitor would have seen. Counted from the moment of sending, as most tools
    do, only the four requests in flight are slow. Closed load with four users gives the same as the naive
    figure: while the server is frozen the users wait, and send nothing (coordinated omission).
    """
    opened, closed = load(
        server,
        tmp_path,
        "Freezing --model open --rate 70 --connections 4 --run-time 7s --stop-timeout 3",
        "Freezing --model closed --users 4 --spawn-rate 4 --run-time 7s --stop-timeout 3",
    )
    # Whole periods, so that all moments of a period are equally likely.
    first = min(row.intended_s for row in opened.rows)
    rows = in_window(opened.rows, first, first + 2 * truth.FREEZE_EVERY)
    ended = opened.meta["ended_s"]
    corrected = summarise(rows, ended)
    assert corrected["failures"] == corrected["unfinished"] == corrected["dropped"] == 0
    # After a freeze 70 wait for 4 connections, the last of them for all the others: 2 ms each.
    catching_up = 70 * 2.0
    assert not disagreements(
        corrected, opened, truth.freezing_quantile_ms, truth.freezing_share_over, extra_ms=catching_up
    )

    naive = summarise(rows, ended, naive=True)
    frozen_out = 2 * 4  # two freezes, four connections
    true_share = truth.freezing_share_over(RULE_MS)
    assert naive["share_over"] and naive["share_over"] <= frozen_out / len(rows) < true_share / 4
    assert naive["p95_ms"] and naive["p95_ms"] < truth.freezing_quantile_ms(95) / 4

    said = closed.summary()
    assert said["count"] > 100
    assert said["share_over"] is not None and said["share_over"] < true_share / 4
    assert said["p95_ms"] and said["p95_ms"] < truth.freezing_quantile_ms(95) / 4
    slow = sum(row.waited_ms(closed.meta["ended_s"]) > RULE_MS for row in closed.rows)
    assert slow <= 4 * 3  # each user once a freeze


def test_fast_failures_do_not_improve_the_verdict(server: str, tmp_path: Path) -> None:
    """Three of ten requests fail at once: percentiles are those of the rest; failures are over the rule."""
    [run] = load(server, tmp_path, "Failing --model open --rate 150 --run-time 4s --stop-timeout 30")
    summary = run.summary()
    failed = [row for row in run.rows if row.failed]
    assert summary["failures"] == len(failed) == sum(row.status == 503 for row in run.rows)
    assert holds([summary["failures"] / summary["count"]] * 2, 0.25, 0.35)

    def share_over(ms: float) -> float:
        return truth.FAILING + (1 - truth.FAILING) * truth.lognormal_share_over(ms)

    assert not disagreements(summary, run, truth.lognormal_quantile_ms, share_over)
    # Counted as latencies, these failures would flatter the median.
    everything = [row.waited_ms(run.meta["ended_s"]) for row in run.rows]
    assert nearest_rank(everything, 50) < 0.75 * (summary["p50_ms"] or 0)


def test_hangs_at_the_end_are_not_lost(server: str, tmp_path: Path) -> None:
    """From some moment on no answer comes: every request is a row, and those that hang are over the rule."""
    [run] = load(server, tmp_path, "Hanging --model open --rate 60 --run-time 5s --stop-timeout 1")
    summary, ended = run.summary(), run.meta["ended_s"]
    arrivals = run.meta["arrivals"]
    assert (
        len(run.rows)
        == arrivals["planned"]
        == arrivals["sent"] + arrivals["dropped"] + arrivals["never_sent"]
    )
    first = min(row.sent_s for row in run.rows if row.sent_s is not None)
    hangs_at, tolerance = first + truth.HANGS_AFTER, run.tolerance_ms / 1000
    hung = [row for row in run.rows if row.unfinished and row.sent_s is not None]
    assert min(row.sent_s or 0 for row in hung) > hangs_at - tolerance
    answered = [row for row in run.rows if not row.unfinished]
    assert max(row.sent_s or 0 for row in answered) < hangs_at + tolerance
    assert len(hung) > 40 and not any(row.failed for row in run.rows)

    over = sum(row.waited_ms(ended) >= RULE_MS for row in hung)
    assert over > 40 and summary["share_over"] == pytest.approx(over / (over + len(answered)), rel=0.05)
    assert {"p95_ms", "p99_ms", "max_ms"} <= set(summary["lower_bounds"])
    assert summary["p95_ms"] and summary["p95_ms"] > RULE_MS
    # Locust's own figures leave them out.
    assert int(run.stats["Request Count"]) <= len(answered)
