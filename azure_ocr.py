"""Photos -> boxes.json: every word on them, its text and where it stands, from Azure's Image Analysis 4.0 "Read".

    export VISION_KEY=... VISION_ENDPOINT=https://NAME.cognitiveservices.azure.com
    python azure_ocr.py -p photos -o boxes.json                                # asks before it sends anything
    python azure_ocr.py -p photos -o boxes.json --max_images 100 --yes         # sends, and pays for, 100 at most
    python azure_ocr.py -p photos -o boxes.json --retry --yes                  # also those that failed before
    python azure_ocr.py -p photos -o boxes.json --crops my_words --draw drawn  # word images for train.py, and drawings

Needs Microsoft's client library, `pip install azure-ai-vision-imageanalysis`, and a key of an Azure AI Vision resource.
Each photo is kept as soon as it is done: the same command again sends only what is missing. Where nothing is, as
with a boxes.json by hand, --crops and --draw need neither library nor key. boxes.json: see docs/formats.md.
"""
import dataclasses
import email.utils
import io
import math
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image
from tqdm import tqdm

import command
from command import UserError
from photos import boxes, drawing
from photos.cutting import cut
from photos.files import load_photo, pages_of
from photos.page import Page, Word, file_of
from words.image_files import IMAGE_FORMATS, check_image, write_image
from words.lists import IMAGE_SUFFIXES, image_names

# The service's limits (Image Analysis 4.0, input requirements), and of its formats those that need no conversion.
MIN_SIDE, MAX_SIDE, MAX_BYTES = 50, 16000, 20_000_000
SENT_AS_IT_IS = ("JPEG", "MPO", "PNG", "BMP", "WEBP")
ORIENTATION = 0x0112  # EXIF's number for it
BACK_OFF = 2  # seconds before the second attempt; twice as many before each next one
LONGEST_WAIT = 600  # seconds; a service that asks for more is come back to by hand
LONGEST_NAME = 40  # characters of a word's text in a file name


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add, number = parser.add_argument, command.number
    add("-p", "--images_path", type=Path, required=True, help="folder of photos, or one photo")
    add("-k", "--subscription_key", help="the resource's key; better in the environment as VISION_KEY, where no list of "
                                         "processes shows it")
    add("--endpoint", help="the resource's address (default: VISION_ENDPOINT of the environment)")
    add("-o", "--output", type=Path, default=Path("boxes.json"), help="file to write, or go on with (default boxes.json)")
    add("--max_images", type=command.whole(1), help="send that many photos at most")
    add("--per_minute", type=number(0.01, 1e6), default=20, help="calls a minute at most (default 20, as the "
                                                                      "free tier allows)")
    add("--attempts", type=command.whole(1), default=5, help="calls for one photo at most, if the service is busy or fails "
                                                             "(default 5)")
    add("--timeout", type=number(0.01, 1e6), default=60, help="seconds to wait for an answer (default 60)")
    add("--retry", action="store_true", help="send the photos that failed before once more")
    add("--yes", action="store_true", help="send without asking")
    add("--crops", type=Path, metavar="DIR", help="cut every word upright into DIR, with a labels.csv for train.py")
    add("--min_confidence", type=number(0, 1), default=0, help="with --crops: leave out words that the service "
                                                                        "is less sure of")
    add("--draw", type=Path, metavar="DIR", help="save each photo with its boxes and words, green where sure, red where not")
    add("--overwrite", action="store_true", help="write into a --crops folder that is not empty, and over drawings")
    args, unknown = parser.parse_known_args(argv)
    if unknown:  # without values: one may be a key
        names = ", ".join(word.split("=")[0] for word in unknown if word.startswith("--")) or "a word after no option"
        raise UserError(f"not understood: {names}; --help lists the options")
    return args


# --- A photo as it is sent ------------------------------------------------------------------------------------

class PhotoError(Exception):
    """Why the service has no words of a photo; its text goes into boxes.json."""


def to_send(path):
    """(bytes to send, (width, height) of the upright photo, of what is sent). PhotoError if it cannot be sent.

    The file as it is, unless it is turned by EXIF data, over the service's limits or in a format that the service may not
    know: then a JPEG of its upright pixels, scaled down as far as the limits ask.
    """
    try:
        pixels = load_photo(path.parent, Page(path.name))
    except ValueError as error:
        raise PhotoError(str(error)) from None
    size = pixels.shape[1::-1]
    if min(size) < MIN_SIDE:
        raise PhotoError(f"{size[0]} x {size[1]} pixels are too few: the service reads {MIN_SIDE} x {MIN_SIDE} and more")
    with Image.open(file_of(str(path)), formats=IMAGE_FORMATS) as image:
        as_it_is = (image.format in SENT_AS_IT_IS and image.getexif().get(ORIENTATION, 1) == 1
                    and (image.format == "MPO" or getattr(image, "n_frames", 1) == 1))
    if as_it_is and max(size) <= MAX_SIDE and os.path.getsize(path) < MAX_BYTES:
        return path.read_bytes(), size, size
    scale = min(1, MAX_SIDE / max(size))
    while True:
        sent = tuple(round(side * scale) for side in size)
        if min(sent) < MIN_SIDE:
            raise PhotoError(f"{size[0]} x {size[1]} pixels cannot be scaled to the service's {MIN_SIDE} to {MAX_SIDE}")
        image, content = Image.fromarray(pixels), io.BytesIO()
        (image if sent == size else image.resize(sent, Image.Resampling.LANCZOS)).save(content, "JPEG", quality=95)
        if content.tell() < MAX_BYTES:
            return content.getvalue(), size, sent
        scale *= 0.8


# --- The service ----------------------------------------------------------------------------------------------

class Service:
    """Azure's Image Analysis 4.0. service.read(content) gives the words of a photo."""

    def __init__(self, endpoint, key, attempts, per_minute, timeout):
        try:
            from azure.ai.vision.imageanalysis import ImageAnalysisClient
            from azure.core import exceptions
            from azure.core.credentials import AzureKeyCredential
        except ImportError:
            raise UserError("Azure's client library is missing: pip install azure-ai-vision-imageanalysis") from None
        self.errors, self.key, self.endpoint = exceptions, check_key(key), check_endpoint(endpoint)
        self.attempts, self.pause, self.timeout, self.next_call = attempts, 60 / per_minute, timeout, 0
        # Retries are made here, by --attempts; a redirect would take the key to another place.
        self.client = ImageAnalysisClient(self.endpoint, AzureKeyCredential(self.key), retry_total=0, permit_redirects=False,
                                          connection_timeout=min(timeout, 20), read_timeout=timeout)

    def read(self, content):
        """The Words on an image, bytes, in the pixels of what was sent.

        Raises PhotoError if the service has none of this photo, UserError if it would have none of any.
        """
        for attempt in range(1, self.attempts + 1):
            time.sleep(max(0, self.next_call - time.monotonic()))
            self.next_call = time.monotonic() + self.pause
            try:
                return words_of(self.client.analyze(content, visual_features=["read"]).as_dict())
            except (self.errors.AzureError, KeyError, TypeError, ValueError, AttributeError) as error:
                failure, again = self.judge(error)
                if not again or attempt == self.attempts:
                    raise failure from None
                self.wait(error, attempt, failure)

    def wait(self, error, attempt, failure):
        """Wait as long as the service asks; where it does not say, longer from time to time."""
        asked = retry_after(getattr(getattr(error, "response", None), "headers", {}).get("Retry-After"))
        if asked is not None and asked > LONGEST_WAIT:
            raise UserError(f"{failure}; the service asks to wait {asked:.0f} s: run the same command again later") from None
        seconds = BACK_OFF * 2 ** (attempt - 1) if asked is None else asked
        tqdm.write(f"{failure}; trying again in {seconds:.0f} s", file=sys.stderr)
        time.sleep(seconds)

    def judge(self, error):
        """(PhotoError or UserError, whether to try again) of an error of the client library."""
        errors, status = self.errors, getattr(error, "status_code", None)
        address = f"--endpoint {self.endpoint}"
        if isinstance(error, errors.ServiceRequestTimeoutError):
            return UserError(f"{address}: no connection; what is done is kept: run the same command again"), True
        if isinstance(error, errors.ServiceRequestError):  # no such host, refused, no network, a bad certificate
            return UserError(f"{address}: cannot be reached ({self.tell(error)}); check it and the network; what is done is "
                             "kept: run the same command again"), False
        if isinstance(error, errors.ServiceResponseTimeoutError):
            return PhotoError(f"no answer within {self.timeout:g} s"), True
        if isinstance(error, (errors.ServiceResponseError, errors.IncompleteReadError)):
            return UserError("the connection was cut; what is done is kept: run the same command again"), True
        if status in (404, 405) or 300 <= (status or 0) < 400 or getattr(error, "doc", "").lstrip()[:1] == "<":  # HTML
            return UserError(f"{address}: no Image Analysis 4.0 there ({status or 'a web page'}); copy it from the "
                             "resource's page Keys and Endpoint, and see whether its region offers the service"), False
        if not isinstance(error, errors.HttpResponseError) or status == 200:
            return PhotoError("the service's answer makes no sense"), True
        if status == 401:
            return UserError("the service refuses the key (401); check --subscription_key or VISION_KEY, and that "
                             f"{address} belongs to it"), False
        if status == 403:
            return UserError(f"the service refuses the call (403: {self.tell(error)}); check the resource's quota and "
                             "network rules"), False
        if status == 429:
            return UserError("the service has too many calls (429); lower --per_minute, or run the same command later"), True
        return PhotoError(f"the service answers {status}: {self.tell(error)}"), status >= 500 or status == 408

    def tell(self, error):
        """What an error says, on one line, short, without the key."""
        code = getattr(error, "error", None)  # what the service itself says
        message = getattr(code, "message", None) or getattr(error, "reason", None) or error
        return " ".join(str(message).replace(self.key, "***").split())[:200]


def check_key(key):
    key = (key or os.environ.get("VISION_KEY") or "").strip()
    if not re.fullmatch(r"[!-~]+", key):  # others cannot be sent, and an error of HTTP's would show it
        raise UserError("a key with unusual characters cannot be right; copy it again" if key else
                        "no key: give -k/--subscription_key, or set VISION_KEY")
    return key


def check_endpoint(endpoint):
    """The endpoint, without a slash at its end; over plain HTTP only on this machine, as the key goes there."""
    endpoint = (endpoint or os.environ.get("VISION_ENDPOINT") or "").strip().rstrip("/")
    if not endpoint:
        raise UserError("no endpoint: give --endpoint https://NAME.cognitiveservices.azure.com, or set VISION_ENDPOINT")
    if not re.fullmatch(r"(https://[\w-]{1,63}(\.[\w-]{1,63})*|http://(localhost|127\.0\.0\.1))(:[1-9]\d{0,4})?(/[\w./-]*)?",
                        endpoint, re.IGNORECASE):
        raise UserError("--endpoint must be like https://NAME.cognitiveservices.azure.com")  # not shown: it may be the key
    return endpoint


def retry_after(value):
    """Seconds of a Retry-After header, which holds seconds or a date; None if it is missing or makes no sense."""
    try:
        seconds = float(value) if re.fullmatch(r"[\d.]+", value or "") else (
            email.utils.parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        return max(0.0, seconds)
    except (TypeError, ValueError):
        return None


def words_of(answer):
    """The Words of the service's answer; KeyError, TypeError or ValueError if it makes no sense."""
    lines = [line for block in answer["readResult"]["blocks"] for line in block["lines"]]
    words = [{"text": word["text"].encode("utf8", "replace").decode(), "confidence": float(word["confidence"]),
              "polygon": [[float(point["x"]), float(point["y"])] for point in word["boundingPolygon"]], "line": number}
             for number, line in enumerate(lines) for word in line["words"]]
    boxes.validator()({"version": boxes.VERSION, "photos": [{"file": "photo", "words": words}]})  # raises ValueErrors
    return [Word.from_dict(word) for word in words]


def scale_back(words, size, sent):
    """The words with polygons in the pixels of the photo, `size` (width, height), from those of what was sent."""
    return [dataclasses.replace(word, polygon=[[round(x * size[0] / sent[0], 1), round(y * size[1] / sent[1], 1)]
                                               for x, y in word.polygon]) for word in words]


# --- The run --------------------------------------------------------------------------------------------------

def label(service, root, names, journal):
    """Send the photos `names` in the folder `root`; each is in the journal as soon as it is done."""
    with journal:
        for name in tqdm(names, unit="photo", dynamic_ncols=True):
            page = Page(name)
            try:
                content, (page.width, page.height), sent = to_send(root / name)
                page.words = scale_back(service.read(content), (page.width, page.height), sent)
            except PhotoError as error:
                page.error = str(error)
                tqdm.write(f"{name}: {error}", file=sys.stderr)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"stopped; what is done is in {journal.path}: the same command goes on") from None
            journal.add(page)
    done = [journal.pages[name] for name in names]
    failed, words = sum(bool(page.error) for page in done), sum(len(page.words) for page in done)
    print(f"{journal.path}: {command.count(len(names) - failed, 'more photo')} with {command.count(words, 'word')}"
          + f"; {failed:,} failed, --retry sends them again" * bool(failed))


def ask_first(endpoint, calls):
    """UserError unless the person at the terminal allows the calls."""
    if not sys.stdin or not sys.stdin.isatty():
        raise UserError("nothing sent: nobody to ask; --yes sends without asking")
    print(f"send {command.count(calls, 'photo')} to {endpoint}? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("nothing sent, as you said")


def choose(names, journal, retry, most, per_minute):
    """The names to send, `most` or fewer, after saying how many photos and calls there are."""
    failed = [name for name in names if name in journal.pages and journal.pages[name].error]
    missing = [name for name in names if name not in journal.pages or (retry and name in failed)]
    chosen = missing[:most]
    print(f"{command.count(len(names), 'photo')}, {len(names) - len(missing):,} in {journal.path} already"
          + (f" ({len(failed):,} of them failed: --retry)" if failed and not retry else "")
          + f"; to send now: {command.count(len(chosen), 'photo')}, {command.count(len(chosen), 'call')}" + (
              f" (more only where one has to be made again), {math.ceil(len(chosen) / per_minute):,} min or more at "
              f"{per_minute:g} a minute" if chosen else ""), flush=True)
    return chosen


# --- Crops and drawings ---------------------------------------------------------------------------------------

def crop(folder, number, page, pixels, min_confidence):
    """Cut the words of a photo, the `number`th, into `folder`: rows of labels.csv, and of skipped.csv."""
    labels, skipped = [], []
    file = page.file.encode("utf8", "backslashreplace").decode()  # train.py reads UTF-8 only
    for box, word in enumerate(page.words):
        confidence = 1 if word.confidence is None else word.confidence
        letters = "".join(filter(str.isalnum, word.text))[:LONGEST_NAME]
        pixels_of_word, reason = cut(pixels, word.polygon)
        if confidence < min_confidence:
            reason = f"less sure than {min_confidence:g}"
        reason = reason or ("" if letters else "no letter or digit in its text")
        if reason:
            skipped.append([file, box, word.text, reason])
            continue
        name = f"_{letters}_{number:05}-{box:04}.png"
        write_image(folder / name, pixels_of_word)
        labels.append([name, word.text, file, box, confidence, file])
    return labels, skipped


def finish(root, pages, crops, min_confidence, drawings):
    """Write the crops and drawings of photos, each decoded once, into the folders `crops` and `drawings`, or None."""
    labels, skipped = [], []
    for number, page in enumerate(tqdm(pages, unit="photo", dynamic_ncols=True)):
        if page.error:
            continue
        try:
            pixels = load_photo(root, page)
        except ValueError as error:
            skipped.append([page.file, "", "", str(error)])
            tqdm.write(f"{page.file}: {error}", file=sys.stderr)
            continue
        if crops:
            rows = crop(crops, number, page, pixels, min_confidence)
            labels += rows[0]
            skipped += rows[1]
        if drawings:
            drawing.draw(drawing.drawing_path(drawings, page.file), pixels, page.words)
    if crops:
        write_tables(crops, labels, skipped)
    if drawings:
        print(f"{drawings}: the photos with their boxes")


def write_tables(folder, labels, skipped):
    """labels.csv for train.py, and skipped.csv."""
    # writer: a split by it keeps a photo's words on one side, where there are several photos
    if len({file for _, _, file, *_ in labels}) < 2:
        labels = [[*row, ""] for *row, _ in labels]
    command.write_csv(folder / "labels.csv", [["file", "text", "photo", "box", "confidence", "writer"], *labels])
    command.write_csv(folder / "skipped.csv", [["photo", "box", "text", "reason"], *skipped])
    print(f"{folder}: {command.count(len(labels), 'word')}; {len(skipped):,} left out, see skipped.csv")


def find_photos(path):
    """(folder, names of the photos in it, a TIFF's pages each) of a folder, or of one photo."""
    if path.is_dir():
        root, names = path, image_names(path)
    elif path.exists():
        root, names = path.parent, [path.name]
        try:
            check_image(path)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
    else:
        raise UserError(f"{path}: no such file or folder")
    if not names:
        raise UserError(f"{path}: no photo in it; {', '.join(IMAGE_SUFFIXES)} are read")
    return root, [name for file in names for name in pages_of(root, file)]


def check_folders(images_path, root, names, crops, drawings, overwrite):
    """UserError if the folders for crops and drawings hold something already, or are among the photos."""
    if crops and not command.is_empty(crops) and not overwrite:
        raise UserError(f"{crops}: the folder is not empty; choose another for --crops, or say --overwrite")
    if drawings:
        drawing.new_drawings(drawings, root, names, overwrite)
    for name, folder in (("crops", crops), ("draw", drawings)):
        if folder and images_path.is_dir() and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root)):
            raise UserError(f"--{name} {folder}: is among the photos, and the next run would send what is in it; "
                            "name another")


def main(argv=None):
    args = parse_args(argv)
    root, names = find_photos(args.images_path)
    check_folders(args.images_path, root, names, args.crops, args.draw, args.overwrite)
    with command.new_folder(args.output.parent, *filter(None, (args.crops, args.draw))):
        journal = boxes.Journal(args.output)
        chosen = choose(names, journal, args.retry, args.max_images, args.per_minute)
        if chosen:
            service = Service(args.endpoint, args.subscription_key, args.attempts, args.per_minute, args.timeout)
            if not args.yes:
                ask_first(service.endpoint, len(chosen))
            label(service, root, chosen, journal)
        done = [journal.pages[name] for name in names if name in journal.pages]
        if done and all(page.error for page in done):
            raise UserError(f"no photo could be read; {args.output} says why, --retry sends them again")
        if args.crops or args.draw:
            finish(root, done, args.crops, args.min_confidence, args.draw)


if __name__ == "__main__":
    command.run(main)
