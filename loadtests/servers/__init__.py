"""Start and watch the readers and everything they need, as real processes."""
