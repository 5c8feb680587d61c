"""The exit statuses: one table for every command, and for Locust with loadtests.plugin."""

from enum import IntEnum


class Status(IntEnum):
    """What a command ends with. A pipeline can tell a broken rule from all that is not one."""

    KEPT = 0  # the rule was kept, nothing got slower, or there was nothing to judge
    BROKEN = 1  # the rule was broken, or something got slower
    USAGE = 2  # wrong usage, or nothing there: no server, no such file, a disk that is full
    UNFIT = 3  # the load itself is in doubt: nothing is proved
    UNDECIDED = 4  # too few requests to say: the interval holds both
    INTERRUPTED = 130  # by Ctrl-C, as a shell says it


MEANING = {
    Status.KEPT: "kept: at most the share that is allowed took longer than the rule, beyond doubt",
    Status.BROKEN: "broken: a larger share took longer, beyond doubt",
    Status.USAGE: "wrong usage, or nothing there: no server answers, a file can't be read or written",
    Status.UNFIT: "not fit: the load itself is in doubt, so nothing is proved",
    Status.UNDECIDED: "undecided: the interval holds both, and more requests are needed",
    Status.INTERRUPTED: "interrupted by Ctrl-C",
}
