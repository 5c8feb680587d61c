"""The reader that fetches a feed inside the request: app.py. To serve it by hand:

    gunicorn "sync_app.app:create_app()"

`make sync` starts it together with a feed server.
"""
