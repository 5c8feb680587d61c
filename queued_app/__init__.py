"""The reader that enqueues the fetch, and answers at once: app.py. To serve it by hand, with a worker:

    gunicorn "queued_app.app:create_app()"
    python -m jobqueue work --database sqlite:///var/feedreader.db --import queued_app.jobs

`make queued` starts them together with a feed server.
"""
