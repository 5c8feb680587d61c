"""What one may leave out when one lifts jobqueue out: command line, supervisor, dashboard, metrics.

The queue itself imports nothing from here.
"""
