"""Drawings of what was read where on a photo.

    >>> draw(Path("drawn/board.jpg"), pixels, page.words)
"""
import colorsys
import functools
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import command
from command import UserError
from photos.cutting import clip, corners, sides
from photos.page import Word
from words.image_files import write_image


def drawing_path(folder: str | Path, file: str) -> Path:
    """Where the drawing of a photo is: its name in `folder`, as a JPEG."""
    return Path(folder, file if file.lower().endswith((".jpg", ".jpeg")) else f"{file}.jpg")


def new_drawings(folder: Path, root: Path, files: list[str], overwrite: bool):
    """UserError if the drawing of a photo, of `files` in `root`, is in `folder` already, or would replace the photo."""
    for file in files:
        path = drawing_path(folder, file)
        if os.path.realpath(path) == os.path.realpath(Path(root, file)):
            raise UserError(f"{path}: is the photo itself; name another folder to draw into")
        command.new_file(path, overwrite)


def draw(path: Path, pixels: np.ndarray, words: list[Word]):
    """Save a photo, uint8 [H, W] or [H, W, 3], with words drawn on it, as a JPEG: red for confidence 0, green for 1."""
    picture = Image.fromarray(pixels)
    if picture.mode != "RGB":  # a copy takes as much memory again
        picture = picture.convert("RGB")
    pen, line = ImageDraw.Draw(picture), max(2, round(max(picture.size) / 800))
    quads = [corners(word.polygon) for word in words]
    heights = [sides(quad)[1] for quad in quads if quad is not None]
    letters = font(int(np.clip(np.median(heights or [0]) * 0.4, 8 * line, 16 * line)))
    for quad, word in zip(quads, words):
        visible = () if quad is None else clip(quad, *picture.size)
        if len(visible) < 3:
            continue
        colour = colour_of(1 if word.confidence is None else word.confidence)
        pen.polygon([tuple(point) for point in visible], outline=colour, width=line)
        left, top = visible.min(axis=0) - (0, 1.3 * letters.size)
        pen.text((max(left, 0), max(top, 0)), word.text, colour, letters, stroke_width=line, stroke_fill="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, picture)


def colour_of(confidence: float) -> tuple[int, int, int]:
    """(red, green, blue), int 0..255: red for confidence 0, over orange, to green for 1; dark enough for white paper."""
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(np.nan_to_num(confidence) / 3, 1, 0.75))


@functools.cache
def font(size):
    return ImageFont.load_default(size)
