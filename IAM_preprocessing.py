"""The IAM handwriting database -> a folder of labelled word images that `train.py` and `predict.py` read.

    python3 IAM_preprocessing.py -p iam -np iam_words
    python3 IAM_preprocessing.py -p iam -np iam_exact --exact --segmentation ok
    python3 IAM_preprocessing.py -p iam -np iam_split --split trainset.txt validationset1.txt testset.txt

`-p` is IAM's own layout (https://fki.tic.heia-fr.ch/databases/iam-handwriting-database, free registration):

    iam/words/a01/a01-000u/a01-000u-00-00.png ...    words.tgz
    iam/xml/a01-000u.xml ... (or xml_data/)          xml.tgz, and/or
    iam/ascii/words.txt, iam/ascii/forms.txt         ascii.tgz

`-np` receives one `_text_id.png` a word, a copy of IAM's file byte for byte, and `labels.csv`: file, text,
segmentation (`ok`, or `err` where the word may be badly cut out), form, writer, and split with `--split`.
In file names, whatever is not a letter or digit is a `-`; the text to learn from is that of `labels.csv`.
What could not be used is named in `skipped.csv`: file, reason.
"""
import html
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

import command
from command import UserError
from words.image_files import read_image
from words.metrics import letters_and_digits

LAYOUT = "-p takes IAM's words/ beside xml/ or ascii/words.txt, from fki.tic.heia-fr.ch/databases"
MIN_LETTERS, MAX_LETTERS = 2, 30  # the seed's rule; letters and digits count
WORD_ID = re.compile(r"\w+-\w+-\w+-\w+")  # a01-000u-00-00: form a01-000u, line 00, word 00
# id, segmentation, grey level, [components,] x, y, w, h, tag, text. Only some versions have the components, so
# the tag is found as what follows the numbers. A text may hold spaces, a bounding box -1.
ASCII_LINE = re.compile(rf"({WORD_ID.pattern})\s+(ok|err?)\s+-?\d+(?:\s+-?\d+){{4,5}}\s+\S+\s+(.+)")
# an ampersand before anything that XML itself does not define: `&eacute;`, `AT&T`
NOT_XML_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)")


class Word(NamedTuple):
    """One labelled word of IAM."""
    id: str            # a01-000u-00-00
    text: str          # exact: case and punctuation as written
    segmentation: str  # "ok" or "err"
    writer: str        # "" when nothing tells

    @property
    def form(self):
        return form_of(self.id)

    @property
    def letters(self):
        return letters_and_digits(self.text)

    @property
    def source(self):  # below words/
        return Path(self.id.split("-")[0], self.form, f"{self.id}.png")

    @property
    def target(self):  # the same with and without --exact, so that --overwrite replaces and leaves no twins
        return f"_{re.sub('[^a-z0-9]', '-', self.text.lower())}_{self.id}.png"


def form_of(identifier):
    """The form of a form's, line's or word's id: `a01-000u` of `a01-000u-00-00`."""
    return "-".join(identifier.split("-")[:2])


# --- Labels ---------------------------------------------------------------------------------------------------

def read_labels(path):
    """All words of the IAM folder `path`: ({id: Word}, [(file, reason)] of what could not be read).

    The XML's word wins over that of `words.txt`, except for the segmentation, which `words.txt` says by the word.
    """
    writers = read_writers(path / "ascii" / "forms.txt")
    words, skipped = read_ascii(path / "ascii" / "words.txt", writers)
    for file in sorted([*path.glob("xml_data/*.xml"), *path.glob("xml/*.xml")]):
        try:
            found = read_xml(file, writers)
        except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter: an encoding that expat lacks
            skipped.append((str(file.relative_to(path)), f"not well-formed XML: {error}"))
            continue
        for word in found:
            if WORD_ID.fullmatch(word.id):
                words[word.id] = word._replace(segmentation=words.get(word.id, word).segmentation)
            else:
                skipped.append((str(file.relative_to(path)), f"not a word id: '{word.id}'"))
    return words, skipped


def lines_of(file):
    """(number, line) of a text file: no blank lines, nothing after a `#` that opens a line."""
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def read_writers(forms_txt):
    """{form: writer} of `ascii/forms.txt`, empty where there is no such file."""
    rows = [line.split() for _, line in lines_of(forms_txt)] if forms_txt.is_file() else []
    return {row[0]: row[1] for row in rows if len(row) > 1}


def read_ascii(words_txt, writers):
    """({id: Word}, [(line, reason)]) of `ascii/words.txt`, empty where there is none; `writers` is {form: writer}."""
    words, skipped = {}, []
    for number, line in lines_of(words_txt) if words_txt.is_file() else []:
        match = ASCII_LINE.fullmatch(line)
        if match:
            identifier, segmentation, text = match.groups()
            writer = writers.get(form_of(identifier), "")
            words[identifier] = Word(identifier, text, "ok" if segmentation == "ok" else "err", writer)
        else:
            skipped.append((f"ascii/words.txt:{number}", "not a line of IAM's words.txt"))
    return words, skipped


def read_xml(file, writers):
    """The [Word] of one form's XML; raises ElementTree.ParseError. `writers` serves where the XML names none."""
    form = ElementTree.fromstring(NOT_XML_ENTITY.sub(b"&amp;", file.read_bytes()))
    writer = form.get("writer-id") or writers.get(form.get("id", file.stem), "")
    # Some of IAM's texts are escaped twice (`&amp;quot;`): the parser undoes the first time, unescape the second.
    return [Word(word.get("id", ""), html.unescape(word.get("text", "")).strip(),
                 "ok" if line.get("segmentation", "ok") == "ok" else "err", writer)
            for line in form.iter("line") for word in line.iter("word")]


def read_splits(files):
    """{form: split} of lists of form ids, one a line; a line's or word's id stands for its form.

    A list is named for its file; IAM's own `trainset.txt`, `validationset1.txt`, `testset.txt` are train, valid, test.
    """
    listed_in = {}
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: no such file; --split takes text files with one form id a line")
        for number, line in lines_of(file):
            entry = line.split("#")[0].strip()
            if not re.fullmatch(r"\w+(-\w+){1,3}", entry):
                raise UserError(f"{file}:{number}: '{entry}' is no form id; write one a line, such as a01-000u")
            form = form_of(entry)
            if listed_in.setdefault(form, file) != file:
                raise UserError(f"form {form} is in {listed_in[form]} and in {file}; take it out of one of them")
    return {form: split_name(file.stem) for form, file in listed_in.items()}


def split_name(stem):
    """`trainset` -> `train`, `validationset1` -> `valid`, `testset` -> `test`; any other name stays."""
    usual = {"train": "train", "val": "valid", "test": "test"}
    return next((name for start, name in usual.items() if stem.lower().startswith(start)), stem)


# --- Choosing and copying -------------------------------------------------------------------------------------

def why_left_out(word, splits, exact, well_segmented):
    """The rule that leaves `word` out, or None.

    splits: {form: split} where --split is given, else None; exact: bool, keep words of few letters; well_segmented: bool,
    only words that IAM calls so.
    """
    if splits is not None and word.form not in splits:
        return "of a form in no --split list"
    if well_segmented and word.segmentation != "ok":
        return "badly segmented"
    if exact:
        return None if word.text else "without text"
    if len(word.letters) < MIN_LETTERS:
        return f"with fewer than {MIN_LETTERS} letters or digits"
    return f"with more than {MAX_LETTERS} letters or digits" if len(word.letters) > MAX_LETTERS else None


def copy_images(words, folder, new_folder):
    """Copy the images that can be read: ([Word] copied, [(file, reason)] of the others)."""
    copied, skipped = [], []
    for word in tqdm(words, unit="word"):
        try:
            read_image(folder / word.source)
        except ValueError as error:
            skipped.append((str(Path("words") / word.source), str(error)))
            continue
        with command.written_whole(new_folder / word.target) as beside:
            shutil.copyfile(folder / word.source, beside)
        copied.append(word)
    return copied, skipped


def write_results(new_path, words, skipped, splits, exact):
    """Write `labels.csv`, and `skipped.csv` if there is a reason; `splits` as in `why_left_out`."""
    labels = [["file", "text", "segmentation", "form", "writer"] + ["split"] * (splits is not None)]
    for word in words:
        text = word.text if exact else word.text.lower()
        labels.append([word.target, text, word.segmentation, word.form, word.writer])
        labels[-1] += [splits[word.form]] if splits is not None else []
    command.write_csv(new_path / "labels.csv", labels)
    if skipped or (new_path / "skipped.csv").exists():  # an older one would tell of another run
        command.write_csv(new_path / "skipped.csv", [["file", "reason"], *skipped])


def summary(words, copied, left_out, skipped, splits, new_path):
    """What was done, in a few lines of text."""
    lines = [f"forms     {len({word.form for word in words})} found, {len({word.form for word in copied})} used",
             f"words     {len(words)} found, {len(copied)} kept in {new_path}"]
    lines += [f"left out  {count} {rule}" for rule, count in left_out.most_common()]
    if splits is not None:
        counts = Counter(splits[word.form] for word in copied)
        lines.append("splits    " + ", ".join(f"{split} {counts[split]}" for split in dict.fromkeys(splits.values())))
    if skipped:
        named = "; ".join(f"{file}: {reason}" for file, reason in skipped[:3])
        lines.append(f"skipped   {len(skipped)} damaged or missing, all in {new_path / 'skipped.csv'}: {named}")
    return "\n".join(lines)


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("-p", "--path", type=Path, required=True, help="IAM: words/ beside xml/, xml_data/ or ascii/")
    parser.add_argument("-np", "--new_path", type=Path, required=True, help="folder for the images and labels.csv")
    parser.add_argument("--exact", action="store_true", help="keep every word, with its case and punctuation (default: "
                        f"lower case, and only words of {MIN_LETTERS} to {MAX_LETTERS} letters or digits)")
    parser.add_argument("--segmentation", choices=["all", "ok"], default="all",
                        help="ok: leave out the words that IAM calls badly segmented")
    parser.add_argument("--split", nargs="+", type=Path, metavar="FILE", help="lists of form ids, one a line; the "
                        "file's name becomes the column `split`, and words of forms in no list are left out")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")
    return parser.parse_args(argv)


def preprocess(path, new_path, splits, exact, well_segmented):
    """Copy and label the words of IAM at `path`; the others as in `why_left_out`."""
    words, skipped = read_labels(path)
    if not words:
        raise UserError(f"{path}: no labels to be read in xml/, xml_data/ or ascii/words.txt; {LAYOUT}")
    reasons = {identifier: why_left_out(word, splits, exact, well_segmented) for identifier, word in words.items()}
    left_out = Counter(filter(None, reasons.values()))
    wanted = [words[identifier] for identifier in sorted(words) if not reasons[identifier]]
    if not wanted:
        rules = ", ".join(f"{count} {rule}" for rule, count in left_out.most_common())
        raise UserError(f"none of {len(words)} words is kept: {rules}; try --exact, or other lists for --split")
    copied, damaged = copy_images(wanted, path / "words", new_path)
    if not copied:
        first = ": ".join(damaged[0])
        raise UserError(f"none of {len(wanted)} images can be read, such as {first}; {LAYOUT}")
    skipped += damaged
    write_results(new_path, copied, skipped, splits, exact)
    print(summary(words.values(), copied, left_out, skipped, splits, new_path))


def main(argv=None):
    args = parse_args(argv)
    if not (args.path / "words").is_dir():
        raise UserError(f"{args.path / 'words'}: no such folder; {LAYOUT}")
    splits = read_splits(args.split) if args.split else None
    with command.new_folder(args.new_path):
        if not args.overwrite and not command.is_empty(args.new_path):
            raise UserError(f"{args.new_path}: the folder is not empty; choose another for -np, or say --overwrite")
        preprocess(args.path, args.new_path, splits, args.exact, args.segmentation == "ok")


if __name__ == "__main__":
    command.run(main)
