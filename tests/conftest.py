"""What the tests of search have in common: a reader, and where an index is, in a file or in a server that they start."""
import signal

import pytest

import search
from tests.fake_reader import FakeReader
from tests.postgres_server import PostgresServer, programs

# A shell has what it runs in the background ignore Ctrl-C, and so do the processes that tests start and then stop by it
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres():
    """A tests.postgres_server.PostgresServer."""
    pytest.importorskip("psycopg", reason="PostgreSQL's tests need psycopg: pip install -r requirements-cluster.txt")
    if not programs():
        pytest.skip("PostgreSQL's tests need its server: apt-get install postgresql")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def database(postgres, tmp_path, monkeypatch):
    """The URL of a database with nothing in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    postgres.run("DROP SCHEMA IF EXISTS photo_index CASCADE")
    return postgres.url("postgres")


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def place(request, tmp_path):
    """Where an index may be made: a file's path, or a URL, str."""
    return str(tmp_path / "a.index") if request.param == "SQLite" else request.getfixturevalue("database")


@pytest.fixture
def reader(monkeypatch, tmp_path):
    """search.py's reader is a tests.fake_reader.FakeReader, this one; the current folder is an empty one."""
    fake = FakeReader()
    monkeypatch.setattr(search, "load_reader", lambda **models: fake)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return fake
