"""No document occupies a reader: parsing has limits of time and memory, whatever is in it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from conftest import wait_until
from hostile_documents import BEGINNING, HOSTILE, items

from feedreader.errors import FetchFailed
from feedreader.limits import BEYOND_LIMITS, CPU_SECONDS, ORIGIN, parse_in_time
from feedreader.parsing import MAX_ENTRIES, Document, ParsedFeed, parse_feed
from loadtests.feedserver.documents import document

PROGRAM = [sys.executable, "-m", "feedreader.limits"]
ROOT = Path(__file__).parent.parent
BROKEN = BEGINNING + "<item><title>One & only</title></item>"
ENDLESS = "\n" * 200_000 + BEGINNING + "&"  # feedparser searches this for minutes, in one pattern
READ = """
import json, sys
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from feedreader.errors import FetchFailed
from feedreader.limits import parse_in_time
from feedreader.parsing import Document

document = Document("http://example.org/", "application/xml", sys.stdin.buffer.read())
before = getrusage(RUSAGE_SELF)
try:
    found = f"{len(parse_in_time(document, 60).entries)} entries"
except FetchFailed as failure:
    found = str(failure)
after, other = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
seconds = [used.ru_utime + used.ru_stime for used in (before, after, other)]
kilobytes = after.ru_maxrss - before.ru_maxrss + other.ru_maxrss
print(json.dumps([found, seconds[1] - seconds[0] + seconds[2], kilobytes / 1024]))
"""


def as_document(text: str) -> Document:
    """A document found at http://example.org/feed."""
    return Document("http://example.org/feed", "application/xml", text.encode())


@pytest.mark.live
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_document_takes_little_time_and_memory(kind: str) -> None:
    """It ends as a feed or with a sentence, within 2 s of CPU time, however busy the machine is, and with
    64 MB, the whole process that parses it included.
    """
    done = subprocess.run(
        [sys.executable, "-c", READ],
        input=HOSTILE[kind]().encode(),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    found, seconds, megabytes = json.loads(done.stdout)
    assert found.endswith((" entries", "."))
    assert seconds < CPU_SECONDS + 0.5, found  # our own part, and to start Python
    assert megabytes < 64, found
    assert not done.stderr


@pytest.mark.live
@pytest.mark.parametrize(
    "text",
    [
        BROKEN,
        BEGINNING,
        "<!doctype html><p>Hello",
        items(
            MAX_ENTRIES,
            "<guid isPermaLink='false'>\N{OWL}</guid><pubDate>Mon, 02 Jun 2025 01:30:00 +0200</pubDate>",
        ),
        "<!DOCTYPE rss [<!ENTITY owl 'Strix'>]>" + items(1, "<title>&owl;</title>"),
    ],
    ids=["broken", "without entries", "no feed", "long", "with entities"],
)
def test_another_process_finds_the_same(text: str) -> None:
    """Whatever can't be parsed at once is read no worse, and refused with the same words."""
    assert outcome(parse_in_time, as_document(text), 60) == outcome(parse_feed, as_document(text))


@pytest.mark.live
def test_other_feeds_are_parsed_meanwhile() -> None:
    """Even if a hostile document takes for ever: its process is stopped here."""
    with ThreadPoolExecutor(1) as pool:
        hostile = pool.submit(parse_in_time, as_document(ENDLESS), 60)
        wait_until(parsing, "the process that parses")
        (process,) = parsing()
        process.suspend()
        for n in range(20):
            sent = document("fast", n)
            assert parse_in_time(Document("http://example.org/", sent.content_type, sent.body), 60).entries
        assert not hostile.done()
        process.kill()
        with pytest.raises(FetchFailed, match=BEYOND_LIMITS):
            hostile.result()


@pytest.mark.live
def test_nothing_is_parsed_after_the_deadline() -> None:
    """A document that could be read has come too late, and no process is left behind."""
    with pytest.raises(FetchFailed, match=BEYOND_LIMITS):
        parse_in_time(as_document(BROKEN), 0)
    assert not parsing()


@pytest.mark.live
def test_the_process_ends_with_its_parent() -> None:
    """The kernel closes the pipes of a reader that is killed by kill -9, which ends the work at once."""
    variables = {**os.environ, ORIGIN: '["http://example.org/", ""]'}
    process = subprocess.Popen(
        PROGRAM, cwd=ROOT, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin and process.stdout
    with process.stdin:  # more than a pipe holds: once all is written, the process has begun
        process.stdin.write(ENDLESS.encode())
    process.stdout.close()
    assert process.wait(timeout=60) == -signal.SIGIO  # and not at the end of its time: that is SIGPROF


def outcome(parse: Callable[..., ParsedFeed], *arguments: object) -> ParsedFeed | str:
    """What is found, or why there is none."""
    try:
        return parse(*arguments)
    except FetchFailed as failure:
        return str(failure)


def parsing() -> list[psutil.Process]:
    """The processes that parse a document for this one."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if process.cmdline() == PROGRAM:
                found.append(process)
    return found
