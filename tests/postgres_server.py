"""A PostgreSQL server for the tests: Debian's, in a temporary folder, on a socket that nobody else sees.

    with PostgresServer() as server:
        server.url("database")  # postgresql://..., an empty database, made
"""
import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

OWNER = "owner"  # the server's, without a password; any other user needs one


def programs():
    """The folder of initdb and postgres; None where they are not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: int(path.split("/")[4]))
    path = found[-1] if found else shutil.which("postgres")
    return path and Path(path).parent


class PostgresServer:
    def __init__(self):
        self._programs, self._process = programs(), None
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path is 107 bytes at most
        self._as = {}
        if os.geteuid() == 0:  # which the server refuses to run as
            users = {user.pw_name: user for user in pwd.getpwall()}
            user = users.get("postgres") or users["nobody"]
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def __enter__(self):
        subprocess.run([self._programs / "initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale",
                        f"--username={OWNER}", "--pgdata", self.folder / "data"], stdout=subprocess.DEVNULL, check=True,
                       cwd="/", **self._as)
        (self.folder / "data/pg_hba.conf").write_text(f"local all {OWNER} trust\nlocal all all scram-sha-256\n")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder)

    def start(self):
        """Start it, and wait until it answers."""
        with_us = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []  # it ends with this process
        self._process = subprocess.Popen(
            [*with_us, self._programs / "postgres", "-D", self.folder / "data", "-c", "listen_addresses=", "-c", "fsync=off",
             "-c", f"unix_socket_directories={self.folder}", "-c", "shared_buffers=16MB", "-c", "max_connections=40"],
            stdout=subprocess.DEVNULL, stderr=open(self.folder / "log", "ab"), cwd="/", **self._as)
        while subprocess.run([self._programs / "pg_isready", "-q", "-h", self.folder, "-d", "postgres"]).returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self):
        """End it, with all connections."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def run(self, statement, database="postgres"):
        """Run a statement as the server's owner; its rows."""
        import psycopg
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            result = connection.execute(statement)
            return result.fetchall() if result.description else None

    def url(self, database, user=OWNER, password=None):
        login = f"{user}:{quote(password, safe='')}" if password else user
        return f"postgresql://{login}@/{database}?host={quote(str(self.folder), safe='')}"
