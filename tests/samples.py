"""Small inputs that several tests draw and write."""
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


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
