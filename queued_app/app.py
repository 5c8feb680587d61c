"""The feed reader that queues the fetch. First read sync_app/app.py; this replaces one call.

A visitor submits the address of a feed. This app enqueues a job to fetch it, and answers at once. A worker,
in another process, performs it, and the feed's page shows the entries when they arrive. The job is stored in
the same database, in the same transaction as the feed: either both exist or neither does.

The two readers have the same routes in the same order. Compare them: make diff
"""

from typing import Any

from flask import Flask
from sqlalchemy.orm import sessionmaker
from werkzeug.wrappers import Response

from feedreader import web
from feedreader.database import make_engine, writer
from feedreader.models import create_tables
from feedreader.settings import Settings
from jobqueue import Queue
from queued_app.dashboard import add_dashboard
from queued_app.jobs import Feed


def create_app() -> Flask:
    """The app, configured by the environment (see feedreader/settings.py). Raises SettingsError."""
    engine = make_engine(Settings.from_environ().database)
    create_tables(engine)
    queue = Queue(engine)
    queue.create_tables()
    writing = sessionmaker(writer(engine), expire_on_commit=False)
    app = web.make_app("queued", engine)
    add_dashboard(app, queue)

    @app.get("/")
    def index() -> str:
        """The form, and the newest feeds."""
        with engine.connect() as connection:
            return web.index_page(connection)

    @app.post("/feeds")
    def create_feed() -> Response:
        """Accept the address of a feed; redirects to the feed's page."""
        url = web.posted_address()
        with writing() as session:
            feed = Feed.subscribe(session, url)
            queue.enqueue(feed, session=session)  # the visitor gets an answer now
            session.commit()
        return web.show(feed)

    @app.get("/feeds/<feed:feed_id>")
    def feed_page(feed_id: int) -> str:
        """The feed's entries, or that it is being fetched, or why it could not be fetched."""
        with engine.connect() as connection:
            return web.feed_page(connection, feed_id)

    @app.get("/feeds/<feed:feed_id>.json")
    def feed_state(feed_id: int) -> dict[str, Any]:
        """The feed's status, which the page polls while the feed is being fetched."""
        with engine.connect() as connection:
            return web.feed_state(connection, feed_id)

    @app.post("/feeds/<feed:feed_id>/refresh")
    def refresh_feed(feed_id: int) -> Response:
        """Fetch the feed again; redirects to its page."""
        with writing() as session:
            feed = Feed.subscribe(session, web.find_feed(session, feed_id).url)
            queue.enqueue(feed, session=session)  # the visitor gets an answer now
            session.commit()
        return web.show(feed)

    return app
