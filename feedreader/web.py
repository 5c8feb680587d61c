"""The web layer both apps share: an app without its routes, the pages, and checks of visitors' input."""

from datetime import UTC, datetime
from typing import Any, Literal

from flask import Flask, Response, abort, current_app, redirect, render_template, request, url_for
from sqlalchemy import Connection, Engine, Row, bindparam, func, select
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException, ServiceUnavailable
from werkzeug.routing import IntegerConverter, Map
from werkzeug.wrappers import Response as AnyResponse

from feedreader.addresses import clean_address
from feedreader.errors import BadAddress
from feedreader.models import Entry, Feed
from feedreader.waiting import LastWaits, pause

FEEDS_SHOWN = 20
ENTRIES_SHOWN = 50
MAX_FORM_BYTES = 16_384
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
SECURITY_HEADERS = {
    # Only our own styles, scripts and responses: nothing that a feed smuggles into a page is run or loaded.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # "no-referrer" would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
}
# Reading takes rows rather than objects: the session's work on an object would take longer than the query.
FEED = select(
    Feed.id, Feed.url, Feed.title, Feed.status, Feed.reason, Feed.requested_at, Feed.fetched_at
).where(Feed.id == bindparam("feed_id"))
ENTRIES = (
    select(Entry.title, Entry.link, Entry.summary, Entry.published_at)
    .where(Entry.feed_id == bindparam("feed_id"))
    .order_by(Entry.published_at.desc().nulls_last(), Entry.id)  # newest first
    .limit(ENTRIES_SHOWN)
)
FEED_STATE = FEED.add_columns(
    select(func.count()).where(Entry.feed_id == Feed.id).scalar_subquery().label("entries")
)
NEWEST_FEEDS = select(Feed.id, Feed.url, Feed.title, Feed.status).order_by(Feed.id.desc()).limit(FEEDS_SHOWN)


class FeedId(IntegerConverter):
    """A feed's id in a URL; an id that does not fit into the column gives a 404."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=2**31 - 1)


def make_app(kind: Literal["sync", "queued"], engine: Engine) -> Flask:
    """A Flask app without the routes in which the readers differ. `kind` is shown on every page."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_FORM_BYTES
    app.url_map.converters["feed"] = FeedId
    app.jinja_env.filters["day_and_time"] = day_and_time
    app.context_processor(lambda: {"kind": kind})
    app.extensions["waits"] = LastWaits()
    app.before_request(refuse_other_sites)
    app.after_request(add_headers)
    app.register_error_handler(HTTPException, error_page)
    app.register_error_handler(OperationalError, no_database)
    app.register_error_handler(InterfaceError, no_database)

    @app.errorhandler(BadAddress)
    def bad_address(error: BadAddress) -> tuple[str, int]:
        with engine.connect() as connection:
            return index_page(connection, request.form.get("url", ""), str(error)), 400

    @app.get("/healthz")
    def healthz() -> tuple[dict[str, str], int]:
        try:
            with engine.connect() as connection:
                connection.execute(select(Feed.id).limit(1))
        except SQLAlchemyError as error:
            app.logger.error("The health check's database query failed: %s", one_line(error))
            return {"status": "no database", "app": kind}, 503
        return {"status": "ok", "app": kind}, 200

    return app


def index_page(connection: Connection, url: str = "", problem: str = "") -> str:
    """The form and the newest feeds. `url` is what the visitor entered, `problem` what is wrong with it."""
    feeds = connection.execute(NEWEST_FEEDS).all()
    return render_template("index.html", feeds=feeds, url=url, problem=problem)


def feed_page(connection: Connection, feed_id: int) -> str:
    """The feed and its newest entries, and whether it is being fetched or why it failed. Aborts with 404."""
    feed = connection.execute(FEED, {"feed_id": feed_id}).one_or_none() or abort(404)
    entries = connection.execute(ENTRIES, {"feed_id": feed_id}).all()
    return render_template("feed.html", feed=feed, entries=entries, ask_again_in=ask_again_in)


def feed_state(connection: Connection, feed_id: int) -> dict[str, Any]:
    """What the page polls while a feed is being fetched: one row, by primary key. Aborts with 404.

    While the feed is pending, "ask_again_in" says in how many seconds to ask again.
    """
    feed = connection.execute(FEED_STATE, {"feed_id": feed_id}).one_or_none() or abort(404)
    state = feed._asdict()
    del state["requested_at"], state["fetched_at"]
    if feed.status == "pending":
        state["ask_again_in"] = ask_again_in(feed)
    else:
        last_waits().note(feed.requested_at, feed.fetched_at)
    return state


def ask_again_in(feed: Row[Any]) -> float:
    """In how many seconds a page should ask again for a feed that is pending."""
    now = datetime.now(UTC)
    return round(pause((now - feed.requested_at).total_seconds(), last_waits().turn(now)), 3)


def last_waits() -> LastWaits:
    """What this process knows of how long feeds wait."""
    waits: LastWaits = current_app.extensions["waits"]
    return waits


def find_feed(session: Session, feed_id: int) -> Feed:
    """The feed with this id. Aborts with 404 if there is none."""
    return session.get(Feed, feed_id) or abort(404)


def posted_address() -> str:
    """The address the visitor submitted. Raises BadAddress, which shows the form again with status 400."""
    return clean_address(request.form.get("url", ""))


def show(feed: Feed) -> AnyResponse:
    """Redirect to the feed's page. With 303 the browser uses GET, so that a reload does not post again."""
    return redirect(url_for("feed_page", feed_id=feed.id), 303)


def refuse_other_sites() -> None:
    """Abort with 403 when another site's page makes a visitor's browser post here.

    Browsers say where a request comes from. Programs such as curl say nothing, and need no protection.
    """
    if request.method != "POST":
        return
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if site is None and origin is not None:  # an older browser, or a page without TLS
        site = "same-origin" if origin.partition("://")[2] == request.host else "cross-site"
    if site not in (None, "same-origin", "none"):
        abort(403, "This form was sent from another site.")


def add_headers(response: Response) -> Response:
    """Add the security headers, and forbid caching of everything but static files."""
    response.headers.update(SECURITY_HEADERS)
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


def error_page(error: HTTPException) -> AnyResponse | tuple[str | dict[str, str], int]:
    """A page that says what is wrong, or JSON if JSON was requested."""
    code = error.code or 500
    if code < 400:  # a redirect by the router
        return error.get_response()
    if request.path.endswith(".json"):
        return {"error": error.name}, code
    return render_template("error.html", error=error), code


def no_database(error: OperationalError | InterfaceError) -> AnyResponse | tuple[str | dict[str, str], int]:
    """Status 503 for a database that is away, silent or locked; the log has one line that says which."""
    current_app.logger.error("The database can't be used: %s", one_line(error))
    return error_page(ServiceUnavailable("The database can't be used at the moment. Try again soon."))


def one_line(error: SQLAlchemyError) -> str:
    """What the database's driver said."""
    return " ".join(str(getattr(error, "orig", error)).split())


def day_and_time(moment: datetime) -> str:
    """A moment in words: "1 June 2025, 12:00 UTC"."""
    month = MONTHS[moment.month - 1]
    return f"{moment.day} {month} {moment.year}, {moment.hour:02}:{moment.minute:02} UTC"
