"""Two hosts in one machine: PostgreSQL's, and the one of a command, with a link between them that can be cut.

    unshare --net python silent_host.py FOLDER COMMAND...

FOLDER holds the server's Unix socket; the command finds the server at 10.77.0.1. USR1 cuts the link, which
then takes everything and delivers nothing; USR2 mends it. Each host is a network namespace with no other
link, and ends with its processes.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

# Another user than root becomes one of its own namespace.
NEEDS = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
LINK = ["ip", "link", "add", "v1", "type", "veth", "peer", "name", "v2"]
NOBODY = 9


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def hear(host: int, at: int) -> None:
    """This host's end of the link takes what is sent to this hardware address."""
    ip(f"link set v{host} address 02:00:00:00:00:0{at} up")


def send(host: int, to: int) -> None:
    """What this host has for the other one goes to this hardware address."""
    ip(f"neigh replace 10.77.0.{3 - host} lladdr 02:00:00:00:00:0{to} dev v{host} nud permanent")


def bring_up(host: int) -> None:
    hear(host, host)
    ip(f"address add 10.77.0.{host}/24 dev v{host}")
    send(host, 3 - host)


def cut() -> None:
    hear(1, NOBODY)
    send(1, NOBODY)


def mend() -> None:
    hear(1, 1)
    send(1, 2)


ORDERS: dict[int, Callable[[], None]] = {signal.SIGUSR1: cut, signal.SIGUSR2: mend}


def run_there(command: list[str]) -> None:
    """Run the command on the other host, once its end of the link is there."""
    sys.stdin.readline()
    bring_up(2)
    os.execvp(command[0], command)


def forward(source: socket.socket, to: socket.socket) -> None:
    with closing(to):
        while data := source.recv(65_536):
            to.sendall(data)


def serve(folder: str) -> None:
    """Forward connections to the server."""
    with socket.create_server(("10.77.0.1", 5432)) as listener:
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{folder}/.s.PGSQL.5432")
            for pair in ((client, server), (server, client)):
                threading.Thread(target=forward, args=pair, daemon=True).start()


def main(folder: str, *command: str) -> int:
    """Run the command on the other host until it ends; returns its exit status."""
    subprocess.run(LINK, check=True)
    line = ["unshare", "--net", sys.executable, __file__, "--there", *command]
    with subprocess.Popen(line, stdin=subprocess.PIPE, text=True) as other:
        there, here = (Path(f"/proc/{pid}/ns/net") for pid in (other.pid, "self"))
        while there.readlink() == here.readlink():
            time.sleep(0.005)
        ip(f"link set v2 netns {other.pid}")
        bring_up(1)
        # A signal may go to a thread that is just starting, and handlers are called in the main thread, which
        # would sleep on: so they wait until they are asked for.
        signal.pthread_sigmask(signal.SIG_BLOCK, [*ORDERS, signal.SIGCHLD])
        threading.Thread(target=serve, args=[folder], daemon=True).start()
        print(f"the link of pid:{os.getpid()} is up", flush=True)
        print(file=other.stdin, flush=True)
        while other.poll() is None:
            ORDERS.get(signal.sigwait([*ORDERS, signal.SIGCHLD]), lambda: None)()
    return other.returncode


if __name__ == "__main__":
    if sys.argv[1] == "--there":
        run_there(sys.argv[2:])
    sys.exit(main(*sys.argv[1:]))
