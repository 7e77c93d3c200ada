"""photos/drawing.py: what was read, drawn on the photo."""
import numpy as np
import pytest
from PIL import Image

from command import UserError
from photos.drawing import draw, new_drawings
from photos.page import Word
from words.image_files import read_image


def test_boxes_are_drawn_from_red_to_green(tmp_path):
    photo = np.full((400, 600, 3), 200, np.uint8)
    words = [Word([[50, 100], [250, 100], [250, 200], [50, 200]], "sure", 1.0),
             Word([[350, 100], [550, 100], [550, 200], [350, 200]], "žluť", 0.0),
             Word([[10, 10]] * 4, "nowhere", 0.5), Word([[700, 10], [800, 10], [800, 50], [700, 50]], "outside", 0.5)]
    draw(tmp_path / "x" / "a.jpg", photo, words)
    drawn = read_image(tmp_path / "x" / "a.jpg").astype(int)
    red, green, _ = drawn[190:201, 150].sum(axis=0) - 11 * drawn[150, 150]
    assert red < green - 200
    red, green, _ = drawn[190:201, 450].sum(axis=0) - 11 * drawn[150, 450]
    assert green < red - 200
    assert np.abs(drawn[220:] - 200).max() < 5 and np.abs(drawn[10:50, 300:] - 200).max() < 5
    assert drawn[70:98, 50:150].min() < 100 and drawn[70:98, 50:150].max() > 240  # the text


def test_no_drawing_replaces_anything_unasked(tmp_path):
    photos = ["a.jpg", "b.png"]
    for photo in photos:
        Image.new("RGB", (60, 60)).save(tmp_path / photo)
    for overwrite in (False, True):
        with pytest.raises(UserError, match="is the photo itself"):
            new_drawings(tmp_path, tmp_path, photos, overwrite)
    (tmp_path / "drawn").mkdir()
    new_drawings(tmp_path / "drawn", tmp_path, photos, False)
    (tmp_path / "drawn" / "b.png.jpg").touch()
    with pytest.raises(UserError, match="b.png.jpg: is there already; --overwrite"):
        new_drawings(tmp_path / "drawn", tmp_path, photos, False)
    new_drawings(tmp_path / "drawn", tmp_path, photos, True)
