"""What the environment and visitors may enter, and the messages when it can't be used."""

import pytest

from feedreader.addresses import MAX_URL_BYTES, clean_address
from feedreader.database import make_engine
from feedreader.errors import BadAddress, FeedReaderError, SettingsError
from feedreader.fetching import Fetcher
from feedreader.settings import Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    """The reader runs without any settings."""
    assert Settings.from_environ({}) == Settings("sqlite:///var/feedreader.db", 10.0, frozenset())


def test_each_setting_is_taken_from_its_variable() -> None:
    """IPv6 addresses and superfluous spaces and commas are accepted."""
    environ = {
        "FEEDREADER_DATABASE": "postgresql://somewhere/feeds",
        "FEEDREADER_DEADLINE": "2.5",
        "FEEDREADER_ALLOW": " 127.0.0.1:9000, [::1]:9001,Feeds.Test:80,",
    }
    allowed = frozenset({("127.0.0.1", 9000), ("::1", 9001), ("feeds.test", 80)})
    assert Settings.from_environ(environ) == Settings("postgresql://somewhere/feeds", 2.5, allowed)


def test_fetchers_take_their_limits_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker and the web processes read the same variables."""
    monkeypatch.setenv("FEEDREADER_DEADLINE", "3")
    monkeypatch.setenv("FEEDREADER_ALLOW", "127.0.0.1:9000")
    fetcher = Fetcher.from_environ()
    assert (fetcher.deadline, fetcher.allow) == (3.0, frozenset({("127.0.0.1", 9000)}))


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_a_deadline_that_is_none_is_refused(seconds: str) -> None:
    """The message names the variable and gives an example."""
    with pytest.raises(SettingsError, match=r"FEEDREADER_DEADLINE is .* such as 10"):
        Settings.from_environ({"FEEDREADER_DEADLINE": seconds})


@pytest.mark.parametrize(
    "allowed", ["localhost", "127.0.0.1", ":80", "host:", "host:0", "host:65536", "host:http"]
)
def test_an_exception_without_host_or_port_is_refused(allowed: str) -> None:
    """Neither all ports of a host nor all hosts can be excepted."""
    with pytest.raises(SettingsError, match=r"FEEDREADER_ALLOW holds .* such as 127\.0\.0\.1:9000"):
        Settings.from_environ({"FEEDREADER_ALLOW": f"127.0.0.1:9000,{allowed}"})


@pytest.mark.parametrize("url", ["nonsense", "mysql://somewhere/feeds", "sqlite://", "sqlite:///:memory:"])
def test_a_database_that_can_not_be_used_is_refused(url: str) -> None:
    """SQLite in memory, too: each process would have its own."""
    with pytest.raises(FeedReaderError, match="sqlite:"):
        make_engine(url)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://example.org/feed.xml", "https://example.org/feed.xml"),
        ("  http://EXAMPLE.org \n", "http://example.org/"),
        ("HTTP://example.org:80/Feed?a=B#top", "http://example.org/Feed?a=B"),
        ("https://example.org:443/", "https://example.org/"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://bücher.example/straße", "http://bücher.example/straße"),
    ],
)
def test_an_address_has_one_form(text: str, url: str) -> None:
    """Two spellings of an address are the same feed."""
    assert clean_address(text) == url
    assert clean_address(url) == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Enter the address"),
        ("   ", "Enter the address"),
        ("example.org/feed", "begins with http:// or https://"),
        ("ftp://example.org/", "begins with http:// or https://"),
        ("file:///etc/passwd", "begins with http:// or https://"),
        ("javascript:alert(1)", "begins with http:// or https://"),
        ("http://", "names no server"),
        ("http:///feed", "names no server"),
        ("http://:80/", "names no server"),
        ("http://[::1/", "can't be read"),
        ("http://example.org:http/", "can't be read"),
        ("http://example.org:99999/", "can't be read"),
        ("http://user:secret@example.org/", "user name or a password"),
        ("http://example.org/a feed", "contain spaces"),
        ("http://example.org/\x00", "contain spaces, control characters"),
        ("http://example.org\\@127.0.0.1/", "backslashes"),
        ("http://example.org/" + "é" * (MAX_URL_BYTES // 2), "too long"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text: str, reason: str) -> None:
    """It tells the visitor what to change."""
    with pytest.raises(BadAddress, match=reason.replace("(", r"\(")):
        clean_address(text)
