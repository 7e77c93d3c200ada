"""words/sheets.py: pictures of many words."""
import numpy as np

from words.sheets import contact_sheet

SIZE = (100, 32)  # width, height


def test_contact_sheet_has_a_tile_for_each_row(tmp_path):
    image = np.zeros((*SIZE, 1), np.float32)
    image[:50] = 1  # ink in the left half
    sheet = contact_sheet([([image], "été")] * 7, columns=6, scale=2)
    assert sheet.dtype == np.uint8 and sheet.shape == (2 * (64 + 4 + 20), 6 * (200 + 4))
    assert (sheet[2:66, 2:102] == 0).all() and (sheet[2:66, 102:202] == 205).all()  # shown dark on light grey
    assert (sheet[88:, 204:] == 255).all() and (sheet[68:88, :204] < 128).any()  # five empty tiles; a caption
    assert contact_sheet([([image, image], "")], columns=1, scale=1).shape == (2 * 36 + 20, 104)
