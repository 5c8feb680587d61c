"""Faults of the load generator itself, each in words; any of them makes its load unfit.

They are not failures of the app: a request that could not even be sent says nothing about it.
"""

import errno
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from loadtests.wording import counted

OUT_OF_FILES = {errno.EMFILE, errno.ENFILE}
ENOUGH_FILES = 4096
SPARE_FILES = 16  # some for threads that resolve names at the same time


class Faults:
    """Collects the faults of one process while a load runs."""

    def __init__(self) -> None:
        self.out_of_files = 0  # requests that could not be sent
        self._said: Counter[str] = Counter()

    def add(self, fault: str) -> None:
        """Note a fault, in words. Repeats are counted."""
        self._said[fault] += 1

    def in_words(self) -> tuple[str, ...]:
        """Each fault as a clause of a sentence; empty if there is none."""
        said = [fault if times == 1 else f"{fault} ({times} times)" for fault, times in self._said.items()]
        if self.out_of_files:
            allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            said.insert(
                0,
                f"the load generator ran out of file descriptors ({allowed} are allowed), and could not send"
                f" {counted(self.out_of_files, 'request')}: allow more with `ulimit -n {ENOUGH_FILES}`",
            )
        return tuple(said)


class SpareFiles:
    """Reserves some of this process's file descriptors.

    They are needed to sample the machine, and to write the rows, when the load has used up all others. The
    limit is lowered to reserve them: one held open, and closed when needed, would be taken by a thread.
    """

    def __init__(self) -> None:
        self._allowed = 0  # 0: none is reserved

    def keep(self) -> None:
        """Keep them from the load from now on."""
        self._allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._allow(self._allowed - SPARE_FILES)

    def give_up(self) -> None:
        """End the reservation."""
        self._allow(self._allowed)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let the block open files. It must not yield to the load meanwhile."""
        self.give_up()
        try:
            yield
        finally:
            self._allow(self._allowed - SPARE_FILES)

    def _allow(self, files: int) -> None:
        if self._allowed > SPARE_FILES:  # -1: there is no limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def out_of_files(error: BaseException | None) -> bool:
    """True if this process or its machine had no file descriptor left, however deeply that is wrapped."""
    wrapped, seen = [error], set[int]()
    while wrapped:
        each = wrapped.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        if isinstance(each, OSError) and each.errno in OUT_OF_FILES:
            return True
        seen.add(id(each))
        # The last two are how requests and urllib3 wrap what they caught.
        wrapped += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args[:1]]
    return False
