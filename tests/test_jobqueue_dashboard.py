"""The dashboard shows the queue's state, and escapes everything that comes from it."""

import doctest
import re
from datetime import UTC, datetime, timedelta

import pytest
from dashboard_visitor import NOW, TRACEBACK, Visitor, change, enqueue, rows, words, worker
from sqlalchemy import text

from jobqueue import Queue
from jobqueue.tools import spans
from jobqueue.tools.presence import Tally, be_seen, leave

pytest_plugins = ["queue_fixtures"]

EVIL = "\"'><script>alert(1)</script>&lt;"


@pytest.fixture
def visitor(queue: Queue) -> Visitor:
    """A visitor of a dashboard that is open to all."""
    return Visitor(queue)


def test_the_overview_counts_the_jobs_of_each_queue(queue: Queue, visitor: Visitor) -> None:
    """Each number links to a list of these jobs."""
    for state in ("due", "due", "scheduled", "running", "failed"):
        enqueue(queue, state, queue="images")
    enqueue(queue, "due", queue="mail & more")
    queue.pause("mail & more")
    page = visitor.show()
    # The jobs were due an hour before the tests were imported; a long test run adds some minutes.
    assert re.fullmatch(r"waiting 4 due 3 running 1 failed 1 oldest due \d\d min", words(page, "#tiles"))
    images, mail = rows(page, "queues")
    assert re.fullmatch(r"images 3 2 1 1 \d\d min", images)
    assert re.fullmatch(r"mail & more \(paused\) 1 1 0 0 \d\d min", mail)
    links = [link["href"] for link in page.select("#queues tr:last-child a")]
    assert links == [
        f"/jobs/{state}?queue=mail+%26+more" for state in ("waiting", "due", "running", "failed")
    ]


def test_an_empty_queue_says_so_and_how_a_worker_is_started(visitor: Visitor) -> None:
    """It does not mention pick-up latency."""
    page = visitor.show()
    assert words(page, "#queues") == "The queue is empty."
    assert "python -m jobqueue work" in words(page, "#workers")
    assert words(page, "#done") == "0 attempts succeeded, 0 failed."


def test_the_overview_shows_who_works_and_what_was_done(queue: Queue, visitor: Visitor) -> None:
    """A worker silent for its lease is marked; the totals include workers that have left."""
    tally = Tally(1000, 5, [0, 0, 0, 100] + [0] * 11, 4.0)
    now = datetime.now(UTC)
    with queue.writer.begin() as connection:
        be_seen(connection, queue.tables, worker("host:silver pid:8", queues="mail,images"), tally, now)
        be_seen(connection, queue.tables, worker("host:gold pid:9"), Tally(), now - timedelta(minutes=3))
        be_seen(connection, queue.tables, worker("host:tin pid:10"), Tally(200, 2), now)
        leave(connection, queue.tables, "host:tin pid:10", now)
    enqueue(queue, "running")
    page = visitor.show()
    gold, silver = sorted(rows(page, "workers"))
    assert re.fullmatch(r"host:silver pid:8 \d+ s ago 1 4 1,000 5 mail,images \d+ (s|min) ago", silver)
    assert re.fullmatch(r"host:gold pid:9 3 min ago : silent 0 4 0 0 all \d+ (s|min) ago", gold)
    said = "Pick-up latency: p50 at most 50 ms, p95 at most 50 ms, p99 at most 50 ms."
    assert words(page, "#done") == f"1,200 attempts succeeded, 7 failed. {said}"


def test_the_overview_has_what_its_script_needs(queue: Queue, visitor: Visitor) -> None:
    """Totals with their timestamp, for rates, and parts of the page that the script can replace."""
    with queue.writer.begin() as connection:
        be_seen(connection, queue.tables, worker("host:silver pid:8"), Tally(1000, 5), NOW)
    page = visitor.show()
    done = page.select_one("#done")
    assert done and (done["data-succeeded"], done["data-failed"]) == ("1000", "5")
    assert 0 <= float(str(done["data-at"])) - NOW.timestamp() < 600
    assert [part.get("id") for part in page.select("[data-live]")] == ["tiles", "done", "queues", "workers"]
    assert page.select_one("#rate") and not page.select("#rate[data-live]")
    script = visitor.get("/static/jobs.js")
    assert script.status_code == 200 and page.select_one("script[src='/jobs/static/jobs.js'][defer]")
    script.close()


@pytest.mark.parametrize(
    ("state", "shown"),
    [("waiting", [1, 2]), ("due", [1]), ("running", [3]), ("failed", [4])],
)
def test_jobs_are_listed_by_state(queue: Queue, visitor: Visitor, state: str, shown: list[int]) -> None:
    """Each job links to a page with all its details."""
    for each in ("due", "scheduled", "running", "failed"):
        enqueue(queue, each)
    page = visitor.show(f"/{state}")
    assert [link["href"] for link in page.select(".jobs .what > a")] == [f"/jobs/{id}" for id in shown]
    assert words(page, "header [aria-current=page]") == state


def test_a_list_says_of_each_job_what_matters_in_its_state(queue: Queue, visitor: Visitor) -> None:
    """The list shows when a job is due, which worker holds it, or why it failed."""
    for state in ("scheduled", "running", "failed"):
        enqueue(queue, state, text="x" * 500)
    assert re.search(
        r"default · 0 of 25 attempts · due in \d\d min", words(visitor.show("/waiting"), ".jobs")
    )
    assert "held by host:silver pid:8, seen" in words(visitor.show("/running"), ".jobs")
    failed = visitor.show("/failed")
    assert "default · 25 of 25 attempts · failed" in words(failed, ".jobs")
    assert words(failed, ".error") == "RuntimeError: no voice"
    assert len(words(failed, "code")) == 160


def test_a_list_can_be_of_one_queue(queue: Queue, visitor: Visitor) -> None:
    """The heading names the queue, and a link leads back to the jobs of all queues."""
    for name in ("images", "mail"):
        enqueue(queue, "failed", queue=name)
    page = visitor.show("/failed?queue=mail")
    assert words(page, "h1") == "Failed jobs in mail"
    assert len(page.select(".jobs li")) == 1
    assert page.select_one("main a[href='/jobs/failed']")
    assert words(visitor.show("/failed?queue=none"), ".jobs") == "None."


def test_long_lists_come_in_pages(queue: Queue, visitor: Visitor) -> None:
    """A page has fifty jobs, in the order in which they would run."""
    for _ in range(101):
        enqueue(queue, "due", queue="mail")
    first = visitor.show("/due?queue=mail")
    assert not first.select("[rel=prev]")
    second = visitor.show(str(first.select_one("[rel=next]")["href"]).removeprefix("/jobs"))  # type: ignore[index]
    assert (len(second.select(".jobs li")), words(second, ".what > a")) == (50, "Job 51")
    assert second.select_one("[rel=prev]")["href"] == "/jobs/due?queue=mail&page=1"  # type: ignore[index]
    third = visitor.show("/due?queue=mail&page=3")
    assert (len(third.select(".jobs li")), third.select("[rel=next]")) == (1, [])
    assert words(visitor.show("/due?page=4"), ".jobs") == "None on this page."


@pytest.mark.parametrize("page", ["0", "-1", "x", "", "9" * 30, "9" * 5000, "1e3"])
def test_a_page_that_is_none_is_no_error(queue: Queue, visitor: Visitor, page: str) -> None:
    """Neither the dashboard nor the database fails on it."""
    enqueue(queue, "due")
    assert words(visitor.show(f"/due?page={page}"), ".jobs")


@pytest.mark.parametrize("state", ["due", "running", "failed"])
def test_a_job_is_shown_with_all_its_columns(queue: Queue, visitor: Visitor, state: str) -> None:
    """Columns have Delayed Job's names, and the whole traceback is shown verbatim."""
    id = enqueue(queue, state, max_run_time=60.0, unique_key="only one")
    page = visitor.show(f"/{id}")
    assert words(page, "pre") == '{"job":"Say","arguments":{"text":"hello"}}'
    columns = {words(each, "dt"): words(each, "dd") for each in page.select(".columns div")}
    assert len(columns) == 14 and columns["max_run_time"] == "60.0" and columns["unique_key"] == "only one"
    assert columns["created_at"].startswith(f"{NOW:%Y-%m-%d %H:%M:%S} UTC")
    assert (columns["failed_at"] == "–") == (state != "failed")
    if state == "failed":
        assert page.select("pre")[1].get_text() == TRACEBACK
    assert bool(page.select("button[aria-label^='Retry'], button[aria-label^='Run']")) == (state != "running")


@pytest.mark.parametrize("path", [f"/{2**63 - 1}", "/12"])
def test_a_job_that_is_gone_is_said_to_be(visitor: Visitor, path: str) -> None:
    """Most likely it has succeeded."""
    assert words(visitor.show(path, status=404), "[role=alert]") == (
        f"There is no job {path[1:]}: it has succeeded, was deleted, or never existed"
    )


@pytest.mark.parametrize("path", [f"/{2**63}", "/-1", "/done", "/1/run", "/failed/run"])
def test_other_addresses_are_not_there(visitor: Visitor, path: str) -> None:
    """An id too large for the database is one of them."""
    assert visitor.get(path).status_code == 404


def test_what_is_in_a_job_is_shown_as_text(queue: Queue, visitor: Visitor) -> None:
    """Handlers, errors and names are untrusted: none may become markup, or a link to elsewhere."""
    for state in ("due", "running", "failed"):
        id = enqueue(queue, state, text=EVIL, queue=EVIL, unique_key=f"{EVIL}{state}")
        change(queue, id, last_error=f"{EVIL}\n{EVIL}\n", handler=EVIL)
    change(queue, 2, locked_by=EVIL)
    with queue.writer.begin() as connection:
        be_seen(connection, queue.tables, worker(EVIL, queues=EVIL), Tally(), NOW)
    shown = 0
    for path in ("/", "/due", "/running", "/failed", "/1", "/2", "/3"):
        page = visitor.show(path)
        assert not page.select("main script"), path
        shown += EVIL in page.get_text()
        for link in page.select("main a"):
            assert str(link["href"]).startswith("/jobs/")
    assert shown == 7
    found = visitor.show(str(visitor.show().select("#queues a")[0]["href"]).removeprefix("/jobs"))
    assert words(found, "h1") == f"Waiting jobs in {EVIL}" and len(found.select(".jobs li")) == 1


def test_a_handler_that_no_worker_could_load_is_shown(queue: Queue, visitor: Visitor) -> None:
    """Such jobs are a reason to open the dashboard."""
    id = enqueue(queue, "failed")
    change(queue, id, handler="not JSON\nat all", last_error="  \n ")
    assert words(visitor.show("/failed"), "code") == "not JSON at all"
    assert words(visitor.show(f"/{id}"), "pre") == "not JSON at all"


def test_a_database_that_fails_is_said_to(queue: Queue, visitor: Visitor) -> None:
    """The page shows the database's own error, not a traceback."""
    with queue.writer.begin() as connection:
        connection.execute(text("DROP TABLE job_workers"))
    page = visitor.show(status=503)
    assert words(page, "h1") in ("The database did not answer", "The database refused a statement")
    assert "job_workers" in words(page, "[role=alert]")


def test_times_are_told_as_people_tell_them() -> None:
    """Future times too, and the example in span()'s docstring holds."""
    assert doctest.testmod(spans) == (0, 1)
    assert spans.ago(NOW, NOW + timedelta(minutes=5)) == "5 min ago"
    assert spans.ago(NOW, NOW - timedelta(days=3)) == "in 3 days"
    assert spans.ago(NOW, NOW) == "0 s ago"
