"""Crops of pages as the page network is trained on them: changed at random, with what it should say of each pixel.

    >>> image, targets = example(page, (320, 320), np.random.default_rng(0))
    >>> image.shape, targets.shape
    ((320, 320, 3), (160, 160, 10))
"""
import math

import cv2
import numpy as np

from photos.light import even_light
from photos.network import SHRINK, STRIDE, WORD_HEIGHT

TARGETS = ("ink", "ink_weight", "kernel", "kernel_weight", "left", "top", "right", "bottom", "angle", "box_weight")


def example(page, size, rng=None, changed=True):
    """(image uint8 [H, W, 3], its light evened out, targets float32 [H / 2, W / 2, 10]) of a random part of a page, `size`
    (width, height); with `rng` None the middle of the page at WORD_HEIGHT, unchanged. changed: in colour and light, too.

    Targets are TARGETS of each pixel of the network's maps: ink, 0 to 1; whether it is a word's kernel; at kernels the
    distances to the word's sides, in pixels of the maps, and its angle in radians; and how much each of these counts.
    """
    matrix = placement(page, size, rng)
    scale = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    halvings = max(0, int(math.floor(-math.log2(scale) + 0.3)))
    pixels, ink = page.level(halvings)
    inner = matrix @ np.diag([2.0 ** halvings, 2.0 ** halvings, 1])
    image = cv2.warpPerspective(pixels, inner, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if rng is not None and changed:
        image = random_camera(image, rng)
    targets = np.zeros((size[1] // STRIDE, size[0] // STRIDE, len(TARGETS)), np.float32)
    inside = cv2.warpPerspective(np.full(pixels.shape[:2], 255, np.uint8), inner, size, flags=cv2.INTER_NEAREST)
    inside = inside[::STRIDE, ::STRIDE] > 0
    if ink is not None:
        ink = cv2.warpPerspective(ink, inner, size, flags=cv2.INTER_LINEAR)
        targets[..., 0] = cv2.resize(ink, targets.shape[1::-1], interpolation=cv2.INTER_AREA) / np.float32(255)
        targets[..., 1] = inside
    if page.quads is not None:
        word_targets(moved(page.quads, matrix), moved(page.ignored, matrix), inside, targets)
    return even_light(image), targets


def moved(quads, matrix):
    """Quads float32 [N, 4, 2] under a perspective matrix [3, 3], without those far off, near the horizon or beyond it."""
    quads = quads[np.all(quads @ matrix[2, :2] + matrix[2, 2] > 0.3, axis=1)]
    if not len(quads):
        return quads
    return cv2.perspectiveTransform(quads.reshape(-1, 1, 2), matrix).reshape(-1, 4, 2)


def placement(page, size, rng):
    """The perspective matrix, float64 [3, 3], from a page to a crop of it: scale, turn, place."""
    height, width = page.levels[0].shape[:2]
    if rng is None:
        turn, scale, centre, tilt, stretch = 0, WORD_HEIGHT / page.height, (width / 2, height / 2), (0, 0), 1
    else:
        turn = math.radians(float(np.clip(rng.normal(0, 4) if rng.random() < 0.7 else rng.uniform(-30, 30), -30, 30)))
        scale = float(np.clip(WORD_HEIGHT * np.exp(rng.normal(0, 0.33)), 13, 72)) / page.height
        stretch = math.exp(rng.normal(0, 0.08))
        centre = (rng.uniform(0, width), rng.uniform(0, height))
        if page.quads is not None and len(page.quads) and rng.random() < 0.75:
            centre = page.quads[rng.integers(len(page.quads))].mean(axis=0) + rng.normal(0, 3 * page.height, 2)
        elif page.quads is None and (inked := np.argwhere(page.ink[::16, ::16] > 127)).size:
            centre = inked[rng.integers(len(inked))][::-1] * 16 + rng.normal(0, 3 * page.height, 2)
        tilt = rng.normal(0, 0.06, 2) / size
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    turned = np.array([[cos * stretch, -sin, 0], [sin * stretch, cos, 0], [tilt[0] * scale, tilt[1] * scale, 1]])
    from_centre = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1.0]])
    return np.array([[1, 0, size[0] / 2], [0, 1, size[1] / 2], [0, 0, 1.0]]) @ turned @ from_centre


def word_targets(quads, ignored, inside, targets):
    """Fills the words' channels of `targets`: kernels of `quads`, where and how far the words' sides are from each pixel.

    quads, ignored: float32 [N, 4, 2] in pixels of the image; inside: bool [H, W], what of the output lies on the page."""
    height, width = inside.shape
    frames, boxes = frames_of((quads + 0.5) / STRIDE - 0.5)
    if len(quads):
        near = np.all((quads.max(axis=1) > 0) & (quads.min(axis=1) < np.array([width, height]) * STRIDE), axis=1)
        frames, boxes, quads = frames[near], boxes[near], quads[near]
        order = np.argsort(-(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))  # small words last, over large ones
        frames, boxes, quads = frames[order], boxes[order], quads[order]
    labels = np.zeros((height, width), np.int32)
    sides = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    margin = np.stack([SHRINK * sides] * 2 + [-SHRINK * sides] * 2, axis=1)
    kernels = boxes + margin
    for k, corners in enumerate(corners_of(frames, kernels)):
        cv2.fillConvexPoly(labels, np.rint(corners * 16).astype(np.int32), k + 1, shift=4)
    weight = inside.astype(np.float32)
    for quad in ignored:
        cv2.fillConvexPoly(weight, np.rint(((quad + 0.5) / STRIDE - 0.5) * 16).astype(np.int32), 0, shift=4)
    kernel = labels > 0
    weight[kernel] = 1
    targets[..., 2], targets[..., 3] = kernel, weight * inside
    y, x = np.nonzero(kernel & inside)
    word = labels[y, x] - 1
    if not len(word):
        return
    along, across = (frames[word] * np.stack([x, y], axis=1)[:, None]).sum(axis=2).T
    box = boxes[word]
    targets[y, x, 4:8] = np.stack([along - box[:, 0], across - box[:, 1], box[:, 2] - along, box[:, 3] - across], axis=1)
    targets[y, x, 8] = np.arctan2(frames[word, 0, 1], frames[word, 0, 0])
    size = np.bincount(word, minlength=len(boxes))
    rare = np.clip(np.sqrt(80 / np.maximum(size, 1)), 0.5, 4)  # so that short words count, too
    whole = np.all((quads > -4) & (quads < np.array([width, height]) * STRIDE + 4), axis=(1, 2))
    targets[y, x, 9] = (rare * whole)[word]
    targets[y, x, 3] *= rare[word]


def frames_of(quads):
    """Words' own axes, float32 [N, 2, 2] (along, across), and in them left, top, right and bottom, float32 [N, 4]."""
    along = quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    frames = np.stack([along, np.stack([-along[:, 1], along[:, 0]], axis=1)], axis=1)
    u, v = np.einsum("nad,nkd->ank", frames, quads)
    return frames, np.stack([(u[:, 0] + u[:, 3]) / 2, (v[:, 0] + v[:, 1]) / 2, (u[:, 1] + u[:, 2]) / 2,
                             (v[:, 2] + v[:, 3]) / 2], axis=1)


def corners_of(frames, boxes):
    """The inverse of `frames_of`: corners float32 [N, 4, 2] of left, top, right and bottom in words' own axes."""
    u, v = boxes[:, [0, 2, 2, 0]], boxes[:, [1, 1, 3, 3]]
    corners = u[..., None] * frames[:, None, 0] + v[..., None] * frames[:, None, 1]
    return np.ascontiguousarray(corners)  # as OpenCV wants each quad


def random_camera(image, rng):
    """A crop as another pen, paper, light and camera might give it: uint8 [H, W, 3]."""
    height, width = image.shape[:2]
    if rng.random() < 0.15:  # chalk on a blackboard
        image = 255 - image
    if rng.random() < 0.5:  # fainter, and paper and ink of another colour
        light = (rng.uniform(90, 255, 3) if rng.random() < 0.5 else rng.uniform(60, 255)) / 255
        paper, strength = np.array(cv2.mean(image)[:3]), rng.uniform(0.3, 1)
        image = np.clip(((image - paper) * strength + paper) * light, 0, 255)
    image = image.astype(np.float32)
    if rng.random() < 0.5:
        down, across = rng.normal(0, 0.2, 2)
        image *= (1 + np.linspace(-across, across, width, dtype=np.float32)[None, :, None]
                  + np.linspace(-down, down, height, dtype=np.float32)[:, None, None])
    if rng.random() < 0.2:
        image *= shadow((height, width), rng)[..., None]
    if rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.3))
    if rng.random() < 0.4:
        noise = np.empty((height, width), np.float32)
        cv2.setRNGSeed(int(rng.integers(2 ** 31)))
        cv2.randn(noise, 0, rng.uniform(1, 9))
        image += noise[..., None]
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    if rng.random() < 0.2:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return image


def shadow(shape, rng):
    """A shadow's light, float32 [H, W], below 1 on one side of a random line, its edge hard or soft."""
    turn = rng.uniform(0, 2 * math.pi)
    y, x = np.ogrid[:shape[0], :shape[1]]
    distance = (x - rng.uniform(0, shape[1])) * math.cos(turn) + (y - rng.uniform(0, shape[0])) * math.sin(turn)
    edge = np.clip(distance / math.exp(rng.uniform(0.5, 4)) + 0.5, 0, 1)
    return (1 - rng.uniform(0.2, 0.6) * edge).astype(np.float32)
