"""The report, its figures and its tables."""
