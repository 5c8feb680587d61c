"""The demo's load: the visitors of feeds.py, whose number and feeds are changed while they run.

A locustfile. The socket in DEMO_SOCKET gets the news of the requests (telling.py), a line of JSON each, and
brings the orders (controls.py).
"""

import math
import os
import socket
from typing import Any

import gevent
import msgspec
from locust import events

from loadtests import feeds, plugin
from loadtests.demo.controls import Order
from loadtests.demo.load import SOCKET
from loadtests.feedserver.kinds import kind_of
from loadtests.generator.telling import Told
from loadtests.records.constants import ramp_per_s


class Guest(feeds.Submitter):
    """Submits feeds of the mix that was ordered last. The same numbers for each reader: the same feeds."""

    def kind(self, number: int) -> str:
        options: Any = self.environment.parsed_options
        return kind_of(number, options.feeds_mix, options.feeds_seed)


class Passer(feeds.Browser):
    """Only looks."""


demo = socket.socket(socket.AF_UNIX)


@events.test_start.add_listener
def obey(environment: Any, **_: Any) -> None:
    """Connect to the demo, and follow its orders."""
    demo.connect(os.environ[SOCKET])
    gevent.spawn(_obey, environment)


@plugin.news
def tell(told: Told) -> None:
    """Pass on the news. The rest, told at the end of the load, concerns nobody."""
    if told.until < math.inf:
        demo.sendall(msgspec.json.encode(told) + b"\n")


def _obey(environment: Any) -> None:
    runner, options = environment.runner, environment.parsed_options
    for line in demo.makefile("rb"):
        order = msgspec.json.decode(line, type=Order)
        options.feeds_mix, options.deadline = order.mix, order.deadline
        if order.visitors != runner.target_user_count:
            gevent.spawn(runner.start, order.visitors, ramp_per_s(order.visitors))
        for number in range(order.hang):
            gevent.spawn(Guest(environment).visit, "hang", number)
