"""`python -m loadtests queue`: its arithmetic, and short end-to-end runs on both databases."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
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
from loadtests.queuebench.measures import MEASURES, QUICK_SIZES, Run
from loadtests.queuebench.stats import (
    Result,
    Target,
    all_met,
    of_figure,
    paired_ratio,
    result,
    spread_of,
    summarise_percentile,
)
from loadtests.queuebench.workbench import Workbench

ROOT = Path(__file__).parent.parent
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
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


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """The benchmark's main() sets signal handlers; pytest's process has its own."""
    handlers = [(number, signal.getsignal(number)) for number in SIGNALS]
    yield
    for number, handler in handlers:
        signal.signal(number, handler)


# -- arithmetic


def test_a_figure_is_the_median_of_its_rounds() -> None:
    """With the lowest and the highest beside it; every sample is kept."""
    figure = spread_of([30.0, 10.0, 20.0, 90.0])
    assert (figure.value, figure.low, figure.high) == (25.0, 10.0, 90.0)
    assert figure.samples == [30.0, 10.0, 20.0, 90.0]
    assert figure.spread == pytest.approx(3.2)
    assert spread_of([0.0]).spread == 0


def test_a_ratio_pairs_the_rounds() -> None:
    """A round on a slow machine counts like any other: both systems were slow."""
    assert paired_ratio([80.0, 8.0, 90.0], [100.0, 10.0, 100.0]).value == pytest.approx(0.8)
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1.0, 2.0], [1.0])


def test_a_percentile_is_the_nearest_rank_of_all_rounds_together() -> None:
    """No value is interpolated between samples; the rounds' own percentiles are its spread."""
    rounds = [[float(number) for number in range(100)], [1000.0] * 100]
    assert summarise_percentile(rounds, 0.5).value == 99
    assert summarise_percentile(rounds, 0.99).low == 98
    assert summarise_percentile(rounds, 1.0).value == 1000
    assert summarise_percentile([[5.0]], 0.0).value == 5


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target("at least", 0.75), 0.75, True),
        (Target("at least", 0.75), 0.7499, False),
        (Target("more than", 1.0), 1.0, False),
        (Target("more than", 1.0), 1.001, True),
        (Target("less than", 30.0), 30.0, False),
        (Target("less than", 30.0), 29.9, True),
    ],
)
def test_a_target_says_whether_its_limit_is_enough(target: Target, value: float, met: bool) -> None:
    """At least 60,000 includes 60,000; under 30 ms does not include 30."""
    assert target.is_met(value) is met
    assert all_met([of_figure("bulk", "sqlite", "x", "ms", spread_of([value]), target)]) is met


def lines() -> list[Result]:
    """A run's results: one target met, one missed, one figure without a target."""
    samples = {"jobqueue": [4000.0, 5000.0], "plain": [8000.0, 8000.0], "huey": [1000.0, 1000.0]}
    return [
        result(
            "enqueue",
            "sqlite",
            "enqueue, one a transaction",
            "jobs/s",
            samples,
            Target("at least", 1000),
            {"plain": Target("at least", 0.75)},
        ),
        of_figure("idle", "postgresql", "pick-up latency, p50", "ms", spread_of([1.25])),
    ]


def test_one_missed_target_is_enough_to_fail() -> None:
    """Whether on a figure or on a ratio."""
    enqueue, idle = lines()
    assert enqueue.met
    assert [(other.name, other.met) for other in enqueue.others] == [("plain", False), ("huey", None)]
    assert not all_met([enqueue, idle])
    assert all_met([idle])


def test_the_table_has_80_columns_and_a_verdict_beside_each_target() -> None:
    """Figures, ratios, targets, yes or NO."""
    table = report.target_table(lines())
    assert max(map(len, table.splitlines())) <= 80
    assert re.search(r"enqueue, one a transaction +4,500 +22 % +≥ 1,000 yes\n", table)
    assert re.search(r"  plain driver +22 % +8,000 +0.56 ≥ 0.75 times +NO\n", table)
    assert re.search(r"pick-up latency, p50, ms +1.25$", table)


def test_the_longest_line_of_the_table_fits() -> None:
    """With a million jobs a second in both columns."""
    titles = ["drain, 1,000,000 waiting", "a bare interpreter's start", "50 threads, 100 ms jobs"]
    names = [*report.SYSTEM_NAMES, "10,000 waiting"]
    samples = {name: [1_234_567.0] for name in ["jobqueue", *names]}
    targets = dict.fromkeys(names, Target("at least", 0.75))
    for title in titles:
        wide = result("deep", "sqlite", title, "jobs/s", samples, Target("at least", 100_000), targets)
        assert max(map(len, report.target_table([wide]).splitlines())) <= 80


def test_numbers_keep_three_digits() -> None:
    """Whether large or small."""
    values = [81_234.5, 100, 52.44, 10, 3.214, 0.1844, 0.05, 0]
    words = ["81,234", "100", "52.4", "10", "3.21", "0.184", "0.05", "0"]
    assert [report.number(value) for value in values] == words


def test_systems_take_turns_and_change_places(tmp_path: Path) -> None:
    """The first in one round is last in the next."""
    order: list[str] = []

    def sample(name: str) -> float:
        order.append(name)
        return float(len(order))

    run = Run("sqlite", Workbench("sqlite", tmp_path), replace(QUICK_SIZES, rounds=3), seed=1)
    taken = run.rounds({name: partial(sample, name) for name in ("ours", "plain")})
    assert order == ["ours", "plain", "plain", "ours", "ours", "plain"]
    assert taken == {"ours": [1.0, 4.0, 5.0], "plain": [2.0, 3.0, 6.0]}


# -- from end to end


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
    assert done.returncode in (0, 1), done.stderr
    assert done.returncode == results["exit_status"]
    assert {line["measure"] for line in results["results"]} == set(measures)
    assert {line["database"] for line in results["results"]} <= {database, ""}
    assert list(results["databases"]) == [database]
    assert all(line["figure"]["value"] >= 0 for line in results["results"])
    latency = next(line for line in results["results"] if line["title"] == "pick-up latency, p99")
    assert len(latency["figure"]["samples"]) == QUICK_SIZES.stamps
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
        (["--only", "enqueue,everything"], "there is no measure 'everything'; there are enqueue, bulk"),
        (["--only", ""], "there is no measure ''"),
        (["--database", "mysql://x/y"], "write sqlite, postgresql"),
        (["--database", "postgresql://nobody@127.0.0.1:1/x", "--quick"], "The PostgreSQL server said"),
        (["--out", "."], "is not an empty folder"),
        (["--seed", "many"], "invalid int value: 'many'"),
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
