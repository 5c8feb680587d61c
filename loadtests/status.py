"""The exit statuses: one table for every command, and for Locust with loadtests.plugin."""

from enum import IntEnum


class Status(IntEnum):
    """A command's exit status, so that a pipeline can tell a broken rule from everything else."""

    KEPT = 0
    BROKEN = 1
    USAGE = 2
    UNFIT = 3
    UNDECIDED = 4
    INTERRUPTED = 130  # as a shell reports Ctrl-C


MEANING = {
    Status.KEPT: "kept: the rule and all expectations; nothing got slower; all targets met",
    Status.BROKEN: "broken: the rule or an expectation; slower; a target was missed",
    Status.USAGE: "wrong usage, or nothing there: no server, no such file, no room to write",
    Status.UNFIT: "not fit: not the load asked for, or a process failed; nothing is proved",
    Status.UNDECIDED: "undecided: too few requests, or too busy a machine, to say",
    Status.INTERRUPTED: "interrupted by Ctrl-C",
}
EXIT_STATUSES = "exit status:\n" + "\n".join(f"  {status:3}  {what}" for status, what in MEANING.items())
