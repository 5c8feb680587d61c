"""The queued reader shows its jobs at /jobs, behind a password, if one is set."""

import importlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.pool import Pool

PASSWORD = ("me", "secret")


@pytest.fixture(autouse=True)
def connections_closed() -> Iterator[None]:
    """An app never shuts down, so the connections it has opened are closed here."""
    opened: list[Any] = []

    def remember(dbapi_connection: Any, _: object) -> None:
        opened.append(dbapi_connection)

    event.listen(Pool, "connect", remember)
    yield
    event.remove(Pool, "connect", remember)
    for connection in opened:
        connection.close()


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A database of its own, and no password unless the test sets one."""
    monkeypatch.setenv("FEEDREADER_DATABASE", f"sqlite:///{tmp_path}/reader.db")
    monkeypatch.delenv("FEEDREADER_JOBS_PASSWORD", raising=False)
    return monkeypatch


def browser(kind: str = "queued") -> FlaskClient:
    """A browser on a reader that has just started."""
    app = importlib.import_module(f"{kind}_app.app").create_app()
    client: FlaskClient = app.test_client()
    return client


@pytest.mark.parametrize("password", [None, ""])
def test_it_is_off_unless_there_is_a_password(environment: pytest.MonkeyPatch, password: str | None) -> None:
    """The address does not exist, as in the synchronous reader."""
    if password is not None:
        environment.setenv("FEEDREADER_JOBS_PASSWORD", password)
    for path in ("/jobs", "/jobs/", "/jobs/failed", "/jobs/metrics", "/jobs/static/jobs.css"):
        assert browser().get(path, auth=PASSWORD).status_code == 404
        assert browser("sync").get(path, auth=PASSWORD).status_code == 404


def test_with_the_password_one_sees_the_jobs(environment: pytest.MonkeyPatch) -> None:
    """A posted address is a waiting job; the reader itself asks for no password."""
    environment.setenv("FEEDREADER_JOBS_PASSWORD", "secret")
    reader = browser()
    assert reader.post("/feeds", data={"url": "http://example.org/"}).status_code == 303
    assert reader.get("/jobs/").status_code == 401
    assert "{&#34;job&#34;:&#34;Feed&#34;" in reader.get("/jobs/due", auth=PASSWORD).text
    assert 'jobqueue_jobs{queue="default",state="due"} 1.0' in reader.get("/jobs/metrics", auth=PASSWORD).text


def test_the_readers_own_policy_fits_the_dashboard(environment: pytest.MonkeyPatch) -> None:
    """The app's headers override the dashboard's: its style and script must still be allowed."""
    environment.setenv("FEEDREADER_JOBS_PASSWORD", "secret")
    answer = browser().get("/jobs/", auth=PASSWORD)
    policy = answer.headers["Content-Security-Policy"]
    assert "style-src 'self'; script-src 'self'; connect-src 'self'" in policy
    assert (answer.headers["X-Frame-Options"], answer.headers["Cache-Control"]) == ("DENY", "no-store")
    assert "Feed reader" not in answer.text


@pytest.mark.live
def test_make_queued_prints_an_address_that_opens_it() -> None:
    """With a password generated for this run; the reader stops when asked to."""
    command = [sys.executable, "-m", "loadtests", "stack", "queued", "--port", "0", "--feeds-port", "0"]
    with subprocess.Popen([*command, "--slots", "1"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            (line,) = [line for line in iter(process.stdout.readline, "\n") if line.startswith("Its jobs")]
            address = line.split()[2]
            assert requests.get(address, timeout=60).status_code == 200
            plain = "http://" + address.rpartition("@")[2]
            assert requests.get(plain, timeout=60).status_code == 401
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
