"""Chapter 13: its three apps, before and after the change; and how one of your own is started and loaded."""

import difflib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import notebooks_path  # noqa: F401
import pytest
import requests
from conftest import wait_until

from loadtests.errors import ProcessError
from loadtests.records.recording import Recording, Stage, write_recording
from loadtests.records.rows import Row

# isort: split
from workbook.chapter13 import (
    WEB_APPS,
    WebApp,
    demand,
    figures,
    knee_of,
    loaded,
    recording_of,
    rounds,
    running,
)
from workbook.session import NOTEBOOKS, WorkbookError

pytest_plugins = ["workbook_fixtures"]

each_app = pytest.mark.parametrize("name", WEB_APPS)


def order(url: str) -> str:
    """Order something; returns the address that says whether it is done."""
    assert requests.get(f"{url}/", timeout=60).json()["prints"]
    answer = requests.post(f"{url}/orders", json={"customer": "ada"}, timeout=60)
    assert answer.status_code == 201
    return f"{url}/orders/{answer.json()['id']}"


def is_done(page: str) -> bool:
    done = requests.get(page, timeout=60).json()["done"]
    assert isinstance(done, bool)
    return done


@pytest.mark.live
@each_app
def test_an_app_has_done_the_slow_thing_when_it_answers(name: str, tmp_path: Path) -> None:
    """That is why its answer is slow."""
    with running(WEB_APPS[name][0], tmp_path) as url:
        assert is_done(order(url))


@pytest.mark.live
@each_app
def test_a_queued_app_answers_before_a_worker_does_it(name: str, tmp_path: Path) -> None:
    """Without a worker it is answered, too, and not done; with one it gets done."""
    _, queued = WEB_APPS[name]
    with running(replace(queued, work=""), tmp_path) as url:
        assert not is_done(order(url))
    with running(queued, tmp_path) as url:
        page = order(url)
        wait_until(lambda: is_done(page), "the order")
        wait_until(lambda: is_done(f"{url}/orders/1"), "the one left over from before")


@each_app
def test_the_change_is_a_few_lines(name: str) -> None:
    """Of the lines there were, only the call goes, the sentence at the top, and what imports grow by."""
    texts = [(NOTEBOOKS / "apps" / app.code).read_text().splitlines() for app in WEB_APPS[name]]
    changed = [line[0] for line in difflib.ndiff(*texts)]
    assert changed.count("-") <= 5
    assert 10 < changed.count("+") <= 27


@pytest.mark.live
@each_app
def test_the_visitors_find_their_way_in_each_app(
    name: str, chapter: Callable[..., None], tmp_path: Path
) -> None:
    """They look, order, and ask until it is done, and nothing fails. A mail takes as long as its server."""
    chapter(13)
    load = loaded(WEB_APPS[name][0], users=(4,), seconds=6, warm_up=0)
    recording = recording_of(load)
    assert {row.group for row in recording.rows} == {"look", "order", "ask", "result"}
    assert recording.visits == ("result",)
    assert not [row for row in recording.rows if row.failed]
    assert name != "mail" or (figures(load, 4, "order")["mean_ms"] or 0) > 1500


# ---- an app of one's own


@pytest.mark.live
@pytest.mark.parametrize(
    ("app", "complaint"),
    [
        (WebApp("http://192.0.2.1:8000", 1), "http://192.0.2.1:8000 can be reached from elsewhere"),
        (WebApp("sh -c 'echo http://0.0.0.0:8000; sleep 60'", 1), "http://0.0.0.0:8000 can be reached"),
        (WebApp("gunicorn shop:app", 1, folder="nowhere"), "There is no .*nowhere/visitors.py"),
    ],
)
def test_an_app_that_others_can_reach_or_that_is_not_there_is_refused(
    app: WebApp, complaint: str, tmp_path: Path
) -> None:
    """In one sentence, which says what to do."""
    with pytest.raises(WorkbookError, match=complaint), running(app, tmp_path):
        pass


@pytest.mark.live
def test_an_app_that_does_not_start_says_why(tmp_path: Path) -> None:
    """With its last words."""
    app = WebApp("gunicorn --bind 127.0.0.1:0 no_such_app:app", 1)
    with pytest.raises(ProcessError, match="No module named 'no_such_app'"), running(app, tmp_path):
        pass


@pytest.mark.live
def test_an_app_that_runs_already_is_left_running(tmp_path: Path) -> None:
    """By its address."""
    for each in ("first", "second"):
        (tmp_path / each).mkdir()
    with running(WEB_APPS["mail"][0], tmp_path / "first") as url:
        with running(WebApp(url, 4), tmp_path / "second") as same:
            assert same == url
        assert is_done(order(url))


@pytest.mark.live
def test_a_locust_file_with_a_mistake_says_where(chapter: Callable[..., None], tmp_path: Path) -> None:
    """Locust's own words."""
    chapter(13)
    (tmp_path / "visitors.py").write_text("import no_such_module\n")
    app = WebApp("python -m http.server --bind 127.0.0.1 0", 1, folder=str(tmp_path))
    with pytest.raises(ProcessError, match="No module named 'no_such_module'"):
        loaded(app, users=(1,), seconds=1, warm_up=0)


# ---- what came of it


def test_the_demand_of_a_round_and_the_rounds_are_those_of_its_requests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each request as often as a round has it. What fails, or ends outside the window, is no round."""
    takes = {"look": 0.1, "order": 1.0}
    rows = [Row(1, group, "/", at, at, at + takes[group], 200, "") for at in range(30) for group in takes]
    rows.append(Row(1, "order", "/", 3, 3, 3.5, 500, ""))
    stages = (Stage(1, 0.0, 30.0),)
    recording = Recording(started_at=time.time(), stopped_s=30, ended_s=30, rows=tuple(rows), stages=stages)
    write_recording(tmp_path / "rows.csv", recording)
    load = {file.suffix[1:]: file.read_text() for file in tmp_path.iterdir()}
    assert demand(load, 1, look=2, order=1) == pytest.approx(1.2, rel=0.05)
    assert "D = 1." in capsys.readouterr().out
    rate, (low, high) = rounds(load, 1, "order", a_round=1)
    assert rate == pytest.approx(29 / 30)
    assert rounds(load, 1, "order", a_round=0.5)[0] == pytest.approx(2 * rate)
    with pytest.raises(WorkbookError, match="No 'ask' was measured with 1 user: measure longer"):
        demand(load, 1, look=2, ask=1)
    assert low is not None and high is not None and low < rate < high
    knee = knee_of(load, 1, think=2.0, demand=1.2, group="order", a_round=1)
    assert knee["users"] == pytest.approx(3.2 * rate)
    assert knee["interval"] == pytest.approx([3.2 * low, 3.2 * high])
