"""The reader that enqueues the fetch, and answers at once.

    gunicorn "queued_app.app:create_app()"
    python -m jobqueue work --database sqlite:///var/feedreader.db --import queued_app.jobs
"""
