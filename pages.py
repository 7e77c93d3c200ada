"""Read whole photos: find the words on whiteboards, notebooks, flipcharts and notes, and read them.

    python pages.py --image_path my_photos --result_path out                     # out/board.jpg.json and .txt
    python pages.py --image_path scan.pdf --result_path out --pdf                # out/scan.pdf.pdf, searchable
    python pages.py --image_path my_photos --result_path out --resume            # goes on where a run broke off
    python pages.py --image_path my_photos --result_path out --draw drawn        # each photo with what was read on it
    python pages.py --image_path my_photos --result_path out --ink cleaned --clean  # the boards, cleaned
    python pages.py --image_path my_photos --result_path out --boxes_only        # out/boxes.json, for predict.py --boxes
    python pages.py --image_path s3://archive/boards --result_path out --ray head:6379   # out/words-*.parquet, by a cluster

--image_path: one photo (JPEG, PNG, WebP, TIFF, HEIC, ...), a PDF, or a folder of them with all that is below it. Each photo
and each page of a PDF or a TIFF has its files as soon as it is done, with --pdf a PDF one more behind its last page; what
cannot be read has a row in errors.csv.
"""
import contextlib
import functools
import itertools
import os
import sys
from pathlib import Path

import command
import photos
from command import UserError
from photos.page import MIN_CONFIDENCE, SURE, Page

boxes = command.later("photos.boxes")
cleaning = command.later("photos.cleaning")
drawing = command.later("photos.drawing")
exports = command.later("photos.exports")
files = command.later("photos.files")
pdf = command.later("photos.pdf")
image_files = command.later("words.image_files")
models = command.later("words.models")
tqdm = command.later("tqdm")

FORMATS = {"json": ".json", "text": ".txt", "hocr": ".hocr", "alto": ".alto.xml", "page_xml": ".page.xml", "pdf": ".pdf",
           "markdown": ".md", "xmp": ".xmp"}


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add = parser.add_argument
    add("--image_path", required=True, help="a photo, a PDF, or a folder of them; with --ray, also s3://... or gs://...")
    add("--result_path", required=True, type=Path, help="folder for the results")
    add("--model_path", default=photos.PAGES, help="page network, a model folder (default: this project's models/pages)")
    add("--words", default=photos.WORDS, help="word recogniser, a model folder (default: this project's models/notes)")
    add("--lexicon", default="en", metavar="FILE", help="what to read by: en (default), English; none; or a file with a "
                                                       "word a line, and how often it occurs")
    add("--top_paths", type=command.whole(1, 1000), default=1, metavar="N", help="keep the N likeliest texts of each word")
    add("--min_confidence", type=command.number(0, 1), default=MIN_CONFIDENCE,
        help=f"leave out words that are read less surely (default {MIN_CONFIDENCE}: arrows and parts of drawings mostly); 0 "
             "also keeps dots and dashes beside no word, and what only the lexicon sees")
    add("--hocr", action="store_true", help="also write hOCR")
    add("--alto", action="store_true", help="also write ALTO XML")
    add("--page_xml", action="store_true", help="also write PAGE XML")
    add("--pdf", action="store_true", help="also write a searchable PDF: the photo, or a scanned PDF with all its pages, "
                                           "and over it the words, unseen; those in whose place a PDF has text already are "
                                           "left out")
    add("--markdown", action="store_true", help="also write Markdown")
    add("--xmp", action="store_true", help="also write a sidecar for photo managers, with the text as the photo's "
                                            "description")
    add("--draw", type=Path, metavar="DIR", help="save each photo with its words and what was read, green where sure, red "
                                                 "where not")
    add("--ink", type=Path, metavar="DIR", help="save the ink of each photo, black on white")
    add("--clean", action="store_true", help="with --ink: in its own colours")
    add("--boxes_only", action="store_true", help="find words, read none: writes boxes.json for predict.py")
    add("--ray", metavar="HOST:PORT", help="read by a Ray cluster and write Parquet, a row a word; local: one on this "
                                           "machine, a reader a processor")
    add("--resume", action="store_true", help="leave out the photos that an earlier run has done")
    add("--overwrite", action="store_true", help="replace the files of an earlier run")
    add("--threads", type=command.whole(1, 1024), default=os.cpu_count() or 1, help="of the networks and the search")
    args = parser.parse_args(argv)
    if args.clean and not args.ink:
        raise UserError("--clean goes with --ink")
    if args.resume and args.overwrite:
        raise UserError("--resume keeps what --overwrite replaces; leave one out")
    of_texts = [name for name in (*list(FORMATS)[2:], "lexicon", "min_confidence", "top_paths")
                if getattr(args, name) != parser.get_default(name)]
    if args.boxes_only and of_texts:
        raise UserError(f"--boxes_only reads no words; leave --{of_texts[0]} out")
    of_files = [name for name in (*list(FORMATS)[2:], "draw", "ink", "boxes_only", "threads")
                if getattr(args, name) != parser.get_default(name)]
    if args.ray and of_files:
        raise UserError(f"--ray writes Parquet alone, with a thread a reader; leave --{of_files[0]} out")
    if photos.in_bucket(args.image_path) and not args.ray:
        raise UserError(f"{args.image_path}: a bucket is read with --ray local, or by a cluster")
    if not photos.in_bucket(args.image_path):
        args.image_path = Path(args.image_path)
    return args


class Results:
    """The files that are written of each photo."""

    def __init__(self, folder, formats, drawings=None, ink=None, cleaned=False):
        """folder: of the files in `formats`, names of FORMATS; drawings, ink: folders, or None."""
        self.folder, self.formats, self.drawings, self.ink, self.cleaned = folder, formats, drawings, ink, cleaned

    def paths(self, name):
        """{what: path} of a photo's files; the first of `formats` is written last, and says that all is done."""
        formats = [what for what in self.formats if what != "pdf" or not files.in_pdf(name)]
        paths = {what: Path(self.folder, name + FORMATS[what]) for what in reversed(formats)}
        if self.drawings:
            paths = {"draw": drawing.drawing_path(self.drawings, name), **paths}
        if self.ink:
            paths = {"ink": Path(self.ink, f"{name}.png"), **paths}
        return paths

    def scan_path(self, file):
        """The path of the searchable PDF of a scanned one."""
        return Path(self.folder, file + FORMATS["pdf"])

    def json_paths(self, names):
        """[path or None] of the JSON files of a scan's pages, None for one that could not be read."""
        paths = [self.paths(name)["json"] for name in names]
        return [path if path.exists() else None for path in paths]

    def scan_done(self, file, names):
        """Whether the PDF of a scan with the pages `names` is there, and no page was read after it was written."""
        path = self.scan_path(file)
        return path.exists() and all(page.stat().st_mtime_ns <= path.stat().st_mtime_ns
                                     for page in self.json_paths(names) if page)

    def check(self, root, names, among, keep):
        """UserError if the files are among the photos, or are there already and may not be kept.

        root, names: of the photos. among: the folder that is searched for photos, or None.
        """
        for what, folder in (("result_path", self.folder if "pdf" in self.formats else None), ("draw", self.drawings),
                             ("ink", self.ink)):
            if among and folder and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(among)):
                raise UserError(f"--{what} {folder}: is among the photos, and the next run would read what is in it; name "
                                "another")
        scans = {files.file_of(name) for name in names if "pdf" in self.formats and files.in_pdf(name)}
        for file, path in [*((name, path) for name in names for path in self.paths(name).values()),
                           *((file, self.scan_path(file)) for file in scans)]:
            if os.path.lexists(path) and not keep:
                raise UserError(f"{path}: is there already; --resume goes on, --overwrite replaces it")
            if os.path.realpath(path) == os.path.realpath(Path(root, file)):
                raise UserError(f"{path}: is the photo itself; name another folder")

    def done(self, name):
        return all(path.exists() for path in self.paths(name).values())

    def write(self, root, page, pixels, ink):
        for what, path in self.paths(page.file).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if what == "draw":
                drawing.draw(path, pixels, page.words)
            elif what == "ink":
                image_files.write_image(path, cleaning.clean(pixels, ink) if self.cleaned else ink == 0)
            else:
                with command.written_whole(path) as beside:
                    if what == "pdf":
                        pdf.write_photo(beside, page, pixels, Path(root, page.file))
                    else:
                        beside.write_bytes(getattr(exports, what)(page).encode("utf8", "surrogateescape"))

    def write_scan(self, root, file, names):
        """Write the searchable PDF of a scanned one, with the words in the JSON files of its pages `names`."""
        pages = (path and boxes.read_page(path) for path in self.json_paths(names))
        self.scan_path(file).parent.mkdir(parents=True, exist_ok=True)
        with command.written_whole(self.scan_path(file)) as beside:
            pdf.write_scan(beside, Path(root, file), pages)


class Run:
    """A run over photos: reads them, and keeps what is found.

    words, doubtful: how many are found so far, and how many of them doubtful. errors: [name, why not] of unreadable photos.
    """

    def __init__(self, reader, root, results, journal=None, **options):
        """root: the photos' folder. journal: a boxes.Journal that keeps them too. options: of `reader.look`."""
        self.reader, self.root, self.results, self.journal, self.options = reader, root, results, journal, options
        self.words, self.doubtful, self.errors = 0, 0, []

    def read(self, names, done):
        """Read the photos `names`, but for those of the set `done`, and write the PDFs of the scans among them."""
        with tqdm.tqdm(total=len(names) - len(done), unit="photo", dynamic_ncols=True) as progress:
            for file, group in itertools.groupby(names, files.file_of):
                group = list(group)
                for name in group:
                    if name not in done:
                        self.read_photo(name)
                        progress.set_postfix_str(command.count(self.words, "word"), refresh=False)
                        progress.update()
                if "pdf" in self.results.formats and files.in_pdf(group[0]) and not self.results.scan_done(file, group):
                    self.write_scan(file, group)

    def read_photo(self, name):
        page = Page(name)
        try:
            pixels = files.load_photo(self.root, page)
            page, ink = self.reader.look(pixels, name, **self.options)
        except ValueError as error:
            page.error = str(error)
            self.note(name, error)
        else:
            self.results.write(self.root, page, pixels, ink)
        if self.journal:
            self.journal.add(page)
        self.words += len(page.words)
        self.doubtful += doubtful(page)

    def write_scan(self, file, names):
        try:
            self.results.write_scan(self.root, file, names)
        except (ValueError, UserError) as error:
            self.note(file, error)

    def note(self, name, error):
        self.errors.append([name, str(error)])
        tqdm.tqdm.write(f"{name}: {error}", file=sys.stderr)


def read_by_cluster(address, path, result_path, load_reader, models, resume, overwrite, **options):
    """Have photos read by a cluster, and write result_path/words-*.parquet; prints what became of it.

    path: of photos, or the URL of a bucket. load_reader: what loads a PageReader, here to try it. models: folders and files
    that it reads by. options: of `reader.look`.
    """
    import cluster
    cluster.check(address)
    from photos import buckets, parquet
    bucket = buckets.Bucket(path) if photos.in_bucket(path) else None
    unseen = []
    root, names = (bucket, bucket.names()) if bucket else files.find_photos(path.absolute(), unseen)
    errors_file, errors, words, unsure, read = result_path / "errors.csv", [], 0, 0, 0
    command.new_file(errors_file, resume or overwrite)
    load_reader()
    with command.new_folder(result_path), parquet.Parts(result_path, resume, overwrite) as parts:
        items = [(name, parts.pages(name)) for name in names if not parts.has(name)]
        results = cluster.results(address, functools.partial(parquet.Worker, root, load_reader, options), items, same=models)
        answered = not items
        try:
            with contextlib.closing(results), tqdm.tqdm(total=len(items), unit="photo", dynamic_ncols=True) as progress:
                for pages in results:
                    answered = True
                    progress.total += len(pages) - 1
                    for page in pages:
                        read += 1
                        if page.error:
                            errors.append([page.file, page.error])
                            tqdm.tqdm.write(f"{page.file}: {page.error}", file=sys.stderr)
                        else:
                            parts.add(page)
                            words += len(page.words)
                            unsure += doubtful(page)
                        progress.set_postfix_str(command.count(words, "word"), refresh=False)
                        progress.update()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; what is done is in {result_path}: --resume goes on") from None
        finally:
            if answered:  # else no cluster was joined, and nothing is done
                write_errors(errors_file, unseen, errors)
        before = bool(parts.done)
    print_counts(read, words, unsure, errors, unseen, errors_file, before)


def write_errors(path, unseen, errors):
    """errors.csv: a row for each folder that could not be looked into, and for each [name, why not] of a photo."""
    command.write_csv(path, [["file", "error"], *([name, "cannot be looked into"] for name in unseen), *errors])


def doubtful(page):
    """How many words of a Page are doubtful; none where they were found only, not read."""
    return sum(word.confidence is not None and word.confidence < SURE for word in page.words)


def print_counts(count, words, unsure, errors, unseen, errors_file, before):
    """Say how a run over `count` photos went; UserError if none could be read, now or `before`."""
    print(f"{command.count(count, 'photo')}, {command.count(words, 'word')}" + f" ({unsure:,} doubtful)" * bool(unsure)
          + f", {len(errors):,} unreadable" + f"; {command.count(len(unseen), 'folder')} closed" * bool(unseen)
          + f": see {errors_file}" * bool(errors or unseen))
    if 0 < count <= len(errors) and not before:
        raise UserError(f"no photo could be read; {errors_file} says why")


def main(argv=None):
    args = parse_args(argv)
    for folder in (args.model_path, *([] if args.boxes_only else [args.words])):
        models.find_model(folder)
    options = {"top_paths": args.top_paths, "min_confidence": args.min_confidence}
    if args.ray:
        return read_by_cluster(args.ray, args.image_path, args.result_path, functools.partial(
            photos.load_reader, args.model_path, args.words, lexicon=args.lexicon, threads=1),
            [name for name in (args.model_path, args.words, args.lexicon) if name], args.resume, args.overwrite, **options)
    unseen = []
    root, names = files.find_photos(args.image_path, unseen)
    formats = [] if args.boxes_only else ["json", "text", *(name for name in list(FORMATS)[2:] if getattr(args, name))]
    results = Results(args.result_path, formats, args.draw, args.ink, args.clean)
    results.check(root, names, args.image_path if args.image_path.is_dir() else None, args.resume or args.overwrite)
    boxes_file, errors_file = (args.result_path / name for name in ("boxes.json", "errors.csv"))
    for path in (*([boxes_file] if args.boxes_only else []), errors_file):
        command.new_file(path, args.resume or args.overwrite)
    with command.new_folder(args.result_path, *filter(None, (args.draw, args.ink))):
        journal = boxes.Journal(boxes_file, keep=args.resume) if args.boxes_only else None
        done = {name for name in names if args.resume and results.done(name) and (not journal or journal.done(name))}
        reader = photos.load_reader(args.model_path, None if args.boxes_only else args.words, lexicon=args.lexicon,
                                    threads=args.threads)
        run = Run(reader, root, results, journal, **options)
        try:
            with journal or contextlib.nullcontext():
                run.read(names, done)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; what is done is in {args.result_path}: --resume goes on") from None
        finally:
            write_errors(errors_file, unseen, run.errors)
    print_counts(len(names) - len(done), run.words, run.doubtful, run.errors, unseen, errors_file, bool(done))


if __name__ == "__main__":
    command.run(main)
