"""The settings that both readers share, read from the environment.

FEEDREADER_DATABASE  URL of the database: SQLite or PostgreSQL
FEEDREADER_DEADLINE  seconds that one fetch may take, from the name look-up to the last entry
FEEDREADER_ALLOW     host:port,host:port: servers on a private network that may be fetched all the same
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from feedreader.errors import SettingsError


@dataclass(frozen=True)
class Settings:
    """The environment's settings, or the defaults."""

    database: str = "sqlite:///var/feedreader.db"
    deadline: float = 10.0  # seconds; less than gunicorn's --timeout (30), which kills the process
    allow: frozenset[tuple[str, int]] = frozenset()  # (host, port) as written in an address

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Settings from the variables above; one that is not set keeps its default. Raises SettingsError."""
        allowed = environ.get("FEEDREADER_ALLOW", "")
        return cls(
            database=environ.get("FEEDREADER_DATABASE") or cls.database,
            deadline=_seconds(environ.get("FEEDREADER_DEADLINE") or str(cls.deadline)),
            allow=frozenset(_host_and_port(text) for text in allowed.split(",") if text.strip()),
        )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise SettingsError(f"FEEDREADER_DEADLINE is {text!r}: write a number of seconds above 0, such as 10")
    return seconds


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise SettingsError(
            f"FEEDREADER_ALLOW holds {text.strip()!r}: write host:port pairs with commas between them, "
            "such as 127.0.0.1:9000"
        )
    return host.strip("[]").lower(), int(port)
