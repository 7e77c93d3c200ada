"""A searchable PDF: the photo, and over it, unseen, each word where it stands, to be found and copied by any viewer.

    >>> Path("board.pdf").write_bytes(searchable(page, pixels))

The text is in a Type 3 font (ISO 32000-1, 9.6.5) whose glyphs are empty, so that no script needs a font file.
"""
import io

import numpy as np
import pikepdf
from PIL import Image

from photos.page import Page

DPI = 200  # of photos, which do not say how large they are
GLYPHS = 255  # codes of one font
SLANTED = 0.08  # the slope from which on ActualText (ISO 32000-1, 14.9.4) keeps a word together; its place is rough then


def searchable(page: Page, pixels: np.ndarray) -> bytes:
    """The PDF of a page and its photo, uint8 [H, W] or [H, W, 3]."""
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", quality=88)
    pdf = pikepdf.new()
    scale = 72 / DPI
    width, height = page.width * scale, page.height * scale
    photo = pikepdf.Stream(pdf, jpeg.getvalue(), Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image, Width=page.width,
                           Height=page.height, BitsPerComponent=8, Filter=pikepdf.Name.DCTDecode,
                           ColorSpace=pikepdf.Name.DeviceGray if pixels.ndim == 2 else pikepdf.Name.DeviceRGB)
    words = [word for word in page.words if word.text]
    codes = {char: divmod(k, GLYPHS) for k, char in enumerate(sorted({*"".join(word.text for word in words), " "}))}
    content = [f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /Photo Do Q BT 3 Tr"]
    content += [_show(word, codes, scale, height) for word in words]
    fonts = {f"/F{k}": pdf.make_indirect(_font(pdf, [char for char, (font, _) in codes.items() if font == k]))
             for k in {font for font, _ in codes.values()}}
    sheet = pikepdf.Dictionary(
        Type=pikepdf.Name.Page, MediaBox=[0, 0, round(width, 2), round(height, 2)],
        Resources=pikepdf.Dictionary(XObject=pikepdf.Dictionary(Photo=photo), Font=pikepdf.Dictionary(fonts)),
        Contents=pikepdf.Stream(pdf, "\n".join([*content, "ET"]).encode("ascii")))
    pdf.pages.append(pikepdf.Page(pdf.make_indirect(sheet)))
    pdf.docinfo["/Title"] = page.file.encode("utf8", "replace").decode()
    out = io.BytesIO()
    pdf.save(out, compress_streams=True)
    return out.getvalue()


def _show(word, codes, scale, height):
    """Operators that show a word on its polygon, each character half as wide as high in the font, and a space behind it."""
    top_left, _, bottom_right, bottom_left = np.array(word.polygon) * [scale, -scale] + [0, height]
    along, up = (bottom_right - bottom_left) / len(word.text) * 2, top_left - bottom_left
    matrix = " ".join(f"{number:.3f}" for number in (*along, *up, *bottom_left))
    *letters, space = (f"/F{font} 1 Tf <{code + 1:02x}> Tj" for font, code in (codes[char] for char in word.text + " "))
    shown = " ".join(letters)
    if min(abs(along)) > SLANTED * max(abs(along)):  # some viewers would take its letters for words of their own
        shown = f"/Span <</ActualText <feff{word.text.encode('utf-16-be', 'replace').hex()}>>> BDC {shown} EMC"
    return f"{matrix} Tm {shown} {space}"


def _font(pdf, characters):
    """A Type 3 font with an empty glyph for each character, codes from 1."""
    glyph = pikepdf.Stream(pdf, b"500 0 0 0 500 1000 d1")
    last = len(characters)
    mapped = "\n".join(f"<{k:02x}> <{char.encode('utf-16-be', 'replace').hex()}>" for k, char in enumerate(characters, 1))
    unicode = pikepdf.Stream(pdf, f"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CMapName /Read def /CMapType 2 def 1 begincodespacerange <00> <ff> endcodespacerange
{last} beginbfchar
{mapped}
endbfchar endcmap CMapName currentdict /CMap defineresource pop end end""".encode("ascii"))
    return pikepdf.Dictionary(
        Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type3, FontBBox=[0, 0, 500, 1000],
        FontMatrix=pikepdf.Array([pikepdf.Object.parse(part) for part in (b"0.001", b"0", b"0", b"0.001", b"0", b"0")]),
        CharProcs=pikepdf.Dictionary(Glyph=glyph), FirstChar=1, LastChar=last, Widths=[500] * last, ToUnicode=unicode,
        Resources=pikepdf.Dictionary(),
        FontDescriptor=pikepdf.Dictionary(  # viewers would take glyphs for less high, with tails below the line
            Type=pikepdf.Name.FontDescriptor, FontName=pikepdf.Name.Unseen, Flags=4, ItalicAngle=0, Ascent=1000, Descent=-1,
            FontBBox=[0, 0, 500, 1000]),
        Encoding=pikepdf.Dictionary(Type=pikepdf.Name.Encoding, Differences=[1, *[pikepdf.Name.Glyph] * last]))
