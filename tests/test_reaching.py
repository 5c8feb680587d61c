"""Does anything answer at an address?"""

import http.server
import threading
from collections.abc import Iterator

import pytest
from locust_runs import free_port

from loadtests.servers.reaching import silence


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    """A server that answers every request with an error."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_whoever_answers_is_there(server: http.server.ThreadingHTTPServer) -> None:
    """Whatever the answer says."""
    assert silence(f"http://127.0.0.1:{server.server_port}") is None
    assert silence(f"http://127.0.0.1:{server.server_port}/shop?page=1") is None


def test_where_nothing_listens_the_system_says_why() -> None:
    """In a few words."""
    assert silence(f"http://127.0.0.1:{free_port()}") == "Connection refused"


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "http://", "ftp://127.0.0.1", "http://127.0.0.1:http"])
def test_what_is_no_address_is_said(url: str) -> None:
    """Without a traceback."""
    assert silence(url)
