"""`python -m loadtests queue`: its arithmetic, and short end-to-end runs on both databases."""

import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import psutil
import pytest
from conftest import still_running, wait_until

from loadtests.__main__ import main
from loadtests.errors import UsageError
from loadtests.queuebench import bench, report
from loadtests.queuebench.measures import MEASURES, QUICK_SIZES, WEIGHTS, Run
from loadtests.queuebench.stats import (
    Answer,
    Result,
    Target,
    answers,
    paired_ratio,
    result,
    share,
    spread_of,
)
from loadtests.queuebench.workbench import Workbench
from loadtests.status import Status

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.usefixtures("signals_as_before")
QUEUE = [sys.executable, "-m", "loadtests", "queue"]
SCHEMA = json.loads((ROOT / "loadtests" / "queuebench" / "results.schema.json").read_text())


def queue(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark to completion."""
    return subprocess.run(
        [*QUEUE, *options], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT
    )


def written(folder: Path) -> dict[str, Any]:
    """The results.json of a run, checked against its schema."""
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    jsonschema.validate(results, SCHEMA)
    return results


# -- arithmetic


def test_a_figure_is_the_median_of_its_rounds() -> None:
    """With the lowest and the highest beside it; every sample is kept."""
    figure = spread_of([30.0, 10.0, 20.0, 90.0])
    assert (figure.value, figure.low, figure.high) == (25.0, 10.0, 90.0)
    assert figure.samples == [30.0, 10.0, 20.0, 90.0]


@pytest.mark.parametrize(
    ("rounds", "interval"), [(5, None), (6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (18, (5, 14)), (27, (8, 20))]
)
def test_the_interval_leaves_out_more_of_more_rounds(
    rounds: int, interval: tuple[float, float] | None
) -> None:
    """The ranks of a binomial table: one freak round in nine does not decide."""
    assert spread_of([float(n) for n in range(rounds, 0, -1)]).interval == interval


def test_a_ratio_pairs_the_rounds() -> None:
    """A round on a slow machine counts like any other: both systems were slow."""
    assert paired_ratio([80.0, 8.0, 90.0], [100.0, 10.0, 100.0]).value == pytest.approx(0.8)
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("target", "ratios", "answer", "status"),
    [
        (Target("at least", 0.75), [0.75] * 6, "met", 0),
        (Target("at least", 0.75), [0.9] * 5, "undecided", 4),
        (Target("at least", 0.75), [0.9] * 5 + [0.7], "undecided", 4),
        (Target("at least", 0.75), [0.9] * 8 + [0.1], "met", 0),
        (Target("at least", 0.75), [0.7] * 6, "missed", 1),
        (Target("more than", 1.0), [1.0] * 6, "missed", 1),
        (Target("more than", 1.0), [1.001] * 6, "met", 0),
        (Target("less than", 2.0), [2.0] * 6, "missed", 1),
        (Target("less than", 2.0), [1.9] * 6, "met", 0),
        (Target("less than", 2.0), [1.9] * 3 + [2.1] * 3, "undecided", 4),
    ],
)
def test_a_target_is_met_or_missed_by_the_whole_interval(
    target: Target, ratios: list[float], answer: Answer, status: Status
) -> None:
    """Otherwise the noise of the machine would decide: it is undecided, which is no failure."""
    line = of(ratios, target)
    assert answers([line]) == [answer]
    assert bench.Findings([line]).exit_status == status


def of(ratios: list[float], target: Target) -> Result:
    """A line whose rounds had these ratios."""
    samples = {"jobqueue": [1000 * ratio for ratio in ratios], "plain": [1000.0] * len(ratios)}
    return result("enqueue", "sqlite", "enqueue, one a transaction", "jobs/s", samples, {"plain": target})


def lines() -> list[Result]:
    """A run's results: one target missed, one comparison and one figure without a target."""
    samples = {"jobqueue": [4000.0, 5000.0] * 3, "plain": [8000.0] * 6, "huey": [1000.0] * 6}
    targets = {"plain": Target("at least", 0.75)}
    return [
        result("enqueue", "sqlite", "enqueue, one a transaction", "jobs/s", samples, targets),
        result("idle", "postgresql", "pick-up latency, p50", "ms", {"jobqueue": [1.25]}),
    ]


def test_one_missed_target_is_enough_to_fail() -> None:
    """Whatever the others: a doubt about one does not hide it."""
    enqueue, idle = lines()
    assert [(other.name, other.answer) for other in enqueue.others] == [("plain", "missed"), ("huey", None)]
    doubt = of([0.9], Target("at least", 0.75))
    assert bench.Findings([doubt, enqueue, idle]).exit_status == 1
    assert bench.Findings([doubt, idle]).exit_status == 4
    assert bench.Findings([idle]).exit_status == 0


def test_the_table_has_80_columns_and_an_answer_beside_each_target() -> None:
    """Figures, ratios with their intervals, targets, yes or NO or a question mark."""
    table = report.target_table([*lines(), of([0.9], Target("at least", 0.75))])
    assert max(map(len, table.splitlines())) <= 80
    assert re.search(r"enqueue, one a transaction +4,500\n", table)
    assert re.search(r"  plain driver +8,000 +0.56 0.50 to 0.62 ≥ 0.75  NO\n", table)
    assert re.search(r"  plain driver +1,000 +0.90 +≥ 0.75   \?\n", table)
    assert re.search(r"pick-up latency, p50, ms +1.25$", table)


def test_the_longest_line_of_the_table_fits() -> None:
    """With a million jobs a second in both columns."""
    titles = ["drain, 1,000,000 waiting", "CPU of a bare interpreter", "50 threads, 100 ms jobs"]
    names = [*report.SYSTEM_NAMES, "10,000 waiting", "import sqlalchemy"]
    samples = {name: [1_234_567.0] * 6 for name in ["jobqueue", *names]}
    targets = dict.fromkeys(names, Target("at least", 0.75))
    for title in titles:
        wide = result("deep", "sqlite", title, "jobs/s", samples, targets)
        assert max(map(len, report.target_table([wide]).splitlines())) <= 80


def test_numbers_keep_three_digits() -> None:
    """Whether large or small."""
    values = [81_234.5, 100, 52.44, 10, 3.214, 0.1844, 0.05, 0]
    words = ["81,234", "100", "52.4", "10", "3.21", "0.184", "0.05", "0"]
    assert [report.number(value) for value in values] == words


class Sampled:
    """Stands for the measuring: notes whose turn it is, and gives each system a fixed figure."""

    def __init__(self, folder: Path, rounds: float = math.inf, **figures: float):
        """`rounds`: for how many there is time."""
        self.order: list[str] = []
        self.figures = figures
        self.run = Run(
            "sqlite",
            Workbench("sqlite", folder),
            replace(QUICK_SIZES, rounds=3, series=3),
            seed=1,
            is_late=lambda: len(self.order) >= rounds * len(figures),
        )

    def measure(self, target: Target) -> list[Result]:
        def lines(taken: Mapping[str, list[float]]) -> list[Result]:
            return [result("enqueue", "sqlite", "enqueue", "jobs/s", taken, {"plain": target})]

        return self.run.measure({name: partial(self.take, name) for name in self.figures}, lines)

    def take(self, name: str) -> float:
        self.order.append(name)
        return self.figures[name] + 0.1 * (len(self.order) % 3)


def test_systems_take_turns_and_change_places(tmp_path: Path) -> None:
    """The first in one round is last in the next."""
    sampled = Sampled(tmp_path, ours=8.0, plain=4.0)
    sampled.measure(Target("at least", 1.0))
    assert sampled.order[:6] == ["ours", "plain", "plain", "ours", "ours", "plain"]


@pytest.mark.parametrize(
    ("limit", "series", "answer"), [(1.0, 2, "met"), (3.0, 2, "missed"), (2.0, 3, "undecided")]
)
def test_rounds_are_added_until_every_target_is_decided(
    limit: float, series: int, answer: Answer, tmp_path: Path
) -> None:
    """Three rounds decide nothing. Six do, unless the ratio is too near the limit: that stays undecided."""
    sampled = Sampled(tmp_path, ours=8.0, plain=4.0)
    (line,) = sampled.measure(Target("at least", limit))
    assert answers([line]) == [answer]
    assert len(line.figure.samples) == 3 * series == len(sampled.order) / 2


@pytest.mark.parametrize(("rounds", "taken"), [(0, 1), (1, 1), (4, 4), (8, 8), (20, 9)])
@pytest.mark.parametrize("limit", [1.0, 2.0, 3.0])
def test_a_measure_that_is_out_of_time_says_only_what_its_rounds_prove(
    rounds: int, taken: int, limit: float, tmp_path: Path
) -> None:
    """At least one round is taken. Too few of them leave the target undecided, however clear they look."""
    sampled = Sampled(tmp_path, rounds, ours=8.0, plain=4.0)
    (line,) = sampled.measure(Target("at least", limit))
    decided = limit != 2.0 and taken >= 6
    assert len(line.figure.samples) == (6 if decided else taken)
    assert bench.Findings([line]).exit_status == ((0 if limit < 2 else 1) if decided else 4)


def test_the_measures_share_the_time_that_is_left() -> None:
    """Whatever each takes of its share, no later one is given more than what is left of the whole."""
    weights = [WEIGHTS.get(name, 1.0) for _, name in bench.QueuePlan().steps()]
    for used in (0.3, 1.0):
        left = 60 * bench.QueuePlan().minutes
        for number in range(len(weights)):
            given = share(left, weights[number:])
            assert 0 < given <= left
            left -= used * given
        assert left >= -1e-6
    assert share(-5.0, [1.0, 1.0]) == 0.0  # out of time: a round each, and no more
    assert bench.QueuePlan().minutes < 15


# -- from end to end


SLOW = {
    "enqueue": """
import time
from jobqueue import Queue
enqueue = Queue.enqueue
def slow(*arguments, **options):
    start = time.perf_counter()
    id = enqueue(*arguments, **options)
    end = start + 20 * (time.perf_counter() - start)
    while time.perf_counter() < end:
        pass
    return id
Queue.enqueue = slow
""",
    "idle": """
import time
from jobqueue.lease import Lease
take = Lease.take
def slow(*arguments):
    time.sleep(0.5)
    return take(*arguments)
Lease.take = slow
""",
}


@pytest.mark.live
@pytest.mark.parametrize("measure", SLOW)
def test_a_slower_queue_is_caught(measure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enqueueing takes twenty times as long, each claim 0.5 s: missed, which is status 1, even on a machine
    so busy that rounds differ tenfold.
    """
    (tmp_path / "sitecustomize.py").write_text(SLOW[measure])  # Python imports it in the processes we start
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sizes = replace(QUICK_SIZES, rounds=6, enqueue=20, stamps=4)
    found = MEASURES[measure](Run("sqlite", Workbench("sqlite", tmp_path), sizes, seed=1))
    assert answers(found[:1]) == ["missed"], report.target_table(found)
    assert bench.Findings(found).exit_status == 1


@pytest.mark.live
@pytest.mark.parametrize(
    ("database", "measures"),
    [
        ("sqlite", list(MEASURES)),
        ("postgresql", ["enqueue", "drain", "idle"]),
    ],
)
def test_a_quick_run_measures_and_writes_it_all_down(
    database: str, measures: list[str], tmp_path: Path
) -> None:
    """Every measure's lines, a valid results.json, the figure; the exit status is the verdict."""
    out = tmp_path / "out"
    done = queue("--quick", "--database", database, "--only", ",".join(measures), "--out", str(out))
    results = written(out)
    assert done.returncode == 4, done.stderr  # one round decides nothing
    assert done.returncode == results["exit_status"]
    assert {line["measure"] for line in results["results"]} == set(measures)
    assert {line["database"] for line in results["results"]} <= {database, ""}
    assert list(results["databases"]) == [database]
    assert all(line["figure"]["value"] >= 0 for line in results["results"])
    assert all(len(line["figure"]["samples"]) == 1 for line in results["results"])
    assert f"--rounds 3 --minutes 39 --only {','.join(measures)}" in " ".join(done.stdout.split())
    assert max(map(len, (line for line in done.stdout.splitlines() if "/" not in line))) <= 80
    assert len(done.stderr.splitlines()) == len(measures)
    assert (out / "figures" / "queue.png").stat().st_size > 10_000
    ElementTree.parse(out / "figures" / "queue.svg")
    assert {path.name for path in out.iterdir()} == {"results.json", "figures"}  # neither databases nor logs


@pytest.mark.live
def test_json_is_what_results_json_holds(tmp_path: Path) -> None:
    """Standard output has nothing else; both databases are measured unless one is named."""
    done = queue("--quick", "--only", "bulk", "--json", "--out", str(tmp_path / "out"))
    results = written(tmp_path / "out")
    assert json.loads(done.stdout) == results
    assert [line["database"] for line in results["results"]] == ["sqlite", "postgresql"]
    assert [other["name"] for line in results["results"] for other in line["others"]] == ["plain", "plain"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "enqueue,everything"], "there is no 'everything'; there are enqueue, bulk"),
        (["--only", ""], "there is no ''"),
        (["--database", "mysql://x/y"], "write sqlite, postgresql"),
        (["--database", "postgresql://nobody@127.0.0.1:1/x", "--quick"], "The PostgreSQL server said"),
        (["--out", "."], "is not an empty folder"),
        (["--seed", "many"], "invalid int value: 'many'"),
        (["--rounds", "0"], "'0' is not a whole number above 0"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_bad_usage_gets_a_plain_answer(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and a single message that names the mistake."""
    out = [] if "--out" in options else ["--out", str(tmp_path / "out")]
    try:
        status = main(["queue", *out, *options])
    except SystemExit as refused:  # how argparse exits
        status = int(refused.code or 0)
    assert status == 2
    assert said in capsys.readouterr().err


def test_peers_that_are_not_installed_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the command that installs them."""
    monkeypatch.setattr(bench, "PEER_PACKAGES", ("json", "a_queue_that_nobody_has"))
    with pytest.raises(UsageError, match='make bench-queue ARGS="--peers"'):
        bench.main(["--peers"])


def test_help_explains_each_measure_and_fits_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["queue", "--help"])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert all(f"\n  {name}" in shown for name in MEASURES)


@contextmanager
def running(out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A running benchmark, which is ended after the test."""
    with subprocess.Popen(
        [*QUEUE, *options, "--out", str(out)], stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All processes started by the benchmark that are still running."""
    return still_running(psutil.Process(process.pid).children(recursive=True))


def commands(process: subprocess.Popen[str]) -> str:
    """The command lines of all processes started by the benchmark."""
    said = []
    for child in descendants(process):
        try:
            said += child.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return " ".join(said)


@pytest.mark.live
def test_nothing_outlives_a_benchmark_that_is_killed(tmp_path: Path) -> None:
    """No worker, program or PostgreSQL server."""
    with running(tmp_path / "out", "--database", "postgresql", "--only", "idle") as process:
        for part in ("jobqueue work", "stamp", "postgres"):
            wait_until(partial(_runs, part, process), part)
        started = descendants(process)
        process.kill()
        wait_until(lambda: not still_running(started), "the end of all processes")


def _runs(part: str, process: subprocess.Popen[str]) -> bool:
    return part in commands(process)


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_keeps_what_it_has_measured(number: signal.Signals, tmp_path: Path) -> None:
    """After Ctrl-C in the second measure the first is written; the exit status is 130."""
    out = tmp_path / "out"
    with running(out, "--database", "sqlite", "--quick", "--only", "bulk,drain") as process:
        assert process.stderr
        while not process.stderr.readline().startswith("SQLite     bulk"):
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == 130
    results = written(out)
    assert results["interrupted"]
    assert [line["measure"] for line in results["results"]] == ["bulk"]
    assert {path.name for path in out.iterdir()} == {"results.json", "figures"}


@pytest.mark.live
def test_a_process_that_fails_is_named_and_what_was_measured_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Status 3, and the last lines of the process's output."""

    def broken(run: Run) -> list[Result]:
        with run.workbench.database() as url:
            run.workbench.program("jobqueue", "nothing", url, 1)
        return []

    monkeypatch.setitem(bench.MEASURES, "drain", broken)
    monkeypatch.setitem(bench.MEASURES, "bulk", lambda _: lines()[:1])
    out = tmp_path / "out"
    options = ["--database", "sqlite", "--only", "bulk,drain", "--out", str(out)]
    assert bench.main(options) == 3
    assert "KeyError: ('jobqueue', 'nothing')" in written(out)["error"]
    assert len(written(out)["results"]) == 1
