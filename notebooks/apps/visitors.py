"""Customers of the shop: now they look, now they order something, and wait until it is done."""

import time

from locust import FastHttpUser, between, task

from loadtests import plugin


class Customer(FastHttpUser):
    wait_time = between(0.5, 1.5)  # the think time, 1 s on average

    @task
    def look(self):
        self.client.get("/", context={"group": "look"})

    @task
    def order(self):
        with plugin.visit(self, "result", "from the order to its result"):
            order = self.client.post("/orders", json={"customer": "ada"}, context={"group": "order"}).json()
            page = f"/orders/{order['id']}"
            while not self.client.get(page, name="/orders/[id]", context={"group": "ask"}).json()["done"]:
                time.sleep(0.25)
