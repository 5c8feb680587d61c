"""Who gets into the dashboard, and what makes it do something: nobody else, and nothing else."""

import hmac
import importlib
import sys

import pytest
from dashboard_visitor import Visitor, enqueue
from flask import Flask

import jobqueue.tools
from jobqueue import JobQueueError, Queue
from jobqueue.tools.dashboard import COOKIE, dashboard

pytest_plugins = ["queue_fixtures"]

ADDRESSES = ["/", "/failed", "/1", "/metrics", "/static/jobs.css", "/static/jobs.js"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"password": ""},
        {"password": None},
        {"password": "secret", "open_to_all": True},
        {"password": "secret", "allow": lambda: True},
    ],
)
def test_a_dashboard_must_be_told_whose_it_is(queue: Queue, options: dict[str, object]) -> None:
    """When it is made, and not when somebody finds it open, or in vain."""
    with pytest.raises(JobQueueError, match="say who may use the dashboard"):
        dashboard(queue, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("password", ["secret", "pässwörd: ☃"])
def test_with_a_password_it_is_for_those_who_know_it(queue: Queue, password: str) -> None:
    """Every address of it, whatever the user is called."""
    visitor = Visitor(queue, password=password)
    enqueue(queue, "failed")
    for path in ADDRESSES:
        for wrong in (None, ("me", ""), ("me", "Secret"), (password, "me")):
            answer = visitor.get(path, auth=wrong)
            assert answer.status_code == 401 and "failed" not in answer.text
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="jobs", charset="UTF-8"'
        answer = visitor.get(path, auth=("anybody", password))
        assert answer.status_code == 200
        answer.close()


@pytest.mark.parametrize("header", ["Bearer secret", "Basic secret", "Basic //8=", "Basic", "secret", "\xff"])
def test_what_is_no_password_does_not_open_it(queue: Queue, header: str) -> None:
    """Nor does it break it."""
    assert Visitor(queue, password="secret").get(headers={"Authorization": header}).status_code == 401


def test_forms_need_the_password_too(queue: Queue) -> None:
    """Knowing what a form carries is not enough."""
    visitor = Visitor(queue, password="secret")
    id = enqueue(queue, "failed")
    assert visitor.browser.post(f"/jobs/{id}/delete").status_code == 401
    visitor.browser.environ_base["HTTP_AUTHORIZATION"] = "Basic bWU6c2VjcmV0"  # me:secret
    action, fields = visitor.form("/failed", f"Yes, delete job {id}")
    del visitor.browser.environ_base["HTTP_AUTHORIZATION"]
    assert visitor.browser.post(action, data=fields).status_code == 401
    assert len(queue.jobs()) == 1
    assert visitor.browser.post(action, data=fields, auth=("me", "secret")).status_code == 303


def test_an_app_can_decide_for_itself(queue: Queue) -> None:
    """For those that have a login of their own."""
    answers = iter([False, True])
    visitor = Visitor(queue, allow=lambda: next(answers))
    assert visitor.get().status_code == 403
    assert visitor.get().status_code == 200


def other_browser(visitor: Visitor) -> dict[str, str]:
    """The fields of a form in another browser."""
    visitor.browser.delete_cookie(COOKIE, path="/jobs/")
    return visitor.form("/failed", "Retry job 1")[1]


def test_a_form_needs_the_token_of_its_browser(queue: Queue) -> None:
    """Another site has neither the cookie nor the token; a token of another browser is none."""
    visitor = Visitor(queue)
    id = enqueue(queue, "failed")
    action, fields = visitor.form("/failed", f"Retry job {id}")
    for wrong in ({}, {"token": ""}, {"token": "x"}, {"token": "☃"}, other_browser(Visitor(queue))):
        answer = visitor.browser.post(action, data=wrong)
        assert answer.status_code == 403 and "Load its page again" in answer.text
    visitor.browser.delete_cookie(COOKIE, path="/jobs/")
    assert visitor.browser.post(action, data=fields).status_code == 403
    assert queue.jobs()[0].state == "failed"


def test_a_cookie_that_another_host_has_set_is_of_no_use(queue: Queue) -> None:
    """The token can't be computed from it without the password."""
    visitor = Visitor(queue, password="secret")
    id = enqueue(queue, "failed")
    visitor.browser.set_cookie(COOKIE, "planted", path="/jobs/")

    def post(key: bytes) -> int:
        token = hmac.new(key, b"planted", "sha256").hexdigest()
        answer = visitor.browser.post(f"/jobs/{id}/retry", data={"token": token}, auth=("me", "secret"))
        return answer.status_code

    assert (post(b""), post(b"guess"), post(b"secret")) == (403, 403, 303)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://other.localhost"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:8000"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_form_sent_by_another_sites_page_is_refused(
    queue: Queue, headers: dict[str, str], status: int
) -> None:
    """Even if it knew the token."""
    enqueue(queue, "failed")
    assert Visitor(queue).press("/failed", "Retry job 1", headers).status_code == status
    assert queue.jobs()[0].state == ("failed" if status == 403 else "waiting")


@pytest.mark.parametrize("path", ["/1/retry", "/1/delete", "/failed/retry", "/failed/delete"])
def test_looking_changes_nothing(queue: Queue, path: str) -> None:
    """A link, or a browser that loads pages ahead, can do no harm."""
    enqueue(queue, "failed")
    for ask in (Visitor(queue).browser.get, Visitor(queue).browser.head, Visitor(queue).browser.put):
        assert ask(f"/jobs{path}").status_code == 405
    assert queue.jobs()[0].state == "failed"


def test_the_cookie_is_for_this_site_and_for_no_script(queue: Queue) -> None:
    """One for each browser, which keeps it; over TLS alone where there is TLS."""
    visitor = Visitor(queue)
    first = visitor.get()
    kind = {"HttpOnly", "SameSite=Strict", "Path=/jobs/"}
    assert set(first.headers["Set-Cookie"].split("; ")[1:]) == kind
    assert "Set-Cookie" not in visitor.get("/failed").headers
    secure = Visitor(queue).get(base_url="https://localhost").headers["Set-Cookie"]
    assert set(secure.split("; ")[1:]) == kind | {"Secure"}


@pytest.mark.parametrize("path", [*ADDRESSES, "/99"])
def test_every_answer_says_how_it_may_be_used(queue: Queue, path: str) -> None:
    """Nothing inline, in no frame, kept by no cache; whether one is let in or not."""
    enqueue(queue, "failed")
    for visitor in (Visitor(queue), Visitor(queue, password="secret")):
        answer = visitor.get(path)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert not any(mark in answer.text for mark in ("<style", " style=", "<script>", " onclick="))
        answer.close()


def test_an_app_can_have_two_of_them_elsewhere(queue: Queue) -> None:
    """Their links and forms stay with each."""
    app = Flask(__name__)
    app.register_blueprint(dashboard(queue, open_to_all=True), url_prefix="/admin/jobs")
    app.register_blueprint(dashboard(queue, open_to_all=True), url_prefix="/other", name="other")
    browser = app.test_client()
    assert 'href="/admin/jobs/failed"' in browser.get("/admin/jobs/").text
    assert 'href="/other/failed"' in browser.get("/other/").text


@pytest.mark.parametrize("queue_name", ["%00", "%ed%a0%80", "x" * 5000])
def test_a_queue_that_can_not_be_is_no_error_of_ours(queue: Queue, queue_name: str) -> None:
    """PostgreSQL, for one, refuses a NUL in a text."""
    answer = Visitor(queue).get(f"/failed?queue={queue_name}")
    assert answer.status_code in (200, 503) and "<h1>" in answer.text


def test_without_flask_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue itself needs no Flask."""
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.delitem(sys.modules, "jobqueue.tools.dashboard")
    with pytest.raises(ImportError, match=r"needs Flask: pip install 'jobqueue-500ms\[dashboard\]'"):
        importlib.import_module("jobqueue.tools.dashboard")


def test_without_prometheus_client_all_else_works(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the metrics' address says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "jobqueue.tools.metrics", raising=False)
    monkeypatch.delattr(jobqueue.tools, "metrics", raising=False)
    visitor = Visitor(queue)
    assert visitor.get().status_code == 200
    answer = visitor.get("/metrics")
    assert answer.status_code == 501 and "pip install" in answer.text
