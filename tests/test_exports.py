"""photos/exports.py: each format against its schema, offline, and read back by another library."""
import html.parser
import json
from pathlib import Path

import numpy as np
import pytest
from lxml import etree

from photos import exports
from photos.page import Page, Word

SCHEMAS = Path(__file__).parent / "schemas"
ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
PAGE = "{http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15}"


def box(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def sample():
    """Two paragraphs; a word that reaches out of the photo, a turned one, texts and a name that mean something in XML."""
    return Page('a "b" & <c> \udce9.jpg', 400, 300, [
        Word(box(10.4, 20.2, 80, 50), "Hello", 0.9, [("Hello", 0.9), ("hallo", 0.05)], 0, 0),
        Word(box(90, 20, 150, 50), "<&>\"'\x00", 0.25, line=0, paragraph=0),
        Word([[20, 70], [80, 90], [74, 108], [14, 88]], "žluť 漢", 1.0, line=1, paragraph=0),
        Word(box(-20, 200, 60, 320), "# 1. *x*", None, line=2, paragraph=1), Word(box(300, 200, 390, 240), "", 0.0, line=2,
                                                                              paragraph=1)])


class Offline(etree.Resolver):
    """ALTO's schema names XLink's by an address."""

    def resolve(self, url, name, context):
        return self.resolve_filename(str(SCHEMAS / "xlink.xsd"), context) if url.endswith("xlink.xsd") else None


def schema(name):
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Offline())
    return etree.XMLSchema(etree.parse(str(SCHEMAS / name), parser))


@pytest.mark.parametrize("page", [sample(), Page("empty.jpg", 40, 30)], ids=["words", "empty"])
@pytest.mark.parametrize("name, file", [("alto", "alto-4-2.xsd"), ("page_xml", "page-2019-07-15.xsd")])
def test_xml_is_valid_against_its_schema(name, file, page):
    document = etree.fromstring(getattr(exports, name)(page).encode("utf8"))
    schema(file).assertValid(document)
    document.find(".//*[@ID]" if name == "alto" else ".//*[@imageWidth]").set("odd", "1")
    assert not schema(file).validate(document)


def test_alto_says_what_stands_where():
    root = etree.fromstring(exports.alto(sample()).encode("utf8"))
    strings = list(root.iter(ALTO + "String"))
    assert [string.get("CONTENT") for string in strings] == ["Hello", "<&>\"'\ufffd", "žluť 漢", "# 1. *x*", ""]
    assert [strings[0].get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT", "WC")] == ["10", "20", "70", "30", "0.9000"]
    assert [strings[3].get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT", "WC")] == ["0", "200", "60", "100", None]
    assert strings[2].find(f"{ALTO}Shape/{ALTO}Polygon").get("POINTS") == "20,70 80,90 74,108 14,88"
    assert [other.text for other in strings[0].iter(ALTO + "ALTERNATIVE")] == ["hallo"]
    assert [len(list(block.iter(ALTO + "TextLine"))) for block in root.iter(ALTO + "TextBlock")] == [2, 1]
    line = next(root.iter(ALTO + "TextLine"))
    assert [line.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")] == ["10", "20", "140", "30"]
    assert root.find(f".//{ALTO}fileName").text == 'a "b" & <c> \ufffd.jpg'


def test_page_xml_says_what_stands_where():
    root = etree.fromstring(exports.page_xml(sample()).encode("utf8"))
    words = list(root.iter(PAGE + "Word"))
    assert [[text.find(PAGE + "Unicode").text or "" for text in word.iter(PAGE + "TextEquiv")] for word in words] == [
        ["Hello", "hallo"], ["<&>\"'\ufffd"], ["žluť 漢"], ["# 1. *x*"], [""]]
    assert words[3].find(PAGE + "Coords").get("points") == "0,200 60,200 60,300 0,300"
    assert [text.get("conf") for text in words[0].iter(PAGE + "TextEquiv")] == ["0.9000", "0.0500"]
    order = [region.get("regionRef") for region in root.iter(PAGE + "RegionRefIndexed")]
    assert order == [region.get("id") for region in root.iter(PAGE + "TextRegion")] and len(order) == 2
    assert root.find(f".//{PAGE}TextLine/{PAGE}TextEquiv/{PAGE}Unicode").text == "Hello <&>\"'\ufffd"


def test_hocr_is_xml_and_html_and_keeps_places_and_confidences():
    content = exports.hocr(sample())
    root = etree.fromstring(content.encode("utf8"))
    words = root.findall(".//*[@class='ocrx_word']")
    assert [word.text or "" for word in words] == ["Hello", "<&>\"'\ufffd", "žluť 漢", "# 1. *x*", ""]
    assert words[0].get("title") == "bbox 10 20 80 50; poly 10 20 80 20 80 50 10 50; x_wconf 90"
    assert words[3].get("title") == "bbox 0 200 60 300; poly 0 200 60 200 60 300 0 300"
    assert [[len(line) for line in par] for par in root.findall(".//*[@class='ocr_par']")] == [[2, 1], [2]]
    assert root.find(".//*[@class='ocr_page']").get("title") == 'image "a \\"b\\" & <c> \ufffd.jpg"; bbox 0 0 400 300'
    open_tags = []

    class Nesting(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag  # none is closed by "/>", which HTML would leave open

        def handle_startendtag(self, tag, attributes):
            raise AssertionError(tag)

    Nesting().feed(content)
    assert not open_tags


def test_an_xmp_sidecar_describes_the_photo():
    names = {"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "dc": "http://purl.org/dc/elements/1.1/"}
    root = etree.fromstring(exports.xmp(sample()).encode("utf8"))
    assert root.tag == "{adobe:ns:meta/}xmpmeta"
    item, = root.findall("rdf:RDF/rdf:Description/dc:description/rdf:Alt/rdf:li", names)
    assert item.text == "Hello <&>\"'\ufffd\nžluť 漢\n\n# 1. *x*"
    assert item.get("{http://www.w3.org/XML/1998/namespace}lang") == "x-default"


def test_markdown_means_nothing_but_its_text():
    assert exports.markdown(sample()) == ('# a "b" \\& \\<c\\> \ufffd.jpg\n\nHello \\<\\&\\>"\'\ufffd\\\n'
                                          'žluť 漢\n\n\\# 1. \\*x\\*\n')
    page = Page("a.jpg", words=[Word(box(0, 0, 1, 1), text, line=k) for k, text in enumerate(["1.", "-", "2)", "a-b", "+"])])
    assert exports.markdown(page) == "# a.jpg\n\n1\\.\\\n\\-\\\n2\\)\\\na-b\\\n\\+\n"
    assert exports.markdown(Page("a_b.jpg")) == "# a\\_b.jpg\n"


def test_text_and_json():
    assert exports.text(sample()) == "Hello <&>\"'\x00\nžluť 漢\n\n# 1. *x*\n"
    page = sample()
    page.words[0].log_probabilities = np.zeros((3, 2))
    assert Page.from_dict(json.loads(exports.json(page))) == page
