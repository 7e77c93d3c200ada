"""What words stand on, and the light that falls on it: textures, slopes of light, shadows, other surfaces, ruled lines.

    >>> page = np.full((40, 120), 200, np.float32)
    >>> page += slope(page.shape, 9, rng) + 4 * cut(tiles()[1], page.shape, rng)
"""
import functools
import math

import cv2
import numpy as np

TILE = (192, 1024)  # px; every texture is cut from a tile of this size at a random place
# Octaves' cell sizes in px, as (height, width, weight): what makes plaster, cloth, clouds, brushed metal, wood, ...
TEXTURES = (
    ((64, 64, 3), (32, 32, 2), (16, 16, 1), (8, 8, 0.6), (4, 4, 0.4)), ((96, 128, 4), (48, 64, 1)),
    ((3, 96, 1), (2, 200, 1), (64, 64, 1)), ((128, 3, 1), (96, 9, 1.5)), ((3, 3, 1), (6, 6, 1), (48, 48, 1)),
    ((24, 24, 1), (8, 8, 0.4)), ((12, 90, 1), (40, 120, 2), (4, 30, 0.5)))


@functools.lru_cache(maxsize=1)
def tiles():
    """(grain, rough, textures): float32 TILEs of mean 0 and deviation 1. Grain is white noise, rough that of paper."""
    rng = np.random.default_rng(20180)
    textures = []
    for octaves in TEXTURES:
        tile = np.zeros(TILE, np.float32)
        for height, width, weight in octaves:
            cells = rng.standard_normal((TILE[0] // height + 3, TILE[1] // width + 3), dtype=np.float32)
            large = cv2.resize(cells, None, fx=width, fy=height, interpolation=cv2.INTER_CUBIC)
            tile += weight * large[height:height + TILE[0], width:width + TILE[1]]
        textures.append(standard(tile))
    cloud = textures[0]
    edges = np.where(cv2.GaussianBlur(textures[5], (0, 0), 3) > 0.3, 1, 0)
    textures.append(standard(edges.astype(np.float32)))
    textures.append(standard(np.round(cloud)))  # patches
    grain = rng.standard_normal(TILE, dtype=np.float32)
    textures += [clutter(rng, size) for size in (24, 60)]
    return standard(grain), standard(cv2.GaussianBlur(grain, (0, 0), 0.8)), textures


def standard(tile):
    """A tile made to have mean 0 and deviation 1."""
    return (tile - tile.mean()) / tile.std()


def clutter(rng, size):
    """A TILE of mean 0 and deviation 1 as a photo of a street or a shelf may be: plates and discs of up to `size` px and
    bars twice as long, one over the other."""
    tile = np.zeros(TILE, np.float32)
    for _ in range(8 * tile.size // size ** 2):
        x, y = (int(rng.integers(side)) for side in TILE[::-1])
        long, short = (int(size * rng.uniform(low, 1)) + 1 for low in (0.3, 0.05))
        level, turn, kind = rng.normal(), rng.normal(0, 20) + 90 * rng.integers(2), int(rng.integers(3))
        if kind == 0:
            cv2.ellipse(tile, (x, y), (long // 2, max(short // 2, 1)), turn, 0, 360, level, cv2.FILLED)
        else:
            corners = cv2.boxPoints(((x, y), (long * kind, short), turn))
            cv2.fillConvexPoly(tile, np.rint(corners).astype(np.int32), level)
    return standard(cv2.GaussianBlur(tile, (0, 0), 0.7))


def cut(tile, shape, rng):
    """A window of `shape` of a tile, at a random place."""
    y, x = rng.integers(0, TILE[0] - shape[0] + 1), rng.integers(0, TILE[1] - shape[1] + 1)
    return tile[y:y + shape[0], x:x + shape[1]]


def uneven(tile, shape, middle, size, least, rng):
    """What part of the ink is there: float32 of `shape`, around `middle`, `least` to 1, varying by `size` as a tile does."""
    return np.clip(cut(tile, shape, rng) * np.float32(size) + np.float32(middle), least, 1)


def slope(shape, size, rng):
    """Light that falls off to one side: float32 [H, W], `size` its deviation in grey levels over the image."""
    down, across = rng.normal(0, size, 2)
    return (np.linspace(-across, across, shape[1], dtype=np.float32)[None]
            + np.linspace(-down, down, shape[0], dtype=np.float32)[:, None])


def half_plane(shape, rng):
    """What lies left of a random line across an image: float32 [H, W], 1 left of it, 0 right, the edge hard or soft."""
    down, across = (np.arange(n, dtype=np.float32) for n in shape)
    edge = across[None] + np.float32(rng.uniform(-2, 2)) * down[:, None] - np.float32(rng.uniform(0, shape[1]))
    soft = np.float32(shape[0] * math.exp(rng.uniform(math.log(0.02), math.log(0.8))))
    return 1 / (1 + np.exp(np.clip(edge / soft, -30, 30)))


def level_away(level, distance, rng):
    """A random grey level that is at least `distance` (at most 127) away from another."""
    below, above = max(level - distance, 0), max(255 - level - distance, 0)
    place = rng.uniform(0, below + above)
    return place if place < below else level + distance + place - below


def cover(page, ink, level):
    """Puts ink of a grey level, or of levels [H, W], on the page, in place."""
    page += ink * (level - page)


def add_surfaces(page, fore, rng):
    """Puts one to three surfaces on the page, in place, each of a level lighter or darker than `fore`: what lies left of a
    line, a band, a patch; edges hard or soft, some see-through."""
    shape = page.shape
    for _ in range(rng.integers(1, 4)):
        part = half_plane(shape, rng)
        if rng.random() < 0.6:
            part = part * (1 - half_plane(shape, rng))
        if rng.random() < 0.3:
            part = part * half_plane(shape[::-1], rng).T
        cover(page, part * np.float32(min(rng.uniform(0.3, 1.4), 1)), level_away(fore, 25, rng))


def roughness(rng):
    """How much a texture changes a sign, as a part of the gap between letters and paper: mostly little."""
    return rng.uniform(0.1, 0.4) if rng.random() < 0.2 else abs(rng.normal(0, 0.09))


def rule(page, rng):
    """Draws printed lines on the page, in place: ruled paper, or squared."""
    height, width = page.shape
    darker = rng.uniform(12, 55)
    thick = 1 + (height > 48 and rng.random() < 0.5)
    space = height * rng.uniform(0.7, 1.4)
    if rng.random() < 0.4:  # squared
        space = max(height * rng.uniform(0.2, 0.6), 9)
        for x in np.arange(rng.uniform(0, space), width - 1, space).astype(int):
            page[:, x:x + thick] -= darker
    for y in np.arange(height * rng.uniform(0.65, 0.95) % space, height - 1, space).astype(int):
        page[y:y + thick] -= darker
