"""Listening on a port. If it is in use, the error names the process that uses it."""

import contextlib
import errno
import socket

import psutil

from loadtests.errors import UsageError


def listen(host: str, port: int, option: str = "--port", backlog: int = 128) -> socket.socket:
    """A socket that listens on `port` of `host`; 0 takes a free one, "" all addresses.

    Raises UsageError, which names `option`, if it can't.
    """
    try:
        if not 0 <= port < 2**16:
            raise OSError("a port is a number from 0 to 65535")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            said = f"Port {port} is in use on {host or 'this machine'}{_by(port)}: take another with {option}"
        else:
            said = f"Can't listen at {host}:{port}: {error.strerror or error}"
        raise UsageError(said) from error


def _by(port: int) -> str:
    """The process that listens on `port`, in words; empty if the system does not tell."""
    with contextlib.suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr[1:2] == (port,) and each.pid:
                return f" (by process {each.pid}, {psutil.Process(each.pid).name()})"
    return ""
