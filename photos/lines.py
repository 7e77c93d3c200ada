"""Reading order by geometry alone: words -> lines -> paragraphs, in the order in which a person reads them.

    >>> reading_order([[[60, 10], [90, 10], [90, 30], [60, 30]], [[10, 10], [50, 10], [50, 30], [10, 30]]])
    [(1, 0, 0), (0, 0, 0)]

1. A word's direction is that of the words around it, long ones first, as a short word's own is uncertain. A mark, as a comma
   or a quote, goes with the word beside it and has no say in what follows.
2. Words are chained into lines, the closest pairs first, where one goes on on the right of the other at its height.
3. Lines are chained into columns, each with the nearest line below it; a wider gap than usual parts a column's paragraphs.
4. Paragraphs are ordered by which is above and which is left of which (after Breuel, High performance document layout
   analysis, 2003).

All distances are measured in heights of the words at hand, so that two sizes of writing may stand on one photo.
"""
from typing import NamedTuple

import numpy as np

NEAR = 5  # the words within so many heights tell a word's direction
NEIGHBOURS = 13  # so many words, itself among them, tell the size of the writing around a word
WIDEST_SPACE = 2.8  # between two words of a line
WIDE_SPACE, UNUSUAL_SPACE = 1.3, 4  # a space of so many sizes, and so many times the line's usual one, parts columns
LARGEST_OVERLAP = 0.3  # of two words of a line, as a part of the narrower one's width, or of the size if it is less wide
LARGEST_STEP = 0.7  # by which one word of a line reaches beyond the height of the next
SHARED_WIDTH = 0.3  # of the narrower of two paragraphs, from which on one is above the other, not beside it
MARK = 0.5, 0.35  # a mark is so high and so wide at most, in sizes of the writing
BESIDE = 0.8  # sizes, at most, between a mark and its word
LEVEL, OVER = 3, 0.3  # what is between them counts so often up or down; what the mark is over or under the word, so much
BATCH = 256  # words
ENDS = 3  # words at the end of a piece of a line that tell its height there
LARGEST_LEADING = 3.4  # from the middle of a line to that of the next
PARAGRAPH_GAP = 1.45  # times the usual leading of a column
LARGEST_RATIO = 2.2  # of the heights of lines in one column


def reading_order(polygons) -> list[tuple[int, int, int]]:
    """(index, line, paragraph) of each word in reading order; lines and paragraphs count from 0 through the whole photo.

    polygons: float [N, 4, 2], x and y of each word's corners, clockwise from its own top-left, y down.
    """
    polygons = np.asarray(polygons, float).reshape(-1, 4, 2)
    if not len(polygons):
        return []
    every = measure(polygons)
    groups = with_marks(every)
    first = [group[0] for group in groups]
    polygons, words = polygons[first], Words(*(values[first] for values in every))
    lines = find_lines(words)
    columns = find_columns(words, lines)
    paragraphs = [paragraph for column in columns for paragraph in part(words, column)]
    turn = turning(normal((words.along * words.width[:, None]).sum(axis=0)))
    order, line_number = [], 0
    for number, paragraph in enumerate(in_order([box_of(polygons[np.concatenate(lines)] @ turn) for lines in paragraphs])):
        for line in paragraphs[paragraph]:
            order += [(index, line_number, number) for word in line for index in from_left(every, groups[word])]
            line_number += 1
    return order


# --- Words ----------------------------------------------------------------------------------------------------

class Words(NamedTuple):
    """Words, or groups of words, as their places need them.

    centre: float [N, 2]; along: float [N, 2], the direction of the text, of length 1; width, height: float [N];
    size: float [N], how high words around them are.
    """
    centre: np.ndarray
    along: np.ndarray
    width: np.ndarray
    height: np.ndarray
    size: np.ndarray


def measure(polygons):
    """The Words of polygons, float [N, 4, 2]."""
    top_left, top_right, bottom_right, bottom_left = polygons.swapaxes(0, 1)
    across = (top_right + bottom_right - top_left - bottom_left) / 2
    centre = polygons.mean(axis=1)
    width = np.maximum(np.linalg.norm(across, axis=1), 1e-6)
    height = np.maximum(np.linalg.norm(bottom_left + bottom_right - top_left - top_right, axis=1) / 2, 1e-6)
    unit, along, size = across / width[:, None], np.empty_like(centre), np.empty_like(width)
    length = unit * np.square(np.minimum(width / height, 8))[:, None]
    for rows in batches(len(centre)):
        distance = np.linalg.norm(centre[rows, None] - centre, axis=2)
        # the longer and the nearer a word, the more it says; a word that runs elsewhere says nothing
        weight = np.exp(-(distance / (NEAR * height[rows, None])) ** 2) * np.maximum(unit[rows] @ unit.T, 0) ** 4
        along[rows] = weight @ length
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
        size[rows] = np.maximum(np.median(height[nearest], axis=1), height[rows] / 2)
    return Words(centre, normal(along), width, height, size)


def batches(count):
    """Slices of so many words: what compares each word with all others does so batch by batch, and needs little memory."""
    return [slice(start, start + BATCH) for start in range(0, count, BATCH)]


def with_marks(words):
    """Lists of words, int: each word with the marks beside it, itself first. A mark far from all words is a word."""
    marks = np.flatnonzero((words.height < MARK[0] * words.size) & (words.width < MARK[1] * words.size))
    others = np.setdiff1d(np.arange(len(words.size)), marks)
    groups = {int(word): [int(word)] for word in others}
    for mark in marks.tolist():
        step, along = words.centre[others] - words.centre[mark], words.along[others]
        places = np.stack([(step * along).sum(axis=1), step[:, 1] * along[:, 0] - step[:, 0] * along[:, 1]])
        reach = np.stack([words.width[others] + words.width[mark], words.height[others] + words.height[mark]]) / 2
        gaps = np.abs(places) - reach
        apart = (np.maximum(gaps, 0).T @ (1, LEVEL) + OVER * np.maximum(-gaps[0], 0)) / words.size[mark]
        nearest = int(np.lexsort((np.abs(places[0]), apart))[0]) if len(others) else 0
        if len(others) and apart[nearest] <= BESIDE:
            groups[int(others[nearest])].append(mark)
        else:
            groups[mark] = [mark]
    return list(groups.values())


def from_left(words, group):
    """A word and its marks, ints, from left to right."""
    return sorted(group, key=lambda k: float(words.centre[k] @ words.along[group[0]]))


def normal(vectors):
    """Vectors, float [..., 2], of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def pairs(left, right):
    """(i, j, along, down): each word i of `left` with each word j of `right` near it, int [P]; from the middle of the one to
    that of the other, along the direction between theirs, and down, float [P]."""
    reach = [words.width / 2 + (WIDEST_SPACE + LARGEST_LEADING) / 2 * np.maximum(words.size, words.height)
             for words in (left, right)]
    near = [np.nonzero(np.linalg.norm(right.centre - left.centre[rows, None], axis=2) < reach[0][rows, None] + reach[1])
            for rows in batches(len(left.centre))]
    i, j = np.concatenate([rows + k * BATCH for k, (rows, _) in enumerate(near)]), np.concatenate([j for _, j in near])
    step, along = right.centre[j] - left.centre[i], normal(left.along[i] + right.along[j])
    return i, j, (step * along).sum(axis=1), step[:, 1] * along[:, 0] - step[:, 0] * along[:, 1]


def together(words, groups):
    """Each of the groups, lists of words, as if it were one word."""
    parts = []
    for group in groups:
        middle, along = words.centre[group].mean(axis=0), normal(words.along[group].mean(axis=0))
        places = (words.centre[group] - middle) @ turning(along)
        half = np.stack([words.width[group], words.height[group]], axis=1) / 2
        low, high = (places - half).min(axis=0), (places + half).max(axis=0)
        parts.append((middle + turning(along) @ ((low + high) / 2), along, *(high - low), np.median(words.size[group])))
    return Words(*map(np.array, zip(*parts)))


def turning(along):
    """The matrix, float [2, 2], that makes text in the direction `along` run to the right: points @ matrix."""
    return np.array([[along[0], -along[1]], [along[1], along[0]]])


# --- Lines ----------------------------------------------------------------------------------------------------

def find_lines(words):
    """Lists of words, int, each a line from left to right."""
    lines = chain(len(words.centre), *links(words, words))
    # once more, by the last words of one piece and the first of the next: a lone comma or quote is at no line's height
    heads, tails = together(words, [line[:ENDS] for line in lines]), together(words, [line[-ENDS:] for line in lines])
    lines = [[word for k in piece for word in lines[k]] for piece in chain(len(lines), *links(tails, heads))]
    return [part for line in lines for part in part_at_spaces(words, line)]


def links(left, right):
    """(i, j, cost): words j of `right` that may be the next one after words i of `left`, [P] each."""
    i, j, along, down = pairs(left, right)
    size = np.maximum(left.size[i], right.size[j])
    gap = (along - (left.width[i] + right.width[j]) / 2) / size
    overlap = -gap * size / np.maximum(np.minimum(left.width[i], right.width[j]), size)
    # how far one of them reaches beyond the other: a comma is low, but within its neighbour's height
    step = np.maximum(np.abs(down) - np.abs(left.height[i] - right.height[j]) / 2, 0) / size
    allowed = ((along > 0) & (gap < WIDEST_SPACE) & (overlap < LARGEST_OVERLAP) & (step < LARGEST_STEP)
               & ((left.along[i] * right.along[j]).sum(axis=1) > 0.7))
    return i[allowed], j[allowed], (np.maximum(gap, 0) + 2 * step)[allowed]


def part_at_spaces(words, line):
    """The parts of a line between spaces that are far wider than its usual ones."""
    left, right = np.array(line[:-1], int), np.array(line[1:], int)
    spaces = np.linalg.norm(words.centre[right] - words.centre[left], axis=1) - (words.width[left] + words.width[right]) / 2
    spaces /= np.maximum(words.size[left], words.size[right])
    usual = max(np.median(spaces), 0) if len(spaces) else 0
    cuts = np.flatnonzero(spaces > max(WIDE_SPACE, UNUSUAL_SPACE * usual)) + 1
    return [line[start:end] for start, end in zip([0, *cuts], [*cuts, len(line)])]


def chain(count, i, j, cost):
    """Lists of the numbers below `count`, chained by the cheapest links, of j after i, int [P] each; each number has one
    before and one after it at most."""
    after, before, first = {}, {}, list(range(count))  # first: of the chain that a number is in

    def beginning(k):
        while first[k] != k:
            first[k] = k = first[first[k]]
        return k

    for link in np.argsort(cost, kind="stable"):
        left, right = int(i[link]), int(j[link])
        if left not in after and right not in before and beginning(left) != right:
            after[left], before[right], first[right] = right, left, beginning(left)
    chains = []
    for start in (k for k in range(count) if k not in before):
        chains.append([start])
        while chains[-1][-1] in after:
            chains[-1].append(after[chains[-1][-1]])
    return chains


# --- Columns and paragraphs -----------------------------------------------------------------------------------

def find_columns(words, lines):
    """Lists of lines, each a column from top to bottom."""
    number = np.empty(len(words.centre), int)  # of each word's line
    for k, line in enumerate(lines):
        number[line] = k
    size = np.array([np.median(words.height[line]) for line in lines])
    direction = normal(np.array([words.along[line].mean(axis=0) for line in lines]))
    i, j, along, down = pairs(words, words)
    larger = np.maximum(size[number[i]], size[number[j]])
    beside = np.abs(along) - (words.width[i] + words.width[j]) / 2
    below = (down > 0.3 * larger) & (beside < larger) & (number[i] != number[j])
    # from each line to each other one: between their closest words
    both, place = np.unique(number[i[below]] * len(lines) + number[j[below]], return_inverse=True)
    leading = np.full(len(both), np.inf)
    np.minimum.at(leading, place, down[below])
    upper, lower = np.divmod(both, len(lines))
    large, small = np.maximum(size[upper], size[lower]), np.minimum(size[upper], size[lower])
    alike = (large < LARGEST_RATIO * small) & ((direction[upper] * direction[lower]).sum(axis=1) > 0.9)
    allowed = alike & (leading < LARGEST_LEADING * large)
    return [[lines[k] for k in column] for column in chain(len(lines), upper[allowed], lower[allowed], leading[allowed])]


def part(words, column):
    """The paragraphs of a column, lists of lines."""
    if len(column) < 3:
        return [column]
    centres = np.array([words.centre[line].mean(axis=0) for line in column])
    direction = turning(np.mean([words.along[line].mean(axis=0) for line in column], axis=0))
    leading = np.diff((centres @ direction)[:, 1])
    cuts = np.flatnonzero(leading > PARAGRAPH_GAP * np.median(leading)) + 1
    return [column[start:end] for start, end in zip([0, *cuts], [*cuts, len(column)])]


# --- Order ----------------------------------------------------------------------------------------------------

def box_of(points):
    """left, top, right, bottom of points [..., 2]."""
    points = points.reshape(-1, 2)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def in_order(boxes) -> list[int]:
    """The numbers of boxes, [N, 4] of left, top, right, bottom, in reading order.

    Of two boxes one above the other, which share a part of their width, the upper one is first, of others the left one; but
    not where a third one under or over both lies between them in height, as a title between the columns of two stories.
    """
    left, top, right, bottom = np.asarray(boxes, float).reshape(-1, 4).T
    x, y, width = (left + right) / 2, (top + bottom) / 2, right - left
    shared = np.minimum(right, right[:, None]) - np.maximum(left, left[:, None])
    stacked = shared > SHARED_WIDTH * np.minimum(width, width[:, None])
    before = np.where(stacked, y[:, None] < y, x[:, None] < x)
    for k in range(len(x)):
        column = np.flatnonzero(stacked[k])
        upper, lower = column[y[column] < y[k]], column[y[column] > y[k]]
        before[np.ix_(upper, lower)], before[np.ix_(lower, upper)] = True, False
    waiting, order = before.sum(axis=0).astype(float), []
    for _ in range(len(x)):
        order.append(int(np.lexsort((y, waiting))[0]))  # if they stand in a ring: the one that fewest are before
        waiting -= before[order[-1]]
        waiting[order[-1]] = np.inf
    return order
