"""The database behind an index: photos, what was read on them, and their files.

    >>> store = index.open_store("search.index", create=True)  # or "postgresql://user@host/database"
    >>> number = store.add(photo, words, posteriors)
    >>> store.put_file(b"/photos/a.jpg", number, size, modified, orientation=1, taken=None)

What is asked and written is SQL that all databases know, and is here; index/sqlite.py and index/postgres.py connect to one
and make its tables. Nothing is scored here. What index/blocks.py keeps in the folder `blocks` may be deleted at any time: it
is made of `posteriors`, and only spares the next search the time for that.

A photo is its content, known by a hash, in one file or several. Its number is never given to another one, and rises with
the order in which photos are added.
"""
import functools
import json
import os
import threading
import zlib

from photos.page import file_of

BLOCK = 200  # photos asked for at once
RECENT = 200  # photos, at most, of which it is kept what change they were of
CONTENT = "hash, width, height, orientation, error, words, posteriors"


def in_transaction(method):
    """A method of a Store that gets, as its first argument, what runs SQL in a transaction. That is there whole or not at
    all; the method may be called again, as the connection may break."""
    @functools.wraps(method)
    def run(self, *values, **options):
        return self._in_transaction(lambda execute: method(self, execute, *values, **options))
    return run


class Store:
    """An index, as each database has it. address: what it is called in messages, str."""

    def __init__(self, address, writable):
        self.address, self.writable = address, writable
        self._local = threading.local()
        self._opened = []  # connections, to be closed together

    # --- What each database does in its own way ---------------------------------------------------------------

    def _connect(self):
        """A new connection."""
        raise NotImplementedError

    def _all(self, query, values=()):
        """The rows, tuples, that a query gives; ? in it stands for the next of the values."""
        raise NotImplementedError

    def _in_transaction(self, work):
        """What work(execute) returns; execute(query, values) runs SQL in a transaction that no other writer is in."""
        raise NotImplementedError

    def _many(self, query, rows):
        """Run a query with the values of each row, in the transaction that this thread is in."""
        raise NotImplementedError

    def damaged(self, error):
        """The UserError for an index with something else in it than was written."""
        raise NotImplementedError

    def name(self, path):
        """What a file (absolute path, bytes) is called here."""
        raise NotImplementedError

    def file(self, name):
        """The absolute path, bytes, of the file that is called so here."""
        raise NotImplementedError

    @property
    def blocks(self):
        """The folder in which index/blocks.py keeps this index's words as arrays; None would say that there is none."""
        raise NotImplementedError

    def size(self):
        """Bytes on disk."""
        raise NotImplementedError

    def jobs(self, folder, paths, retry):
        """(path, retry) of each photo, one after another, that this run is to read of the changed ones at `paths`, which are
        below `folder`; bytes all. When one is asked for, the one before it is done."""
        raise NotImplementedError

    @property
    def _db(self):
        """The connection of this thread."""
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
            self._opened.append(self._local.connection)
        return self._local.connection

    def close(self):
        for connection in self._opened:
            connection.close()

    # --- Writing ----------------------------------------------------------------------------------------------

    @in_transaction
    def learn(self, execute, letters):
        """Add letters that the index lacks behind those it has, str, and return all."""
        known, = execute("SELECT value FROM meta WHERE name = 'letters'", ()).fetchone()
        known += "".join(letter for letter in dict.fromkeys(letters) if letter not in known)
        execute("UPDATE meta SET value = ? WHERE name = 'letters'", (known,))
        return known

    @in_transaction
    def add(self, execute, photo, words, posteriors, replace=False):
        """Add a photo's content; its number. One that is there already stays as it is; but with `replace`, one that
        could not be read is replaced, under a new number.

        photo: dict of hash, width, height, orientation and error, see SCHEMA. words: list of dicts that JSON can hold, in
        reading order. posteriors: bytes.
        """
        known = execute("SELECT id, error FROM photos WHERE hash = ?", (photo["hash"],)).fetchone()
        if known and not (replace and known[1]):
            return known[0]
        if known:
            execute("DELETE FROM photos WHERE id = ?", known[:1])
        facts = [photo[name] for name in ("hash", "width", "height", "orientation")]
        error = photo["error"].replace("\0", "").encode("utf8", "backslashreplace").decode()  # a name in it may be anything
        number, = execute(f"INSERT INTO photos ({CONTENT}) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                          (*facts, error, packed(words), posteriors)).fetchone()
        if known:
            execute("UPDATE files SET photo = ? WHERE photo = ?", (number, known[0]))
        self._changed(execute, {number})
        return number

    @in_transaction
    def put_file(self, execute, path, photo, size, modified, orientation, taken):
        """Say that the file `path` (bytes) holds a photo."""
        before = execute("SELECT photo FROM files WHERE path = ?", (path,)).fetchall()
        execute("DELETE FROM files WHERE path = ?", (path,))
        execute("INSERT INTO files (path, photo, size, modified, orientation, taken) VALUES (?, ?, ?, ?, ?, ?)",
                (path, photo, size, modified, orientation, taken))
        self._changed(execute, {photo, *(number for number, in before)})

    @in_transaction
    def drop_files(self, execute, paths):
        """Forget files; what is known of their photos stays, should they come back."""
        photos = set()
        for k in range(0, len(paths), BLOCK):
            some = paths[k:k + BLOCK]
            query = f"SELECT photo FROM files WHERE path IN ({', '.join('?' * len(some))})"
            photos.update(number for number, in execute(query, some).fetchall())
        self._many("DELETE FROM files WHERE path = ?", [(path,) for path in paths])
        self._changed(execute, photos)

    @in_transaction
    def add_copies(self, execute, photos, files):
        """Add photos, rows of another store's `contents` but for the number, and files: (path, the photo's hash, size,
        modified, orientation, taken). A photo that is there already stays as it is."""
        self._many(f"INSERT INTO photos ({CONTENT}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING", photos)
        self._many("DELETE FROM files WHERE path = ?", [(path,) for path, *_ in files])
        self._many("INSERT INTO files (photo, path, size, modified, orientation, taken) "
                   "SELECT id, ?, ?, ?, ?, ? FROM photos WHERE hash = ?",
                   [(path, *facts, content) for path, content, *facts in files])
        self._changed(execute, None)

    @staticmethod
    def _changed(execute, photos):
        """Count a change, and keep with it which photos it was of, their numbers; None: who knows."""
        execute("UPDATE meta SET value = CAST(value AS bigint) + 1 WHERE name = 'changes'", ())
        change, = execute("SELECT value FROM meta WHERE name = 'changes'", ()).fetchone()
        row = execute("SELECT value FROM meta WHERE name = 'recent'", ()).fetchone()
        recent = [*json.loads(row[0] if row else "[]"), [int(change), sorted(photos)]] if photos is not None else []
        while sum(len(numbers) for _, numbers in recent) > RECENT or len(recent) > RECENT:
            recent.pop(0)
        execute("INSERT INTO meta VALUES ('recent', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (json.dumps(recent, separators=(",", ":")),))

    # --- Reading ----------------------------------------------------------------------------------------------

    @property
    def letters(self):
        return self._all("SELECT value FROM meta WHERE name = 'letters'")[0][0]

    @property
    def changes(self):
        """A number that another process's or thread's writing changes."""
        return int(self._all("SELECT value FROM meta WHERE name = 'changes'")[0][0])

    def files(self):
        """{path: (photo, size, modified, error)} of all files, by path; error: the photo's."""
        return {path: tuple(values) for path, *values in self._all(
            "SELECT path, photo, size, modified, error FROM files JOIN photos ON photos.id = photo ORDER BY path")}

    def facts(self, path):
        """(size, modified, error) of a file, as of `files`; None if it is not known."""
        found = self._all("SELECT size, modified, error FROM files JOIN photos ON photos.id = photo WHERE path = ?", (path,))
        return tuple(found[0]) if found else None

    def files_between(self, first, last):
        """(photo, path, size, modified, orientation, taken) of the files of photos with these numbers and those between."""
        return self._all("SELECT photo, path, size, modified, orientation, taken FROM files WHERE photo BETWEEN ? AND ?",
                         (first, last))

    def find_photo(self, content):
        """(number, error, orientation) of the photo of a hash, or None."""
        found = self._all("SELECT id, error, orientation FROM photos WHERE hash = ?", (content,))
        return found[0] if found else None

    def hashes(self, retry=False):
        """The hashes of all photos, a set; with `retry`, of those that could be read."""
        return {content for content, in self._all("SELECT hash FROM photos" + " WHERE error = ''" * retry)}

    def changed(self, before, after):
        """The numbers of the photos that the changes behind `before` up to `after` were of, a set; None if that is not known
        any more: too many, or made by a program that did not keep it."""
        row = self._all("SELECT value FROM meta WHERE name = 'recent'")
        recent = dict(json.loads(row[0][0])) if row else {}
        if any(change not in recent for change in range(before + 1, after + 1)):
            return None
        return {number for change in range(before + 1, after + 1) for number in recent[change]}

    def photos(self, numbers=None):
        """(number, taken) of each photo, or of those with these numbers, that has a file and could be read, by number."""
        query = "SELECT id, max(taken) FROM files JOIN photos ON id = photo WHERE error = ''{} GROUP BY id ORDER BY id"
        return self._all(query.format("")) if numbers is None else self._of(query.replace("{}", " AND id IN ({})"), numbers)

    def photo(self, number):
        """One of `photos_of`; None if there is none, or it has no file any more."""
        return self.photos_of([number]).get(number)

    def photos_of(self, numbers):
        """{number: photo} of those that have a file: dicts of id, width, height, orientation, error and files: (path,
        orientation, taken) of each, by path."""
        rows = self._of("SELECT id, width, height, photos.orientation, error, path, files.orientation, taken "
                        "FROM photos JOIN files ON photo = id WHERE id IN ({}) ORDER BY path", numbers)
        photos = {}
        for number, width, height, orientation, error, *file in rows:
            facts = {"id": number, "width": width, "height": height, "orientation": orientation, "error": error, "files": []}
            photos.setdefault(number, facts)["files"].append(tuple(file))
        return photos

    def _of(self, query, numbers):
        """The rows of a query that has {} in place of numbers."""
        return self._all(query.format(", ".join("?" * len(numbers))), list(numbers)) if numbers else []

    def posteriors(self, after=0):
        """(number, posteriors) of each photo that could be read and has a number above `after`, by number."""
        yield from self._blocks("SELECT id, posteriors FROM photos WHERE error = '' AND id", after)

    def contents(self):
        """(number, hash, width, height, orientation, error, words, posteriors) of all photos, by number; see SCHEMA."""
        yield from self._blocks(f"SELECT id, {CONTENT} FROM photos WHERE id")

    def _blocks(self, query, after=0):
        """The rows of a query that ends with a photo's number, by number, those above `after`; not all in memory at once."""
        while rows := self._all(f"{query} > ? ORDER BY id LIMIT {BLOCK}", (after,)):
            yield from rows
            after = rows[-1][0]

    def words(self, photo):
        """The words of a photo, as `add` got them, list; [] if there is no such photo any more."""
        return self.words_of({photo: None}).get(photo, [])

    def words_of(self, places):
        """{photo: words} of photos: of its words, as `add` got them, those at places[photo], list of int; None: all."""
        try:
            return {photo: _unpacked(words, places[photo])
                    for photo, words in self._of("SELECT id, words FROM photos WHERE id IN ({})", places)}
        except (zlib.error, ValueError, TypeError, IndexError) as error:
            raise self.damaged(error) from None

    def counts(self):
        """A dict of how much there is: files; photos in them, a TIFF's pages each; failed, those that could not be read."""
        here = "FROM photos WHERE id IN (SELECT photo FROM files)"
        queries = {"files": "FROM files", "photos": here, "failed": f"{here} AND error <> ''"}
        counts = {name: self._all(f"SELECT count(*) {query}")[0][0] for name, query in queries.items()}
        ends = ", ".join(f"substr(path, length(path) - {digits}, 1)" for digits in range(1, 7))
        names = [os.fsdecode(path) for path, in self._all(f"SELECT path FROM files WHERE ? IN ({ends})", (b"#",))]
        counts["files"] -= sum(file_of(name) != name for name in names)  # a TIFF's other pages: "scan.tif#2"
        return counts


def packed(words):
    """The bytes of a photo's words, list of dicts, as the table `photos` has them."""
    texts = (json.dumps(word, ensure_ascii=False, separators=(",", ":")) for word in words)
    return zlib.compress("[{}]".format(",\n".join(texts)).encode())  # a line a word, see `_unpacked`


def _unpacked(page, places):
    page = zlib.decompress(page)
    lines = page.split(b"\n")  # of words; an index of November 2026 may have all in one
    if places is None or len(lines) == 1:
        words = json.loads(page)
        return words if places is None else [words[place] for place in places]
    return json.loads(b"[%b]" % b",".join([lines[place].strip(b"[],") for place in places]))
