"""The reader that fetches a feed inside the request."""
