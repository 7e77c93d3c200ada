"""Drawn pages: what is a word, what is ink."""
import cv2
import numpy as np
import pytest

import render
from render.pages import Sheet, areas, draw_page


@pytest.fixture(scope="module")
def pages():
    renderer = render.Renderer()
    return [draw_page(renderer, np.random.default_rng(seed), size=(528, 400)) for seed in range(6)]


def test_a_page_depends_on_its_seed_alone(pages):
    again = draw_page(render.Renderer(), np.random.default_rng(2), size=(528, 400))
    assert (again.image == pages[2].image).all() and (again.ink == pages[2].ink).all() and again.texts == pages[2].texts


def test_every_words_quad_holds_its_ink(pages):
    assert sum(len(page.texts) for page in pages) > 20
    for page in pages:
        assert page.image.shape == (400, 528, 3) and page.ink.shape == (400, 528)
        assert page.image.dtype == page.ink.dtype == np.uint8 and len(page.quads) == len(page.texts)
        for quad, text in zip(page.quads, page.texts):
            inside = cv2.fillConvexPoly(np.zeros_like(page.ink), np.rint(quad).astype(np.int32), 1)
            assert text and (page.ink[inside > 0] > 127).any()


def test_a_word_is_put_tight_and_turned_and_never_over_another():
    sheet = Sheet(np.full((200, 300, 3), 255, np.float32))
    ink = np.zeros((40, 80), np.uint8)
    ink[10:30, 5:75] = 255
    assert sheet.put(ink, (100, 80), 0.0, np.zeros(3), "word")
    assert sheet.quads[0].tolist() == [[105, 90], [175, 90], [175, 110], [105, 110]]
    assert sheet.ink[91:109, 106:174].min() == 255 and sheet.ink[:88].max() == 0
    assert not sheet.put(ink, (110, 84), 0.1, np.zeros(3), "over") and not sheet.put(ink, (250, 80), 0.0, np.zeros(3), "out")
    assert sheet.put(ink, (60, 20), 0.3, np.zeros(3), "turned")
    along = sheet.quads[1][1] - sheet.quads[1][0]
    assert np.arctan2(along[1], along[0]) == pytest.approx(0.3)


def test_frames_are_ink_but_no_words_and_what_is_printed_is_no_ink():
    sheet = Sheet(np.full((100, 100, 3), 255, np.float32))
    sheet.line([(10, 10), (90, 10)], np.zeros(3), 3)
    sheet.line([(10, 50), (90, 50)], np.zeros(3), 3, ink=False)
    assert sheet.ink[10, 50] == 255 and not sheet.ink[40:60].any() and sheet.image[50, 50].max() == 0 and not sheet.quads


def test_areas_part_the_page_without_overlap():
    for seed in range(5):
        taken = np.zeros((800, 1056), int)
        for x, y, right, bottom in areas((1056, 800), np.random.default_rng(seed)):
            taken[int(np.ceil(y)):int(bottom), int(np.ceil(x)):int(right)] += 1
        assert taken.max() == 1


def test_a_bare_page_has_no_writing(monkeypatch):
    monkeypatch.setattr("render.pages.BARE", 1)
    drawn = [draw_page(render.Renderer(), np.random.default_rng(seed), size=(300, 200)) for seed in range(4)]
    assert not any(page.ink.any() or len(page.quads) or page.texts for page in drawn)
    assert max(page.image.std() for page in drawn) > 20  # noise and textures, no even grey
