"""A reader whose deadline and worker can be changed while it serves."""

from dataclasses import dataclass, replace

from loadtests.servers.processes import Process
from loadtests.servers.slotmeter import DEADLINE_FILE
from loadtests.servers.stack import Stack

LEASE_SECONDS = 5  # after which the jobs of a worker that was killed go to another; by default 30


@dataclass
class ChangingStack(Stack):
    """A stack with one worker at a time, or none."""

    worker: Process | None = None

    def start(self) -> "ChangingStack":
        super().start()
        self.worker = self.processes.get("worker 1")
        return self

    def worker_command(self) -> list[str]:
        return [*super().worker_command(), "--lease", str(LEASE_SECONDS)]

    def change(self, deadline: float, threads: int) -> None:
        """Requests and jobs that begin from now on have these; those under way keep what they began with."""
        before, self.settings = self.settings, replace(self.settings, deadline=deadline, threads=threads)
        self._write_deadline()
        if before != self.settings and self.worker:
            self.worker.ask_to_stop()
            self.worker = self.start_worker()

    def kill_worker(self) -> None:
        """End the worker as `kill -9` does."""
        if self.worker:
            for process in self.worker.tree():
                process.kill()
        self.worker = None

    def replace_worker(self) -> None:
        """Start a worker in the place of the one that was killed."""
        if self.settings.app == "queued" and not self.worker:
            self.worker = self.start_worker()

    def lasting(self) -> list[Process]:
        """Its processes but for workers, which come and go."""
        return [process for name, process in self.processes.items() if not name.startswith("worker")]

    def environment(self) -> dict[str, str]:
        return super().environment() | {DEADLINE_FILE: self._write_deadline()}

    def _write_deadline(self) -> str:
        path = self.folder / "deadline"
        whole = path.with_suffix(".new")  # no slot must read half of it
        whole.write_text(str(self.settings.deadline))
        whole.replace(path)
        return str(path)
