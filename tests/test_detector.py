"""Ink and words found on photos, with functions that stand for the network."""
from pathlib import Path

import cv2
import numpy as np
import pytest

from photos import detector
from photos.detector import Detector, Edges, Maps, full_ink, load_detector, spans, without_doubles
from photos.network import MAPS, SHRINK, STRIDE, WORD_HEIGHT

MODEL = Path(__file__).parent.parent / "models/pages"


def dark_boxes(images):
    """Stands for the network: every dark blob of an evened image is ink and a word; its pixels know the blob's sides."""
    maps = []
    for image in images:
        dark = (image.mean(axis=2) < 100).astype(np.uint8)
        dark = cv2.resize(dark, None, fx=1 / STRIDE, fy=1 / STRIDE, interpolation=cv2.INTER_AREA)
        _, labels, places, _ = cv2.connectedComponentsWithStats(dark)
        x, y, width, height, _ = places[labels].astype(float).transpose(2, 0, 1)
        rows, columns = np.indices(labels.shape)
        sides = [columns - x + 0.5, rows - y + 0.5, x + width - columns - 0.5, y + height - rows - 0.5]
        kernel = (labels > 0) & (np.min(sides, axis=0) > SHRINK * np.minimum(width, height))
        ink, kernel = (np.where(mask, 9.0, -9.0) for mask in (labels > 0, kernel))
        maps.append(np.stack([ink, kernel, *np.log(np.maximum(sides, 0.05)), 0 * ink], axis=2))
    assert maps[0].shape[2] == len(MAPS)
    return np.float32(maps)


def board(size, word, step, value=60):
    """A photo with dark boxes of `word` (width, height) px in rows, and their quads."""
    pixels, quads = np.full((size[1], size[0], 3), 230, np.uint8), []
    for y in range(step, size[1] - step, step):
        for x in range(step, size[0] - 2 * step, 2 * step):
            pixels[y:y + word[1], x:x + word[0]] = value
            quads.append([[x, y], [x + word[0], y], [x + word[0], y + word[1]], [x, y + word[1]]])
    return pixels, np.float32(quads)


@pytest.mark.parametrize("height", [12, 26, 100])
def test_words_are_looked_at_where_they_have_the_networks_height(height):
    pixels, quads = board((20 * height, 14 * height), (2 * height, height), 2 * height)
    found = Detector(dark_boxes).find(pixels)
    assert 0.7 < found.scale * height / WORD_HEIGHT < 1.4
    assert len(found.polygons) == len(quads)
    for quad in quads:
        assert abs(found.polygons - quad).max(axis=(1, 2)).min() < 0.15 * height
    ink = (pixels[..., 0] < 100)
    assert found.ink.shape == ink.shape and ((found.ink > 0) != ink).mean() < 0.02


@pytest.mark.parametrize("heights, words, best", [([14, 10, 8], [9, 9, 9], 14), ([14, 22, 30], [9, 9, 9], 22),
                                                  ([14, 26, 30], [9, 2, 9], 14)])
def test_the_look_whose_words_are_most_of_the_networks_height_is_taken(monkeypatch, heights, words, best):
    scales = []

    def look_at(_, pixels, scale):
        scales.append(scale)
        height = heights[len(scales) - 1]
        word = [[0, 0], [9, 0], [9, height], [0, height]]
        return pixels, np.full(pixels.shape[:2], 255, np.uint8), np.float32([word] * words[len(scales) - 1]), np.ones(9)

    monkeypatch.setattr(Detector, "look_at", look_at)
    monkeypatch.setattr(detector.Edges, "of", lambda image, ink: ink)
    monkeypatch.setattr(detector, "full_ink", lambda pixels, ink: ink)
    found = Detector(None).find(np.full((400, 600, 3), 200, np.uint8))
    assert len(scales) == 2 and found.polygons[0, 2, 1] == best + 0.5 and found.scale == scales[heights.index(best)]


def test_small_writing_is_found_beside_larger_things():
    def only_of_its_height(images):
        maps = dark_boxes(images)
        for image, said in zip(images, maps):
            _, labels, places, _ = cv2.connectedComponentsWithStats((image.mean(axis=2) < 100).astype(np.uint8))
            unlike = np.isin(labels, np.flatnonzero(abs(np.log(places[:, 3] / WORD_HEIGHT)) > np.log(1.7)))
            said[unlike[::STRIDE, ::STRIDE], 1] = -9.0
        return maps

    pixels, quads = board((500, 600), (30, 12), 40)
    pixels[300:] = 230
    quads = quads[quads[:, 2, 1] < 300]
    for x in range(10, 490, 40):  # plants, whose leaves are what most of the ink is
        pixels[400:450, x:x + 25] = 60
    found = Detector(only_of_its_height).find(pixels)
    assert len(found.polygons) == len(quads) > 20 and found.scale * 12 > 0.6 * WORD_HEIGHT


def test_boxes_are_as_tight_as_the_photo_shows(monkeypatch):
    pixels = np.full((400, 600, 3), 230, np.uint8)
    for left, top, right, bottom in (tight := [(100, 60, 200, 91), (211, 85, 217, 91)]):  # a word and a full stop
        pixels[top:bottom, left:right] = 60
    ink = cv2.resize(np.uint8(255) * (pixels[..., 0] < 100), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    loose = [[[left - 6, top - 6], [right + 5, top - 6], [right + 5, bottom + 5], [left - 6, bottom + 5]]
             for left, top, right, bottom in tight]
    monkeypatch.setattr(Detector, "look_at", lambda *_: (pixels, ink, np.float32(loose), np.ones(2)))
    found = Detector(None).find(pixels).polygons
    assert found[:, [0, 2]].reshape(2, 4).tolist() == [list(sides) for sides in tight]  # from corner to corner of pixels


def test_boxes_around_nothing_are_left_out(monkeypatch):
    pixels = np.full((400, 600, 3), 230, np.uint8)
    pixels[100:130, 100:200] = pixels[110:116, 340:346] = 60  # and a speck
    boxes = [[[x, 100], [x + 100, 100], [x + 100, 130], [x, 130]] for x in (100, 300)]
    ink = np.uint8(255) * (pixels[..., 0] < 100)
    monkeypatch.setattr(Detector, "look_at", lambda *_: (pixels, ink, np.float32(boxes), np.ones(2)))
    monkeypatch.setattr(detector.Edges, "of", lambda image, ink: ink)
    monkeypatch.setattr(detector, "full_ink", lambda pixels, ink: ink)
    assert Detector(None).find(pixels).polygons.tolist() == boxes[:1]


def test_tiles_show_no_seam(monkeypatch):
    pixels, quads = board((900, 700), (52, 26), 60)
    whole = Detector(dark_boxes).look(pixels)
    monkeypatch.setattr(detector, "TILE", 256)
    tiled = Detector(dark_boxes, threads=3).look(pixels)
    assert (whole.ink == tiled.ink).all()
    assert sorted(zip(whole.y.tolist(), whole.x.tolist())) == sorted(zip(tiled.y.tolist(), tiled.x.tolist()))
    assert len(detector.words_of(tiled)[0]) == len(quads)


def test_tiles_cover_every_length():
    for length in (5, 64, 1024, 1025, 3000, 10007):
        parts = spans(length)
        assert parts[0][0] == 0 and parts[-1][1] == length and all(a[1] == b[0] for a, b in zip(parts, parts[1:]))
        assert all(start % 32 == 0 and end - start <= 1024 + 32 for start, end in parts)


def test_a_photo_without_words_and_a_tiny_one():
    for pixels in (np.full((400, 300), 255, np.uint8), np.zeros((100, 200, 3), np.uint8), np.full((3, 2), 9, np.uint8)):
        found = Detector(dark_boxes).find(pixels)
        assert found.polygons.shape == (0, 4, 2) and found.scores.shape == (0,) and not found.ink.any()
        assert found.ink.shape == pixels.shape[:2]


def wall():
    bricks = np.full((420, 600), 120, np.uint8)
    for y in range(0, 420, 40):
        bricks[y:y + 5] = bricks[y:y + 40, y // 40 % 2 * 50::100] = 200
    return bricks


@pytest.mark.parametrize("pixels, most", [
    (np.zeros((420, 600), np.uint8), 2), (np.full((420, 600), 255, np.uint8), 2), (wall(), 2),
    (np.random.default_rng(0).integers(0, 256, (420, 600, 3), np.uint8), 2),  # an early network saw thousands
    (np.clip(np.random.default_rng(0).normal(200, 12, (420, 600)), 0, 255).astype(np.uint8), 2)],
    ids=["black", "white", "bricks", "noise", "grain"])
def test_the_shipped_network_sees_few_words_where_there_are_none(pixels, most):
    assert len(load_detector(MODEL).find(pixels).polygons) <= most


def test_of_two_boxes_of_one_word_the_larger_stays():
    boxes = np.float32([[[0, 0], [40, 0], [40, 10], [0, 10]], [[0, 0], [50, 0], [50, 10], [0, 10]],
                        [[60, 0], [90, 0], [90, 10], [60, 10]]])
    kept, scores = without_doubles(boxes, np.float32([0.9, 0.8, 0.7]))
    assert kept[:, 1, 0].tolist() == [50, 90] and scores.tolist() == pytest.approx([0.8, 0.7])


@pytest.mark.parametrize("paper, pen", [(230, 60), (40, 210)])
def test_ink_in_full_size_is_as_sharp_as_the_photo(paper, pen):
    strokes = np.zeros((400, 600), np.uint8)
    cv2.putText(strokes, "sharp", (60, 250), cv2.FONT_HERSHEY_SIMPLEX, 5, 255, 10)
    pixels = np.where(strokes[..., None] > 127, pen, paper).astype(np.uint8).repeat(3, axis=2)
    small = cv2.resize(pixels, (200, 133), interpolation=cv2.INTER_AREA)
    ink = cv2.resize(strokes, (100, 67), interpolation=cv2.INTER_AREA)
    found = full_ink(pixels, Edges.of(small, ink)) > 0
    true = strokes > 127
    assert (found & true).sum() / (found | true).sum() > 0.95


def test_maps_of_the_networks_output():
    output = np.full((4, 6, 7), -9, np.float32)
    output[1, 2] = 9, 3, np.log(4), 0, 1, 2, 0.3
    maps = Maps.of(output)
    assert maps.y.tolist() == [1] and maps.x.tolist() == [2] and maps.ink[1, 2] >= 254 and maps.ink.sum() == maps.ink[1, 2]
    assert maps.sides[0] == pytest.approx([4, 1, np.e, np.e ** 2, 0.3], rel=1e-5)
