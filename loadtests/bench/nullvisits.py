"""Users who request one page and do nothing else: the load of floor.py on the null server."""

from locust import FastHttpUser, task

import loadtests.plugin  # noqa: F401 - makes every request a row, and adds --model, --rate and --rows


class NullVisitor(FastHttpUser):
    @task
    def ask(self) -> None:
        self.client.get("/")
