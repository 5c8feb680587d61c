"""Several processes send one load: their rows are merged, and the master gives the verdict once."""

import itertools
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from locust_runs import SPAWNED, Run, command, counted_by_locust, free_port, headless, two_processes

from loadtests.generator.arrivals import schedule
from loadtests.generator.loadoptions import Load
from loadtests.records.recording import read_recording
from loadtests.records.rows import read_rows
from loadtests.servers.processes import Process

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
USERS = HERE / "plugin_locustfile.py"


@pytest.fixture(scope="module")
def null_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that answers at once."""
    log = tmp_path_factory.mktemp("null") / "log"
    with Process("null server", [sys.executable, "-m", "loadtests.bench.nullserver"], log) as process:
        yield process.wait_for_address()


def planned_by(run: Run) -> int:
    """How many visits the schedule of open load had."""
    assert run.recording.arrivals
    return run.recording.arrivals.planned


def test_closed_load_of_two_processes_is_one_recording(null_server: str, tmp_path: Path) -> None:
    """As many rows as Locust counts, distinct user numbers, one verdict."""
    # Seconds may pass until the users of a worker begin.
    options = ["--users", "5", "--spawn-rate", "5", "--run-time", "8s", "--stop-timeout", "30"]
    run = headless(USERS, tmp_path, "Fast", "--host", null_server, *two_processes(), *options)
    assert run.status == 0, run.err
    assert len(run.rows) == counted_by_locust(run) > 10
    assert len({row.user for row in run.rows}) == 5
    assert len({row.user // 1_000_000 for row in run.rows}) == 2  # users of both processes
    assert [row.intended_s for row in run.rows] == sorted(row.intended_s for row in run.rows)
    known = run.recording
    assert (known.users(), known.users_asked, len(known.vitals), known.processes_lost) == (5, 5, 2, 0)
    assert len(known.lag) > 2 * 50
    assert run.out.count("The rule, ") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", "rows.json"}


def test_the_processes_share_one_schedule_of_open_load(null_server: str, tmp_path: Path) -> None:
    """Together they send the seed's schedule as one process would, each visit once, on a common clock."""
    options = ["--model", "open", "--rate", "60", "--seed", "4", "--run-time", "2s", "--stop-timeout", "30"]
    run = headless(USERS, tmp_path, "Fast", "--host", null_server, *two_processes(), *options)
    numbers = sorted(row.user for row in run.rows)
    assert numbers == sorted(set(numbers)) and len(numbers) == planned_by(run) > 20
    planned = itertools.islice(schedule(Load(model="open", rate=60).pieces(), [1], 4), len(numbers) + 60)
    when = {arrival.number: arrival.at for arrival in planned}
    # Each process's clock begins when the start message arrives; the rows use the master's.
    late = [row.intended_s - when[row.user] for row in run.rows]
    assert min(late) >= 0 and max(late) < 30
    for share in (0, 1):
        of_one = [row.intended_s - when[row.user] for row in run.rows if row.user % 2 == share]
        assert max(of_one) - min(of_one) < 1e-5


def test_steps_are_for_all_processes_together(null_server: str, tmp_path: Path) -> None:
    """Two users, then six, spread over two processes."""
    steps = (*two_processes(), "--steps", "2,6", "--step-seconds", "2", "--stop-timeout", "30")
    run = headless(USERS, tmp_path, "Fast", "--host", null_server, *steps)
    first, second = run.recording.stages
    assert len({row.user for row in run.rows if row.intended_s < first.end_s}) == 2
    assert len({row.user for row in run.rows if row.intended_s >= second.start_s}) == 6
    assert len(run.rows) == counted_by_locust(run)


def test_requests_in_flight_are_not_lost_on_the_way(tmp_path: Path) -> None:
    """Both processes' hanging requests are rows: unlike Locust, the master waits for the workers' drain."""
    log = tmp_path / "log"
    with Process("truth server", [sys.executable, str(HERE / "truth_server.py")], log) as server:
        options = ["--model", "open", "--rate", "40", "--run-time", "6s", "--stop-timeout", "2"]
        of = ("Hanging", "--host", server.wait_for_address())
        run = headless(HERE / "truth_locustfile.py", tmp_path, *of, *two_processes(), *options)
    hung = [row for row in run.rows if row.unfinished]
    assert len(hung) > 15 and {row.user % 2 for row in hung} == {0, 1}
    assert len(run.rows) == planned_by(run)
    ended = run.recording.ended_s
    assert min(row.waited_ms(ended) for row in hung) > 1500  # they had the time of --stop-timeout


def without_one_worker(host: str, rows: Path, number: signal.Signals, run_time: str) -> str:
    """What the master says when one of its two workers gets a signal in mid-load; it must end with 3.

    Master and workers are started one by one, as on several machines.
    """
    port, common = free_port(), ("Fast", "--host", host)
    with ExitStack() as stack:

        def start(name: str, *options: str) -> Process:
            log = rows.with_name(name)
            return stack.enter_context(Process(name, command(USERS, *common, *options), log))

        bind = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--headless")
        load = "--expect-workers 2 --users 4 --spawn-rate 4 --fail-over 1 --stop-timeout 5 --run-time"
        master = start("master", *bind, *load.split(), run_time, "--rows", str(rows))
        worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
        gone, _ = start("worker 1", *worker), start("worker 2", *worker)
        master.wait_for(SPAWNED, timeout=60)
        for process in gone.tree():
            process.send_signal(number)
        assert master.wait_with(lambda: None, timeout=60) == 3
        return master.output()


def test_a_worker_that_is_killed_makes_the_load_unfit(null_server: str, tmp_path: Path) -> None:
    """Its rows are lost, the others' are not, and the verdict says that rows are missing."""
    rows = tmp_path / "rows.csv"
    said = without_one_worker(null_server, rows, signal.SIGKILL, "4s")
    assert "1 load generator did not report" in said
    assert len({row.user for row in read_rows(rows)}) >= 2


@pytest.mark.parametrize("ahead", [30, -3600])
def test_a_worker_whose_clock_is_wrong_is_put_right(null_server: str, tmp_path: Path, ahead: int) -> None:
    """Its rows are aligned with the others', and none is lost."""
    port, rows = free_port(), tmp_path / "rows.csv"
    common = ("Fast", "--host", null_server)
    with ExitStack() as stack:

        def start(name: str, *options: str, ahead: int = 0) -> Process:
            started = command(USERS, *common, *options)
            return stack.enter_context(
                Process(name, started, tmp_path / name, environment={"CLOCK_AHEAD": str(ahead)})
            )

        bind = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--headless")
        load = "--expect-workers 2 --users 4 --spawn-rate 4 --run-time 6s --stop-timeout 5"
        master = start("master", *bind, *load.split(), "--rows", str(rows))
        worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
        start("wrong", *worker, ahead=ahead), start("right", *worker)
        master.wait_with(lambda: None, timeout=60)
        said = master.output()
    off = re.search(r"The clock of \S+ is (\S+) s off", said)
    assert off and float(off[1]) == pytest.approx(ahead, abs=0.1)
    recording = read_recording(rows)
    assert recording.clock_error_s > 0
    assert len({row.user for row in recording.rows}) == 4
    assert all(0 <= row.intended_s < 30 for row in recording.rows)
    assert "users were there" not in said and "before the others" not in said


def test_a_worker_that_is_ended_early_makes_the_load_unfit(null_server: str, tmp_path: Path) -> None:
    """Its users moved to the other one, and are not counted twice."""
    said = without_one_worker(null_server, tmp_path / "rows.csv", signal.SIGTERM, "8s")
    assert re.search(r"a load generator was ended \d\.\d s before the others", said)
    assert "users were there" not in said


@pytest.mark.parametrize("load", [(), ("--steps", "4,8", "--step-seconds", "60")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_load_says_so_and_keeps_what_it_has(
    null_server: str, tmp_path: Path, load: tuple[str, ...], number: signal.Signals, processes: int
) -> None:
    """Everything measured until then is written and judged; the status is that of an interruption."""
    rows = tmp_path / "rows.csv"
    options = ("--headless", *(load or ("--users", "4", "--spawn-rate", "4")), "--stop-timeout", "30")
    started = command(USERS, "Fast", "--host", null_server, *options, "--rows", str(rows), "--fail-over", "1")
    with Process("locust", started + two_processes() * (processes > 1), tmp_path / "log") as process:
        process.wait_for(SPAWNED, timeout=60)
        process.wait_for(r"Aggregated +[1-9]\d\d", timeout=60)  # Locust's table, every two seconds
        reached = process.tree() if number == signal.SIGINT else process.tree()[:1]
        for each in reached:  # as a terminal does, to the whole group; TERM goes to one
            each.send_signal(number)
        assert process.wait_with(lambda: None, timeout=60) == 130, process.output()
        said = process.output()
    assert len(re.findall(r"The rule, ", said)) == 1, said
    assert "Interrupted: this is what was measured until then." in said and "Traceback" not in said
    known = read_recording(rows)
    assert len(known.rows) >= 100 and (len(known.vitals), known.processes_lost) == (processes, 0)


def test_a_master_interrupted_before_its_workers_are_there_says_so(tmp_path: Path) -> None:
    """Nothing was measured: the status is that of an interruption, without a traceback."""
    port = free_port()
    bind = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--headless")
    started = command(USERS, "Fast", "--host", "http://127.0.0.1:1", *bind, "--expect-workers", "2")
    with Process("master", started, tmp_path / "log") as process:
        process.wait_for(r"Waiting for workers", timeout=60)
        process.tree()[-1].send_signal(signal.SIGINT)
        assert process.wait_with(lambda: None, timeout=60) == 130
        assert "Traceback" not in process.output()
