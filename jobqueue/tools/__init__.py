"""The optional parts of jobqueue: command line, supervisor, dashboard, metrics.

The queue itself imports nothing from here, so a copy of it may leave this package out.
"""
