"""An index in PostgreSQL, for collections that many people search and several machines read.

    pip install -r requirements-cluster.txt
    python search.py index photos --index postgresql://indexer@server/photos    # the password: in ~/.pgpass

    >>> store = PostgreSQL("postgresql://indexer@server/photos", create=True)

Words are found by the same scan in the client as in SQLite's file, so that both find the same: the client keeps them as
arrays (index/blocks.py) in its user's cache, and asks for new ones alone. docs/scale.md says why, and how far that goes. The
tables are in a schema of their own, SCHEMA. Each thread has a connection of its own, made again when the server went away.
"""
import contextlib
import logging
import os
import re
import time
from pathlib import Path
from urllib.parse import quote, urlencode

from command import UserError
from index.store import BLOCK, Store

try:
    import psycopg
    from psycopg import errors
    from psycopg.conninfo import conninfo_to_dict
except ImportError:
    raise UserError("an index in PostgreSQL needs psycopg: pip install -r requirements-cluster.txt") from None

logging.getLogger("psycopg").setLevel(logging.ERROR)  # that a lost transaction cannot be rolled back is no warning

SCHEMA = "photo_index"
LOCK = 0x43524E4E  # of the advisory lock under which the tables are made: "CRNN"
PATIENCE = 60  # seconds for which a writer waits for a server that went away
WAIT = 1  # seconds until it tries again, and until it looks again whether others' jobs are done

# What is in them: see index/sqlite.py. Names are absolute paths. Blobs are compressed already, or cannot be.
MIGRATIONS = [f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE photos (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    width integer NOT NULL, height integer NOT NULL,
    orientation integer NOT NULL,
    error text NOT NULL,
    words bytea NOT NULL,
    posteriors bytea NOT NULL);
ALTER TABLE photos ALTER words SET STORAGE EXTERNAL, ALTER posteriors SET STORAGE EXTERNAL;
CREATE TABLE files (
    path bytea PRIMARY KEY,
    photo integer NOT NULL,  -- may be replaced by another one in the moment before: the next run sees that
    size bigint NOT NULL, modified bigint NOT NULL,
    orientation integer NOT NULL,
    taken text COLLATE "C");
CREATE INDEX files_photo ON files (photo);
CREATE TABLE jobs (path bytea PRIMARY KEY, retry boolean NOT NULL);
INSERT INTO meta VALUES ('version', '0'), ('letters', ''), ('changes', '0'), ('identity', CAST(gen_random_uuid() AS text));
"""]
VERSION = len(MIGRATIONS)

SETTINGS = {  # of connections, by whether they write
    False: {"default_transaction_read_only": "on", "statement_timeout": "30s"},
    # What a crash of the server takes with it, the last second at most, is read again
    True: {"synchronous_commit": "off", "lock_timeout": "60s", "idle_in_transaction_session_timeout": "30s"}}
REASONS = {
    errors.DiskFull: "the server's disk is full; make room and run the same command again",
    errors.InsufficientPrivilege: "{}; docs/deploy.md says what its owner grants",
    errors.LockNotAvailable: "another run has been writing for a minute; try again when it is done",
    errors.QueryCanceled: "{}; the server is too busy, try again later",
    (errors.DuplicateTable, errors.UndefinedTable, errors.UndefinedColumn): "not an index of photos ({}); name another one"}
UNREACHED = "check the address, and the password in ~/.pgpass"
STOPPED = "the server, which was there before, says in its own log why it stopped: maybe its disk is full"
# A server whose network is gone is given up after half a minute, not after hours: libpq's settings, s and ms
SILENCE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30000}
LEASE = "10min"  # after which the server takes a job back from an indexer that does not answer


class PostgreSQL(Store):
    """The index in a database. With `create`, it is made if it is not there, and brought up to date if it is older; else it
    is opened for reading alone.

    UserError, one line: no server, no index, of another version, not allowed. It never has the password in it.
    """

    def __init__(self, url, create=False):
        self._options, self._reached = _options(url), False
        super().__init__(_address(url), create)
        with self._errors():
            if create:
                self._migrate()
            version = self._version()
        if version is None:
            raise UserError(f"{self.address}: no index in it; `python search.py index PHOTOS --index URL` makes one")
        if version > VERSION:
            raise UserError(f"{self.address}: an index of version {version}, this program knows up to {VERSION}; update it")
        if version < VERSION:
            raise UserError(f"{self.address}: an index of version {version}; `python search.py index` brings it up to date")

    def _version(self):
        """The version of the tables; None where there are none."""
        if self._db.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.meta",)).fetchone()[0] is None:
            return None
        return int(self._db.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()[0])

    def _migrate(self):
        """Make the tables, or bring them up to date."""
        with self._db.transaction():
            self._db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))  # another run may do the same at the same time
            encoding, = self._db.execute("SHOW server_encoding").fetchone()
            if encoding != "UTF8":
                raise UserError(f"{self.address}: its encoding is {encoding}; make the database with ENCODING 'UTF8'")
            for migration in MIGRATIONS[self._version() or 0:]:
                self._db.execute(migration)
                self._db.execute("UPDATE meta SET value = CAST(value AS integer) + 1 WHERE name = 'version'")

    # --- Connections ------------------------------------------------------------------------------------------

    def _connect(self):
        connection = psycopg.connect(**self._options, autocommit=True)
        settings = {"search_path": SCHEMA, **SETTINGS[self.writable]}
        connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()))
        self._reached = True
        return connection

    def _again(self, work):
        """What work() returns; it is called again with a new connection if the server went away. A writer waits for it."""
        end = time.monotonic() + (PATIENCE if self.writable else 0)
        with self._errors():
            while True:
                new = not hasattr(self._local, "connection")
                try:
                    return work()
                except psycopg.Error:
                    if not self._lost() or new and time.monotonic() >= end:
                        raise
                if new:
                    time.sleep(WAIT)

    def _lost(self):
        """Whether this thread has no connection that still stands; it gets another one then, when it needs one."""
        connection = getattr(self._local, "connection", None)
        if connection and not connection.closed:
            return False
        if connection:
            self._opened.remove(connection)
            del self._local.connection
        return True

    def damaged(self, error):
        return UserError(f"{self.address}: something else in it than was written ({error}); "
                         f"DROP SCHEMA {SCHEMA} CASCADE, and index again")

    @contextlib.contextmanager
    def _errors(self):
        """PostgreSQL's errors in one line that says what to do."""
        try:
            yield
        except psycopg.Error as error:
            reason = next((reason for kind, reason in REASONS.items() if isinstance(error, kind)), "{}")
            said = error.diag.message_primary or f"{error}; {STOPPED if self._reached else UNREACHED}"
            raise UserError(f"{self.address}: {reason.format(' '.join(said.split()))}") from None

    def _execute(self, query, values=()):
        return self._db.execute(query.replace("?", "%s"), values, binary=True)

    def _all(self, query, values=()):
        return self._again(lambda: self._execute(query, values).fetchall())

    def _many(self, query, rows):
        self._db.cursor().executemany(query.replace("?", "%s"), rows)

    def _in_transaction(self, work):
        def run():
            with self._db.transaction():
                # One writer after another, so that photos appear in the order of their numbers
                self._db.execute("SELECT FROM meta WHERE name = 'changes' FOR UPDATE")
                return work(self._execute)
        return self._again(run)

    # --- Files ------------------------------------------------------------------------------------------------

    def name(self, path):
        """Its path: indexers on several machines see a photo at the same one."""
        return path

    def file(self, name):
        return name

    @property
    def blocks(self):
        """In the cache of the user who searches, by a name that no other index has."""
        if self.writable:
            return None
        identity, = self._all("SELECT value FROM meta WHERE name = 'identity'")[0]
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "crnn_ocr_lite")
        with contextlib.suppress(OSError):  # `keep` will say so
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what is on the photos is nobody else's to read
        return folder / identity

    def size(self):
        return self._all("SELECT CAST(sum(pg_total_relation_size(oid)) AS bigint) FROM pg_class "
                         "WHERE relnamespace = CAST(? AS regnamespace) AND relkind = 'r'", (SCHEMA,))[0][0]

    # --- Jobs -------------------------------------------------------------------------------------------------

    def jobs(self, folder, paths, retry):
        """Those that no other run has taken, until all are done: a run that is killed gives its job back at once, one that
        hangs, or whose machine is gone, when LEASE is over."""
        paths = sorted(paths)  # as other runs do: they wait for each other, but never both
        for k in range(0, len(paths), BLOCK):
            self._again(lambda: self._db.execute("INSERT INTO jobs SELECT unnest(%s::bytea[]), %s ON CONFLICT DO NOTHING",
                                                 (paths[k:k + BLOCK], retry)))
        below = folder.rstrip(b"/") + b"/", folder.rstrip(b"/") + b"0"  # what sorts behind all that is in it
        while self._all("SELECT FROM jobs WHERE path > ? AND path < ? LIMIT 1", below):
            taken = 0
            for path, again in self._taken(*below):
                yield path, retry or again
                taken += 1
            if not taken:
                time.sleep(WAIT)

    def _taken(self, first, last):
        """(path, retry) of jobs that are free; each is held by a transaction, open until the next one is asked for."""
        with self._errors(), contextlib.closing(self._again(self._connect)) as connection:
            try:
                connection.execute(f"SET idle_in_transaction_session_timeout = '{LEASE}'")
                while True:
                    with connection.transaction():
                        job = connection.execute("SELECT path, retry FROM jobs WHERE path > %s AND path < %s ORDER BY path "
                                                 "LIMIT 1 FOR UPDATE SKIP LOCKED", (first, last), binary=True).fetchone()
                        if not job:
                            return
                        yield job
                        connection.execute("DELETE FROM jobs WHERE path = %s", job[:1])
            except psycopg.Error:
                if not connection.closed:
                    raise  # else the server went away or took the job back: it is taken again, and then known


# --- Addresses --------------------------------------------------------------------------------------------------

def _options(url):
    """What psycopg.connect takes, of a URL. UserError, without anything of it, if it is none."""
    try:
        options = conninfo_to_dict(url)
        if any("@" in str(options.get(name)) for name in ("host", "port", "dbname")):  # of a password
            raise psycopg.ProgrammingError
    except psycopg.ProgrammingError:
        raise UserError("--index: not an address as postgresql://user@host:5432/database; in a password, write %40 for @, "
                        "%2F for /, %25 for % and %20 for a space") from None
    return {"connect_timeout": 10, "application_name": "search.py", **SILENCE, **options}


def _address(url):
    """The URL without passwords, as it may be shown and kept."""
    parts = {name: value for name, value in conninfo_to_dict(url).items() if "password" not in name}
    user, name = (quote(parts.pop(part, ""), safe="") for part in ("user", "dbname"))
    host = parts.pop("host") if re.fullmatch(r"[\w.-]+", parts.get("host", "")) else ""
    if host and "port" in parts:
        host += f":{parts.pop('port')}"
    rest = f"?{urlencode(parts)}" if parts else ""
    return f"postgresql://{user and user + '@'}{host}/{name}{rest}"
