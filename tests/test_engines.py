"""The queued reader on other engines: each puts a feed's fetch into its queue, and its worker performs it."""

import os
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
from conftest import still_running

from loadtests.__main__ import main
from loadtests.bench.plan import Plan
from loadtests.engines import engines
from loadtests.engines.engines import ENGINES, Engine, app_of, check_engine, engine_command, engine_of
from loadtests.errors import UsageError
from loadtests.records.results import read_results
from loadtests.records.steps import APPS, App
from loadtests.report.chartparts import COLOURS
from loadtests.report.texttable import text_table
from loadtests.servers import serve
from loadtests.servers.stack import Stack, StackSettings
from loadtests.wording import HOW, LABELS, SHORT

FETCHED_SECONDS = 60
MOST_LINES = 80
FOLDER = Path(engines.__file__ or "").parent


def test_an_engine_is_one_small_file() -> None:
    """And each file is listed."""
    files = {path.stem: path.read_text().count("\n") for path in FOLDER.glob("on_*.py")}
    assert set(files) == {each.module.rpartition(".")[2] for each in ENGINES.values()} - {""}
    assert max(files.values()) <= MOST_LINES, files


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sidekiq", "--engine sidekiq: there are jobqueue, jobqueue-postgresql, celery, "),
        ("none", '--engine none: it is not installed; run: make queued ARGS="--engine none"'),
    ],
)
def test_an_engine_that_is_not_there_is_refused_in_a_sentence(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown, or known and not installed."""
    monkeypatch.setitem(ENGINES, "none", Engine("None", "loadtests.engines.on_no_such_engine"))
    with pytest.raises(UsageError) as raised:
        serve.main(["queued", "--engine", name])
    assert str(raised.value).startswith(said)


def test_jobqueue_needs_nothing_more() -> None:
    """It is there without `requirements/engines.txt`."""
    check_engine("jobqueue")


@pytest.mark.live
@pytest.mark.parametrize("name", ENGINES)
def test_the_reader_runs_on_each_engine(name: str) -> None:
    """A feed is fetched soon; then no job waits; and all that was started ends with the stack."""
    engine = ENGINES[name]
    if engine.module and not find_spec(engine.module.rpartition("_")[2]):
        pytest.skip("requirements/engines.txt is not installed")
    settings = StackSettings(app="queued", engine=name, slots=2, slot_kind="threads", threads=4)
    with Stack(settings) as stack:
        answer = requests.post(f"{stack.url}/feeds", data={"url": f"{stack.feeds_url}/feeds/fast/1.xml"})
        assert fetched(stack, f"{answer.url}.json") > 0
        if engine.module:
            environment = engine.environment(stack.broker_url) | {"FEEDREADER_DATABASE": stack.database_url}
            waiting = engine_command("waiting")
            said = subprocess.run(waiting, env={**os.environ, **environment}, check=True, capture_output=True)
            assert said.stdout.strip() == b"0"
        processes = [each for process in stack.processes.values() for each in process.tree()]
        assert len(processes) >= 3
    assert not still_running(processes)


@pytest.mark.live
def test_the_bench_compares_engines(tmp_path: Path) -> None:
    """Each is one more reader, with its own line in the table, judged by the same rule."""
    if not find_spec("celery"):
        pytest.skip("requirements/engines.txt is not installed")
    short = [
        "--users",
        "2",
        "--seconds",
        "2",
        "--warm-up",
        "0.5",
        "--slots",
        "2",
        "--out",
        str(tmp_path / "out"),
    ]
    main(["bench", "--app", "queued", "--engine", "celery-threads,jobqueue", *short])
    results = read_results(tmp_path / "out" / "results.json")
    assert [point["app"] for point in results["points"]] == ["queued", "celery-threads"]
    assert "Celery, threads" in (tmp_path / "out" / "report.html").read_text()
    assert "Celery, thr." in text_table(results)


@pytest.mark.parametrize("app", APPS)
def test_every_reader_has_its_words_and_colour(app: App) -> None:
    """And workers, if it is queued: each number of threads is a condition of its own."""
    assert SHORT[app] and len(LABELS[app]) <= 14 and HOW[app] and COLOURS[app]
    assert len(Plan(apps=(app,), users=(1,), threads=(8, 16)).steps()) == (
        1 if app in ("sync", "host") else 2
    )
    assert app in (app_of(engine_of(app)), "sync", "host")


def fetched(stack: Stack, url: str) -> int:
    """Wait until a feed has been fetched; returns the number of its entries."""
    deadline = time.monotonic() + FETCHED_SECONDS
    while (state := requests.get(url).json())["status"] == "pending":
        stack.check()
        assert time.monotonic() < deadline, stack.processes["worker 1"].output()
        time.sleep(0.02)
    assert state["status"] == "ready", state
    return int(state["entries"])
