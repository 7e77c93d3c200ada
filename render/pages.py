"""Draws pages of handwriting and print on boards, paper and notes: every word's quad and the ink are known.

    >>> page = draw_page(render.Renderer(strokes="ondb_words.npz"), np.random.default_rng(7))
    >>> page.image.shape, page.quads.shape, page.ink.shape
    ((800, 1056, 3), (93, 4, 2), (800, 1056))

A page is filled with blocks: paragraphs, lists, indented code, tables, diagrams of boxes and arrows, notes stuck on; and
with what is not writing: rulings, frames, magnets, pens, pictures, what was wiped off. Pens draw words, frames and arrows
alike: all that is ink, but only words have quads.
"""
import dataclasses
import math

import cv2
import numpy as np
from PIL import Image, ImageDraw

from render.chances import cumulative, pick
from render.renderer import VARIED
from render.strokes import X_HEIGHT, draw_strokes, vary
from render.surfaces import slope, tiles

PENS = ((25, 25, 30), (25, 25, 30), (20, 35, 140), (30, 60, 190), (190, 25, 35), (20, 120, 60), (110, 40, 130),
        (200, 90, 20))
CHALKS = ((235, 235, 230), (235, 235, 230), (240, 225, 120), (240, 170, 180), (160, 200, 240))
NOTES = ((250, 240, 120), (250, 220, 80), (250, 170, 190), (160, 220, 250), (180, 240, 160), (250, 180, 110))
BLOCKS = "paragraph", "list", "code", "table", "diagram", "tree", "scattered"
BLOCK_CHANCES = cumulative([38, 14, 18, 9, 11, 4, 6])
BARE = 0.08  # chance of a page without any ink


@dataclasses.dataclass
class DrawnPage:
    """image: uint8 [H, W, 3] RGB; ink: uint8 [H, W], 255 ink; quads: float32 [N, 4, 2], words' corners in px, clockwise from
    each word's own top-left; texts: the N words."""
    image: np.ndarray
    ink: np.ndarray
    quads: np.ndarray
    texts: list


class Hand:
    """A writer, or a face, with a pen: draws word after word in one size.

    x_height: px of an "x"."""

    def __init__(self, renderer, rng, split, style, x_height):
        self.renderer, self.rng, self.style, self.x_height = renderer, rng, style, x_height
        strokes = renderer.strokes
        self.face = None
        if strokes and rng.random() < 0.6:
            writers = strokes.writers[strokes.words[split]]
            self.words = strokes.words[split][writers == writers[rng.integers(len(writers))]]
            self.varied = rng.random() < VARIED
        else:
            self.face = renderer.fonts.pick(rng, split, style)
            self.bold = int(rng.integers(0, 3)) if self.face.hand else 0

    def word(self, text=None):
        """(ink uint8 [H, W], its top over the baseline in px, text) of a word, of a random one unless `text` is given."""
        if self.face is None and text is None:
            return self._written()
        return self._set(text)

    def _written(self):
        strokes, rng = self.renderer.strokes, self.rng
        k = self.words[rng.integers(len(self.words))]
        pen = strokes.strokes_of(k)
        pen = vary(pen, rng) if self.varied else pen
        tall = np.concatenate(pen)[:, 1]
        low, tall = tall.min(), np.ptp(tall) + 8
        scale = self.x_height / X_HEIGHT
        ink, _ = draw_strokes(pen, scale * max(tall, 0.9 * X_HEIGHT), rng)
        return ink, low * scale, strokes.texts[k]

    def _set(self, text):
        face = self.face or self.renderer.fonts.pick(self.rng, "train", self.style)
        for _ in range(30):
            text = face.suited(text or self.renderer.texts.pick(self.rng, self.style))
            if face.writes(text):
                break
            text = None
        else:
            return None, 0, ""
        font = face.at(int(np.clip(self.x_height / face.x_height, 6, 120)))
        left, top, right, bottom = font.getbbox(text, anchor="ls")
        if right - left < 1 or bottom - top < 1 or right - left > 900:
            return None, 0, ""
        page = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
        ImageDraw.Draw(page).text((2 - left, 2 - top), text, fill=255, font=font, anchor="ls")
        ink = np.asarray(page)
        if self.face and self.bold:
            ink = cv2.dilate(ink, np.ones((self.bold,) * 2, np.uint8))
        return ink, top - 2, text


class Sheet:
    """A page as it is filled."""

    def __init__(self, image):
        self.image = image  # float32 [H, W, 3]
        self.ink = np.zeros(image.shape[:2], np.uint8)
        self.quads, self.texts = [], []
        self.taken = np.zeros(image.shape[:2], np.uint8)  # where words are, so that none is written over another

    def put(self, ink, corner, angle, colour, text=None):
        """Ink uint8 [h, w] of one colour, its upper left corner at `corner`, turned by `angle` radians about it. With `text`
        it is a word, which is left out (False) where it would leave the page or cover another."""
        height, width = ink.shape
        x, y, w, h = cv2.boundingRect((ink > 60).view(np.uint8))
        if not w or not h:
            return False
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        quad = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float) @ turn.T + corner
        ends = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ turn.T + corner
        low, high = np.floor(ends.min(axis=0)).astype(int), np.ceil(ends.max(axis=0)).astype(int) + 1
        if np.any(low < 0) or np.any(high > self.ink.shape[::-1]):
            return False
        part = np.s_[low[1]:high[1], low[0]:high[0]]
        moved = cv2.warpAffine(ink, np.column_stack([turn, corner - low]), tuple((high - low).tolist()))
        if text is not None:
            core = np.zeros(moved.shape, np.uint8)
            cv2.fillConvexPoly(core, np.rint(quad - low).astype(np.int32), 1)
            if (self.taken[part] & core).sum() > 0.12 * core.sum():
                return False
            self.taken[part] |= core
            self.quads.append(quad)
            self.texts.append(text)
        self.cover(moved, part, colour)
        return True

    def done(self):
        """The DrawnPage that it has become."""
        return DrawnPage(np.clip(self.image, 0, 255).astype(np.uint8), self.ink,
                         np.array(self.quads, np.float32).reshape(-1, 4, 2), self.texts)

    def cover(self, ink, part, colour):
        self.image[part] += (ink * np.float32(1 / 255))[..., None] * (np.float32(colour) - self.image[part])
        self.ink[part] = np.maximum(self.ink[part], ink)

    def line(self, points, colour, thick, closed=False, rng=None, ink=True):
        """A pen's line through points [n, 2], a little shaky with `rng`; `ink` False: printed, or an edge of something."""
        points = np.asarray(points, float)
        if rng is not None:
            points = shaky(points if not closed else np.vstack([points, points[:1]]), rng)
        mask = np.zeros(self.ink.shape, np.uint8)
        cv2.polylines(mask, [np.rint(points * 8).astype(np.int32)], closed and rng is None, 255, max(int(thick), 1),
                      cv2.LINE_AA, 3)
        x, y, w, h = cv2.boundingRect(mask)
        if w and h:
            part = np.s_[y:y + h, x:x + w]
            if ink:
                self.cover(mask[part], part, colour)
            else:
                self.image[part] += (mask[part] * np.float32(1 / 255))[..., None] * (np.float32(colour) - self.image[part])


def shaky(points, rng):
    """Points float [n, 2] of a line by a hand: more of them, off by a little."""
    pieces = [a + (b - a) * np.linspace(0, 1, 8, endpoint=False)[:, None] for a, b in zip(points, points[1:])]
    points = np.vstack([*pieces, points[-1:]])
    size = np.ptp(points, axis=0).max() * 0.012
    wave = cv2.GaussianBlur(rng.normal(0, 1, (len(points), 2)), (1, 9), 2)
    return points + wave * size


def draw_page(renderer, rng, split="train", size=(1056, 800)):
    """A DrawnPage of `size` (width, height) with words some 20 to 60 px high, drawn with a numpy Generator."""
    kind = pick(rng, cumulative([50, 12, 38]))  # whiteboard, blackboard, paper
    sheet = Sheet(background((size[1], size[0]), kind, rng))
    style = "paper" if kind == 2 else "board"
    distract(sheet, kind, rng)
    if rng.random() < BARE:
        return bare(sheet, rng)
    pens = [colour_of(CHALKS if kind == 1 else PENS, rng) for _ in range(rng.integers(1, 4))]
    main = math.exp(rng.uniform(math.log(10), math.log(20)))  # px, the x-height
    hand = Hand(renderer, rng, split, style, main)
    for box in areas(size, rng):
        if rng.random() < 0.3:
            hand = Hand(renderer, rng, split, style, main * math.exp(rng.normal(0, 0.25)))
        pen, base = pens[rng.integers(len(pens))], (sheet, box)
        if rng.random() < (0.15, 0.03, 0.08)[kind]:
            stick(sheet, box, rng)
            pen = colour_of(PENS[:3], rng)
        block = BLOCKS[pick(rng, BLOCK_CHANCES)]
        FILL[block](*base, hand, pen, rng)
    _, rough, _ = tiles()
    sheet.image += spread(rough, sheet.ink.shape)[..., None] * np.float32(rng.uniform(0, 4))
    return sheet.done()


def bare(sheet, rng):
    """A DrawnPage without writing: a wall, a ceiling, cloth, or the noise of a dark photo."""
    grain, rough, textures = tiles()
    tile = (grain, rough, textures[rng.integers(len(textures))])[rng.integers(3)]
    wide, tall = (np.exp(rng.uniform(0, 1.2, 2))).tolist()
    tile = cv2.resize(tile, None, fx=wide, fy=tall, interpolation=cv2.INTER_LINEAR)
    sheet.image += spread(tile, sheet.ink.shape)[..., None] * np.float32(math.exp(rng.uniform(1, 4.2)))
    return sheet.done()


def spread(tile, shape):
    """A tile laid again and again over `shape`."""
    return np.tile(tile, [-(-whole // part) for whole, part in zip(shape, tile.shape)])[:shape[0], :shape[1]]


def colour_of(colours, rng):
    return np.array(colours[rng.integers(len(colours))], float)


def areas(size, rng):
    """Boxes (x, y, right, bottom) that part a page into blocks: it is cut again and again, across or along."""
    boxes, done = [(20, 20, size[0] - 20, size[1] - 20)], []
    while boxes:
        x, y, right, bottom = boxes.pop()
        wide, tall = right - x, bottom - y
        if max(wide / 2, tall) < 260 or rng.random() < 0.12:
            done.append((x, y, right, bottom))
        elif wide > 1.3 * tall:
            middle = x + wide * rng.uniform(0.35, 0.65)
            boxes += [(x, y, middle - 15, bottom), (middle + 15, y, right, bottom)]
        else:
            middle = y + tall * rng.uniform(0.3, 0.7)
            boxes += [(x, y, right, middle - 10), (x, middle + 10, right, bottom)]
    return done


# --- What is under the ink --------------------------------------------------------------------------------------

def background(shape, kind, rng):
    """A whiteboard, a blackboard or paper without anything on it: float32 [H, W, 3]."""
    if kind == 1:
        colour = ((35, 60, 45), (40, 42, 45), (30, 50, 75))[rng.integers(3)]
    elif kind == 2 and rng.random() < 0.35:
        colour = colour_of(NOTES, rng)
    else:
        colour = rng.uniform(175, 252) + rng.normal(0, 4, 3)
    page = np.full((*shape, 3), np.float32(colour))
    page += slope(shape, 10, rng)[..., None]
    cells = rng.normal(0, 1, (6, 8)).astype(np.float32)
    page += cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_CUBIC)[..., None] * np.float32(rng.uniform(0, 9))
    if kind == 2 and rng.random() < 0.55:
        rule(page, rng)
    if kind == 1 or rng.random() < 0.2:  # wiped
        _, _, textures = tiles()
        tile = textures[0] if shape[0] <= textures[0].shape[0] else cv2.resize(textures[0], shape[::-1])
        page += tile[:shape[0], :shape[1], None] * np.float32(rng.uniform(1, 6))
    return page


def rule(page, rng):
    """Printed lines, in place: ruled paper, squared, or with a grid of dots, and a margin."""
    height, width = page.shape[:2]
    colour = np.float32(((150, 180, 220), (170, 170, 170), (220, 150, 150), (120, 120, 130))[rng.integers(4)])
    mask, thick, kind = np.zeros((height, width), bool), int(rng.integers(1, 3)), pick(rng, cumulative([45, 35, 20]))
    space = rng.uniform(34, 70) if kind == 0 else rng.uniform(12, 40)
    across, down = ((np.arange(length) - rng.uniform(0, space)) % space < thick for length in (width, height))
    mask[down] = True
    if kind == 1:
        mask[:, across] = True
    elif kind == 2:
        mask[:, ~across] = False
    elif rng.random() < 0.4:
        x = int(rng.uniform(40, 160))
        page[:, x:x + 2] += np.float32(rng.uniform(0.3, 0.9)) * (np.float32((220, 120, 120)) - page[:, x:x + 2])
    page[mask] += np.float32(rng.uniform(0.3, 0.9)) * (colour - page[mask])


def stick(sheet, box, rng):
    """A note on the page, in its box."""
    x, y, right, bottom = box
    angle, grow = rng.normal(0, 0.04), 12
    centre, half = np.array([x + right, y + bottom]) / 2, np.array([right - x, bottom - y]) / 2 + grow
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    corners = (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half) @ turn.T + centre
    mask = np.zeros(sheet.ink.shape, np.uint8)
    cv2.fillConvexPoly(mask, np.rint(corners + 4).astype(np.int32), 90)
    soft = cv2.GaussianBlur(mask, (0, 0), 5)[..., None] * np.float32(1 / 255)
    sheet.image *= 1 - soft * np.float32(0.6)
    mask[:] = 0
    cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 255, cv2.LINE_AA)
    cover = mask[..., None] * np.float32(1 / 255)
    sheet.image += cover * (np.float32(colour_of(NOTES, rng)) - sheet.image)


def distract(sheet, kind, rng):
    """What is on a page or beside it, and is not writing: edges, magnets, pens, pictures, what was wiped off."""
    height, width = sheet.ink.shape

    def grey():
        return rng.uniform(20, 230) + rng.normal(0, 20, 3)

    if rng.random() < 0.45:  # the frame of a board, or the edge of a sheet: beyond it something else
        side = int(rng.integers(4))
        reach, colour = int(rng.uniform(6, 60)), grey()
        part = (np.s_[:reach], np.s_[-reach:], np.s_[:, :reach], np.s_[:, -reach:])[side]
        sheet.image[part] = colour + rng.normal(0, 3, sheet.image[part].shape[:2])[..., None]
        if rng.random() < 0.6:
            edge = reach + int(rng.integers(2, 8))
            part = (np.s_[reach:edge], np.s_[-edge:-reach], np.s_[:, reach:edge], np.s_[:, -edge:-reach])[side]
            sheet.image[part] = grey()
    for _ in range(rng.poisson(1.2)):  # magnets, screws
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        radius = int(rng.uniform(4, 26))
        cv2.circle(sheet.image, centre, radius, (colour_of(PENS, rng) + rng.uniform(0, 60)).tolist(), -1,
                   cv2.LINE_AA)
        cv2.circle(sheet.image, (centre[0] - radius // 4, centre[1] - radius // 4), max(radius // 4, 1), (240, 240, 240), -1,
                   cv2.LINE_AA)
    if kind == 2 and rng.random() < 0.2:  # holes along an edge, with or without the wire of a binding
        near, radius, space, wire = rng.uniform(8, 50), rng.uniform(4, 11), rng.uniform(24, 90), rng.random() < 0.6
        hole = rng.uniform(10, 130) + rng.normal(0, 8, 3)
        for place in np.arange(rng.uniform(0, space), height, space):
            cv2.circle(sheet.image, (int(near), int(place)), int(radius), hole.tolist(), -1, cv2.LINE_AA)
            if wire:
                sheet.line([(0, place - radius), (near, place)], grey(), rng.uniform(2, 6), ink=False)
    for _ in range(rng.poisson(0.6)):  # pens, rulers, cables
        start, angle, long = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0, math.pi), rng.uniform(60, 400)
        end = start + long * np.array([math.cos(angle), math.sin(angle)])
        for colour, thick in ((grey(), rng.uniform(5, 22)), (grey(), rng.uniform(1, 5))):
            sheet.line([start, end], colour, thick, ink=False)
    if rng.random() < 0.2:  # a picture
        x, y = int(rng.uniform(0, width - 120)), int(rng.uniform(0, height - 120))
        w, h = int(rng.uniform(60, 260)), int(rng.uniform(60, 200))
        part = sheet.image[y:y + h, x:x + w]
        _, _, textures = tiles()
        tile = np.resize(textures[rng.integers(len(textures))], part.shape[:2])
        part[:] = grey() + tile[..., None] * np.float32(rng.uniform(5, 50))
    if kind < 2 and rng.random() < 0.3:  # smears
        cells = np.maximum(cv2.resize(rng.normal(0, 1, (12, 20)).astype(np.float32), (width, height)), 0)
        sheet.image -= cells[..., None] * np.float32(rng.uniform(3, 15) * (1 if kind == 0 else -1))


# --- What is written --------------------------------------------------------------------------------------------

def write_line(sheet, place, right, hand, pen, rng, angle=None, words=99, gap=None):
    """Words from `place` (x, baseline) to the right side; the number of words written."""
    angle = rng.normal(0, 0.025) if angle is None else angle
    along, down = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    x, count, gap = 0.0, 0, gap or rng.uniform(0.55, 1.3)
    while count < words:
        ink, top, text = hand.word()
        if ink is None:
            break
        if place[0] + x + ink.shape[1] > right:
            break
        wobble = rng.normal(0, 0.05) * hand.x_height
        corner = np.array(place) + x * along + (top + wobble) * down
        shade = pen if rng.random() < 0.97 else colour_of(PENS, rng)
        count += sheet.put(ink, corner, angle + rng.normal(0, 0.01), shade, text)
        x += ink.shape[1] + hand.x_height * gap * math.exp(rng.normal(0, 0.25))
    if count and rng.random() < 0.07:  # underlined
        start = np.array(place) + hand.x_height * rng.uniform(0.25, 0.7) * down
        sheet.line([start, start + x * along], pen, rng.uniform(1, 4), rng=rng)
    return count


def paragraph(sheet, box, hand, pen, rng, indents=lambda rng: 0, mark=None):
    x, y, right, bottom = box
    pitch, angle = hand.x_height * rng.uniform(2.0, 3.6), rng.normal(0, 0.025)
    gap = rng.uniform(0.5, 1.2)
    right -= rng.uniform(0, 0.35) * (right - x)
    y += 2 * hand.x_height
    lines = rng.integers(2, 16)
    while y < bottom - hand.x_height and lines:
        start = x + indents(rng) * hand.x_height
        if mark:
            start += mark(sheet, (start, y), hand, pen, rng)
        write_line(sheet, (start, y), right, hand, pen, rng, angle + rng.normal(0, 0.006),
                   99 if rng.random() < 0.7 else int(rng.integers(1, 6)), gap)
        y, lines = y + pitch * math.exp(rng.normal(0, 0.06)), lines - 1


def bullet(sheet, place, hand, pen, rng):
    """A bullet or dash before a line; returns its width in px."""
    x, y = place
    size = hand.x_height
    if rng.random() < 0.5:
        sheet.line([(x, y - size / 2), (x + 0.7 * size, y - size / 2)], pen, rng.uniform(1.5, 3), rng=rng)
    else:
        sheet.line([(x + size / 3, y - size / 2), (x + size / 3 + 1, y - size / 2)], pen, rng.uniform(3, 7))
    return 1.5 * size


def listing(sheet, box, hand, pen, rng):
    paragraph(sheet, box, hand, pen, rng, mark=bullet)


def code(sheet, box, hand, pen, rng):
    paragraph(sheet, box, hand, pen, rng, indents=lambda rng: 2 * rng.integers(0, 4))


def scattered(sheet, box, hand, pen, rng):
    x, y, right, bottom = box
    for _ in range(rng.integers(1, 6)):
        place = rng.uniform(x, right), rng.uniform(y + 2 * hand.x_height, bottom)
        write_line(sheet, place, right, hand, pen, rng, rng.normal(0, 0.12), int(rng.integers(1, 4)))


def frame(sheet, corners, pen, rng, thick):
    sheet.line(np.asarray(corners, float) + rng.normal(0, 1.5, (len(corners), 2)), pen, thick, closed=True, rng=rng)


def arrow(sheet, start, end, pen, rng, thick):
    """A line from start to end, mostly with a head."""
    start, end = np.array(start, float), np.array(end, float)
    sheet.line([start, (start + end) / 2 + rng.normal(0, 6, 2), end], pen, thick, rng=rng)
    way = (start - end) / max(np.linalg.norm(start - end), 1)
    if rng.random() < 0.8:
        size = rng.uniform(6, 16)
        left, right = (end + size * (math.cos(0.5) * way + sign * math.sin(0.5) * way[::-1] * (-1, 1)) for sign in (1, -1))
        sheet.line([left, end, right], pen, thick, rng=rng)


def table(sheet, box, hand, pen, rng):
    x, y, right, bottom = box
    row, columns = hand.x_height * rng.uniform(2.2, 4), int(rng.integers(1, 5))
    rows = int(min((bottom - y) / row, rng.integers(2, 9)))
    edges = np.linspace(x, right, columns + 1)
    thick = rng.uniform(1, 4)
    for k in range(rows + 1):
        sheet.line([(x, y + k * row), (right, y + k * row)], pen, thick, rng=rng)
    for edge in edges:
        sheet.line([(edge, y), (edge, y + rows * row)], pen, thick, rng=rng)
    for k in range(rows):
        for a, b in zip(edges, edges[1:]):
            place = a + rng.uniform(4, 20), y + (k + 0.7) * row
            write_line(sheet, place, b - 4, hand, pen, rng, 0.0, int(rng.integers(0, 4)))


def diagram(sheet, box, hand, pen, rng):
    """Frames with a word or two in them, and arrows from one to the next."""
    x, y, right, bottom = box
    line = pen if rng.random() < 0.6 else colour_of(PENS, rng)
    thick, last = rng.uniform(1, 4), None
    for _ in range(rng.integers(2, 7)):
        tall, wide = hand.x_height * rng.uniform(2.4, 4.5), hand.x_height * rng.uniform(4, 14)
        if right - x < wide or bottom - y < tall:
            continue
        a, b = rng.uniform(x, right - wide), rng.uniform(y, bottom - tall)
        if sheet.taken[int(b):int(b + tall), int(a):int(a + wide)].any():
            continue
        write_line(sheet, (a + hand.x_height * rng.uniform(0.3, 1.2), b + tall * 0.62), a + wide, hand, pen, rng, 0.0, 2)
        if rng.random() < 0.6:
            frame(sheet, [(a, b), (a + wide, b), (a + wide, b + tall), (a, b + tall)], line, rng, thick)
        else:
            ring(sheet, (a + wide / 2, b + tall / 2), (wide * 0.6, tall * 0.65), line, rng, thick)
        if last is not None:
            arrow(sheet, last, (a - 3, b + tall / 2), line, rng, thick)
        last = (a + wide + 3, b + tall / 2)


def ring(sheet, centre, radii, pen, rng, thick):
    turns = np.linspace(0, 2 * math.pi * rng.uniform(0.97, 1.05), 24) + rng.uniform(0, 6)
    sheet.line(np.array(centre) + np.stack([np.cos(turns), np.sin(turns)], axis=1) * radii, pen, thick, rng=rng)


def tree(sheet, box, hand, pen, rng):
    """Ringed letters and numbers joined by lines, as computer scientists draw them."""
    x, y, right, bottom = box
    thick, radius = rng.uniform(1, 3), hand.x_height * rng.uniform(1.1, 1.7)
    levels = []
    for level in range(int(rng.integers(2, 4))):
        count = 2 ** level
        places = [(x + (right - x) * (k + 0.5) / count, y + radius + level * radius * 3.6) for k in range(count)]
        if places[0][1] + radius > bottom or (right - x) / count < 2.5 * radius:
            break
        levels.append(places)
        for k, place in enumerate(places):
            text = str(rng.integers(100)) if rng.random() < 0.6 else chr(65 + rng.integers(26))
            ink, _, text = hand.word(text)
            if ink is None:
                continue
            sheet.put(ink, np.array(place) - np.array(ink.shape[::-1]) / 2, 0.0, pen, text)
            ring(sheet, place, (radius, radius), pen, rng, thick)
            if level:
                above = levels[level - 1][k // 2]
                way = np.array(place) - above
                way = way / np.linalg.norm(way) * radius * 1.1
                arrow(sheet, above + way, np.array(place) - way, pen, rng, thick)


FILL = {"paragraph": paragraph, "list": listing, "code": code, "table": table, "diagram": diagram, "tree": tree,
        "scattered": scattered}
