"""Did it get slower? The difference between two runs."""
