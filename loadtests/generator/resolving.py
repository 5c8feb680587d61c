"""Spares numeric addresses the look-up that gevent does in a thread for each connection."""

import socket
from typing import Any

from gevent.monkey import get_original

getaddrinfo = get_original("socket", "getaddrinfo")


def resolve_numbers_at_once(resolver: Any) -> None:
    """Make gevent's resolver answer for 127.0.0.1 or ::1 by itself; names are still looked up in a thread."""
    look_up = resolver.getaddrinfo

    def resolve(
        host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[tuple[Any, ...]]:
        try:
            numeric: list[tuple[Any, ...]] = getaddrinfo(
                host, port, family, type, proto, flags | socket.AI_NUMERICHOST
            )
        except socket.gaierror:  # a name
            return list(look_up(host, port, family, type, proto, flags))
        return numeric

    resolver.getaddrinfo = resolve
