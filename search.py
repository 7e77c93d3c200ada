"""Find your photos by what is written on them.

    python search.py index my_photos                    # read all photos of a folder; again later: only what is new
    python search.py find "sprint budget"               # the best photos, which words matched, and how surely
    python search.py find '"next sprint" review*' --all # a phrase, the beginning of a word; only photos with all of it
    python search.py serve                              # the same in a browser, http://127.0.0.1:8000
    python search.py watch my_photos                    # index photos as they arrive
    python search.py export --csv words.csv             # all that was read
    python search.py stats
    python search.py index s3://archive/boards --ray local --index all.index      # a bucket, by Ray; see docs/deploy.md
    python search.py copy my_photos postgresql://indexer@server/photos    # all that is in one index, into another

The index is one file, search.index in the folder of the photos, or where --index says, which may also be a database in
PostgreSQL, as postgresql://user@host/database (see docs/deploy.md). A folder beside it, search.index-blocks, makes searches
begin faster and may be deleted; SQLite's search.index-wal and -shm, where they are, belong to the index: `copy` makes one
file of it. Without --index, the other commands take the one of the current folder, else the one that was made last. Photos
are never changed.
"""
import dataclasses
import datetime
import functools
import json
import os
import sys
import threading
import webbrowser
from pathlib import Path

import command
import index
import photos
from command import UserError

page = command.later("photos.page")

NAME = "search.index"
QUIET = 2  # seconds without news after which `watch` looks
LEAST = 0.005  # of scores and probabilities that `find` prints: what is less would be shown as 0.00


# --- Options ----------------------------------------------------------------------------------------------------

def parse_args(argv=None):
    parser = command.Parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add_command(name, about):
        added = commands.add_parser(name, help=about, description=about).add_argument
        added("--index", type=place, metavar="FILE|URL", help=f"the index (default: see python {parser.prog} --help)")
        return added

    for name, about in (("index", "read the new and changed photos of a folder"), ("watch", "index photos as they arrive")):
        add = add_command(name, about)
        add("photos", metavar="PHOTOS", help="folder of photos; with --ray, also s3://... or gs://...")
        add("--pages", default=photos.PAGES, help="model that finds words on a photo (default: this project's models/pages)")
        add("--words", default=photos.WORDS, help="model that reads words (default: this project's models/notes)")
        add("--lexicon", default="en", metavar="FILE", help="what to read by: en (default), English; none; or a file "
                                                           "with a word a line, and how often it occurs")
        add("--retry", action="store_true", help="also read photos again that could not be read")
        if name == "index":
            add("--ray", metavar="HOST:PORT", help="read by a Ray cluster; local: one on this machine, a reader a processor")
    add = add_command("find", "photos with these words")
    add("query", nargs="+", help='words, "quoted phrases", word* for what begins like that')
    add("--limit", type=command.whole(1, 10000), default=20, help="photos at most (default 20)")
    add("--all", action="store_true", help="only photos that have every word")
    add("--since", type=date, metavar="DATE", help="photos taken on that day or later, as 2026-11-25, by their EXIF data")
    add("--until", type=date, metavar="DATE", help="photos taken on that day or before")
    add("--json", action="store_true", help="write JSON: file, score, matches (polygon, text, probability) of each photo")
    add("--open", action="store_true", help="show the best photo")
    add = add_command("serve", "search in a browser")
    add("--host", default="127.0.0.1", help="address to serve on (default 127.0.0.1: this machine alone)")
    add("--port", type=command.whole(1, 65535), default=8000, help="(default 8000)")
    add("--password-file", type=Path, metavar="FILE", help="file with the password, which any other address needs")
    add("--behind-proxy", action="store_true", help="only a proxy, which encrypts, can reach it; see docs/deploy.md")
    add("--name", action="append", default=[], help="another name by which browsers may call this machine; may be repeated")
    add = add_command("export", "write down all that was read")
    add("--csv", type=Path, metavar="FILE", help="a row a word")
    add("--json", type=Path, metavar="FILE", help="an entry a photo")
    add("--overwrite", action="store_true", help="replace the files of an earlier export")
    add_command("stats", "how much is in the index")
    add = commands.add_parser("copy", help="add all of an index to another", description=copy.__doc__).add_argument
    add("source", type=place, metavar="FROM", help="an index, file or URL")
    add("target", type=place, metavar="TO", help="another one")
    return parser.parse_args(argv)


def place(text):
    """An argparse type: an index's URL, as it is written, or a path."""
    return text if index.is_url(text) else Path(text)


def date(text):
    """An argparse type: a date, as it is written."""
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise UserError(f"{text}: write a date as 2026-11-25") from None


# --- Which index ------------------------------------------------------------------------------------------------

def last_index():
    """The file that remembers which index was made last."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state", "crnn_ocr_lite", "index")


def remember(address):
    try:
        last_index().parent.mkdir(parents=True, exist_ok=True)
        last_index().write_bytes(os.fsencode(address if index.is_url(address) else Path(address).absolute()))
    except OSError as error:
        print(f"{last_index()}: {error.strerror}; name the index with --index when you search", file=sys.stderr)


def choose_index(path):
    """--index, or the index of the current folder, or the one made last; a folder stands for the index in it."""
    if path:
        return path / NAME if not index.is_url(path) and path.is_dir() else path
    if Path(NAME).is_file():
        return Path(NAME)
    if last_index().is_file():
        return place(os.fsdecode(last_index().read_bytes()))
    raise UserError("no index yet; `python search.py index PHOTOS` makes one, --index names one")


# --- Commands ---------------------------------------------------------------------------------------------------

def index_photos(folder, path, models, retry, ray=None):
    """Bring the index up to date with a folder of photos; ray: the address of the cluster that reads. Returns whether no
    photo of the index could be read."""
    if photos.in_bucket(folder) and not (ray and path):
        raise UserError(f"{folder}: a bucket is read with --ray local, or by a cluster, and --index says where the index is")
    if not photos.in_bucket(folder) and not Path(folder).is_dir():
        fault = "a file; name the folder in which it is" if Path(folder).is_file() else "no such folder"
        raise UserError(f"{folder}: {fault}")
    reads_by, address = [name for name in models.values() if name], choose_index(path or Path(folder))
    if ray:
        import cluster
        cluster.check(ray)
        models = {**models, "threads": 1}
    from index.indexing import open_folder, update
    folder, load = open_folder(folder), functools.partial(load_reader, **models)
    if not index.is_url(address) and not address.exists():  # wrong models are told before an empty index is made
        reader = load()
        load = load if ray else lambda: reader
    store = index.open_store(address, create=True)
    remember(store.address)  # a run that breaks off leaves an index, too
    try:
        counts = update(store, folder, load, retry, ray, reads_by)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; what was read is in the index, the same command goes on") from None
    total = store.counts()
    store.close()
    print(f"{store.address}: {command.count(total['photos'], 'photo')}; now {counts.read:,} read, {counts.known:,} known "
          f"under another name or date, {command.count(counts.gone, 'file')} gone, {counts.failed:,} failed")
    if total["failed"]:
        print(f"{command.count(total['failed'], 'photo')} could not be read; --retry reads again, export says why")
    return 0 < total["photos"] == total["failed"]


def load_reader(pages, **options):
    """The photos.reader.PageReader that reads photos: slow to load, and not needed where no photo is new."""
    return photos.load_reader(pages, **options)


def watch(folder, path, models, retry):
    """Index a folder, and again whenever something in it has changed, until Ctrl-C."""
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers import Observer

    from words.lists import IMAGE_SUFFIXES
    changed = threading.Event()

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event):
            names = os.fsdecode(event.src_path).lower(), os.fsdecode(event.dest_path or "").lower()
            if event.event_type in ("created", "moved", "deleted") and event.is_directory:
                changed.set()
            elif event.event_type not in ("opened", "closed_no_write"):
                if any(name.endswith(IMAGE_SUFFIXES) for name in names):
                    changed.set()

    observer = Observer()
    index_photos(folder, path, models, retry)
    observer.schedule(Handler(), str(folder), recursive=True)
    observer.start()
    try:
        index_photos(folder, path, models, False)  # what came between the two
        while True:
            changed.wait()
            while changed.is_set():  # photos are still being copied
                changed.clear()
                changed.wait(QUIET)
            index_photos(folder, path, models, False)
    finally:
        observer.stop()
        observer.join()


def find(path, query, as_json, show, **options):
    results = index.open(path).find(query, **options)
    if as_json:
        entries = [{key: value for key, value in dataclasses.asdict(result).items() if key != "photo"} for result in results]
        print(json.dumps(entries, indent=2))
    else:
        results = [result for result in results if result.score >= LEAST]
        for k, result in enumerate(results):
            if result.score < index.DOUBTFUL and (k == 0 or results[k - 1].score >= index.DOUBTFUL):
                print("less likely:")
            print(f"{result.score:.2f}  {page.title(result.file)}")
            for match in result.matches:
                if match.probability >= LEAST:
                    x, y = (round(sum(values) / 4) for values in zip(*match.polygon))
                    print(f"      {match.probability:.2f}  {match.text}  at {x}, {y}")
        if not results:
            print("no photo found", file=sys.stderr)
    if show and results:
        webbrowser.open(Path(page.file_of(results[0].file)).as_uri())


def export(path, csv_path, json_path, overwrite):
    if not (csv_path or json_path):
        raise UserError("say where to: --csv FILE or --json FILE")
    for target in (csv_path, json_path):
        command.new_file(target, overwrite)
    found = index.open(path)
    if csv_path:
        command.write_csv(csv_path, rows(found))
    if json_path:
        with (command.written_whole(json_path) as beside,
              open(beside, "w", encoding="utf8", errors="surrogateescape") as file):
            for k, photo in enumerate(found.export()):  # a line a photo, as all may be too much for the memory
                file.write((",\n" if k else "[\n") + json.dumps(photo, ensure_ascii=False))
            file.write("\n]\n" if found.store.counts()["files"] else "[]\n")


def copy(source, target):
    """Add all photos that an index knows to another one, which is made if it is not there."""
    from index.copying import copy
    source = index.open_store(choose_index(source))
    target = index.open_store(choose_index(target), create=True)
    counts = copy(source, target)
    print(f"{target.address}: {command.count(counts['photos'], 'photo')} in {command.count(counts['files'], 'file')}")


def rows(found):
    """The rows of export's CSV file; a photo without words has one."""
    yield ["file", "taken", "error", "line", "paragraph", "text", "confidence",
           *(f"{axis}{k}" for k in range(1, 5) for axis in "xy")]
    for photo in found.export():
        facts = [photo["file"], photo["taken"], photo["error"]]
        for word in photo["words"]:
            yield [*facts, word["line"], word["paragraph"], word["text"], f"{word['confidence']:.3f}",
                   *sum(word["polygon"], [])]
        if not photo["words"]:
            yield facts


def main(argv=None):
    args = parse_args(argv)
    if args.command in ("index", "watch"):
        models = {"pages": args.pages, "words": args.words, "lexicon": args.lexicon}
        if args.command == "watch":
            return watch(args.photos, args.index, models, args.retry)
        if index_photos(args.photos, args.index, models, args.retry, args.ray):
            raise UserError(f"{args.photos}: no photo in it could be read")
        return
    if args.command == "copy":
        return copy(args.source, args.target)
    path = choose_index(args.index)
    if args.command == "find":
        find(path, " ".join(args.query), args.json, args.open, limit=args.limit, all_words=args.all, since=args.since,
             until=args.until)
    elif args.command == "serve":
        from index.web import serve
        serve(path, args.host, args.port, args.password_file, args.name, args.behind_proxy)
    elif args.command == "export":
        export(path, args.csv, args.json, args.overwrite)
    else:
        for name, value in index.open(path).stats().items():
            print(f"{name:<10}{value:>14,}")


if __name__ == "__main__":
    command.run(main)
