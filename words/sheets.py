"""Contact sheets: many small images with captions in one picture."""
from collections.abc import Iterable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

BORDER, CAPTION = 2, 20  # pixels: around each image, and of the line of text below


def contact_sheet(tiles: Iterable[tuple[list[np.ndarray], str]], columns: int = 6,
                  largest: tuple[int, int] | None = None) -> np.ndarray:
    """A picture, uint8 [H, W], of tiles in rows of `columns`, each one or more images over one another and a caption.

    tiles: (images, caption) each, images uint8 [h, w], shrunk to `largest` (width, height) where they are larger than that.
    """
    tiles = [([fitted(image, largest) for image in images], caption) for images, caption in tiles]
    width = max(image.shape[1] for images, _ in tiles for image in images) + 2 * BORDER
    height = max(sum(image.shape[0] + 2 * BORDER for image in images) for images, _ in tiles) + CAPTION
    picture = Image.new("L", (columns * width, -(-len(tiles) // columns) * height), 255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for k, (images, caption) in enumerate(tiles):
        x, y = k % columns * width, k // columns * height
        for image in images:
            framed = cv2.copyMakeBorder(image, *[BORDER] * 4, cv2.BORDER_CONSTANT, value=128)
            picture.paste(Image.fromarray(framed), (x, y))
            y += framed.shape[0]
        pen.text((x + BORDER, y + 1), caption, fill=0, font=font)
    return np.asarray(picture)


def fitted(image, largest):
    """The image, uint8 [h, w], shrunk to `largest`, (width, height), where that is given and it is larger."""
    scale = min(1, *np.divide(largest, image.shape[1::-1])) if largest else 1
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def as_on_paper(prepared: np.ndarray, scale: int = 2) -> np.ndarray:
    """A prepared image, float [W, H, 1], ink 1, as uint8 [H * scale, W * scale] to look at: dark on light grey."""
    grey = np.uint8(np.clip(205 - 205 * prepared[..., 0].T, 0, 255))
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
