"""The dashboard: the queue in a browser, as a Flask blueprint. No other file of jobqueue imports Flask.

    app.register_blueprint(dashboard(queue, password=os.environ["JOBS_PASSWORD"]))    # at /jobs

It shows the backlog and its age, the workers, and every job; jobs can be retried and deleted. Metrics for
Prometheus are at /jobs/metrics. JavaScript adds live numbers and rates; everything else works without it.

Jobs and errors may contain anything, and a visitor may delete jobs. So all text is escaped, SAFE_HEADERS
allow no script but ours, access must be granted explicitly, and only POSTs from our own forms change
anything.
"""

import hmac
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy.exc import DBAPIError

try:
    from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
    from flask.typing import ResponseReturnValue
except ImportError as error:
    raise ImportError("the dashboard needs Flask: pip install Flask (the extra [dashboard])") from error

from jobqueue import Job, Queue
from jobqueue.database import complaint, reaction
from jobqueue.dialects import in_utc
from jobqueue.errors import AlreadyQueued, JobQueueError, NoSuchJob
from jobqueue.tools import failures, looking
from jobqueue.tools.spans import ago, span

logger = logging.getLogger("jobqueue")

JOBS_SHOWN = 50  # per page
COOKIE = "jobqueue_browser"
JOB = f"<int(max={2**63 - 1}):id>"
STATE_RULE = f"<any({', '.join(get_args(looking.State))}):state>"
STATUS = {NoSuchJob: 404, AlreadyQueued: 409}
SAID = {  # shown after a form was submitted
    "retry": "Job {} is now waiting for a worker.",
    "delete": "Job {} was deleted.",
    "retry-all": "Failed jobs now waiting for a worker: {}.",
    "delete-all": "Failed jobs deleted: {}.",
}
SAFE_HEADERS = {
    # Style and script are files, since an app's own policy may forbid inline ones on these pages too.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # "no-referrer" would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(JobQueueError):
    """The dashboard refuses this request."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def dashboard(
    queue: Queue,
    *,
    password: str | None = None,
    allow: Callable[[], bool] | None = None,
    open_to_all: bool = False,
) -> Blueprint:
    """A blueprint for /jobs, or for another `url_prefix` given to register_blueprint().

    Access is granted in exactly one of three ways: by `password` (HTTP Basic, with any user name); by
    `allow()`, which is called within each request; or to everybody, `open_to_all`. Otherwise this raises
    JobQueueError, so that the mistake is noticed when the app starts.
    """
    if [bool(password), allow is not None, open_to_all].count(True) != 1:
        raise JobQueueError(
            "say who may use the dashboard: password=... (not empty), allow=a function, or open_to_all=True"
        )
    site = _Site(queue, password, allow)
    pages = Blueprint(
        "jobqueue", __name__, static_folder="static", template_folder="templates", url_prefix="/jobs"
    )
    pages.before_request(site.guard)
    pages.after_request(add_headers)
    pages.register_error_handler(JobQueueError, site.refuse)
    pages.register_error_handler(DBAPIError, site.no_database)
    pages.add_url_rule("/", view_func=site.overview)
    pages.add_url_rule(f"/{STATE_RULE}", view_func=site.listed)
    pages.add_url_rule(f"/{JOB}", view_func=site.job)
    pages.add_url_rule("/metrics", view_func=site.metrics)
    pages.add_url_rule(f"/{JOB}/retry", view_func=site.retry, methods=["POST"])
    pages.add_url_rule(f"/{JOB}/delete", view_func=site.delete, methods=["POST"])
    pages.add_url_rule("/failed/<any(retry, delete):what>", view_func=site.all_failed, methods=["POST"])
    return pages


class _Site:
    """The pages of one queue's dashboard, and access to them."""

    def __init__(self, queue: Queue, password: str | None, allow: Callable[[], bool] | None):
        self._queue = queue
        self._password = (password or "").encode()
        self._allow = allow

    # -- access

    def guard(self) -> Response | None:
        """Before each request: refuse visitors without access, and forms that are not ours."""
        given = request.authorization.password if request.authorization else None
        if self._password and not hmac.compare_digest((given or "").encode(), self._password):
            challenge = {"WWW-Authenticate": 'Basic realm="jobs", charset="UTF-8"'}
            return Response("A password is needed to see the jobs.\n", 401, challenge)
        if self._allow and not self._allow():
            raise Refused(403, "You have no access to the jobs.")
        if request.method == "POST":
            token = request.form.get("token", "")
            browser = request.cookies.get(COOKIE)
            ours = browser and hmac.compare_digest(token.encode(), self._token(browser).encode())
            if not ours or _comes_from_another_site():
                raise Refused(403, "This form is too old, or from another site. Load its page again.")
        return None

    def _token(self, browser: str) -> str:
        """The token in our forms. Other sites don't know this browser's cookie; and if they can set one, as
        another host of our domain can, they still don't know the password, if there is one.
        """
        return hmac.new(self._password, browser.encode(), "sha256").hexdigest()

    def _page(self, template: str, status: int = 200, here: str | None = None, **context: Any) -> Response:
        """A page; `here` is the navigation link that is marked as current."""
        browser = request.cookies.get(COOKIE) or secrets.token_urlsafe()
        context |= {"token": self._token(browser), "now": datetime.now(UTC), "span": span, "ago": ago}
        response = make_response(render_template(f"jobqueue/{template}.html", here=here, **context), status)
        if request.cookies.get(COOKIE) != browser:
            path, secure = url_for(".overview"), request.is_secure
            response.set_cookie(COOKIE, browser, path=path, secure=secure, httponly=True, samesite="Strict")
        return response

    # -- pages

    def overview(self) -> Response:
        """The backlog and its age, what was done, and the workers."""
        stats = looking.stats(self._queue)
        return self._page("overview", here="overview", stats=stats, looking=looking)

    def listed(self, state: looking.State) -> Response:
        """A page of the jobs in this state, of one queue or of all."""
        place = _place()
        found = looking.find(
            self._queue,
            state=state,
            name=place["queue"],
            limit=JOBS_SHOWN + 1,  # one more: is there a next page?
            offset=(place["page"] - 1) * JOBS_SHOWN,
        )
        said = SAID.get(request.args.get("said", ""), "").format(request.args.get("count", 0, type=int))
        shown, more = found[:JOBS_SHOWN], len(found) > JOBS_SHOWN
        return self._page("jobs", here=state, state=state, place=place, jobs=shown, more=more, said=said)

    def job(self, id: int) -> Response:
        """Everything about one job."""
        job = self._queue.get(id)
        columns = {column.name: getattr(job, column.name) for column in Job.__table__.columns}
        return self._page("job", job=job, columns=columns)

    def metrics(self) -> Response:
        """For Prometheus, which can send a password."""
        try:
            from jobqueue.tools import metrics
        except ImportError as error:
            raise Refused(501, str(error)) from error
        return Response(metrics.metrics(self._queue), content_type=metrics.CONTENT_TYPE)

    # -- forms

    def retry(self, id: int) -> ResponseReturnValue:
        """Make a job due now."""
        state = self._queue.get(id).state
        if not self._queue.retry(id):
            raise Refused(409, f"job {id} is running")
        return _back(state, "retry", id)

    def delete(self, id: int) -> ResponseReturnValue:
        """Delete a job, whatever its state."""
        state = self._queue.get(id).state
        self._queue.delete(id)
        return _back(state, "delete", id)

    def all_failed(self, what: str) -> ResponseReturnValue:
        """Retry or delete all jobs that had failed when the visitor's page was made."""
        do = {"retry": failures.retry_all, "delete": failures.delete_all}[what]
        count = do(self._queue, until=_when_seen(), name=_place()["queue"])
        return _back("failed", f"{what}-all", count)

    # -- errors

    def refuse(self, error: Exception) -> Response:
        """A page that says why the request is refused."""
        status = error.status if isinstance(error, Refused) else STATUS.get(type(error), 500)
        return self._page("message", status, title="This can't be done", message=str(error))

    def no_database(self, error: DBAPIError) -> Response:
        """A page instead of a traceback; the error is also logged."""
        logger.error("the dashboard can't read the queue: %s", complaint(error))
        return self._page("message", 503, title=f"The database {reaction(error)}", message=complaint(error))


def add_headers(response: Response) -> Response:
    """Add SAFE_HEADERS to every response."""
    response.headers.update(SAFE_HEADERS)
    return response


def _comes_from_another_site() -> bool:
    """Whether another site's page made the browser send this. Programs such as curl send neither header."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and origin.partition("://")[2] != request.host


def _place() -> dict[str, Any]:
    """The visitor's place in a list: the queue (None: all) and the page."""
    page = request.args.get("page", 1, type=int)
    return {"queue": request.args.get("queue"), "page": min(max(page, 1), 10**9)}


def _when_seen() -> datetime:
    """When the page with the form was made."""
    seen = request.form.get("seen", type=lambda text: in_utc(datetime.fromisoformat(text)))
    if seen is None:
        raise Refused(400, "This form does not say when its page was made.")
    return seen


def _back(state: str, said: str, count: int) -> ResponseReturnValue:
    """Redirect to the list of this state. 303: with GET, so that a reload does not post again."""
    return redirect(url_for(".listed", state=state, said=said, count=count, **_place()), 303)
