"""Output for a terminal, as tables that fit 80 columns and jobs on one line; or as JSON.

A row may contain anything, so characters that would control the terminal are escaped.
"""

import json
import os
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from math import isfinite
from textwrap import fill
from typing import Any, TextIO

from jobqueue.schema import Job
from jobqueue.tools.spans import ago

WIDTH = 80
COLUMN_GAP = "  "
NARROWEST = 8  # characters that a narrowed column keeps


def say(text: str) -> None:
    """Print the text; characters that standard output can't encode are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def complain(what: object, status: int = 1) -> int:
    """Say on standard error, if that can be written, why a command failed; returns its exit status."""
    with suppress(OSError):
        print(f"jobqueue: {what}", file=sys.stderr)
    return status


def discard(stream: TextIO) -> None:
    """Let what is left in the stream go nowhere: the interpreter flushes it once more as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def discard_unwritten() -> None:
    """Discard what the log could not take, for a command whose exit status says whether its work was done."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            stream.flush()
        except OSError:
            discard(stream)
        except ValueError:  # a job has closed it
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def say_json(value: Any) -> None:
    """Print the value as JSON; times in ISO 8601."""
    print(json.dumps(value, indent=2, default=datetime.isoformat))


def plain(text: object, keep: str = "") -> str:
    r"""The text with non-printable characters escaped, except those in `keep`.

    >>> plain("caf\xe9\x1b[2J")
    'café\\x1b[2J'
    """
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in str(text)
    )


def paragraph(text: str, mark: str = "") -> str:
    """The text wrapped to WIDTH, with `mark` before the first line and the others indented by its width."""
    return fill(
        plain(text),
        WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def shown(value: object, now: datetime) -> str:
    """A column's value; a time also relative to `now`."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%F %T} UTC, {ago(value, now)}"
    return plain(value)


def plural(count: int, word: str) -> str:
    """The count and the word, with an s unless the count is 1.

    >>> plural(1, "job"), plural(2_000, "job")
    ('1 job', '2,000 jobs')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def short(text: str, width: int) -> str:
    """The text, cut to `width` characters if it is longer."""
    return text if len(text) <= width else text[: width - 3] + "..."


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], shrink: Collection[str] = ()) -> str:
    """Columns under their headings, numbers to the right; those in `shrink` are narrowed as far as needed."""

    def text(name: str, cell: object) -> str:
        return plain(short(str(cell), WIDTH) if name in shrink else cell)  # a job may hold megabytes

    cells = [list(headings), *(list(map(text, headings, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    while sum(widths) + len(COLUMN_GAP) * (len(widths) - 1) > WIDTH:
        narrower = [n for n, name in enumerate(headings) if name in shrink and widths[n] > NARROWEST]
        if not narrower:
            break
        widths[max(narrower, key=lambda n: widths[n])] -= 1
    right = [any(isinstance(cell, int) for cell in column) for column in zip(headings, *rows, strict=True)]
    return "\n".join(
        COLUMN_GAP.join(
            short(cell, width).rjust(width) if to_right else short(cell, width).ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    )


def call(handler: str) -> str:
    """A handler as written in Python; one that jobqueue did not write is unchanged.

    >>> call('{"job":"Resize","arguments":{"id":8}}'), call('{"job":"Feed","key":[3]}'), call("--- !ruby")
    ('Resize(id=8)', 'Feed[3]', '--- !ruby')
    """
    try:
        body = json.loads(handler)
        if "key" in body:
            return f"{body['job']}{body['key']}"
        arguments = ", ".join(f"{name}={value!r}" for name, value in body["arguments"].items())
        return f"{body['job']}({arguments})"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return handler


def last_line(error: str | None) -> str:
    """The last line of a traceback, which says what went wrong."""
    return plain((error or "").strip().rpartition("\n")[2])


def state_of(job: Job, now: datetime) -> str:
    """ "waiting" (for its run_at), "due", "running" or "failed" (for good)."""
    return "due" if job.state == "waiting" and job.run_at <= now else job.state


def as_dict(job: Job, now: datetime) -> dict[str, Any]:
    """All columns by name, and the state, for JSON, which has no infinity."""
    values = ((column.name, getattr(job, column.name)) for column in Job.__table__.columns)
    columns = {
        name: str(value) if isinstance(value, float) and not isfinite(value) else value
        for name, value in values
    }
    return {"id": columns.pop("id"), "state": state_of(job, now), **columns}
