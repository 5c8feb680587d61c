"""What is shown and decided while a load runs: live figures, early ends, Locust's page, Prometheus."""
