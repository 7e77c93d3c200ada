"""words/sheets.py: pictures of many words."""
import numpy as np

from words.sheets import as_on_paper, contact_sheet

SIZE = (100, 32)  # width, height


def test_contact_sheet_has_a_tile_for_each_row(tmp_path):
    image = np.zeros((*SIZE, 1), np.float32)
    image[:50] = 1  # ink in the left half
    sheet = contact_sheet([([as_on_paper(image)], "été")] * 7)
    assert sheet.dtype == np.uint8 and sheet.shape == (2 * (64 + 4 + 20), 6 * (200 + 4))
    assert (sheet[2:66, 2:102] == 0).all() and (sheet[2:66, 102:202] == 205).all()  # shown dark on light grey
    assert (sheet[88:, 204:] == 255).all() and (sheet[68:88, :204] < 128).any()  # five empty tiles; a caption
    assert contact_sheet([([as_on_paper(image, scale=1)] * 2, "")], columns=1).shape == (2 * 36 + 20, 104)


def test_large_images_are_shrunk_and_tiles_of_different_heights_stand_in_even_rows():
    wide, high = np.zeros((100, 400), np.uint8), np.zeros((50, 10), np.uint8)
    sheet = contact_sheet([([wide], ""), ([high], ""), ([high], "")], columns=2, largest=(200, 60))
    assert sheet.shape == (2 * (50 + 4 + 20), 2 * (200 + 4))  # the wide one is 200 x 50 now
    assert (sheet[2:52, 2:202] == 0).all() and (sheet[2:52, 206:216] == 0).all() and (sheet[76:126, 2:12] == 0).all()
