"""`make bench`: what is measured, in which order, step by step."""
