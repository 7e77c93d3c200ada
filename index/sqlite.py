"""An index in one SQLite file, which needs nothing else.

    >>> store = SQLite("search.index", create=True)

In SQLite's WAL mode readers and a writer do not wait for each other, and a transaction is there whole or not at all, however
the process ends. Each thread has a connection of its own.
"""
import contextlib
import os
import random
import sqlite3
from pathlib import Path
from urllib.parse import quote

from command import UserError
from index.store import Store
from photos import in_bucket

APPLICATION = 0x43524E4E  # SQLite's application_id of our files: "CRNN"
VERSION = 1  # of the schema, SQLite's user_version

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,        -- see index/files.py
    width INTEGER NOT NULL, height INTEGER NOT NULL,  -- of the upright photo as it was read, 0 if it was not
    orientation INTEGER NOT NULL,     -- the EXIF orientation it was read with
    error TEXT NOT NULL,              -- why it could not be read, or empty
    words BLOB NOT NULL,              -- a list of JSON, compressed by zlib, in reading order
    posteriors BLOB NOT NULL);        -- of all its words, see index/blocks.py
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY,            -- any bytes; from the index's folder on, if it is in there
    photo INTEGER NOT NULL REFERENCES photos,
    size INTEGER NOT NULL, modified INTEGER NOT NULL,  -- bytes; nanoseconds, compared with the file's and nothing else
    orientation INTEGER NOT NULL,     -- what its EXIF data say now
    taken TEXT) WITHOUT ROWID;        -- EXIF's date, as 2026-11-25T17:00:00
CREATE INDEX IF NOT EXISTS files_photo ON files (photo);
INSERT OR IGNORE INTO meta VALUES ('letters', ''), ('changes', 0);
"""


class SQLite(Store):
    """An index file. With `create`, one that is not there is made; else it is opened for reading alone.

    UserError, one line: no such file, no index, damaged, of a newer version, or not to be written to.
    """

    def __init__(self, path, create=False):
        super().__init__(str(path), create)
        self._path = Path(path)
        self._folder = os.fsencode(self._path.absolute().parent)
        if not create and not self._path.is_file():
            raise UserError(f"{path}: no such index; `python search.py index PHOTOS` makes one")
        with self._errors():
            self._migrate()

    def _migrate(self):
        """Make the schema in a new file; refuse what is no index of ours, or of a version that is not known here."""
        application, = self._db.execute("PRAGMA application_id").fetchone()
        version, = self._db.execute("PRAGMA user_version").fetchone()
        tables, = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == APPLICATION and version > VERSION:
            raise UserError(f"{self.address}: an index of version {version}, this program knows up to {VERSION}; update it")
        if application != APPLICATION and (tables or not self.writable):
            raise UserError(f"{self.address}: not an index of photos; name another file with --index")
        if not self.writable:
            return
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        if application != APPLICATION:  # another run may do the same at the same time
            self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION}; "
                                   f"PRAGMA user_version = {VERSION}; COMMIT")

    @property
    def blocks(self):
        return Path(f"{self._path}-blocks")

    # --- Connections ------------------------------------------------------------------------------------------

    def _connect(self):
        if self.writable:
            return sqlite3.connect(self._path, timeout=60, isolation_level=None, check_same_thread=False)
        # Where nothing can be written, SQLite must be told that nothing changes, as it cannot keep its own notes there
        fixed = "" if os.access(self._path.parent, os.W_OK) and os.access(self._path, os.W_OK) else "&immutable=1"
        uri = f"file:{quote(os.fsencode(self._path.absolute()))}?mode=ro{fixed}"
        return sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None, check_same_thread=False)

    def damaged(self, error):
        return UserError(f"{self.address}: not an index, or a damaged one ({error}); move it away and index again")

    @contextlib.contextmanager
    def _errors(self):
        """SQLite's errors in one line that says what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            reason = {sqlite3.SQLITE_FULL: "the disk is full; make room and run the same command again",
                      sqlite3.SQLITE_READONLY: "cannot be written to; name another index with --index",
                      sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the folder and its permissions",
                      sqlite3.SQLITE_BUSY: "another run has been writing for a minute; try again when it is done"}
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise UserError(f"{self.address}: {reason.get(code, error)}") from None
        except sqlite3.DatabaseError as error:
            raise self.damaged(error) from None

    def _all(self, query, values=()):
        with self._errors():
            return self._db.execute(query, values).fetchall()

    def _many(self, query, rows):
        self._db.executemany(query, rows)

    def _in_transaction(self, work):
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._db.execute)
                self._db.execute("COMMIT")
                return result
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # --- Files ------------------------------------------------------------------------------------------------

    def name(self, path):
        """From the index's folder on, if it is in there, so that both may be moved together."""
        inside = (path + b"/").startswith(self._folder.rstrip(b"/") + b"/")
        return os.path.relpath(path, self._folder) if inside else path

    def file(self, name):
        return name if in_bucket(name) else os.path.join(self._folder, name)

    def size(self):
        return self._path.stat().st_size

    def jobs(self, folder, paths, retry):
        """All of them: runs at the same time take them in different orders, and ask before they read one."""
        for path in random.sample(paths, len(paths)):
            yield path, retry
