"""Download a document from somebody else's server, within limits on time, size and address."""

from contextlib import closing
from http import HTTPStatus
from typing import Self
from urllib.parse import urljoin

import requests
import urllib3
from requests.adapters import HTTPAdapter

from feedreader.addresses import clean_address
from feedreader.dialing import Deadline, Dialer, DialingAdapter
from feedreader.errors import BadAddress, FetchFailed
from feedreader.parsing import Document
from feedreader.settings import Settings

MAX_BYTES = 10 * 2**20  # after decompression; real feeds of more than 5 MiB exist
MAX_REDIRECTS = 5
CHUNK_BYTES = 64 * 2**10
REQUEST_HEADERS = {
    "User-Agent": "feedreader/0.1 (feed reader)",
    "Accept": "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.1",
    "Accept-Encoding": "gzip, deflate",
}


class Fetcher:
    """Downloads documents. It keeps no state between downloads, so any number of threads may share one.

    `deadline`: seconds for a whole fetch: name look-up, connections, redirects, headers and body; what they
    leave is for parsing.
    `allow`: (host, port) pairs that may be fetched even if they are on a private network.
    """

    def __init__(self, deadline: float = 10.0, allow: frozenset[tuple[str, int]] = frozenset()) -> None:
        self.deadline = deadline
        self.allow = allow

    @classmethod
    def from_environ(cls) -> Self:
        """A fetcher configured by the environment. Raises SettingsError."""
        settings = Settings.from_environ()
        return cls(settings.deadline, settings.allow)

    def get(self, url: str) -> Document:
        """The document at `url`, after at most MAX_REDIRECTS redirects.

        Raises FetchFailed for anything that goes wrong; its message is written for the visitor.
        """
        # An adapter, not a requests.Session: a session reads the whole body of each redirect, and takes a
        # proxy from the environment, which would connect in our place.
        with (
            Deadline(self.deadline) as deadline,
            closing(DialingAdapter(Dialer(deadline, self.allow))) as adapter,
        ):
            try:
                return self._follow(adapter, url, deadline)
            # Besides their own errors, these libraries let through those of sockets and of bad addresses.
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                if deadline.passed or isinstance(error, requests.Timeout | TimeoutError):
                    raise self._too_late() from error
                raise FetchFailed(_explain(error)) from error

    def _follow(self, adapter: HTTPAdapter, url: str, deadline: Deadline) -> Document:
        for _ in range(1 + MAX_REDIRECTS):
            request = requests.Request("GET", url, headers=REQUEST_HEADERS).prepare()
            with adapter.send(request, stream=True, timeout=self.deadline) as response:
                if not response.is_redirect:
                    return self._read(response, url, deadline)
                # HTTP headers are Latin-1 by tradition, and UTF-8 in practice.
                location = response.headers["Location"].encode("latin-1").decode("utf-8", "replace")
            try:
                url = clean_address(urljoin(url, location))
            except (BadAddress, ValueError) as error:
                raise FetchFailed("The server redirects to an address that can't be fetched.") from error
        raise FetchFailed(f"The server redirects more than {MAX_REDIRECTS} times.")

    def _read(self, response: requests.Response, url: str, deadline: Deadline) -> Document:
        if not 200 <= response.status_code < 300:
            raise FetchFailed(f"The server answered {_name_of(response.status_code)}.")
        body = bytearray()
        for chunk in response.iter_content(CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_BYTES:
                raise FetchFailed(f"The document is larger than {MAX_BYTES // 2**20} MiB.")
        if deadline.passed:  # a connection cut at the deadline may look like one that has ended
            raise self._too_late()
        return Document(url, response.headers.get("Content-Type", ""), bytes(body))

    def _too_late(self) -> FetchFailed:
        return FetchFailed(f"The server did not answer within {self.deadline:g} seconds.")


def _name_of(status: int) -> str:
    # The reason phrase is the server's own text, so only the number is used.
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _explain(error: Exception) -> str:
    match error:
        case requests.exceptions.SSLError():
            return "There is no secure connection to the server: its certificate or TLS setup is not valid."
        case requests.exceptions.ContentDecodingError():
            return "The server sent compressed data that can't be decompressed."
        case requests.ConnectionError() | requests.exceptions.ChunkedEncodingError() | OSError():
            return "The server closed the connection early, or did not answer in HTTP."
    return "The address can't be fetched."
