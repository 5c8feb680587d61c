"""Does anything answer at an address? What is not there can't be measured, and breaks no rule."""

import http.client
import ssl
from urllib.parse import urlsplit

REACH_SECONDS = 10.0


def silence(url: str) -> str | None:
    """Why nothing answers at `url`, in a few words; None if something does, whatever it says.

    Waits up to REACH_SECONDS.
    """
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        if not parts.hostname or parts.scheme not in ("http", "https"):
            return "it is not an address such as http://127.0.0.1:8000"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=REACH_SECONDS)
    except ValueError as error:
        return str(error)
    try:
        connection.request("GET", parts.path or "/")
        connection.getresponse()
    except (ssl.SSLError, http.client.HTTPException):
        return None  # something answers, if not in plain HTTP
    except OSError as error:
        return error.strerror or str(error)
    finally:
        connection.close()
    return None
