"""What makes the load and records every request of it."""
