"""The reader that fetches a feed inside the request.

    gunicorn "sync_app.app:create_app()"
"""
