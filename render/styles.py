"""A word's ink put on a sign or a page of print, on paper, on a board.

    >>> page = PAINT["board"](ink, strangers, rng)
"""
import cv2
import numpy as np

from render.shapes import thicken
from render.surfaces import add_surfaces, cover, cut, half_plane, level_away, roughness, rule, slope, tiles, uneven

MIN_GAP = 14  # grey levels between ink and paper where a scene is painted


def paint_scene(ink, strangers, rng):
    """A sign, a poster, a page of print: any two levels, light on dark as often as not, outlines, shadows, textures."""
    shape = ink.shape
    _, rough, textures = tiles()
    gap = MIN_GAP + (255 - MIN_GAP) * rng.beta(1.2, 1.9)
    low = rng.uniform(0, 255 - gap)
    paper, fore = (low, low + gap) if rng.random() < 0.5 else (low + gap, low)
    page = np.full(shape, paper, np.float32)
    if rng.random() < 0.6:
        page += cut(textures[rng.integers(len(textures))], shape, rng) * np.float32(gap * roughness(rng))
    if rng.random() < 0.5:
        page += slope(shape, gap * 0.12, rng)
    if rng.random() < 0.35:  # other surfaces behind parts of the word, lighter or darker
        add_surfaces(page, fore, rng)
    np.clip(page, 0, 255, out=page)
    if rng.random() < 0.08:  # other words behind, upside down so that nobody reads them
        other = np.roll(ink[::-1, ::-1], rng.integers(0, 1 + np.array(shape)), axis=(0, 1))
        cover(page, other, fore + (paper - fore) * rng.uniform(0.4, 0.9))
    if strangers is not None:
        cover(page, strangers, fore)
    kind, fill = rng.random(), fore
    size = max(1, round(min(shape[0], 50) / rng.uniform(12, 50)))  # of one or two of these:
    if 0.05 < kind < 0.22:  # a shadow behind the letters, or their other edge
        dx, dy = rng.integers(-2, 3, 2) * size
        fallen = cv2.warpAffine(thicken(ink, size * (kind < 0.12)), np.float32([[1, 0, dx], [0, 1, dy]]), shape[::-1])
        fallen = cv2.GaussianBlur(fallen, (0, 0), size) if rng.random() < 0.5 else fallen
        cover(page, fallen * np.float32(rng.uniform(0.3, 1)), level_away(fore, min(gap / 2, 60), rng))
    if kind < 0.06 or kind > 0.96:  # nothing but an outline
        cover(page, thicken(ink, 2 * size), fore)
        fill = paper
    if 0.18 < kind < 0.3:  # an outline around every letter
        cover(page, thicken(ink, 2 * size), level_away(fore, min(gap / 2, 60), rng))
    if rng.random() < 0.3:
        texture = cut(textures[rng.integers(len(textures))], shape, rng)
        fill = np.clip(fill + texture * np.float32(gap * roughness(rng)), 0, 255)
    cover(page, ink * np.float32(rng.uniform(0.5, 0.85) if rng.random() < 0.15 else rng.uniform(0.85, 1)), fill)
    if rng.random() < 0.25:
        page += cut(rough, shape, rng) * np.float32(rng.uniform(1, 6))
    return page


def paint_paper(ink, strangers, rng):
    """Pen or pencil on plain, ruled or squared paper, scanned or photographed."""
    shape = ink.shape
    _, rough, textures = tiles()
    scanned = rng.random() < 0.5
    paper = rng.uniform(225, 255) if scanned else rng.uniform(140, 240)
    page = np.full(shape, paper, np.float32)
    page += cut(rough, shape, rng) * np.float32(rng.uniform(0, 2.5))
    if rng.random() < 0.22:
        rule(page, rng)
    if not scanned:
        page += slope(shape, 9, rng)
        if rng.random() < 0.4:
            page += cut(textures[1], shape, rng) * np.float32(rng.uniform(0, 8))  # crumpled
        if rng.random() < 0.2:  # a shadow falls across
            page *= 1 - np.float32(rng.uniform(0.1, 0.35)) * half_plane(shape, rng)
    if rng.random() < 0.1:  # whitened beside the word, as databases of handwriting are
        x, y = rng.integers(0, shape[1]), rng.integers(0, shape[0])
        page[(np.s_[:, x:], np.s_[:, :x], np.s_[y:], np.s_[:y])[rng.integers(4)]] = 255
    both = ink if strangers is None else np.maximum(ink, strangers)
    if rng.random() < 0.3:  # pencil, or a dry pen: grey, and only where the paper's grain takes it
        level = paper * rng.uniform(0.3, 0.6)
        both = both * uneven(rough, shape, 1, rng.uniform(0.1, 0.35), 0, rng)
    else:
        level = rng.uniform(0, 0.45) * paper
    cover(page, both * uneven(textures[5], shape, rng.uniform(0.8, 1), rng.uniform(0, 0.12), 0.5, rng), level)
    return page


def paint_board(ink, strangers, rng):
    """A marker on a whiteboard, a flipchart or a note, white to grey; one in thirty is chalk on a blackboard."""
    shape = ink.shape
    _, rough, textures = tiles()
    both = ink if strangers is None else np.maximum(ink, strangers)
    kind = rng.random()
    if kind < 0.03:
        return paint_blackboard(ink, both, rng)
    scanned = kind < 0.13  # and made white and black, as apps for documents do
    board = rng.uniform(225, 262) if scanned else rng.triangular(115, 178, 242)
    page = np.full(shape, board, np.float32) + slope(shape, 3.5, rng)
    if rng.random() < 0.2:  # ghosts of what was wiped off: upside down, so that nobody reads them
        page -= ghost(ink, rng) * np.float32(rng.uniform(8, 30))
    streaks = uneven(textures[5], shape, rng.uniform(0.85, 1), rng.uniform(0, 0.08), 0.6, rng)
    if rng.random() < 0.25:  # a marker that runs dry
        streaks = streaks * uneven(rough, shape, rng.uniform(0.7, 0.95), rng.uniform(0.05, 0.2), 0.3, rng)
    level = rng.uniform(0, 0.25) if scanned else rng.triangular(0, 0.02, 0.75)
    cover(page, both * streaks, level * min(board, 255))
    if rng.random() < 0.12 and not scanned:  # a lamp's glare
        y, x = rng.uniform(-0.2, 1.2) * shape[0], rng.uniform(0, 1) * shape[1]
        tall, wide = shape[0] * rng.uniform(0.3, 1.2), shape[0] * rng.uniform(0.5, 2)
        glare = (np.exp(-np.square((np.arange(shape[0], dtype=np.float32) - y) / tall))[:, None]
                 * np.exp(-np.square((np.arange(shape[1], dtype=np.float32) - x) / wide))[None])
        cover(page, glare * np.float32(rng.uniform(0.2, 0.6)), 255)
    return page


def paint_blackboard(ink, both, rng):
    """Chalk on a blackboard. ink: of the word; both: of the word and of what stands near it."""
    shape = ink.shape
    _, rough, textures = tiles()
    page = np.full(shape, rng.uniform(20, 85), np.float32) + slope(shape, 8, rng)
    if rng.random() < 0.6:
        page += ghost(ink, rng) * np.float32(rng.uniform(8, 30))
    page += cut(textures[0], shape, rng) * np.float32(rng.uniform(2, 7))
    page += cut(textures[6], shape, rng) * np.float32(rng.uniform(0, 5))  # wiped with a sponge
    dry = uneven(rough, shape, rng.uniform(0.75, 1), rng.uniform(0.1, 0.3), 0.15, rng)
    cover(page, both * dry, rng.uniform(170, 255))
    return page


def ghost(ink, rng):
    """What is left of wiped ink: blurred, upside down and elsewhere, so that nobody reads it."""
    return np.roll(cv2.GaussianBlur(ink[::-1, ::-1], (0, 0), rng.uniform(1, 3)), rng.integers(0, ink.shape[1]), axis=1)


PAINT = {"scene": paint_scene, "paper": paint_paper, "board": paint_board}
