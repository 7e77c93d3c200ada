"""Small inputs that several tests draw and write."""
from pathlib import Path
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
from PIL import Image

from command import write_json
from words.image_files import IMAGE_FORMATS

NO_IMAGE = f"not a readable image: of none of the formats {', '.join(IMAGE_FORMATS)}"  # why text or an EPS is not read

# As an iPhone's photo: `sheet(200)` of test_files.py, to be turned a quarter to the right; written once with pillow-heif
HEIC = Path(__file__).with_name("data") / "turned.heic"


def draw(text="letter", paper=225, ink=60, noise=4):
    """A word as a scanner sees it, uint8 [60, 220], and where its strokes are, bool [60, 220]."""
    strokes = np.zeros((60, 220), np.uint8)
    cv2.putText(strokes, text, (10, 42), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 255, 3, cv2.LINE_AA)
    pixels = paper + (ink - paper) * (strokes / 255) + np.random.default_rng(0).normal(0, noise, strokes.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), strokes > 127


def write(path, text, encoding="utf8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def write_images(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(Path(name).stem[:4])[0]).save(folder / name)


def word_image(text="Hello", size=(240, 80)):
    """uint8 [H, W, 3], a word on light paper that differs in every corner, so that a turned or mirrored one shows."""
    pixels = np.full((size[1], size[0], 3), 230, np.uint8)
    cv2.putText(pixels, text, (15, 58), cv2.FONT_HERSHEY_SIMPLEX, 1.9, (20, 40, 160), 5, cv2.LINE_AA)
    pixels[4:16, 4:30] = 90, 160, 90
    return cv2.GaussianBlur(pixels, (5, 5), 0)


def put_on_photo(word, polygon, size):
    """A photo, uint8 [H, W, 3], with a word warped onto the polygon: by Pillow, with the matrix solved here."""
    rows, values = [], []
    height, width = word.shape[:2]
    for (x, y), (u, v) in zip(polygon, ((0, 0), (width, 0), (width, height), (0, height))):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    coefficients = np.linalg.solve(rows, values)  # of the map from the photo to the word
    photo = Image.new("RGB", size, tuple(int(part) for part in np.median(word, axis=(0, 1))))
    flat, inside = (Image.fromarray(pixels).transform(size, Image.Transform.PERSPECTIVE, coefficients.tolist(),
                                                      Image.Resampling.BICUBIC)
                    for pixels in (word, np.full(word.shape[:2], 255, np.uint8)))
    photo.paste(flat, mask=inside)
    return np.array(photo)


def turned(angle, centre=(300, 300), size=(240, 80), bend=0.0):
    """The corners of a box turned by degrees, its far end `bend` narrower."""
    width, height = size
    flat = np.array([[-width, -height], [width, -height * (1 - bend)], [width, height * (1 - bend)], [-width, height]]) / 2
    a = np.radians(angle)
    return flat @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + centre


class Session:
    """Stands for an onnxruntime session: a subclass's `logits` is the network."""

    def get_inputs(self):
        return [SimpleNamespace(name="image", shape=["N", 100, 32, 1])]

    def get_outputs(self):
        return [SimpleNamespace(name="logits")]

    def run(self, names, feeds):
        assert names == ["logits"]
        return [self.logits(feeds["image"])]


class Brightness(Session):
    """Writes "b" where the image has ink, "a" where not, in three steps with a blank between."""

    def logits(self, images):
        logits = np.full((len(images), 3, 3), -50.0)
        logits[:, 1, 0] = 50
        logits[:, ::2, 1] = 0
        logits[:, ::2, 2] = np.where(images.max(axis=(1, 2, 3)) > 0.5, 50, -50)[:, np.newaxis]
        return logits


class WordFinder:
    """A detector for tests: the boxes of dark words that stand apart, in no order, and their ink."""

    def find(self, pixels):
        grey = pixels if pixels.ndim == 2 else pixels.min(axis=2)
        ink = np.where(grey < 110, 255, 0).astype(np.uint8)
        count, _, places, _ = cv2.connectedComponentsWithStats(cv2.dilate(ink, np.ones((3, 15), np.uint8)))
        boxes = [(x, y, x + w, y + h) for x, y, w, h, _ in places[1:]]
        polygons = [[(left, top), (right, top), (right, bottom), (left, bottom)] for left, top, right, bottom in boxes]
        return SimpleNamespace(polygons=np.array(polygons[::-1], np.float32).reshape(-1, 4, 2), ink=ink, scale=1.0,
                               scores=np.ones(count - 1, np.float32))


def written_page(*lines, size=(640, 400)):
    """A photo, uint8 [H, W, 3], with lines of text on light paper, and [(text, (left, top, right, bottom)), ...]."""
    pixels, words = np.full((size[1], size[0], 3), (235, 230, 215), np.uint8), []
    for k, line in enumerate(lines):
        x = 30
        for text in line.split():
            (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1, 3)
            y = 60 + 50 * k
            cv2.putText(pixels, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1, (30, 30, 90), 3, cv2.LINE_AA)
            words.append((text, (x, y - height, x + width, y)))
            x += width + 30
    return pixels, words


def write_model(folder, alphabet="0123456789abcdefghijklmnopqrstuvwxyz-", seed=0, **changes):
    """A model folder of a small network with random weights, in the layout in which Keras saves them."""
    shape = {"preset": "lite", "width": 100, "height": 32, "stn": False, "pad": 0, "stem": 8, "rnn": "GRU",
             "reset_after": True, "n_units": 6, "time_dense_size": 10, "blocks": [[12, 1, [1, 2]], [16, 1, [1, 4]]],
             **changes}
    rng, units, high = np.random.default_rng(seed), shape["n_units"], 2
    layers = {"stem": [(5, 5, 1, 8)], "stem_bn": [(8,)] * 4, "time_dense": [(16 * high, 10), (10,)],
              "logits": [(2 * units, len(alphabet) + 1), (len(alphabet) + 1,)]}
    for k, (channels, filters) in enumerate(((8, 12), (12, 16)), 1):
        layers |= {f"depthwise{k}": [(3, 3, channels, 1)], f"depthwise{k}_bn": [(channels,)] * 4,
                   f"pointwise{k}": [(1, 1, channels, filters)], f"pointwise{k}_bn": [(filters,)] * 4}
    cells = {1: 10, 2: units}
    with h5py.File(Path(folder, "final.weights.h5"), "w") as file:
        def add(place, name, shapes):
            variables = file.create_group(f"layers/{place}/vars")
            variables.attrs["name"] = name
            for k, size in enumerate(shapes):
                variables[str(k)] = np.abs(rng.normal(0, 0.5, size)) if name.endswith("_bn") else rng.normal(0, 0.5, size)

        for k, (name, shapes) in enumerate(layers.items()):
            add(f"layer_{k}", name, shapes)
        for k, features in cells.items():
            add(f"bidirectional_{k}", f"recurrent{k}", [])
            for direction in ("forward_layer", "backward_layer"):
                add(f"bidirectional_{k}/{direction}/cell", "gru_cell",
                    [(features, 3 * units), (units, 3 * units), (2, 3 * units)])
    write_json(Path(folder, "config.json"), {"format": 2, "kind": "words", "alphabet": alphabet, "network": shape})
