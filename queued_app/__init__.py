"""The reader that puts the fetch on a queue, and answers at once."""
