"""A small index of photos drawn here, for the tests of the search page."""
import threading

from PIL import Image, ImageDraw

import index
from index import web

RED, BLUE, WHITE = (200, 30, 30), (30, 30, 200), (255, 255, 255)


class FakeIndex:
    """As index.finding.Index, but finds words by their exact text alone. asked: what `find` was asked."""

    def __init__(self):
        self.kept, self.pages, self.asked = {}, {}, []

    def add(self, path, size, *words):
        """Add a photo with words: (text, left, top, right, bottom, line, paragraph)."""
        number = len(self.kept) + 1
        self.kept[number] = index.Photo(number, str(path), *size, taken="2026-11-25T10:00:00", error="")
        self.pages[number] = [index.Word([[x, y], [right, y], [right, below], [x, below]], text, 0.9, [(text, 0.9)], *place)
                              for text, x, y, right, below, *place in words]

    def find(self, query, limit=20, all_words=False, since=None, until=None):
        self.asked.append((query, limit, all_words, since, until))
        found = {number: [index.Match(word.polygon, word.text, 0.9) for word in words if word.text in query.split()]
                 for number, words in self.pages.items()}
        return [index.Result(number, "", 1 / number ** 2, matches)
                for number, matches in found.items() if matches][:limit]

    def photo(self, number):
        return self.kept.get(number)

    def photos(self, numbers):
        return {number: self.kept[number] for number in numbers if number in self.kept}

    def page(self, number):
        return self.pages[number]

    def stats(self):
        return {"photos": len(self.kept), "words": sum(len(words) for words in self.pages.values())}


def three_photos(folder):
    """An index of photos in `folder`: 1 is turned by its EXIF data, 2 is see-through, 3 is far higher than wide.

    On photo 1, upright 1,600 x 900, the word "sprint" is a box of 200 x 100: its left half red, its right half blue.
    """
    found = FakeIndex()
    upright = Image.new("RGB", (1600, 900), WHITE)
    draw = ImageDraw.Draw(upright)
    draw.rectangle((1000, 500, 1099, 599), RED)
    draw.rectangle((1100, 500, 1199, 599), BLUE)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif, quality=95)
    found.add(folder / "turned.jpg", (1600, 900), ("sprint", 1000, 500, 1200, 600, 0, 0),
              ("budget", 100, 100, 300, 150, 0, 0), ("tea", 100, 200, 200, 240, 1, 0),
              ("</script><b>", 300, 200, 400, 240, 1, 0), ("next", 100, 700, 200, 740, 2, 1))
    Image.new("RGBA", (300, 200), (0, 0, 0, 0)).save(folder / "clear.png")
    found.add(folder / "clear.png", (300, 200), ("budget", 10, 10, 90, 30, 0, 0))
    Image.new("RGB", (300, 1200), RED).save(folder / "high.png")
    found.add(folder / "high.png", (300, 1200), ("budget", 10, 1100, 90, 1130, 0, 0))
    return found


def start(app, **options):
    """A waitress server of an application, running, on a port that was free; it hangs up after 2 silent seconds."""
    server = web.create_server(app, "127.0.0.1", 0, patience=2, **options)
    threading.Thread(target=server.run, daemon=True).start()
    return server
