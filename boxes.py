"""Words on photos: the boxes.json format, words cut upright out of a photo, and drawings of what was read where.

    >>> import boxes
    >>> photo, = boxes.read("boxes.json")
    >>> pixels = boxes.load_photo("photos", photo)
    >>> word, reason = boxes.cut(pixels, photo["words"][0]["polygon"])

boxes.json is described in the README ("Your own photos") and by `boxes.schema.json`; azure_ocr.py writes it, a person or
another service may. A photo is a dict as in that file: file, words, and, where they are known, width, height and error.
"""
import colorsys
import concurrent.futures
import functools
import itertools
import json
from pathlib import Path

import cv2
import jsonschema
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import command
from command import UserError
from words.images import grey_of, prepare, read_image, write_image

Image.MAX_IMAGE_PIXELS = 16000 * 16000  # the largest photo that azure_ocr.py's service takes; Pillow refuses twice as many
VERSION = 1
SCHEMA = Path(__file__).with_name("boxes.schema.json")
COORDINATES = ("pixels of the upright photo (turned as its EXIF data say), x to the right and y down from its top-left "
               "corner; four corners a word, clockwise from the word's own top-left")


# --- The file -------------------------------------------------------------------------------------------------

def read(path):
    """The photos of a boxes.json, a list of dicts as the schema says; UserError where it is none. Never loads a pickle."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; azure_ocr.py writes one, or you by hand (README, Your own photos)") from None
    if is_pickle(content):
        raise UserError(f"{path}: a pickle, which may run anything when loaded, so it is not read; "
                        "README, Your own photos, shows how to convert it to boxes.json")
    try:
        document = json.loads(content.decode("utf-8-sig", "surrogateescape"))  # names of files may be any bytes
        json.dumps(document, ensure_ascii=False).encode("utf8", "surrogateescape")  # half a surrogate pair cannot be written
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); the format is in README, Your own photos") from None
    error = jsonschema.exceptions.best_match(validator().iter_errors(document))
    if error:
        message = error.message if len(error.message) < 200 else f"{error.message[:100]} ... {error.message[-90:]}"
        raise UserError(f"{path}: {error.json_path.removeprefix('$.')}: {message}; the format is in README, Your own photos")
    files = [photo["file"] for photo in document["photos"]]
    if len(set(files)) < len(files):
        twice = next(file for file in files if files.count(file) > 1)
        raise UserError(f"{path}: {twice} is in it twice; put all its words into one photo")
    return document["photos"]


@functools.cache
def validator():
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf8")))


def is_pickle(content):
    """Whether bytes are a pickle of any protocol: 2 and later begin with 0x80, all end with a stop; JSON does neither."""
    return content[:1] == b"\x80" or (content[:1] in (b"(", b"c", b"]", b"}") and content.rstrip()[-1:] == b".")


def write(path, photos):
    """Write a boxes.json, whole, a line a word."""
    def line(value):
        return json.dumps(value, ensure_ascii=False)

    parts = []
    for photo in photos:
        head = line({key: value for key, value in photo.items() if key != "words"})[:-1]
        words = ",\n".join("      " + line(word) for word in photo["words"])
        parts.append(f'    {head}, "words": [{words and chr(10)}{words}]}}')
    with command.written_whole(path) as beside, open(beside, "w", encoding="utf8", errors="surrogateescape") as file:
        file.write(f'{{\n  "version": {VERSION},\n  "coordinates": {line(COORDINATES)},\n  "photos": [\n')
        file.write(",\n".join(parts) + "\n  ]\n}\n")


# --- Photos and their words -----------------------------------------------------------------------------------

def load_photo(root, photo):
    """The upright pixels of a photo, uint8 [H, W] or [H, W, 3] (RGB). ValueError with a short reason if it cannot be read,
    or if it has not the size that its boxes were made for."""
    pixels = read_image(Path(root, photo["file"]))
    if pixels.dtype != np.uint8 or pixels.shape[2:] != (3,):
        pixels = grey_of(pixels)
    height, width = pixels.shape[:2]
    known = photo.get("width", width), photo.get("height", height)
    if known != (width, height):
        raise ValueError(f"the photo is {width} x {height} large, its boxes are for {known[0]} x {known[1]}")
    return pixels


def corners(polygon):
    """The corners of a word, float64 [4, 2] of x and y, clockwise from its top-left, of the four points of a polygon.

    The first point stands for the word's top-left; the others may be in any order. Where they are no four corners, as when
    one lies between others, it is the least rectangle around them, from its corner next to the first point. None if there
    is no number for a coordinate, or less than a pixel between opposite sides.
    """
    points = np.array(polygon, np.float64)
    if not np.isfinite(points).all():
        return None
    hull = cv2.convexHull(points.astype(np.float32), returnPoints=False).ravel()
    quad = points[hull] if len(hull) == 4 else cv2.boxPoints(cv2.minAreaRect(points.astype(np.float32))).astype(float)
    following = np.roll(quad, -1, axis=0)
    if (quad[:, 0] * following[:, 1] - quad[:, 1] * following[:, 0]).sum() < 0:  # twice the area; y points down
        quad = quad[::-1]
    quad = np.roll(quad, -np.argmin(np.abs(quad - points[0]).sum(axis=1)), axis=0)
    return None if min(sides(quad)) < 1 else quad


def sides(quad):
    """Width and height of a word upright, in pixels: means of the opposite sides of its corners, float [4, 2]."""
    top, right, bottom, left = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    return (top + bottom) / 2, (left + right) / 2


def clip(quad, width, height):
    """The part of a convex polygon, float [n, 2], in a photo: float [m, 2], none outside (Sutherland, Hodgman, 1974)."""
    for axis, limit, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        inside = sign * (quad[:, axis] - limit)
        kept = []
        for k, (point, depth) in enumerate(zip(quad, inside)):
            before = inside[k - 1]
            if (depth < 0) != (before < 0):
                kept.append(point + (quad[k - 1] - point) * depth / (depth - before))
            if depth >= 0:
                kept.append(point)
        quad = np.array(kept).reshape(-1, 2)
    return quad


def cut(photo, polygon):
    """A word upright out of a photo, its perspective corrected: (uint8 [h, w] or [h, w, 3], "") or (None, why not).

    photo: uint8 [H, W] or [H, W, 3]; polygon: four points as in boxes.json, see `corners`. The part outside the photo is
    left out. An upright box at whole pixels is copied as it is.
    """
    quad = corners(polygon)
    if quad is None:
        return None, "the box has no area"
    visible = clip(quad, photo.shape[1], photo.shape[0])
    if len(visible) < 3 or min(np.ptp(visible, axis=0)) < 1:
        return None, "the box is outside the photo"
    x, y = np.maximum(np.floor(visible.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.ceil(visible.max(axis=0)).astype(int) + 1
    window = photo[y:bottom, x:right]
    if max(window.shape) > 32766:  # what OpenCV can warp
        return None, "the box is larger than 32,766 pixels"
    size = np.maximum(np.round(sides(quad)), 1)
    upright = np.array([[0, 0], [size[0], 0], size, [0, size[1]]], np.float32)
    matrix = cv2.getPerspectiveTransform((quad - (x, y)).astype(np.float32), upright)
    seen = cv2.perspectiveTransform((visible - (x, y))[np.newaxis], matrix)[0]
    first = np.clip(np.floor(seen.min(axis=0) + 1e-3), 0, size - 1)
    extent = np.maximum(np.clip(np.ceil(seen.max(axis=0) - 1e-3), 0, size) - first, 1)
    scale = np.minimum(1, np.hypot(*photo.shape[:2]) / extent)  # a near edge can be drawn out without end
    extent = np.maximum(np.round(extent * scale), 1)
    # OpenCV counts from the middle of the first pixel, polygons from its corner
    matrix = (shift(-0.5, -0.5) @ np.diag([*scale, 1]) @ shift(*-first) @ matrix @ shift(0.5, 0.5))
    return cv2.warpPerspective(window, matrix, extent.astype(int).tolist(), flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE), ""


def shift(x, y):
    """The matrix, float [3, 3], that moves a plane by x and y."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], float)


# --- Reading --------------------------------------------------------------------------------------------------

class BoxList:
    """The words of photos, to be read in place of a WordList: word i stands in a box of a photo.

    words.photos: the photos, list of dict. words.columns, words.cells(i): what names word i in a table.
    """
    columns = ("photo", "box")
    splits = ()

    def __init__(self, root, photos):
        self.root, self.photos = root, photos
        self.places = [(photo, box) for photo, entry in enumerate(photos) for box in range(len(entry["words"]))]

    def __len__(self):
        return len(self.places)

    def name(self, i):
        return self.places[i]  # their order is that of the file

    def cells(self, i):
        photo, box = self.places[i]
        return [self.photos[photo]["file"], box]

    def word(self, i):
        photo, box = self.places[i]
        return self.photos[photo]["words"][box]

    def text(self, i):
        return self.word(i).get("text", "")

    def load(self, chosen, size):
        """Photo by photo, (photo, pixels or None, words) of the words `chosen`, int [n] in rising order.

        words: (i, prepared image float32 [W, H, 1] or None, why there is none or ""). Each photo is decoded once, the next
        one meanwhile; no more than two are held.
        """
        groups = [(photo, list(which)) for photo, which in itertools.groupby(chosen, lambda i: self.places[i][0])]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            ahead = None
            for job in [*groups, None]:
                done, ahead = ahead, pool.submit(self._load, *job, size) if job else None
                if done:
                    yield done.result()

    def _load(self, photo, which, size):
        try:
            pixels = load_photo(self.root, self.photos[photo])
        except ValueError as error:
            return self.photos[photo], None, [(i, None, str(error)) for i in which]
        words, grey = [], grey_of(pixels)
        for i in which:
            word, reason = cut(grey, self.word(i)["polygon"])
            words.append((i, None if word is None else prepare(word, size), reason))
        return self.photos[photo], pixels, words


def load_list(root, path):
    """The BoxList of the photos in the folder `root`, or of the one photo `root`, as the boxes.json `path` has them."""
    photos, root = read(path), Path(root)
    if not root.exists():
        raise UserError(f"{root}: no such file or folder")
    if not root.is_dir():
        photos, root = [photo for photo in photos if photo["file"] == root.name], root.parent
    words = BoxList(root, photos)
    if not len(words):
        raise UserError(f"{path}: no word of a photo of {root} in it; boxes are there from azure_ocr.py, or by hand")
    return words


# --- Drawing --------------------------------------------------------------------------------------------------

def drawing_path(folder, file):
    """Where the drawing of a photo is: its name in `folder`, as a JPEG."""
    return Path(folder, file if file.lower().endswith((".jpg", ".jpeg")) else f"{file}.jpg")


def new_drawings(folder, root, photos, overwrite):
    """UserError if the drawing of a photo in `root` is in `folder` already, or would replace the photo itself."""
    for photo in photos:
        path = drawing_path(folder, photo["file"])
        if path.resolve() == Path(root, photo["file"]).resolve():
            raise UserError(f"{path}: is the photo itself; name another folder to draw into")
        if path.exists() and not overwrite:
            raise UserError(f"{path}: is there already; --overwrite replaces it")


def draw(path, pixels, marks):
    """Save a photo with words drawn on it, as a JPEG.

    pixels: uint8 [H, W] or [H, W, 3]; marks: (polygon, text, confidence) a word. Confidence 0 is red, 1 green.
    """
    picture = Image.fromarray(pixels).convert("RGB")
    pen, line = ImageDraw.Draw(picture), max(2, round(max(picture.size) / 800))
    quads = [corners(polygon) for polygon, *_ in marks]
    heights = [sides(quad)[1] for quad in quads if quad is not None]
    letters = font(int(np.clip(np.median(heights or [0]) * 0.4, 8 * line, 16 * line)))
    for quad, (_, text, confidence) in zip(quads, marks):
        visible = () if quad is None else clip(quad, *picture.size)
        if len(visible) < 3:
            continue
        colour = colour_of(confidence)
        pen.polygon([tuple(point) for point in visible], outline=colour, width=line)
        left, top = visible.min(axis=0) - (0, 1.3 * letters.size)
        pen.text((max(left, 0), max(top, 0)), text, colour, letters, stroke_width=line, stroke_fill="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.asarray(picture))


def colour_of(confidence):
    """(red, green, blue), int 0..255: red for confidence 0, over orange, to green for 1; dark enough for white paper."""
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(np.nan_to_num(confidence) / 3, 1, 0.75))


@functools.cache
def font(size):
    return ImageFont.load_default(size)
