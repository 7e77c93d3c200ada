"""Photos for azure_ocr.py, each with a box on it, and runs of the script on them."""
import numpy as np
from PIL import Image

import azure_ocr

BOX = [[60.0, 20.0], [140.0, 20.0], [140.0, 50.0], [60.0, 50.0]]


def photo(path, size=(200, 120), box=BOX, **options):
    pixels = np.full((size[1], size[0], 3), 230, np.uint8)
    if box:
        (left, top), _, (right, bottom), _ = np.int32(box)
        pixels[top:bottom, left:right] = 20
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def run(*options):
    azure_ocr.main(["-p", "photos", "--per_minute", "60000", *map(str, options)])
