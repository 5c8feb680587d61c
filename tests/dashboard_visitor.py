"""A visitor to the dashboard, for its tests: reads pages as a browser shows them, and presses buttons."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bs4 import BeautifulSoup, Tag
from flask import Flask
from jobs_for_tests import Say
from sqlalchemy import update
from werkzeug.test import TestResponse

from jobqueue import Queue
from jobqueue.schema import tables
from jobqueue.tools.dashboard import dashboard
from jobqueue.tools.presence import Self

jobs = tables().jobs

NOW = datetime.now(UTC)
TRACEBACK = (
    'Traceback (most recent call last):\n  File "say.py", line 8, in perform\nRuntimeError: no voice\n'
)


class Visitor:
    """A browser, and an app with only the dashboard."""

    def __init__(self, queue: Queue, **options: Any):
        app = Flask(__name__)
        app.register_blueprint(dashboard(queue, **options or {"open_to_all": True}))
        self.app = app
        self.browser = app.test_client()

    def get(self, path: str = "/", **options: Any) -> TestResponse:
        """The answer to GET for a path of the dashboard."""
        return self.browser.get(f"/jobs{path}", **options)

    def show(self, path: str = "/", status: int = 200) -> BeautifulSoup:
        """The page at this path, parsed; checks the status."""
        answer = self.get(path)
        assert answer.status_code == status, answer.text
        return BeautifulSoup(answer.text, "html.parser")

    def form(self, path: str, label: str) -> tuple[str, dict[str, str]]:
        """The action and the fields of the form of the button with this full label."""
        button = self.show(path).select_one(f'button[aria-label="{label}"]')
        assert button, f"{path} has no button {label!r}"
        form = button.find_parent("form")
        assert isinstance(form, Tag) and form["method"] == "post"
        return str(form["action"]), {str(each["name"]): str(each["value"]) for each in form.select("input")}

    def press(self, path: str, label: str, headers: Mapping[str, str] | None = None) -> TestResponse:
        """Press a button on a page; returns the answer to its form."""
        action, fields = self.form(path, label)
        return self.browser.post(action, data=fields, headers=headers)

    def do(self, path: str, label: str) -> tuple[str, str]:
        """Press a button; returns the path it redirects to, and the message shown there."""
        answer = self.press(path, label)
        assert answer.status_code == 303, answer.text
        return answer.location.partition("?")[0], words(
            self.show(answer.location.removeprefix("/jobs")), ".said"
        )


def words(page: BeautifulSoup, selector: str = "main") -> str:
    """The text of one part of the page, on one line."""
    part = page.select_one(selector)
    assert part is not None, f"no {selector} in {page}"
    return text_of(part)


def rows(page: BeautifulSoup, table: str) -> list[str]:
    """The text of each row of a table on the overview."""
    return [text_of(row) for row in page.select(f"#{table} tbody tr")]


def text_of(part: Tag) -> str:
    """An element's text, on one line."""
    return " ".join(part.get_text(" ").split())


def worker(name: str, **changes: Any) -> Self:
    """A worker's description of itself."""
    usual = {"threads": 4, "queues": "", "lease": 30.0, "max_run_time": 600.0, "started_at": NOW}
    return Self(name, **{**usual, **changes})


def enqueue(queue: Queue, state: str, /, text: str = "hello", **options: Any) -> int:
    """Add a job that is due, scheduled (in an hour), running or failed; returns its id."""
    run_at = timedelta(hours=1 if state == "scheduled" else -1)
    id = queue.enqueue(Say(text), run_at=run_at, now=NOW, **options)
    columns = {
        "failed": {"failed_at": NOW, "attempts": 25, "last_error": TRACEBACK},
        "running": {"locked_at": NOW, "attempts": 1, "locked_by": "host:silver pid:8"},
    }
    if state in columns:
        change(queue, id, **columns[state])
    return id


def change(queue: Queue, id: int, **columns: object) -> None:
    """Overwrite columns of a job's row."""
    with queue.writer.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.id == id).values(columns))
