"""The dashboard: the queue in a browser. A Flask blueprint, the one file of jobqueue that imports Flask.

    app.register_blueprint(dashboard(queue, password=os.environ["JOBS_PASSWORD"]))    # at /jobs

How much waits and for how long, who works, and every job; failed ones can be retried and deleted. Metrics for
Prometheus are at /jobs/metrics. JavaScript adds fresh numbers and rates; all else works without.

Jobs and errors may hold anything, and whoever gets in may delete jobs. So all text is escaped, HEADERS let no
script run but ours, nobody gets in unless it is said who, and changes are POSTs from our own forms only.
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
    raise ImportError("the dashboard needs Flask: pip install 'jobqueue-500ms[dashboard]'") from error

from jobqueue import Job, Queue
from jobqueue.database import complaint
from jobqueue.errors import AlreadyQueued, JobQueueError, NoSuchJob
from jobqueue.schema import in_utc
from jobqueue.tools import failures, looking
from jobqueue.tools.spans import ago, span

logger = logging.getLogger("jobqueue")

JOBS_SHOWN = 50  # on one page
COOKIE = "jobqueue_browser"
JOB = f"<int(max={2**63 - 1}):id>"
STATE = f"<any({', '.join(get_args(looking.State))}):state>"
STATUS = {NoSuchJob: 404, AlreadyQueued: 409}
SAID = {  # what a page says about the form that led to it
    "retry": "Job {} waits for a worker now.",
    "delete": "Job {} is deleted.",
    "retry-all": "Failed jobs that wait for a worker now: {}.",
    "delete-all": "Failed jobs that are deleted: {}.",
}
HEADERS = {
    # Style and script are files: an app whose own policy forbids inline ones imposes that on these pages too.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # "no-referrer" would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(JobQueueError):
    """The dashboard does not do this."""

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

    Say who may use it, in one of three ways: whoever knows the `password` (HTTP Basic, with any user name);
    whoever `allow()` lets in, which is called within each request; or everybody, `open_to_all`. Raises
    JobQueueError otherwise: such a mistake is noticed when the app starts, not when somebody looks in vain.
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
    pages.add_url_rule(f"/{STATE}", view_func=site.listed)
    pages.add_url_rule(f"/{JOB}", view_func=site.job)
    pages.add_url_rule("/metrics", view_func=site.metrics)
    pages.add_url_rule(f"/{JOB}/retry", view_func=site.retry, methods=["POST"])
    pages.add_url_rule(f"/{JOB}/delete", view_func=site.delete, methods=["POST"])
    pages.add_url_rule("/failed/<any(retry, delete):what>", view_func=site.all_failed, methods=["POST"])
    return pages


class _Site:
    """The pages of one queue's dashboard, and who may see them."""

    def __init__(self, queue: Queue, password: str | None, allow: Callable[[], bool] | None):
        self._queue = queue
        self._password = (password or "").encode()
        self._allow = allow

    # -- who may

    def guard(self) -> Response | None:
        """Before each request: stop those who may not, and forms that are not our own."""
        given = request.authorization.password if request.authorization else None
        if self._password and not hmac.compare_digest((given or "").encode(), self._password):
            challenge = {"WWW-Authenticate": 'Basic realm="jobs", charset="UTF-8"'}
            return Response("The jobs are shown to those who know the password.\n", 401, challenge)
        if self._allow and not self._allow():
            raise Refused(403, "The jobs are not shown to you.")
        if request.method == "POST":
            token = request.form.get("token", "")
            browser = request.cookies.get(COOKIE)
            ours = browser and hmac.compare_digest(token.encode(), self._token(browser).encode())
            if not ours or _comes_from_another_site():
                raise Refused(403, "This form is too old, or another site's. Load its page again.")
        return None

    def _token(self, browser: str) -> str:
        """What our forms carry. Other sites don't know this browser's cookie; and if they can set one, as
        another host of our domain can, they still don't know the password.
        """
        return hmac.new(self._password, browser.encode(), "sha256").hexdigest()

    def _page(self, template: str, status: int = 200, here: str | None = None, **context: Any) -> Response:
        """A page; `here` is the link above it that is marked as where the visitor is."""
        browser = request.cookies.get(COOKIE) or secrets.token_urlsafe()
        context |= {"token": self._token(browser), "now": datetime.now(UTC), "span": span, "ago": ago}
        response = make_response(render_template(f"jobqueue/{template}.html", here=here, **context), status)
        if request.cookies.get(COOKIE) != browser:
            path, secure = url_for(".overview"), request.is_secure
            response.set_cookie(COOKIE, browser, path=path, secure=secure, httponly=True, samesite="Strict")
        return response

    # -- pages

    def overview(self) -> Response:
        """How much waits and for how long, what was done, and who works."""
        stats = looking.stats(self._queue)
        pickup = {share: looking.pickup_latency(stats.done, share / 100) for share in (50, 99)}
        return self._page(
            "overview", here="overview", stats=stats, pickup=pickup, is_silent=looking.is_silent
        )

    def listed(self, state: looking.State) -> Response:
        """Jobs in this state, a page of them, of one queue or of all."""
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
        """All there is to know about one job."""
        job = looking.get(self._queue, id)
        columns = {column.name: getattr(job, column.name) for column in Job.__table__.columns}
        return self._page("job", job=job, columns=columns)

    def metrics(self) -> Response:
        """For Prometheus, which can be told a password."""
        try:
            from jobqueue.tools import metrics
        except ImportError as error:
            raise Refused(501, str(error)) from error
        return Response(metrics.metrics(self._queue), content_type=metrics.CONTENT_TYPE)

    # -- forms

    def retry(self, id: int) -> ResponseReturnValue:
        """Let a job run now."""
        state = looking.get(self._queue, id).state
        if not looking.retry(self._queue, id):
            raise Refused(409, f"job {id} runs at this moment")
        return _back(state, "retry", id)

    def delete(self, id: int) -> ResponseReturnValue:
        """Delete a job, whatever its state."""
        state = looking.get(self._queue, id).state
        looking.delete(self._queue, id)
        return _back(state, "delete", id)

    def all_failed(self, what: str) -> ResponseReturnValue:
        """Retry or delete all failed jobs; but none that had not failed yet when the visitor saw them."""
        do = {"retry": failures.retry_all, "delete": failures.delete_all}[what]
        count = do(self._queue, until=_when_seen(), name=_place()["queue"])
        return _back("failed", f"{what}-all", count)

    # -- what went wrong

    def refuse(self, error: Exception) -> Response:
        """A page that says why not."""
        status = error.status if isinstance(error, Refused) else STATUS.get(type(error), 500)
        return self._page("message", status, title="This can't be done", message=str(error))

    def no_database(self, error: DBAPIError) -> Response:
        """A page instead of a traceback; the log has the rest."""
        logger.error("the dashboard can't read the queue: %s", complaint(error))
        return self._page("message", 503, title="The database does not answer", message=complaint(error))


def add_headers(response: Response) -> Response:
    """What every answer says about how it may be used."""
    response.headers.update(HEADERS)
    return response


def _comes_from_another_site() -> bool:
    """Whether another site's page made the browser send this. Programs such as curl say nothing."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and origin.partition("://")[2] != request.host


def _place() -> dict[str, Any]:
    """Where in the lists the visitor is: of which queue (None: all), on which page."""
    page = request.args.get("page", 1, type=int)
    return {"queue": request.args.get("queue"), "page": min(max(page, 1), 10**9)}


def _when_seen() -> datetime:
    """When the page with the form was made."""
    seen = request.form.get("seen", type=lambda text: in_utc(datetime.fromisoformat(text)))
    if seen is None:
        raise Refused(400, "This form does not say when its page was made.")
    return seen


def _back(state: str, said: str, count: int) -> ResponseReturnValue:
    """To the list that the form was in. 303: with GET, so that a reload does not post again."""
    return redirect(url_for(".listed", state=state, said=said, count=count, **_place()), 303)
