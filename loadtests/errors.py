"""The errors of the load tests; each message says what to do next."""

from loadtests.status import Status


class LoadTestError(Exception):
    """Base of this package's errors. The command line prints the message and exits with `exit_status`."""

    exit_status: Status = Status.USAGE


class UsageError(LoadTestError):
    """An option or a setting has a value that can't be used."""


class WriteError(LoadTestError):
    """A file that can't be written: the disk is full, the folder may only be read."""


class ProcessError(LoadTestError):
    """A process of the stack did not start, or ended while it was needed."""

    exit_status = Status.UNFIT
