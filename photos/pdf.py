"""A searchable PDF: a photo, or a scanned PDF as it is, and over it, unseen, each word where it stands, to be found and
copied by any viewer.

    >>> write_photo("board.jpg.pdf", page, pixels, "photos/board.jpg")
    >>> write_scan("scan.pdf.pdf", "scan.pdf", pages)

All glyphs of the font unseen.ttf are empty squares, and a ToUnicode map (ISO 32000-1, 9.10.3) says what each stands for, so
that no script needs a font of its own. Made by

    build = fontTools.fontBuilder.FontBuilder(1000, isTTF=True)
    build.setupGlyphOrder([".notdef", "unseen"])
    build.setupCharacterMap({32: "unseen"})
    build.setupGlyf(dict.fromkeys([".notdef", "unseen"], fontTools.pens.ttGlyphPen.TTGlyphPen(None).glyph()))
    build.setupHorizontalMetrics(dict.fromkeys([".notdef", "unseen"], (1000, 0)))
    build.setupHorizontalHeader(ascent=1000, descent=-2)  # else viewers take words for less high, with tails below the line
    build.setupNameTable({"familyName": "Unseen", "styleName": "Regular", "psName": "Unseen"})
    build.setupOS2(sTypoAscender=1000, sTypoDescender=-2, usWinAscent=1000, usWinDescent=2)
    build.setupPost()
    build.font.recalcBBoxes = False
    build.font["head"].xMax = build.font["head"].yMax = 1000
    build.save("photos/unseen.ttf")
"""
import contextlib
import ctypes
import io
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pypdfium2
from PIL import Image
from pypdfium2 import raw

from photos.files import open_pdf
from photos.page import Page
from words.image_files import jpeg_of

DPI = 200  # of photos, which do not say how large they are
SLANTED = 0.02  # the slope from which on a word is one character that stands for all its letters: some viewers take letters
FONT = Path(__file__).with_name("unseen.ttf")  # of a slanted line for words of their own

# By EXIF's orientation, where a JPEG's right and its top point on the sheet: x, y, x, y
TURNED = {1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1), 5: (0, -1, -1, 0), 6: (0, -1, 1, 0),
          7: (0, 1, 1, 0), 8: (0, 1, -1, 0)}


def write_photo(path: str | Path, page: Page, pixels: np.ndarray, photo: str | Path | None = None):
    """Write the PDF of a photo, uint8 [H, W] or [H, W, 3]; of its file `photo`, where that is a JPEG, the very bytes."""
    jpeg, orientation = photo and jpeg_of(photo) or (_jpeg(pixels), 1)
    width, height = page.width * 72 / DPI, page.height * 72 / DPI
    with pypdfium2.PdfDocument.new() as pdf:
        sheet = pdf.new_page(width, height)
        image = pypdfium2.PdfImage.new(pdf)
        image.load_jpeg(io.BytesIO(jpeg), inline=True)
        a, b, c, d = TURNED.get(orientation, TURNED[1]) * np.array([width, height] * 2)
        image.set_matrix(pypdfium2.PdfMatrix(a, b, c, d, -min(a + c, 0), -min(b + d, 0)))
        sheet.insert_obj(image)
        _add_words(pdf, sheet, page)
        sheet.gen_content()
        _save(pdf, path)


def write_scan(path: str | Path, scan: str | Path, pages: Iterable[Page | None]):
    """Write a scanned PDF again, with the words of its pages, None for one that was not read.

    Words in whose place it has text already are left out. ValueError with a short reason if it cannot be read.
    """
    with open_pdf(Path(scan)) as pdf:
        try:
            for number, page in enumerate(pages):
                if page:
                    with contextlib.closing(pdf[number]) as sheet:
                        _add_words(pdf, sheet, page)
                        sheet.gen_content()
            _save(pdf, path)
        except pypdfium2.PdfiumError:
            raise ValueError("a damaged PDF, to which no words can be added") from None


def _jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return file.getvalue()


def _add_words(pdf, sheet, page):
    """Add a page's words to a sheet, a pypdfium2.PdfPage, where it has no text yet, and a space behind each."""
    texts, polygons = _without_text(sheet, [word.text for word in page.words if word.text], _placed(sheet, page))
    if not texts:
        return
    units = [[text] if _slope(polygon) > SLANTED else list(text) for text, polygon in zip(texts, polygons)]
    codes = {unit: code for code, unit in enumerate(sorted({" ", *itertools.chain(*units)}), 1)}
    font = _load_font(pdf, codes)
    for parts, (top_left, _, bottom_right, bottom_left) in zip(units, polygons):
        numbers = [codes[part] for part in (*parts, " ")]
        shown = raw.FPDFPageObj_CreateTextObj(pdf, font, 1)
        raw.FPDFText_SetCharcodes(shown, (ctypes.c_uint32 * len(numbers))(*numbers), len(numbers))
        raw.FPDFTextObj_SetTextRenderMode(shown, raw.FPDF_TEXTRENDERMODE_INVISIBLE)
        along, up = (bottom_right - bottom_left) / len(parts), top_left - bottom_left  # a glyph is as wide as high
        raw.FPDFPageObj_SetMatrix(shown, raw.FS_MATRIX(*along, *up, *bottom_left))
        raw.FPDFPage_InsertObject(sheet, shown)
    raw.FPDFFont_Close(font)


def _slope(polygon):
    """How far a word, float [4, 2], is from level or upright: 0, to 1 for 45 degrees."""
    along = np.abs(polygon[2] - polygon[3])
    return along.min() / max(along.max(), 1e-9)


def _placed(sheet, page):
    """The polygons of a page's words with text, in pixels, as float [N, 4, 2] in the sheet's points, y up.

    A sheet may be turned (/Rotate) and part of a larger one (/CropBox)."""
    polygons = np.array([word.polygon for word in page.words if word.text], float).reshape(-1, 4, 2)
    corners, x, y = [], ctypes.c_double(), ctypes.c_double()
    for corner in ((0, 0), (page.width, 0), (0, page.height)):
        raw.FPDF_DeviceToPage(sheet, 0, 0, page.width, page.height, 0, *corner, x, y)
        corners.append((x.value, y.value))
    first, right, down = np.array(corners)
    return first + polygons / (page.width, page.height) @ [right - first, down - first]


def _without_text(sheet, texts, polygons):
    """Those of the words, (texts, polygons), in whose middle the sheet has no text yet."""
    there = sheet.get_textpage()
    heights = np.linalg.norm(polygons[:, 0] - polygons[:, 3], axis=1) / 2
    free = [there.get_index(*middle, near, near) is None for middle, near in zip(polygons.mean(axis=1), heights)]
    there.close()
    return list(itertools.compress(texts, free)), polygons[np.array(free, bool)]


def _load_font(pdf, codes):
    """unseen.ttf as a font of the PDF in which the codes of a dict {text: code from 1} mean their texts."""
    meanings = "\n".join(f"1 beginbfchar <{code:04x}> <{text.encode('utf-16-be', 'replace').hex()}> endbfchar"
                         for text, code in codes.items())
    unicode = f"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CMapName /Read def /CMapType 2 def 1 begincodespacerange <0000> <ffff> endcodespacerange
{meanings}
endcmap CMapName currentdict /CMap defineresource pop end end"""
    font, glyphs = ((ctypes.c_ubyte * len(content)).from_buffer_copy(content)
                    for content in (FONT.read_bytes(), b"\0\1" * (len(codes) + 1)))  # all codes are glyph 1
    return raw.FPDFText_LoadCidType2Font(pdf, font, len(font), unicode.encode("ascii"), glyphs, len(glyphs))


class _Output:
    """A file for pdfium to write to, whose first error is kept: no exception passes through pdfium."""

    def __init__(self, file):
        self.file, self.error = file, None

    def write(self, block):
        try:
            self.file.write(block)
        except OSError as error:
            self.error = self.error or error


def _save(pdf, path):
    with open(path, "wb") as file:
        output = _Output(file)
        pdf.save(output)
        if output.error:
            raise output.error
