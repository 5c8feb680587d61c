"""An address that is a number needs no look-up; a name does."""

from types import SimpleNamespace
from typing import Any

import pytest

from loadtests.generator.resolving import resolve_numbers_at_once


def resolver(asked: list[Any]) -> Any:
    """A resolver that notes what it is asked."""

    def look_up(*arguments: Any) -> list[Any]:
        asked.append(arguments[:2])
        return ["looked up"]

    found = SimpleNamespace(getaddrinfo=look_up)
    resolve_numbers_at_once(found)
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_number_is_answered_at_once(host: str) -> None:
    """With the address to connect to, and nobody is asked."""
    asked: list[Any] = []
    found = resolver(asked).getaddrinfo(host, 8001)
    assert {address[:2] for *_, address in found} == {(host, 8001)} and not asked


@pytest.mark.parametrize("host", ["localhost", "reader.example"])
def test_a_name_is_looked_up_each_time(host: str) -> None:
    """Its address may change while the load runs."""
    asked: list[Any] = []
    names = resolver(asked)
    assert [names.getaddrinfo(host, 8001) for _ in range(2)] == [["looked up"]] * 2
    assert asked == [(host, 8001)] * 2
