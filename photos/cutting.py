"""Words cut upright out of a photo.

    >>> word, reason = cut(load_photo("photos", Page("board.jpg")), [[10, 10], [90, 10], [90, 40], [10, 40]])
"""
import cv2
import numpy as np

from words.images import LOW, MOST_ENLARGED

MARGIN = 1.0  # heights of a word around it that are looked at
FOREIGN = 0.4  # a stroke is another's if less of it is in the word's box
NEXT = [1, 2, 3, 0]  # the corner that follows each of four
ENOUGH = 32  # px, what a reader sees: a word that is twice as high is cut from the photo at half its size, and so on


def corners(polygon: list[list[float]]) -> np.ndarray | None:
    """The corners of a word, float64 [4, 2] of x and y, clockwise from its top-left, of the four points of a polygon.

    The first point stands for the word's top-left; the others may be in any order. Where they are no four corners, as when
    one lies between others, it is the least rectangle around them, from its corner next to the first point. None if there
    is no number for a coordinate, or less than a pixel between opposite sides.
    """
    points = np.array(polygon, np.float64)
    if not np.isfinite(points).all():
        return None
    hull = cv2.convexHull(points.astype(np.float32), returnPoints=False).ravel()
    quad = points[hull] if len(hull) == 4 else cv2.boxPoints(cv2.minAreaRect(points.astype(np.float32))).astype(float)
    following = quad[NEXT]
    if (quad[:, 0] * following[:, 1] - quad[:, 1] * following[:, 0]).sum() < 0:  # twice the area; y points down
        quad = quad[::-1]
    first = np.abs(quad - points[0]).sum(axis=1).argmin()
    quad = np.concatenate([quad[first:], quad[:first]])
    return None if min(sides(quad)) < 1 else quad


def sides(quad: np.ndarray) -> tuple[float, float]:
    """Width and height of a word upright, in pixels: means of the opposite sides of its corners, float [4, 2]."""
    top, right, bottom, left = np.linalg.norm(quad - quad[NEXT], axis=1)
    return (top + bottom) / 2, (left + right) / 2


def loosened(quad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The corners of a word, float [4, 2], as a detector may find them: each side moved at random, mostly outwards."""
    width, height = sides(quad)
    across, down = (quad[1] - quad[0]) / width, (quad[3] - quad[0]) / height
    left, top, right, bottom = np.clip(rng.normal(0.06, 0.08, 4), -0.04, 0.3) * height
    return quad + np.array([-left * across - top * down, right * across - top * down, right * across + bottom * down,
                            -left * across + bottom * down])


def clip(quad: np.ndarray, width: int, height: int) -> np.ndarray:
    """The part of a convex polygon, float [n, 2], in a photo: float [m, 2], none outside (Sutherland, Hodgman, 1974)."""
    for axis, limit, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        inside = sign * (quad[:, axis] - limit)
        kept = []
        for k, (point, depth) in enumerate(zip(quad, inside)):
            before = inside[k - 1]
            if (depth < 0) != (before < 0):
                kept.append(point + (quad[k - 1] - point) * depth / (depth - before))
            if depth >= 0:
                kept.append(point)
        quad = np.array(kept).reshape(-1, 2)
    return quad


def cut(photo: np.ndarray, polygon: list[list[float]]) -> tuple[np.ndarray | None, str]:
    """A word upright out of a photo, its perspective corrected: (uint8 [h, w] or [h, w, 3], "") or (None, why not).

    photo: uint8 [H, W] or [H, W, 3]; polygon: four points as in boxes.json, see `corners`. The part outside the photo is
    left out. An upright box at whole pixels is copied as it is.
    """
    quad = corners(polygon)
    if quad is None:
        return None, "the box has no area"
    visible = clip(quad, photo.shape[1], photo.shape[0])
    if len(visible) < 3 or min(np.ptp(visible, axis=0)) < 1:
        return None, "the box is outside the photo"
    x, y = np.maximum(np.floor(visible.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.ceil(visible.max(axis=0)).astype(int) + 1
    window = photo[y:bottom, x:right]
    if max(window.shape) > 32766:  # what OpenCV can warp
        return None, "the box is larger than 32,766 pixels"
    size = np.maximum(np.round(sides(quad)), 1)
    upright = np.array([[0, 0], [size[0], 0], size, [0, size[1]]], np.float32)
    matrix = cv2.getPerspectiveTransform((quad - (x, y)).astype(np.float32), upright)
    seen = cv2.perspectiveTransform((visible - (x, y))[np.newaxis], matrix)[0]
    first = np.clip(np.floor(seen.min(axis=0) + 1e-3), 0, size - 1)
    extent = np.maximum(np.clip(np.ceil(seen.max(axis=0) - 1e-3), 0, size) - first, 1)
    scale = np.minimum(1, np.hypot(*photo.shape[:2]) / extent)  # a near edge can be drawn out without end
    extent = np.maximum(np.round(extent * scale), 1)
    # OpenCV counts from the middle of the first pixel, polygons from its corner
    matrix = (shift(-0.5, -0.5) @ np.diag([*scale, 1]) @ shift(*-first) @ matrix @ shift(0.5, 0.5))
    return cv2.warpPerspective(window, matrix, extent.astype(int).tolist(), flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE), ""


def cut_alone(photo: np.ndarray, ink: np.ndarray, polygon: list[list[float]]) -> tuple[np.ndarray | None, str]:
    """As `cut`, without the strokes that are not the word's: tails from the line above, frames, lines of a diagram.

    photo: uint8 [H, W]; ink: uint8 [H, W], not 0 where there is ink. A connected stroke that lies mostly outside the
    polygon, as far as a word's height around it shows, is painted over with the paper's grey.
    """
    quad = corners(polygon)
    if quad is None:
        return None, "the box has no area"
    margin = sides(quad)[1] * MARGIN
    left, top = np.maximum(np.floor(quad.min(axis=0) - margin), 0).astype(int)
    right, bottom = np.maximum(np.ceil(quad.max(axis=0) + margin), 0).astype(int)
    window, strokes = photo[top:bottom, left:right], ink[top:bottom, left:right]
    if not window.size:
        return None, "the box is outside the photo"
    inside = cv2.fillConvexPoly(np.zeros(window.shape, np.uint8), np.int32(np.round(quad - (left, top))), 1)
    count, labels = cv2.connectedComponents(strokes, connectivity=8)
    within = np.bincount(labels[inside > 0], minlength=count)
    foreign = within < FOREIGN * np.bincount(labels.ravel(), minlength=count)
    foreign[0] = False  # the paper
    if foreign[within > 0].any() and not strokes.all():
        others = foreign.view(np.uint8)[labels]
        around = cv2.dilate(others, np.ones((5, 5), np.uint8)) > 0  # with their blurred edges
        paper = cv2.calcHist([window], [0], np.uint8(strokes == 0), [256], [0, 256]).ravel().cumsum()
        grey = np.uint8(np.searchsorted(paper, paper[-1] / 2))  # the median
        window = np.where(around & ((strokes == 0) | (others > 0)), grey, window)
    return cut(window, quad - (left, top))


def halved(pixels: np.ndarray) -> np.ndarray:
    """An image, uint8 [H, W] or [H, W, 3], at half its size: [H // 2, W // 2], means of 2 x 2 pixels."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    return cv2.resize(pixels[:2 * height, :2 * width], (width, height), interpolation=cv2.INTER_AREA)


def levels_of(photo: np.ndarray, ink: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """A photo and its ink, uint8 [H, W] each, in full size, at half of it, and so on: what `cut_small` cuts from."""
    levels = [(photo, ink)]
    while min(levels[-1][0].shape) >= 2 * ENOUGH:
        photo, ink = map(halved, levels[-1])
        levels.append((photo, cv2.threshold(ink, 127, 255, cv2.THRESH_BINARY)[1]))
    return levels


def cut_to_read(levels: list[tuple[np.ndarray, np.ndarray]], polygon: list[list[float]]) -> tuple[np.ndarray | None, str]:
    """As `cut_alone`, about as large as a reader needs: from the smallest of the `levels` that has the word ENOUGH px high;
    what is less than LOW px high even in the photo is enlarged first."""
    quad = corners(polygon)
    if quad is None:
        return None, "the box has no area"
    width, height = sides(quad)
    level = int(np.clip(np.log2(min(height, 4 * width) / ENOUGH), 0, len(levels) - 1))  # a thin "l" stays thick enough
    return cut_alone(*(enlarged(*levels[0], quad) if level == 0 else (*levels[level], quad / 2 ** level)))


def enlarged(photo: np.ndarray, ink: np.ndarray, quad: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part of a photo and of its ink around a word, and its corners there, so large that the word is LOW px high, see
    words/images.py; all as they are where it is so already.

    Cut at its own size, a word of six pixels' height would be smoothed and rounded to whole pixels once more.
    """
    width, height = sides(quad)
    zoom = min(LOW / max(height, width / 10), MOST_ENLARGED)
    if zoom <= 1:
        return photo, ink, quad
    left, top = np.maximum(np.floor(quad.min(axis=0) - height * MARGIN) - 1, 0).astype(int)
    right, bottom = np.maximum(np.ceil(quad.max(axis=0) + height * MARGIN) + 1, 0).astype(int)
    photo, ink = photo[top:bottom, left:right], ink[top:bottom, left:right]
    if not photo.size:
        return photo, ink, quad - (left, top)
    size = np.round(zoom * np.array(photo.shape[::-1])).astype(int)
    factors, ink = size / photo.shape[::-1], cv2.resize(ink, size.tolist(), interpolation=cv2.INTER_LINEAR)
    return (cv2.resize(photo, size.tolist(), interpolation=cv2.INTER_LINEAR),
            cv2.threshold(ink, 127, 255, cv2.THRESH_BINARY)[1], (quad - (left, top)) * factors)


def shift(x, y):
    """The matrix, float [3, 3], that moves a plane by x and y."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], float)
