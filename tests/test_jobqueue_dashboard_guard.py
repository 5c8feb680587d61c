"""Access to the dashboard, and protection of its forms against forged requests."""

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
    """It is refused when it is made, rather than found open, or locked, in production."""
    with pytest.raises(JobQueueError, match="say who may use the dashboard"):
        dashboard(queue, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("password", ["secret", "pässwörd: ☃"])
def test_with_a_password_it_is_for_those_who_know_it(queue: Queue, password: str) -> None:
    """The password protects every address; any user name will do."""
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
    """A malformed header is not a server error either."""
    assert Visitor(queue, password="secret").get(headers={"Authorization": header}).status_code == 401


def test_forms_need_the_password_too(queue: Queue) -> None:
    """Knowing a form's token is not enough."""
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
    """`allow` is for applications with their own login."""
    answers = iter([False, True])
    visitor = Visitor(queue, allow=lambda: next(answers))
    assert visitor.get().status_code == 403
    assert visitor.get().status_code == 200


def other_browser(visitor: Visitor) -> dict[str, str]:
    """The form's fields as another browser gets them."""
    visitor.browser.delete_cookie(COOKIE, path="/jobs/")
    return visitor.form("/failed", "Retry job 1")[1]


def test_a_form_needs_the_token_of_its_browser(queue: Queue) -> None:
    """Another site has neither the cookie nor the token, and another browser's token is not valid."""
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
    """The token can't be computed from the cookie without the password."""
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
    """It is refused even with a valid token."""
    enqueue(queue, "failed")
    assert Visitor(queue).press("/failed", "Retry job 1", headers).status_code == status
    assert queue.jobs()[0].state == ("failed" if status == 403 else "waiting")


@pytest.mark.parametrize("path", ["/1/retry", "/1/delete", "/failed/retry", "/failed/delete"])
def test_looking_changes_nothing(queue: Queue, path: str) -> None:
    """Links, and browsers that prefetch pages, can do no harm."""
    enqueue(queue, "failed")
    for ask in (Visitor(queue).browser.get, Visitor(queue).browser.head, Visitor(queue).browser.put):
        assert ask(f"/jobs{path}").status_code == 405
    assert queue.jobs()[0].state == "failed"


def test_the_cookie_is_for_this_site_and_for_no_script(queue: Queue) -> None:
    """Each browser gets one and keeps it; over HTTPS it is a Secure cookie."""
    visitor = Visitor(queue)
    first = visitor.get()
    kind = {"HttpOnly", "SameSite=Strict", "Path=/jobs/"}
    assert set(first.headers["Set-Cookie"].split("; ")[1:]) == kind
    assert "Set-Cookie" not in visitor.get("/failed").headers
    secure = Visitor(queue).get(base_url="https://localhost").headers["Set-Cookie"]
    assert set(secure.split("; ")[1:]) == kind | {"Secure"}


@pytest.mark.parametrize("path", [*ADDRESSES, "/99"])
def test_every_answer_says_how_it_may_be_used(queue: Queue, path: str) -> None:
    """No inline code, no framing, no caching, whether or not the visitor is let in."""
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
    """Each dashboard's links lead to its own pages."""
    app = Flask(__name__)
    app.register_blueprint(dashboard(queue, open_to_all=True), url_prefix="/admin/jobs")
    app.register_blueprint(dashboard(queue, open_to_all=True), url_prefix="/other", name="other")
    browser = app.test_client()
    assert 'href="/admin/jobs/failed"' in browser.get("/admin/jobs/").text
    assert 'href="/other/failed"' in browser.get("/other/").text


@pytest.mark.parametrize("queue_name", ["%00", "%ed%a0%80", "x" * 5000])
def test_a_queue_that_can_not_be_is_no_error_of_ours(queue: Queue, queue_name: str) -> None:
    """PostgreSQL, for example, refuses a NUL in text."""
    answer = Visitor(queue).get(f"/failed?queue={queue_name}")
    assert answer.status_code in (200, 503) and "<h1>" in answer.text


def test_without_flask_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the library, which a copied jobqueue needs as well, and the extra that has it."""
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.delitem(sys.modules, "jobqueue.tools.dashboard")
    with pytest.raises(ImportError, match=r"needs Flask: pip install Flask \(the extra \[dashboard\]\)"):
        importlib.import_module("jobqueue.tools.dashboard")


def test_without_prometheus_client_all_else_works(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only /metrics fails, and says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "jobqueue.tools.metrics", raising=False)
    monkeypatch.delattr(jobqueue.tools, "metrics", raising=False)
    visitor = Visitor(queue)
    assert visitor.get().status_code == 200
    answer = visitor.get("/metrics")
    assert answer.status_code == 501 and "pip install" in answer.text
