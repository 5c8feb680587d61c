"""An ordinary locustfile, whose users know nothing of loadtests but its import. For test_plugin.py."""

import itertools
import os
import time

import gevent.event
from locust import FastHttpUser, HttpUser, SequentialTaskSet, User, constant, task

from loadtests import plugin  # every request of these users becomes a row

numbers = itertools.count()
clock, ahead = time.time, float(os.environ.get("CLOCK_AHEAD", "0"))
time.time = lambda: clock() + ahead  # as on a machine whose clock is wrong


class Plain(HttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self) -> None:
        self.client.get("/plain/1", name="/plain")


class Fast(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self) -> None:
        self.client.get("/fast", context={"group": "fast"})


class Judging(FastHttpUser):
    """Decides for itself what is a failure: the null server answers everything with 200."""

    wait_time = constant(0.05)

    @task
    def ask(self) -> None:
        with self.client.get("/judged", catch_response=True) as response:
            response.failure("not what it should be")


class JudgingPlain(HttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self) -> None:
        with self.client.get("/judged", catch_response=True) as response:
            response.failure("not what it should be")


class Nobody(FastHttpUser):
    """Sends requests to a port where no server listens."""

    host = "http://127.0.0.1:1"
    wait_time = constant(0.2)

    @task
    def ask(self) -> None:
        self.client.get("http://127.0.0.1:1/nobody", name="/nobody")


class NobodyPlain(HttpUser):
    wait_time = constant(0.2)

    @task
    def ask(self) -> None:
        self.client.get("http://127.0.0.1:1/nobody", name="/nobody")


class Sequence(FastHttpUser):
    """In an open load each visit runs through the sequence once."""

    @task
    class Steps(SequentialTaskSet):
        @task
        def first(self) -> None:
            self.client.get("/first")

        @task
        def second(self) -> None:
            self.client.get("/second")


class Broken(FastHttpUser):
    """Every second visit fails before it sends anything."""

    @task
    def ask(self) -> None:
        if next(numbers) % 2:
            raise RuntimeError("the locustfile is broken")
        self.client.get("/sometimes")


class NeverReady(Fast):
    """Its login never ends."""

    def on_start(self) -> None:
        gevent.event.Event().wait()


class NoLogin(Fast):
    """Its login fails."""

    def on_start(self) -> None:
        raise RuntimeError("no login")


class Custom(User):
    """Uses a client that Locust does not know; every fourth call hangs."""

    wait_time = constant(0.02)

    @task
    def call(self) -> None:
        number = next(numbers) % 4
        with plugin.request(self, "call", f"call {number}") as pending:
            if number == 1:
                raise RuntimeError("failed")
            if number == 2:
                pending.error = "not what it should be"
            if number == 3:
                gevent.event.Event().wait()
