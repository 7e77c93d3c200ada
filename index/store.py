"""The SQLite file behind an index: photos, what was read on them, and their files.

    >>> store = Store("search.index", create=True)
    >>> number = store.add(photo, words, posteriors)
    >>> store.put_file(b"a.jpg", number, size, modified, orientation=1, taken=None)

All SQL is here, and nothing is scored here: another database needs the methods of `Store` alone. One file, in SQLite's WAL
mode: readers and a writer do not wait for each other, and a transaction is there whole or not at all, however the process
ends. Each thread has a connection of its own. What index/blocks.py keeps in the folder `blocks` may be deleted at any time:
it is made of `posteriors`, and only spares the next search the time for that.

A photo is its content, known by a hash, in one file or several. Its number is never given to another one.
"""
import contextlib
import json
import os
import sqlite3
import threading
import zlib
from pathlib import Path
from urllib.parse import quote

from cachetools import LRUCache, cachedmethod

from command import UserError

APPLICATION = 0x43524E4E  # SQLite's application_id of our files: "CRNN"
VERSION = 1  # of the schema, SQLite's user_version
KEPT = 100  # photos whose words stay in memory, some 200 kB each

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,        -- see index/files.py
    width INTEGER NOT NULL, height INTEGER NOT NULL,  -- of the upright photo as it was read, 0 if it was not
    orientation INTEGER NOT NULL,     -- the EXIF orientation it was read with
    error TEXT NOT NULL,              -- why it could not be read, or empty
    words BLOB NOT NULL,              -- a list of JSON, compressed by zlib, in reading order
    posteriors BLOB NOT NULL);        -- of all its words, see index/scanning.py
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY,            -- any bytes; from the index's folder on, if it is in there
    photo INTEGER NOT NULL REFERENCES photos,
    size INTEGER NOT NULL, modified INTEGER NOT NULL,  -- bytes; nanoseconds, compared with the file's and nothing else
    orientation INTEGER NOT NULL,     -- what its EXIF data say now
    taken TEXT) WITHOUT ROWID;        -- EXIF's date, as 2026-11-25T17:00:00
CREATE INDEX IF NOT EXISTS files_photo ON files (photo);
INSERT OR IGNORE INTO meta VALUES ('letters', ''), ('changes', 0);
"""


class Store:
    """An index file. With `create`, one that is not there is made; else it is opened for reading alone.

    UserError, one line: no such file, no index, damaged, of a newer version, or not to be written to.
    """

    def __init__(self, path, create=False):
        self.path, self.writable = Path(path), create
        self._local = threading.local()
        self._opened = []  # connections, to be closed together
        self._pages, self._lock = LRUCache(KEPT), threading.Lock()
        if not create and not self.path.is_file():
            raise UserError(f"{path}: no such index; `python search.py index PHOTOS` makes one")
        with self._errors():
            self._migrate()

    # --- Connections ------------------------------------------------------------------------------------------

    @property
    def _db(self):
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
        return self._local.connection

    def _connect(self):
        if self.writable:
            connection = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
        else:
            # Where nothing can be written, SQLite must be told that nothing changes, as it cannot keep its own notes there
            fixed = "" if os.access(self.path.parent, os.W_OK) and os.access(self.path, os.W_OK) else "&immutable=1"
            uri = f"file:{quote(os.fsencode(self.path.absolute()))}?mode=ro{fixed}"
            connection = sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None, check_same_thread=False)
        self._opened.append(connection)
        return connection

    def close(self):
        for connection in self._opened:
            connection.close()

    def damaged(self, error):
        """The UserError for a file with something else in it than was written."""
        return UserError(f"{self.path}: not an index, or a damaged one ({error}); move it away and index again")

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
            raise UserError(f"{self.path}: {reason.get(code, error)}") from None
        except sqlite3.DatabaseError as error:
            raise self.damaged(error) from None

    @contextlib.contextmanager
    def _transaction(self):
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _migrate(self):
        """Make the schema in a new file; refuse what is no index of ours, or of a version that is not known here."""
        application, = self._db.execute("PRAGMA application_id").fetchone()
        version, = self._db.execute("PRAGMA user_version").fetchone()
        tables, = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == APPLICATION and version > VERSION:
            raise UserError(f"{self.path}: an index of version {version}, this program knows up to {VERSION}; update it")
        if application != APPLICATION and (tables or not self.writable):
            raise UserError(f"{self.path}: not an index of photos; name another file with --index")
        if not self.writable:
            return
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        if application != APPLICATION:  # another run may do the same at the same time
            self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION}; "
                                   f"PRAGMA user_version = {VERSION}; COMMIT")

    @property
    def blocks(self):
        """The folder in which index/blocks.py keeps this index's words as arrays; None would say that there is none."""
        return Path(f"{self.path}-blocks")

    def name(self, path):
        """What a file (absolute path, bytes) is called here: from the index's folder on, if it is in there, so that both may
        be moved together."""
        folder = os.fsencode(self.path.absolute().parent)
        return os.path.relpath(path, folder) if (path + b"/").startswith(folder.rstrip(b"/") + b"/") else path

    # --- Writing ----------------------------------------------------------------------------------------------

    def learn(self, letters):
        """Add letters that the index lacks behind those it has, str, and return all."""
        with self._transaction() as db:
            known = self._meta("letters")
            known += "".join(letter for letter in dict.fromkeys(letters) if letter not in known)
            db.execute("UPDATE meta SET value = ? WHERE name = 'letters'", (known,))
        return known

    def add(self, photo, words, posteriors, replace=False):
        """Add a photo's content; its number. One that is there already stays as it is; but with `replace`, one that
        could not be read is replaced, under a new number.

        photo: dict of hash, width, height, orientation and error, see SCHEMA. words: list of what JSON can hold, in reading
        order. posteriors: bytes.
        """
        with self._transaction() as db:
            known = db.execute("SELECT id, error FROM photos WHERE hash = ?", (photo["hash"],)).fetchone()
            if known and not (replace and known[1]):
                return known[0]
            if known:
                db.execute("DELETE FROM photos WHERE id = ?", known[:1])
            page = zlib.compress(json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode())
            number = db.execute("INSERT INTO photos VALUES (NULL, :hash, :width, :height, :orientation, :error, :words, "
                                ":posteriors)", {**photo, "words": page, "posteriors": posteriors}).lastrowid
            if known:
                db.execute("UPDATE files SET photo = ? WHERE photo = ?", (number, known[0]))
            self._changed(db)
        return number

    def put_file(self, path, photo, size, modified, orientation, taken):
        """Say that the file `path` (bytes) holds a photo."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)",
                       (path, photo, size, modified, orientation, taken))
            self._changed(db)

    def drop_files(self, paths):
        """Forget files; what is known of their photos stays, should they come back."""
        with self._transaction() as db:
            db.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in paths])
            self._changed(db)

    @staticmethod
    def _changed(db):
        db.execute("UPDATE meta SET value = value + 1 WHERE name = 'changes'")

    # --- Reading ----------------------------------------------------------------------------------------------

    def _all(self, query, values=()):
        with self._errors():
            return self._db.execute(query, values).fetchall()

    def _meta(self, name):
        return self._all("SELECT value FROM meta WHERE name = ?", (name,))[0][0]

    @property
    def letters(self):
        return self._meta("letters")

    @property
    def changes(self):
        """A number that another process's or thread's writing changes."""
        return self._meta("changes")

    def files(self):
        """{path: (photo, size, modified, error)} of all files, by path; error: the photo's."""
        return {path: tuple(values) for path, *values in self._all(
            "SELECT path, photo, size, modified, error FROM files JOIN photos ON photos.id = photo ORDER BY path")}

    def find_photo(self, content):
        """(number, error, orientation) of the photo of a hash, or None."""
        found = self._all("SELECT id, error, orientation FROM photos WHERE hash = ?", (content,))
        return found[0] if found else None

    def photos(self):
        """(number, taken) of each photo that has a file and could be read, by number."""
        return self._all("SELECT id, max(taken) FROM files JOIN photos ON id = photo WHERE error = '' GROUP BY id "
                         "ORDER BY id")

    def photo(self, number):
        """A photo as a dict of id, width, height, orientation, error and files: (path, orientation, taken) of each, by path;
        None if there is none, or it has no file any more."""
        rows = self._all("SELECT id, width, height, orientation, error FROM photos WHERE id = ?", (number,))
        files = self._all("SELECT path, orientation, taken FROM files WHERE photo = ? ORDER BY path", (number,))
        names = "id", "width", "height", "orientation", "error"
        return {**dict(zip(names, rows[0])), "files": files} if rows and files else None

    def posteriors(self, after=0):
        """(number, posteriors) of each photo that could be read and has a number above `after`, by number."""
        with self._errors():
            yield from self._db.execute("SELECT id, posteriors FROM photos WHERE id > ? AND error = '' ORDER BY id",
                                        (after,))

    @cachedmethod(lambda self: self._pages, lock=lambda self: self._lock)  # a photo's words never change
    def words(self, photo):
        """The words of a photo, as `add` got them; not to be changed, as the last KEPT photos' are kept."""
        try:
            return json.loads(zlib.decompress(self._all("SELECT words FROM photos WHERE id = ?", (photo,))[0][0]))
        except (zlib.error, ValueError, TypeError) as error:
            raise self.damaged(error) from None

    def counts(self):
        """A dict of how much there is: files, photos (in files), failed (of them, could not be read)."""
        here = "FROM photos WHERE id IN (SELECT photo FROM files)"
        queries = {"files": "FROM files", "photos": here, "failed": f"{here} AND error <> ''"}
        return {name: self._all(f"SELECT count(*) {query}")[0][0] for name, query in queries.items()}
