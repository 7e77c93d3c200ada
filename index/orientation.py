"""Places on a photo that is shown with another EXIF orientation than it was read with."""

# (swap x and y of the stored photo, mirror the upright one's x, mirror its y) by EXIF orientation: stored to upright
_UPRIGHT = {1: (False, False, False), 2: (False, True, False), 3: (False, True, True), 4: (False, False, True),
            5: (True, False, False), 6: (True, True, False), 7: (True, True, True), 8: (True, False, True)}


def turned(polygon, width, height, was, now):
    """The corners of a word, list of [x, y], on the photo with the EXIF orientation `now`.

    polygon: corners on the photo upright by orientation `was`, which is width x height pixels large.
    """
    if was == now:
        return polygon
    swap, mirror_x, mirror_y = _UPRIGHT[was]
    stored = [(width - x if mirror_x else x, height - y if mirror_y else y) for x, y in polygon]
    if swap:
        stored, width, height = [(y, x) for x, y in stored], height, width
    swap, mirror_x, mirror_y = _UPRIGHT[now]
    if swap:
        stored, width, height = [(y, x) for x, y in stored], height, width
    return [[width - x if mirror_x else x, height - y if mirror_y else y] for x, y in stored]
