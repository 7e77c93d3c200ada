"""photos/page.py: words, lines and text of a page, and its JSON."""
import json

import numpy as np

from photos.page import Page, Word

SQUARE = [[1, 2], [9, 2], [9, 5], [1, 5]]


def words(*places):
    """Words "a", "b", ... at places (line, paragraph)."""
    return [Word(SQUARE, chr(97 + k), line=line, paragraph=paragraph) for k, (line, paragraph) in enumerate(places)]


def test_text_has_a_line_a_line_and_an_empty_one_between_paragraphs():
    page = Page("a.jpg", words=words((0, 0), (0, 0), (1, 0), (2, 1), (3, 2)))
    assert page.text == "a b\nc\n\nd\n\ne\n"
    assert [[word.text for word in line] for line in page.lines] == [["a", "b"], ["c"], ["d"], ["e"]]
    assert [len(lines) for lines in page.paragraphs] == [2, 1, 1]
    page.words[3].text = ""  # nothing is left of its paragraph
    page.words[0].text = ""
    assert page.text == "b\nc\n\ne\n"
    assert Page("a.jpg").text == "" and Page("a.jpg").lines == []


def test_words_without_lines_are_one_line():
    assert Page("a.jpg", words=words((None, None), (None, None))).text == "a b\n"


def test_json_keeps_all_but_the_probabilities():
    word = Word(SQUARE, "žluť", 0.5, [("žluť", 0.5), ("zlut", 0.25)], 3, 1, np.zeros((4, 2), np.float32), {"ink": "blue"})
    page = Page("a/b.jpg", 20, 10, [word, Word(SQUARE)], {"pages": "models/pages"}, other={"place": "Brno"})
    content = json.loads(page.to_json())
    assert content == {
        "file": "a/b.jpg", "width": 20, "height": 10, "models": {"pages": "models/pages"}, "place": "Brno", "words": [
            {"polygon": SQUARE, "text": "žluť", "confidence": 0.5, "alternatives": [["žluť", 0.5], ["zlut", 0.25]],
             "line": 3, "paragraph": 1, "ink": "blue"}, {"polygon": SQUARE, "text": ""}]}
    assert content == page.to_dict() | {"words": content["words"]} and "žluť" in page.to_json()
    assert Page.from_dict(content) == page and Page.from_dict(content).words[0].log_probabilities is None
    assert page.to_json().count("\n") == 3
    assert json.loads(Page("a.jpg", error="no").to_json()) == {"file": "a.jpg", "words": [], "error": "no"}
