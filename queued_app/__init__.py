"""The reader that enqueues the fetch, and answers at once."""
