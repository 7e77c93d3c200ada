"""photos/lines.py on layouts made by hand: what stands where is given as text, and must come out in reading order."""
import tracemalloc

import numpy as np
import pytest

from photos.lines import chain, in_order, reading_order


class Layout:
    """Words on a photo, set line by line; each character is half as wide as the words are high."""

    def __init__(self, seed=0):
        self.polygons, self.texts, self.rng = [], [], np.random.default_rng(seed)

    def add(self, x, y, *lines, size=30, leading=1.6, angle=0):
        """Lines of text from (x, y) on; spaces at a line's beginning indent it. Turned around (x, y) by degrees."""
        a = np.radians(angle)
        turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
        for k, line in enumerate(lines):
            left = (len(line) - len(line.lstrip())) * size / 2
            for text in line.split():
                right, top = left + len(text) * size / 2, k * leading * size
                quad = np.array([[left, top], [right, top], [right, top + size], [left, top + size]])
                self.polygons.append(quad @ turn + (x, y) + self.rng.normal(0, 0.03 * size, (4, 2)))
                self.texts.append(text)
                left = right + size / 2
        return self

    def read(self, angle=0):
        """The text in reading order: paragraphs of lines; the whole photo turned by degrees. Words are given shuffled."""
        a = np.radians(angle)
        polygons = np.array(self.polygons) @ [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]
        shuffled = self.rng.permutation(len(polygons))
        order = reading_order(polygons[shuffled])
        assert sorted(index for index, *_ in order) == list(range(len(polygons)))
        for earlier, later in zip(order, order[1:]):  # numbers rise by one
            assert later[1] - earlier[1] in (0, 1) and later[2] - earlier[2] in (0, 1)
        paragraphs = []
        for k, (index, line, paragraph) in enumerate(order):
            if k == 0 or paragraph != order[k - 1][2]:
                paragraphs.append([])
            if k == 0 or line != order[k - 1][1]:
                paragraphs[-1].append([])
            paragraphs[-1][-1].append(self.texts[shuffled[index]])
        return [[" ".join(line) for line in lines] for lines in paragraphs]


LEFT = "the quick brown fox", "jumps over a lazy", "dog and runs away"
RIGHT = "pack my box with", "five dozen liquor", "jugs before noon"
ANGLES = pytest.mark.parametrize("angle", [0, 12, -30, 30])


@ANGLES
def test_lines_of_a_paragraph(angle):
    assert Layout().add(50, 50, *LEFT).read(angle) == [list(LEFT)]


@ANGLES
def test_two_columns_under_a_title(angle):
    layout = Layout().add(200, 20, "The Title Of It", size=60).add(50, 150, *LEFT).add(600, 145, *RIGHT)
    assert layout.read(angle) == [["The Title Of It"], list(LEFT), list(RIGHT)]


@ANGLES
def test_columns_that_are_nearly_as_close_as_words(angle):
    assert Layout().add(50, 50, *LEFT).add(400, 50, *RIGHT).read(angle) == [list(LEFT), list(RIGHT)]


def test_wide_spaces_make_a_line_and_wider_ones_columns():
    for gap, paragraphs in ((2, [["one two six", "ten red sea"]]), (3.5, [["one", "ten"], ["two", "red"], ["six", "sea"]])):
        layout = Layout()
        for k, (upper, lower) in enumerate(zip("one two six".split(), "ten red sea".split())):
            layout.add(50 + k * (45 + 30 * gap), 50, upper, lower)
        assert layout.read() == paragraphs


@ANGLES
def test_indented_code_is_one_paragraph(angle):
    code = "for i in items:", "    if i > 3:", "        total += i", "        found = True", "    else:", "        break",
    assert Layout().add(80, 60, *code).read(angle) == [[line.strip() for line in code]]


@ANGLES
def test_a_wider_gap_parts_paragraphs(angle):
    layout = Layout().add(50, 50, *LEFT).add(50, 50 + 30 * (1.6 * 2 + 2.5), *RIGHT)
    assert layout.read(angle) == [list(LEFT), list(RIGHT)]


def test_two_sizes_of_writing():
    layout = Layout().add(50, 50, "BIG WORDS", "ON TWO LINES", size=90).add(60, 420, *LEFT, size=24)
    assert layout.read() == [["BIG WORDS", "ON TWO LINES"], list(LEFT)]


def test_notes_on_a_wall_are_not_mixed_each_turned_its_own_way():
    notes = {(100, 100, 8): ("buy milk", "and bread"), (700, 90, -12): ("call mum", "on Sunday"),
             (120, 600, -5): ("fix the", "bike tyre"), (720, 640, 25): ("water all", "plants now")}
    layout = Layout()
    for (x, y, angle), lines in notes.items():
        layout.add(x, y, *lines, angle=angle)
    assert sorted(layout.read()) == sorted([list(lines) for lines in notes.values()])


def test_commas_and_quotes_stay_in_their_line():
    layout = Layout().add(50, 50, "one two three four", "five six seven eight")
    for text, x, y, width, height in (("'", 42, 52, 4, 9), (",", 97, 75, 5, 10), (".", 354, 122, 5, 5)):
        layout.polygons.append(np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], float))
        layout.texts.append(text)
    assert layout.read() == [["' one , two three four", "five six seven eight ."]]


def box(x, y, width, height):
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], float)


def test_lone_marks_part_no_paragraph_and_stay_with_their_words():
    layout = Layout().add(50, 50, "every one", "two men", "six red", leading=3)
    for text, *place in ((",", 128, 76, 5, 14), (".", 101, 167, 4, 5), ("'", 43, 138, 4, 8), (";", 98, 252, 6, 14)):
        layout.polygons.append(box(*place))  # the comma hangs far below its line
        layout.texts.append(text)
    assert layout.read() == [["every , one", "' two . men", "six ; red"]]


def test_a_mark_far_from_all_words_is_read_by_itself():
    layout = Layout().add(50, 50, *LEFT)
    layout.polygons.append(box(900, 400, 5, 5))
    layout.texts.append(".")
    assert layout.read() == [list(LEFT), ["."]]
    assert reading_order([box(5, 5, 3, 3), box(9, 5, 3, 3), box(0, 50, 30, 90)])


def test_a_slightly_bent_line_stays_one():
    layout = Layout()
    for k in range(20):
        layout.add(50 + 100 * k, 300 + 60 * np.sin(k / 6), f"word{k:02}", size=30)
        layout.add(50 + 100 * k, 350 + 60 * np.sin(k / 6), f"next{k:02}", size=30)
    assert layout.read() == [[" ".join(f"{name}{k:02}" for k in range(20)) for name in ("word", "next")]]


def test_few_words_and_odd_ones():
    assert reading_order(np.zeros((0, 4, 2))) == [] and reading_order([]) == []
    assert reading_order(np.zeros((1, 4, 2))) == [(0, 0, 0)]
    order = reading_order(np.random.default_rng(0).uniform(0, 100, (50, 4, 2)))  # no rectangles at all
    assert sorted(index for index, *_ in order) == list(range(50))
    assert len(reading_order(np.full((20, 4, 2), 7.0))) == 20


@pytest.mark.slow
def test_thousands_of_words_need_little_memory():
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 15_000, (3000, 1, 2))
    polygons = places + np.array([[0, 0], [60, 0], [60, 30], [0, 30]])
    tracemalloc.start()
    order = reading_order(polygons)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sorted(index for index, *_ in order) == list(range(3000)) and peak < 120e6


def test_chains_take_the_cheapest_links_first_and_close_no_ring():
    links = np.array([(0, 1, 1.0), (0, 2, 5.0), (1, 2, 2.0), (2, 0, 0.0)])
    i, j = links[:, :2].astype(int).T
    assert chain(4, i, j, links[:, 2]) == [[2, 0, 1], [3]]  # 2 -> 0 -> 1, and 1 -> 2 would close it


def test_columns_are_read_before_what_is_below_and_after_what_is_above_them():
    columns = [(0, 20, 40, 50), (0, 60, 45, 90), (44, 18, 100, 50), (60, 60, 100, 90)]  # 1 reaches into the next
    assert in_order([(0, 0, 100, 10), *columns, (10, 100, 90, 120)]) == [0, 1, 2, 3, 4, 5]
    assert in_order(columns[::-1]) == [3, 2, 1, 0]
    assert in_order([]) == []


def test_a_title_between_parts_two_stories_of_two_columns():
    upper, lower = [(0, 0, 40, 30), (60, 0, 100, 30)], [(0, 60, 40, 90), (60, 60, 100, 90)]
    assert in_order([*upper, (0, 40, 100, 50), *lower]) == [0, 1, 2, 3, 4]
    assert in_order([*upper, *lower]) == [0, 2, 1, 3]  # without it they are columns
