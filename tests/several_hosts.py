"""Several hosts in one machine, each a network namespace of Linux, on one bridge with nothing else.

    unshare --net --mount python several_hosts.py FOLDER db.example web.example ...

Prints `NAME is pid:NUMBER` for each host once all are there. They find each other by name, and are gone when
this process and the commands on them have ended. `on` makes a command run on one of them.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = os.geteuid() == 0
# Another user than root becomes one of its own namespace.
NEEDS = ["unshare", "--net", "--mount", *([] if ROOT else ["--user", "--map-root-user"])]
# A host has its own name, then waits for the cable and its address; then it is there while somebody listens.
HOST = """
hostname "$1"
ip link set lo up
echo; read _
ip address add "$2/24" dev eth0
ip link set eth0 up
echo; exec cat >&2
"""


def on(pid: str, command: list[str]) -> list[str]:
    """The command, to be run on the host with this process."""
    user = [] if ROOT else ["--user", "--preserve-credentials"]
    return ["nsenter", "--target", pid, "--net", "--uts", "--mount", *user, "--", *command]


def as_somebody_else(command: list[str]) -> list[str]:
    """The command, for a program that refuses to be root's."""
    return ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--", *command]


def main(folder: str, *names: str) -> None:
    """Be the bridge between these hosts until killed."""
    addresses = {name: f"10.0.0.{number}" for number, name in enumerate(names, 1)}
    known = Path(folder) / "hosts"
    known.write_text("127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for name, at in addresses.items()))
    run(f"mount --bind {known} /etc/hosts")
    run("ip link add bridge type bridge")
    run("ip link set bridge up")
    hosts = {}
    for name, address in addresses.items():
        command = ["unshare", "--net", "--uts", "sh", "-ec", HOST, "sh", name, address]
        host = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert host.stdin and host.stdout
        host.stdout.readline()
        cable = f"to{address.rpartition('.')[2]}"
        run(f"ip link add {cable} type veth peer name eth0 netns {host.pid}")
        run(f"ip link set {cable} master bridge up")
        host.stdin.write(b"\n")
        host.stdin.flush()
        host.stdout.readline()
        hosts[name] = host
    for name, host in hosts.items():
        print(f"{name} is pid:{host.pid}", flush=True)
    for host in hosts.values():
        host.wait()


def run(command: str) -> None:
    subprocess.run(command.split(), check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
