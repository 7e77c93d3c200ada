"""A page in the formats that other programs read; each function takes a Page and gives the file's content.

    >>> Path("board.alto.xml").write_text(alto(page), encoding="utf8")

hOCR 1.2 (https://kba.github.io/hocr-spec/1.2/), ALTO 4.2 (https://www.loc.gov/standards/alto/), PAGE 2019-07-15
(https://github.com/PRImA-Research-Lab/PAGE-XML), XMP (ISO 16684-1, with Dublin Core's description), Markdown (CommonMark).
A searchable PDF needs the photo too: see photos/pdf.py.
"""
import datetime
import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np

from photos.page import Page, Word

SOFTWARE = "CRNN_OCR_lite"


# --- Plain ----------------------------------------------------------------------------------------------------

def text(page: Page) -> str:
    return page.text


def json(page: Page) -> str:
    return page.to_json() + "\n"


def markdown(page: Page) -> str:
    """The photo's name as a heading, and its paragraphs with their line breaks."""
    paragraphs = [_escape(paragraph).replace("\n", "\\\n") for paragraph in page.text.strip().split("\n\n") if paragraph]
    return "\n\n".join([f"# {_escape(page.file)}", *paragraphs]) + "\n"


def _escape(content):
    """Text of which nothing means anything in Markdown."""
    content = re.sub(r"([\\`*_\[\]<>#|~&$])", r"\\\1", _valid(content))
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", content, flags=re.MULTILINE)  # numbers and dashes that begin a list


# --- XML ------------------------------------------------------------------------------------------------------

def _element(parent, tag, text=None, /, **attributes):
    """A new element below `parent`, or the root where that is None; a final _ of an attribute's name is left out."""
    attributes = {name.removesuffix("_"): _valid(str(value)) for name, value in attributes.items()}
    element = ET.Element(tag, attributes) if parent is None else ET.SubElement(parent, tag, attributes)
    element.text = None if text is None else _valid(text)
    return element


def _valid(content):
    """Text without what XML cannot hold: control characters, halves of surrogate pairs (bytes of odd file names)."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", content)


def _document(root):
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _points(words: list[Word], page: Page):
    """The corners of words in whole pixels of the photo, int [n, 2]."""
    points = np.concatenate([word.polygon for word in words])
    return np.clip(np.round(points), 0, [page.width, page.height]).astype(int)


def _box(words: list[Word], page: Page):
    """left, top, right, bottom of words, int."""
    points = _points(words, page)
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def _around(words, page):
    """The corners of the box around words, "x,y x,y x,y x,y"."""
    left, top, right, bottom = _box(words, page)
    return f"{left},{top} {right},{top} {right},{bottom} {left},{bottom}"


def _pairs(word, page):
    return " ".join(f"{x},{y}" for x, y in _points([word], page).tolist())


def hocr(page: Page) -> str:
    html = _element(None, "html", xmlns="http://www.w3.org/1999/xhtml", lang="")
    head = _element(html, "head")
    _element(head, "title", page.file)
    _element(head, "meta", charset="utf-8")
    _element(head, "meta", name="ocr-system", content=SOFTWARE)
    _element(head, "meta", name="ocr-capabilities", content="ocr_page ocr_par ocr_line ocrx_word")
    body = _element(html, "body")
    file = page.file.replace("\\", "\\\\").replace('"', '\\"')
    sheet = _element(body, "div", class_="ocr_page", id="page", title=f'image "{file}"; bbox 0 0 {page.width} {page.height}')
    number = itertools.count()
    for lines in page.paragraphs:
        par = _element(sheet, "p", class_="ocr_par", title=_bbox(sum(lines, []), page))
        for words in lines:
            line = _element(par, "span", class_="ocr_line", title=_bbox(words, page))
            for word in words:
                sure = "" if word.confidence is None else f"; x_wconf {100 * word.confidence:.0f}"
                corners = " ".join(map(str, _points([word], page).ravel()))
                _element(line, "span", word.text, class_="ocrx_word", id=f"word_{next(number)}",
                         title=f"{_bbox([word], page)}; poly {corners}{sure}").tail = " "
            line.tail = "\n"
    # HTML would leave open what "/>" closes
    return "<!DOCTYPE html>\n" + ET.tostring(html, encoding="unicode", short_empty_elements=False) + "\n"


def _bbox(words, page):
    return "bbox " + " ".join(map(str, _box(words, page)))


def alto(page: Page) -> str:
    root = _element(None, "alto", xmlns="http://www.loc.gov/standards/alto/ns-v4#", SCHEMAVERSION="4.2")
    description = _element(root, "Description")
    _element(description, "MeasurementUnit", "pixel")
    _element(_element(description, "sourceImageInformation"), "fileName", page.file)
    software = _element(_element(description, "Processing", ID="reading"), "processingSoftware")
    _element(software, "softwareName", SOFTWARE)
    whole = dict(WIDTH=page.width, HEIGHT=page.height)
    sheet = _element(_element(root, "Layout"), "Page", ID="page", PHYSICAL_IMG_NR=1, **whole)
    space = _element(sheet, "PrintSpace", HPOS=0, VPOS=0, **whole)
    number = itertools.count()
    for lines in page.paragraphs:
        block = _element(space, "TextBlock", ID=f"block_{next(number)}", **_place(sum(lines, []), page))
        for words in lines:
            line = _element(block, "TextLine", ID=f"line_{next(number)}", **_place(words, page))
            for k, word in enumerate(words):
                if k:
                    _element(line, "SP")
                sure = {} if word.confidence is None else {"WC": f"{word.confidence:.4f}"}
                string = _element(line, "String", ID=f"word_{next(number)}", CONTENT=word.text, **_place([word], page),
                                  **sure)
                _element(_element(string, "Shape"), "Polygon", POINTS=_pairs(word, page))
                for other, _ in word.alternatives:
                    if other != word.text:
                        _element(string, "ALTERNATIVE", other)
    return _document(root)


def _place(words, page):
    left, top, right, bottom = _box(words, page)
    return dict(HPOS=left, VPOS=top, WIDTH=right - left, HEIGHT=bottom - top)


def page_xml(page: Page) -> str:
    root = _element(None, "PcGts", xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15")
    metadata, now = _element(root, "Metadata"), datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    _element(metadata, "Creator", SOFTWARE)
    _element(metadata, "Created", now)
    _element(metadata, "LastChange", now)
    sheet = _element(root, "Page", imageFilename=page.file, imageWidth=page.width, imageHeight=page.height)
    paragraphs = page.paragraphs
    if paragraphs:
        group = _element(_element(sheet, "ReadingOrder"), "OrderedGroup", id="order")
        for k in range(len(paragraphs)):
            _element(group, "RegionRefIndexed", index=k, regionRef=f"region_{k}")
    number = itertools.count()
    for k, lines in enumerate(paragraphs):
        region = _element(sheet, "TextRegion", id=f"region_{k}")
        _element(region, "Coords", points=_around(sum(lines, []), page))
        for words in lines:
            line = _element(region, "TextLine", id=f"line_{next(number)}")
            _element(line, "Coords", points=_around(words, page))
            for word in words:
                item = _element(line, "Word", id=f"word_{next(number)}")
                _element(item, "Coords", points=_pairs(word, page))
                for rank, (content, sure) in enumerate(word.alternatives or [(word.text, word.confidence)]):
                    conf = {} if sure is None else {"conf": f"{sure:.4f}"}
                    _element(_element(item, "TextEquiv", index=rank, **conf), "Unicode", content)
            _element(_element(line, "TextEquiv"), "Unicode", " ".join(word.text for word in words if word.text))
    return _document(root)


RDF, XMP, DC = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "adobe:ns:meta/", "http://purl.org/dc/elements/1.1/"
for prefix, namespace in (("rdf", RDF), ("x", XMP), ("dc", DC)):
    ET.register_namespace(prefix, namespace)


def xmp(page: Page) -> str:
    """A sidecar for photo managers, with the text as the photo's description."""
    meta = ET.Element(f"{{{XMP}}}xmpmeta")
    about = ET.SubElement(ET.SubElement(meta, f"{{{RDF}}}RDF"), f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
    options = ET.SubElement(ET.SubElement(about, f"{{{DC}}}description"), f"{{{RDF}}}Alt")
    language = {"{http://www.w3.org/XML/1998/namespace}lang": "x-default"}
    ET.SubElement(options, f"{{{RDF}}}li", language).text = _valid(page.text.strip())
    return _document(meta)
