"""Finds the ink and the words of a photo with a page network in ONNX; what train_pages.py trained and export.py exported.

    >>> detector = load_detector("models/pages")
    >>> found = detector.find(pixels)  # uint8 [H, W, 3] or [H, W], of any size
    >>> found.polygons.shape, found.scores.shape, found.ink.shape
    ((112, 4, 2), (112,), (3000, 4000))

The network wants words about WORD_HEIGHT px high. `find` measures letters, looks at the photo at the scale that makes words
so high, in tiles that overlap, and once more where the words that it sees have another height.
"""
import concurrent.futures
import dataclasses
import itertools
import math
import os

import cv2
import numpy as np

from photos.cutting import halved
from photos.light import PAPER, even_light
from photos.metrics import areas, intersections
from photos.network import MULTIPLE, SCHEMA, SHRINK, STRIDE, WORD_HEIGHT, build_graph
from photos.tight import tighten
from words.models import find_model, load_config, open_session

MEASURED = 2_400_000  # pixels of a photo, at most, on which letters are measured
DARK, BRIGHT = 0.8, 1.25  # of the paper: what may be ink, or chalk
LETTER = 5, 200  # px: heights that letters may have there
WORD_OF_LETTERS = 1.16  # a word's height, in the upper quartile of the letters' (on the boards and IAM pages of train)
FEW, WRONG, LOOKS = 5, 1.3, 3  # another look, of so many at most, where so many words or more are so much too small or large
SMALLER = 2.5  # times the scale: a last look where there are not even FEW words
TILE, OVERLAP = 640, 64  # px; of each tile OVERLAP px on every side are only looked at, where the photo goes on
ENLARGED, LARGEST = 3.0, 16_000_000  # a photo is enlarged so much at most, and to so many pixels
KERNEL, SCORE, SAME = -1.2, 0.56, 0.4  # logit of a kernel's pixel, least score of a word, overlap of two boxes of one word
BY_KERNEL = 0.2  # share of the kernel's edges in a word's top and bottom
LEAST_INK = 0.06  # of a word's box: a box with less is one around nothing (of 3,640 words on photos of train none has less)
FINELY_MOVED = 0.5  # of a box's shorter side: so far a side moves to the ink's edge in the photo, which full stops need most
SURE_INK = 140  # of 255: where the network is so sure, and a pixel of its maps around, the photo says what is ink
ROUND = 10.0  # square pixels by which the variances of a kernel differ whose axis counts as much as what the network says


@dataclasses.dataclass
class Found:
    """What is on a photo. polygons: float32 [N, 4, 2], words' corners in pixels of the photo, clockwise from the word's own
    top-left; scores: float32 [N], 0 to 1; ink: uint8 [H, W], 255 ink; scale: of the size that the words were found at."""
    polygons: np.ndarray
    scores: np.ndarray
    ink: np.ndarray
    scale: float


@dataclasses.dataclass
class Maps:
    """What the network says of a photo: ink: uint8 [h, w], 255 surely ink; kernel: float32 [n] logits at the n pixels y, x,
    int32 [n], that are a word's kernel; sides: float32 [n, 5], distances to left, top, right and bottom in px, and angle."""
    ink: np.ndarray
    y: np.ndarray
    x: np.ndarray
    kernel: np.ndarray
    sides: np.ndarray

    @classmethod
    def of(cls, maps):
        """The Maps of the network's output for one image, float32 [h, w, 7]."""
        y, x = np.nonzero(maps[..., 1] > KERNEL)
        chosen = maps[y, x]
        sides = np.concatenate([np.exp(np.clip(chosen[:, 2:6], -3, 7)), chosen[:, 6:]], axis=1)
        return cls(np.uint8(255 * sigmoid(maps[..., 0])), y, x, chosen[:, 1], sides)


def load_detector(path, threads=None):
    """The Detector of a model folder; `threads`: of the CPU (default one a core). UserError if it is no page network's."""
    folder, weights = find_model(path)
    session = open_session(load_config(folder, SCHEMA), weights, build_graph)
    return Detector(lambda images: session.run(None, {"image": images})[0], threads or len(os.sched_getaffinity(0)))


class Detector:
    """How a page network is used: a function from images float32 [N, H, W, 3] to maps float32 [N, H / 2, W / 2, 7].

    threads: look at a photo's tiles in turns; several at one tile wait for each other at each layer."""

    def __init__(self, network, threads=1):
        self.network, self.threads = network, threads

    def find(self, pixels):
        """What is Found on a photo, uint8 [H, W, 3] or [H, W]."""
        if pixels.ndim == 2:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
        largest = max(1.0, min(ENLARGED, math.sqrt(LARGEST / (pixels.shape[0] * pixels.shape[1]))))
        least, height, error = min(32 / max(pixels.shape[:2]), 1.0), letters_height(pixels), math.inf
        for _ in range(LOOKS):
            tried = float(np.clip(WORD_HEIGHT / height, least, largest))
            look = self.look_at(pixels, tried)
            seen = height_of(look[2])
            wrong = abs(math.log(seen / WORD_HEIGHT))
            if error < math.inf and (wrong >= error or len(look[2]) < FEW):  # no better than before
                break
            (image, ink, polygons, scores), scale, error = look, tried, wrong
            if wrong < math.log(WRONG):
                break
            height = seen / scale
        if len(polygons) < FEW:  # small writing, and larger things around it
            further = self.look_at(pixels, float(np.clip(SMALLER * scale, least, largest)))
            if len(further[2]) >= FEW:
                (image, ink, polygons, scores), scale = further, further[0].shape[1] / pixels.shape[1]
        factors = np.array([pixels.shape[1] / image.shape[1], pixels.shape[0] / image.shape[0]], np.float32)
        edges = Edges.of(image, ink)
        fine, ink = full_ink(image, edges), full_ink(pixels, edges)
        kept = [ink_share(polygon, ink) >= LEAST_INK for polygon in polygons * factors]  # tight ones always have much
        return Found((tighten(polygons[kept], fine, FINELY_MOVED) + np.float32(0.5)) * factors, scores[kept], ink, scale)

    def look_at(self, pixels, scale):
        """(the photo at a scale, its ink, the words' polygons and scores there)."""
        image = resized(pixels, scale)
        maps = self.look(image)
        return image, maps.ink, *words_of(maps)

    def look(self, image):
        """The Maps of an image, uint8 [H, W, 3], as large as it is."""
        height, width = image.shape[:2]
        ink = np.zeros((-(-height // STRIDE), -(-width // STRIDE)), np.uint8)

        def look_at(tile):
            (top, bottom), (left, right) = tile
            y, x = max(top - OVERLAP, 0), max(left - OVERLAP, 0)
            maps = self.run(even_light(image[y:bottom + OVERLAP, x:right + OVERLAP]))
            maps = maps[(top - y) // STRIDE:-(-(bottom - y) // STRIDE), (left - x) // STRIDE:-(-(right - x) // STRIDE)]
            part = Maps.of(maps)
            ink[top // STRIDE:, left // STRIDE:][:len(part.ink), :part.ink.shape[1]] = part.ink
            return part.y + top // STRIDE, part.x + left // STRIDE, part.kernel, part.sides

        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            columns = zip(*pool.map(look_at, itertools.product(spans(height), spans(width))))
            return Maps(ink, *map(np.concatenate, columns))

    def run(self, image):
        """The network's maps, float32 [H / 2, W / 2, 7] rounded up, of an image, uint8 [H, W, 3], its light evened out."""
        height, width = image.shape[:2]
        padded = cv2.copyMakeBorder(image, 0, -height % MULTIPLE, 0, -width % MULTIPLE, cv2.BORDER_CONSTANT,
                                    value=(PAPER,) * 3)
        return self.network(padded[None].astype(np.float32))[0, :-(-height // STRIDE), :-(-width // STRIDE)]


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))


def spans(length):
    """[(start, end), ...] of tiles, TILE px or less each, starts multiples of MULTIPLE."""
    count = max(1, -(-length // TILE))
    size = -(-length // count // MULTIPLE) * MULTIPLE if count > 1 else length
    size = max(size, MULTIPLE)
    return [(start, min(start + size, length)) for start in range(0, length, size)]


def resized(pixels, scale):
    size = [max(MULTIPLE, round(side * scale)) for side in pixels.shape[1::-1]]
    while all(2 * side <= there for side, there in zip(size, pixels.shape[1::-1])):
        pixels = halved(pixels)  # takes a tenth of the time that any other step does
    if size == list(pixels.shape[1::-1]):
        return pixels
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def letters_height(pixels):
    """About how high a photo's words are, by the median, in px: of the pieces of what is darker, or brighter, than the paper
    around it, whichever is more. The network itself sees words of the size that it expects even where they are others."""
    scale = min(1.0, math.sqrt(MEASURED / (pixels.shape[0] * pixels.shape[1])))
    grey = cv2.blur(even_light(resized(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), scale)), (3, 3))
    kinds = []
    for mask in (grey < DARK * PAPER, grey > BRIGHT * PAPER):
        width, height, area = cv2.connectedComponentsWithStats(mask.view(np.uint8))[2][1:, 2:].T
        letters = ((height >= LETTER[0]) & (height <= LETTER[1]) & (area >= 2 * LETTER[0]) & (width < 12 * height)
                   & (area < 0.9 * width * height))
        kinds.append((area[letters].sum(), height[letters]))
    heights = max(kinds, key=lambda kind: kind[0])[1]
    return (WORD_OF_LETTERS * float(np.quantile(heights, 0.75)) if len(heights) else WORD_HEIGHT) / scale


def height_of(polygons):
    """How high words are, polygons float32 [N, 4, 2], in px, by the median; WORD_HEIGHT where there are FEW or none."""
    if len(polygons) < FEW:
        return float(WORD_HEIGHT)
    return max(float(np.median(np.linalg.norm(polygons[:, 3] - polygons[:, 0], axis=1))), 1.0)


# --- Words ------------------------------------------------------------------------------------------------------

def words_of(maps):
    """(polygons float32 [N, 4, 2] in pixels of the image that the Maps are of, scores float32 [N]) of its words.

    A word is a connected kernel. It is turned as the longer axis of the kernel's pixels is and, the rounder the kernel, the
    more as the network says: both are summed as vectors of twice the angle, the axis as long as its variances differ. Its
    left and right are those of the kernel, grown by what kernels are shrunk by (after DB: Liao et al., 2020); top and
    bottom, where that is most of the word, are more where the network says. At last the box is drawn tight around its ink.
    """
    kernel = np.zeros(maps.ink.shape, np.uint8)
    kernel[maps.y, maps.x] = 1
    count, labels = cv2.connectedComponents(kernel, connectivity=4)
    word, count = labels[maps.y, maps.x] - 1, count - 1
    size = np.bincount(word, minlength=count)

    def mean(values):
        return np.bincount(word, values, count) / size

    x, y, said = maps.x - mean(maps.x)[word], maps.y - mean(maps.y)[word], 2 * mean(maps.sides[:, 4])
    angle = np.arctan2(2 * mean(x * y) + ROUND * np.sin(said), mean(x * x - y * y) + ROUND * np.cos(said)) / 2
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    points = np.stack([maps.x, maps.y], axis=1)
    u, v = ((points * axis[word]).sum(axis=1) for axis in (along, across))
    left, top, right, bottom = (sign * smallest(sign * place, word, count) - sign / 2
                                for place, sign in ((u, 1), (v, 1), (u, -1), (v, -1)))
    width, height = (right - left) / (1 - 2 * SHRINK), (bottom - top) / (1 - 2 * SHRINK)  # if that is the shorter side
    grown = SHRINK * np.minimum(width, height)
    top = BY_KERNEL * (top - grown) + (1 - BY_KERNEL) * mean(v - maps.sides[:, 1])
    bottom = BY_KERNEL * (bottom + grown) + (1 - BY_KERNEL) * mean(v + maps.sides[:, 3])
    grown = SHRINK * np.minimum(width, bottom - top)
    left, right = left - grown, right + grown
    corners = np.stack([a[:, None] * along + b[:, None] * across
                        for a, b in ((left, top), (right, top), (right, bottom), (left, bottom))], axis=1)
    scores = mean(sigmoid(maps.kernel))
    kept = (scores >= SCORE) & (right > left) & (bottom > top)
    polygons = (tighten(corners[kept], maps.ink) + 0.5) * STRIDE - 0.5
    return without_doubles(polygons.astype(np.float32), scores[kept].astype(np.float32))


def smallest(values, word, count):
    """The smallest of the values, float [n], of each of `count` words, float [count]; word: int [n], whose they are."""
    found = np.full(count, np.inf)
    np.minimum.at(found, word, values)
    return found


def without_doubles(polygons, scores):
    """Polygons float32 [N, 4, 2] and scores [N], but of boxes that overlap by SAME (IoU) or more only the largest."""
    order = np.argsort(-areas(polygons))
    polygons, scores = polygons[order], scores[order]
    low, high, size = polygons.min(axis=1), polygons.max(axis=1), areas(polygons)
    kept = np.ones(len(polygons), bool)
    for i in range(len(polygons)):
        near = np.flatnonzero(kept[:i] & np.all((low[:i] < high[i]) & (high[:i] > low[i]), axis=1))
        if len(near):
            shared = intersections(polygons[i:i + 1], polygons[near])[0]
            kept[i] = not np.any(shared / (size[i] + size[near] - shared) >= SAME)
    return polygons[kept], scores[kept]


def ink_share(polygon, ink):
    """The part of a box, float32 [4, 2], that is ink, 0 to 1; ink: uint8 [H, W], not 0 where there is some."""
    left, top = np.maximum(np.floor(polygon.min(axis=0)).astype(int), 0)
    right, bottom = np.ceil(polygon.max(axis=0)).astype(int) + 1
    window = ink[top:bottom, left:right]
    if not window.size:
        return 0.0
    inside = cv2.fillConvexPoly(np.zeros(window.shape, np.uint8), np.int32(np.rint(polygon - (left, top))), 255)
    return cv2.countNonZero(cv2.bitwise_and(window, inside)) / max(cv2.countNonZero(inside), 1)


# --- Ink --------------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Edges:
    """What parts ink from paper, in the size of the network's maps: all uint8 [h, w].

    threshold: the grey between the ink's and the paper's, both means over some letters around; near: 255 where ink may be;
    bright: 255 where the ink is brighter than the paper, as chalk; None where it nowhere is."""
    threshold: np.ndarray
    near: np.ndarray
    bright: np.ndarray | None

    @classmethod
    def of(cls, image, ink):
        """The Edges of the image that the network saw, uint8 [H, W, 3], and its ink, uint8 [h, w]."""
        grey = cv2.cvtColor(cv2.resize(image, ink.shape[::-1], interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        grey, share = grey.astype(np.float32), ink.astype(np.float32) / 255
        window = (WORD_HEIGHT // 2,) * 2
        inked, all_ink = cv2.blur(grey * share, window), cv2.blur(share, window)
        paper = (cv2.blur(grey, window) - inked) / np.maximum(1 - all_ink, 1e-3)
        inked = np.where(all_ink > 1e-3, inked / np.maximum(all_ink, 1e-3), paper)
        bright = np.where(inked < paper, 0, 255).astype(np.uint8)
        near = cv2.dilate((ink > SURE_INK) * np.uint8(255), np.ones((3, 3), np.uint8))
        return cls(np.clip((inked + paper) / 2, 0, 255).astype(np.uint8), near, bright if bright.any() else None)


def full_ink(pixels, edges):
    """The ink of a photo in its full size: uint8 [H, W], 255 ink, of the photo, uint8 [H, W, 3], and its Edges.

    The network says where ink is; its edges come from the photo: what is nearer to the ink's grey than to the paper's."""
    size = pixels.shape[1::-1]
    found = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # a photo of 100 megapixels has room for one more of that size
    other = cv2.resize(edges.threshold, size, interpolation=cv2.INTER_LINEAR)
    cv2.compare(found, other, cv2.CMP_LE, found)
    if edges.bright is not None:
        cv2.resize(edges.bright, size, other, interpolation=cv2.INTER_NEAREST)
        cv2.bitwise_xor(found, other, found)
    cv2.resize(edges.near, size, other, interpolation=cv2.INTER_NEAREST)
    return cv2.bitwise_and(found, other, found)
