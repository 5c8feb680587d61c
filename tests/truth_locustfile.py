"""Plain Locust users of tests/truth_server.py: a class for each behaviour, named on the command line.

Requests are numbered as they are sent, so that the same schedule always requests the same delays.
"""

import itertools

from locust import FastHttpUser, constant, task

import loadtests.plugin  # noqa: F401 - every request of these users becomes a row

numbers = itertools.count()


class Lognormal(FastHttpUser):
    @task
    def ask(self) -> None:
        self.client.get(f"/lognormal/{next(numbers)}", name="/lognormal")


class Failing(FastHttpUser):
    @task
    def ask(self) -> None:
        self.client.get(f"/failing/{next(numbers)}", name="/failing")


class Quick(FastHttpUser):
    wait_time = constant(0.5)

    @task
    def ask(self) -> None:
        self.client.get("/takes/50")


class Slow(FastHttpUser):
    wait_time = constant(0.5)

    @task
    def ask(self) -> None:
        self.client.get("/takes/700")


class Dropping(FastHttpUser):
    wait_time = constant(0.01)

    @task
    def ask(self) -> None:
        self.client.get("/dropping")


class Hanging(FastHttpUser):
    @task
    def ask(self) -> None:
        self.client.get("/hanging")


class Freezing(FastHttpUser):
    wait_time = constant(0.05)  # in closed load

    @task
    def ask(self) -> None:
        model = self.environment.parsed_options.model
        self.client.get(f"/freezing/{model}", name="/freezing")
