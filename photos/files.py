"""Photos in files: those of a folder, and the pages of scanned PDFs and TIFFs, each a photo of its own.

    >>> root, names = find_photos(Path("photos"))
    >>> names
    ['board.jpg', 'monday/scan.pdf#1', 'monday/scan.pdf#2']
    >>> pixels = load_photo(root, Page("monday/scan.pdf#2"))
"""
import contextlib
import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from command import UserError
from photos.page import SHEET, Page, file_of
from words.image_files import check_image, read_image, sheets_of
from words.images import grey_of, on_paper
from words.lists import IMAGE_SUFFIXES, image_names

SUFFIXES = (*IMAGE_SUFFIXES, ".pdf")
DPI = 200  # at which a PDF's pages are drawn
LARGEST_SHEET = 100_000_000  # pixels; a larger page of a PDF is drawn at less than DPI


def find_photos(path: Path, unseen: list[str] | None = None) -> tuple[Path, list[str]]:
    """(folder, names below it, sorted) of the photos in a folder and below, or of the one photo or PDF `path`.

    A PDF in a folder that cannot be opened stands in the list by its own name: `load_photo` says why. unseen: a list that
    gets the names of folders that cannot be looked into, see words.lists.walk. UserError where there is nothing to read, or
    where the folder, photo or PDF `path` cannot be opened.
    """
    if path.is_dir():
        root, files = path, image_names(path, SUFFIXES, unseen)
    elif path.exists():
        root, files = path.parent, [path.name]
        check_photos(root, files)
    else:
        raise UserError(f"{path}: no such file or folder")
    if not files:
        raise UserError(f"{path}: no photo in it; {', '.join(SUFFIXES)} are read")
    return root, [name for file in files for name in pages_of(root, file)]


def check_photos(root: Path, names: Iterable[str]):
    """UserError where none of the photos can be opened, told before a model is loaded."""
    fault = f"{root}: no photo of it is named"
    for name in names:
        path = Path(root, file_of(name))
        try:
            return open_pdf(path).close() if path.name.lower().endswith(".pdf") else check_image(path)
        except ValueError as error:
            fault = f"{path}: {error}"
    raise UserError(fault)


def pages_of(root: Path, file: str) -> list[str]:
    """The names of the photos in a file: its own, or its pages' of a PDF or a TIFF with several."""
    numbers = []
    if file.lower().endswith(".pdf"):
        with contextlib.suppress(ValueError), open_pdf(root / file) as pdf:
            numbers = range(len(pdf))
    elif file.lower().endswith((".tif", ".tiff")) and len(sheets := sheets_of(root / file)) > 1:
        numbers = range(len(sheets))
    return [f"{file}#{number + 1}" for number in numbers] or [file]


def in_pdf(name: str) -> bool:
    """Whether a photo is a page of a PDF."""
    return file_of(name) != name and file_of(name).lower().endswith(".pdf")


def load_photo(root: str | Path, page: Page) -> np.ndarray:
    """The upright pixels of a photo in the folder `root`, uint8 [H, W] or [H, W, 3] (RGB). ValueError with a short reason if
    it cannot be read, or if it has not the size that its boxes were made for."""
    if page.file.lower().endswith(".pdf"):
        open_pdf(Path(root, page.file)).close()
        raise ValueError("a PDF; its pages are photos, as file.pdf#1")
    pixels = as_photo(read_photo(os.path.join(root, page.file)))
    height, width = pixels.shape[:2]
    known = page.width or width, page.height or height
    if known != (width, height):
        raise ValueError(f"the photo is {width} x {height} large, its boxes are for {known[0]} x {known[1]}")
    return pixels


def read_photo(path: str) -> np.ndarray:
    """The upright pixels of a photo, as `read_image` gives them; path: it may be a page's, as "photos/scan.tif#2"."""
    sheet = SHEET.fullmatch(path)
    return read_sheet(Path(sheet["file"]), int(sheet["page"])) if sheet else read_image(path)


def as_photo(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3] (RGB) of an image [H, W] or [H, W, 1 to 4], see `grey_of`; ValueError for another."""
    if pixels.dtype == np.uint8 and pixels.shape[2:] == (4,):
        pixels = on_paper(pixels)
    return pixels if pixels.dtype == np.uint8 and pixels.shape[2:] == (3,) and pixels.size else grey_of(pixels)


def open_pdf(path: Path):
    """A pypdfium2.PdfDocument, to be closed; ValueError with a short reason if it cannot be read."""
    import pypdfium2
    if not path.is_file():
        raise ValueError("no such file")
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise ValueError("an encrypted PDF; remove its password first" if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD
                         else "not a readable PDF") from None


def read_sheet(path: Path, number: int) -> np.ndarray:
    """The pixels of page `number`, from 1, of a PDF, uint8 [H, W, 3], or of a TIFF, as `read_image` gives them."""
    import pypdfium2
    if not path.name.lower().endswith(".pdf"):
        sheets = sheets_of(path)
        if number > len(sheets):
            raise ValueError(f"the TIFF has {len(sheets)} pages")
        return read_image(path, sheets[number - 1])
    with open_pdf(path) as pdf:
        if number > len(pdf):
            raise ValueError(f"the PDF has {len(pdf)} pages")
        try:
            page = pdf[number - 1]
            scale = min(DPI / 72, math.sqrt(LARGEST_SHEET / max(page.get_width() * page.get_height(), 1)))
            return page.render(scale=scale, rev_byteorder=True).to_numpy()[..., :3].copy()
        except pypdfium2.PdfiumError:
            raise ValueError("a page of a PDF that cannot be drawn") from None
