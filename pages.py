"""Read whole photos: find the words on whiteboards, notebooks, flipcharts and notes, and read them.

    python pages.py --image_path my_photos --result_path out                     # out/board.jpg.json and .txt
    python pages.py --image_path scan.pdf --result_path out --lexicon en --pdf   # out/scan.pdf#1.pdf, searchable
    python pages.py --image_path my_photos --result_path out --resume            # goes on where a run broke off
    python pages.py --image_path my_photos --result_path out --draw drawn        # each photo with what was read on it
    python pages.py --image_path my_photos --result_path out --ink cleaned --clean  # the boards, cleaned
    python pages.py --image_path my_photos --result_path out --boxes_only        # out/boxes.json, for predict.py --boxes

--image_path: one photo (JPEG, PNG, WebP, TIFF, HEIC, ...), a PDF, or a folder of them with all that is below it. Each photo
and each page of a PDF has its files as soon as it is done; what cannot be read has a row in errors.csv.
"""
import contextlib
import os
import sys
from pathlib import Path

import command
import photos
from command import UserError
from photos.page import Page

boxes = command.later("photos.boxes")
cleaning = command.later("photos.cleaning")
drawing = command.later("photos.drawing")
exports = command.later("photos.exports")
files = command.later("photos.files")
pdf = command.later("photos.pdf")
images = command.later("words.images")
models = command.later("words.models")
tqdm = command.later("tqdm")

FORMATS = {"json": ".json", "text": ".txt", "hocr": ".hocr", "alto": ".alto.xml", "page_xml": ".page.xml", "pdf": ".pdf",
           "markdown": ".md", "xmp": ".xmp"}


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add = parser.add_argument
    add("--image_path", required=True, type=Path, help="a photo, a PDF, or a folder of them")
    add("--result_path", required=True, type=Path, help="folder for the results")
    add("--model_path", default="models/pages", help="page network, a model folder (default models/pages)")
    add("--words", default="models/notes", help="word recogniser, a model folder (default models/notes)")
    add("--lexicon", metavar="FILE", help="words to read by: en, or a file with a word a line, and how often it occurs")
    add("--top_paths", type=command.whole(1, 1000), default=1, metavar="N", help="keep the N likeliest texts of each word")
    add("--min_confidence", type=command.number(0, 1), default=0, help="leave out words that are read less surely")
    add("--hocr", action="store_true", help="also write hOCR")
    add("--alto", action="store_true", help="also write ALTO XML")
    add("--page_xml", action="store_true", help="also write PAGE XML")
    add("--pdf", action="store_true", help="also write a searchable PDF")
    add("--markdown", action="store_true", help="also write Markdown")
    add("--xmp", action="store_true", help="also write a sidecar for photo managers, with the text as the photo's "
                                            "description")
    add("--draw", type=Path, metavar="DIR", help="save each photo with its words and what was read, green where sure, red "
                                                 "where not")
    add("--ink", type=Path, metavar="DIR", help="save the ink of each photo, black on white")
    add("--clean", action="store_true", help="with --ink: in its own colours")
    add("--boxes_only", action="store_true", help="find words, read none: writes boxes.json for predict.py")
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
    return args


class Results:
    """The files that are written of each photo."""

    def __init__(self, folder, formats, drawings=None, ink=None, cleaned=False):
        """folder: of the files in `formats`, names of FORMATS; drawings, ink: folders, or None."""
        self.folder, self.formats, self.drawings, self.ink, self.cleaned = folder, formats, drawings, ink, cleaned

    def paths(self, name):
        """{what: path} of a photo's files; the first of `formats` is written last, and says that all is done."""
        paths = {what: Path(self.folder, name + FORMATS[what]) for what in reversed(self.formats)}
        if self.drawings:
            paths = {"draw": drawing.drawing_path(self.drawings, name), **paths}
        if self.ink:
            paths = {"ink": Path(self.ink, f"{name}.png"), **paths}
        return paths

    def check(self, root, names, among, keep):
        """UserError or OSError if the files cannot be written, or are there already and may not be kept.

        root, names: of the photos. among: the folder that is searched for photos, or None.
        """
        for what, folder in (("result_path", self.folder if "pdf" in self.formats else None), ("draw", self.drawings),
                             ("ink", self.ink)):
            if among and folder and folder.resolve().is_relative_to(among.resolve()):
                raise UserError(f"--{what} {folder}: is among the photos, and the next run would read what is in it; name "
                                "another")
        for folder in {self.folder, self.drawings, self.ink} - {None}:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise UserError(f"{folder}: cannot be written to; name another folder")
        for name in names:
            for path in self.paths(name).values():
                if os.path.lexists(path) and not keep:
                    raise UserError(f"{path}: is there already; --resume goes on, --overwrite replaces it")
                if path.resolve() == Path(root, name).resolve():
                    raise UserError(f"{path}: is the photo itself; name another folder")

    def done(self, name):
        return all(path.exists() for path in self.paths(name).values())

    def write(self, page, pixels, ink):
        for what, path in self.paths(page.file).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if what == "draw":
                drawing.draw(path, pixels, page.words)
            elif what == "ink":
                images.write_image(path, cleaning.clean(pixels, ink) if self.cleaned else ink == 0)
            else:
                content = pdf.searchable(page, pixels) if what == "pdf" else getattr(exports, what)(page).encode(
                    "utf8", "surrogateescape")
                with command.written_whole(path) as beside:
                    beside.write_bytes(content)


def read_photos(reader, root, names, results, journal, errors, **options):
    """Read the photos `names` in the folder `root`; returns how many words are on them.

    journal: a boxes.Journal that keeps them too, or None. errors: a list to which [name, why not] of the unreadable ones is
    added. options: of `reader.look`.
    """
    words = 0
    with tqdm.tqdm(names, unit="photo", dynamic_ncols=True) as progress:
        for name in progress:
            page = Page(name)
            try:
                pixels = files.load_photo(root, page)
                page, ink = reader.look(pixels, name, **options)
            except ValueError as error:
                page.error = str(error)
                errors.append([name, page.error])
                tqdm.tqdm.write(f"{name}: {error}", file=sys.stderr)
            else:
                results.write(page, pixels, ink)
            if journal:
                journal.add(page)
            words += len(page.words)
            progress.set_postfix_str(f"{words:,} words")
    return words


def main(argv=None):
    args = parse_args(argv)
    for folder in (args.model_path, *([] if args.boxes_only else [args.words])):
        models.find_model(folder)
    root, names = files.find_photos(args.image_path)
    formats = [] if args.boxes_only else ["json", "text", *(name for name in list(FORMATS)[2:] if getattr(args, name))]
    results = Results(args.result_path, formats, args.draw, args.ink, args.clean)
    results.check(root, names, args.image_path if args.image_path.is_dir() else None, args.resume or args.overwrite)
    boxes_file, errors_file = (args.result_path / name for name in ("boxes.json", "errors.csv"))
    for path in (*([boxes_file] if args.boxes_only else []), errors_file):
        command.new_file(path, args.resume or args.overwrite)
    with command.locked(args.result_path):
        journal = boxes.Journal(boxes_file, keep=args.resume) if args.boxes_only else None
        if args.resume:
            names = [name for name in names if not results.done(name) or journal and not journal.done(name)]
        reader = photos.load_reader(args.model_path, None if args.boxes_only else args.words, lexicon=args.lexicon,
                                    threads=args.threads)
        errors = []
        try:
            with journal or contextlib.nullcontext():
                words = read_photos(reader, root, names, results, journal, errors, top_paths=args.top_paths,
                                    min_confidence=args.min_confidence)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; what is done is in {args.result_path}: --resume goes on") from None
        finally:
            command.write_csv(errors_file, [["file", "error"], *errors])
    print(f"{len(names):,} photos, {words:,} words, {len(errors):,} unreadable" + f": see {errors_file}" * bool(errors))


if __name__ == "__main__":
    command.run(main)
