"""Parse a document within limits of time and memory, whatever is in it.

An ordinary feed is parsed here, from a small copy. Any other document is left to a process of its own, since
a thread can't be stopped, and slows down all others. That process is this module, run as a program.
"""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from feedreader.copying import small_copy
from feedreader.errors import FetchFailed
from feedreader.parsing import Document, ParsedEntry, ParsedFeed, parse_feed

QUICK_BYTES, QUICK_ELEMENTS = 128 * 2**10, 1_000  # the most that is parsed here: 5 ms, at worst 80
CPU_SECONDS = 2.0  # for a process
MEMORY_BYTES = 32 * 2**20  # for a process, beyond the 25 MB of a Python that has imported feedparser
BROKEN_BYTES = 2**20  # read of a document that can't be copied
NICENESS = 10  # of a process: visitors and other feeds go first
ORIGIN = "FEEDREADER_DOCUMENT"  # the variable that tells a process the address and the type
BEYOND_LIMITS = "The document takes too much time or memory to read."

# Parsing is pure CPU work. A thread that stores entries at the same time would wait for the GIL again and
# again, and hold SQLite's write lock ten times as long. So only one thread of a process parses or stores.
one_at_a_time = threading.Lock()
_two_at_a_time = threading.BoundedSemaphore(2)


def parse_in_time(document: Document, seconds: float) -> ParsedFeed:
    """The feed in the document, after at most this many seconds.

    Raises FetchFailed if it is not a feed, or can't be read within the limits.
    """
    end = time.monotonic() + seconds
    if len(document.body) <= QUICK_BYTES:
        with one_at_a_time:
            if copy := small_copy(document, QUICK_ELEMENTS):
                return parse_feed(copy)
    if not _two_at_a_time.acquire(timeout=max(end - time.monotonic(), 0)):
        raise FetchFailed(BEYOND_LIMITS)
    try:
        answer = _ask_a_process(document, end - time.monotonic())
    except subprocess.TimeoutExpired:
        raise FetchFailed(BEYOND_LIMITS) from None
    finally:
        _two_at_a_time.release()
    if isinstance(answer, str):
        raise FetchFailed(answer)
    title, entries = answer
    for entry in entries:
        entry[-1] = entry[-1] and datetime.fromisoformat(entry[-1])
    return ParsedFeed(title, [ParsedEntry._make(entry) for entry in entries])


def _ask_a_process(document: Document, seconds: float) -> Any:
    """What another process finds: a feed, or the reason why there is none."""
    done = subprocess.run(
        [sys.executable, "-m", "feedreader.limits"],
        input=document.body,
        stdout=subprocess.PIPE,
        timeout=seconds,
        check=False,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, ORIGIN: json.dumps([document.url, document.content_type[:200]])},
        start_new_session=True,  # Ctrl-C is for us; when we end, so does it
    )
    if done.returncode < 0:  # killed, by one of its limits
        return BEYOND_LIMITS
    done.check_returncode()
    return json.loads(done.stdout)


def main() -> None:
    """Be that process: a document is the input, and a feed, or why there is none, the output (JSON)."""
    # The kernel ends it by a signal, even within C code: when its time is up ...
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS - time.process_time())
    # ... and when nobody is left to read the output, since the parent has ended.
    flags = fcntl.fcntl(1, fcntl.F_GETFL)
    fcntl.fcntl(1, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(1, fcntl.F_SETFL, flags | os.O_ASYNC)
    os.nice(NICENESS)
    with suppress(FileNotFoundError):  # only Linux tells how much the program itself takes
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, 2 * (pages * resource.getpagesize() + MEMORY_BYTES,))
    url, content_type = json.loads(os.environ[ORIGIN])
    try:
        with open(0, "rb", buffering=0) as given:
            document = Document(url, content_type, given.readall())
        document = small_copy(document) or replace(document, body=document.body[:BROKEN_BYTES])
        answer = json.dumps(parse_feed(document), default=datetime.isoformat)
    except FetchFailed as failure:
        answer = json.dumps(str(failure))
    except MemoryError:
        answer = json.dumps(BEYOND_LIMITS)
    fcntl.fcntl(1, fcntl.F_SETFL, flags)  # or the parent's reading would end it, too
    print(answer)


if __name__ == "__main__":
    main()
