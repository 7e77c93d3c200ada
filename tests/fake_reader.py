"""Photos that say what is written on them, and a reader that knows it, for the tests of search.

    python tests/fake_reader.py index photos    # search.py with that reader, for runs that are killed
"""
import contextlib
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
import command
import index
import search
from photos.page import Page, Word
from words.alphabet import Alphabet

ALPHABET = Alphabet("".join(map(chr, range(32, 127))) + "éä")


def save(path, text, **options):
    """A photo with this text, a line a line: an image of one row, a letter a pixel, or, as JPEG, of 16 a letter."""
    row = np.frombuffer(text.encode(), np.uint8)[np.newaxis]
    os.makedirs(os.path.dirname(os.fsencode(path)) or b".", exist_ok=True)
    with open(path, "wb") as file:
        suffix = os.path.splitext(os.fsdecode(path))[1].lower()
        image = Image.fromarray(row if suffix == ".png" else np.kron(row, np.ones((16, 16), np.uint8)))
        image.save(file, "PNG" if suffix == ".png" else "JPEG", **({} if suffix == ".png" else {"quality": 100}), **options)


def log_probabilities(text, rest=0.02):
    """As a network that is almost sure of a text: two steps a letter, a blank between them."""
    classes = [c for letter in ALPHABET.encode(text) for c in (letter, letter, 0)]
    steps = np.full((len(classes), 1 + len(ALPHABET)), rest / len(ALPHABET))
    steps[range(len(classes)), classes] = 1 - rest
    return np.log(steps / steps.sum(axis=1, keepdims=True))


class FakeReader:
    """Reads what `save` wrote; photos with "broken" raise, those with "faulty" have an error. A process that reads one with
    "deadly" ends, the first time; with "poison", each time. Takes `pause` seconds each."""
    words = types.SimpleNamespace(alphabet=ALPHABET)

    def __init__(self, pause=0.0):
        self.pause, self.read_files = pause, []

    def read(self, path, top_paths, min_confidence):
        time.sleep(self.pause)
        self.read_files.append(path)
        with Image.open(path, formats=["PNG", "JPEG"]) as image:
            return self.look(np.asarray(image), path, top_paths, min_confidence)[0]

    def look(self, pixels, path, top_paths, min_confidence):
        scale = 1 if len(pixels) == 1 else 16
        text = bytes(np.round(pixels[scale // 2, scale // 2::scale]).astype(np.uint8)).decode()
        if "broken" in text:
            raise ValueError("this photo breaks the reader")
        if "deadly" in text:
            end_once(text)
        if "poison" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        words = [Word([[x, 10], [x + 9, 10], [x + 9, 20], [x, 20]], word, 0.9, [(word, 0.9), (word[:-1], 0.1)], line, 0,
                      log_probabilities(word))
                 for line, words in enumerate(text.split("\n")) for x, word in enumerate(words.split())]
        faulty = "faulty" in text
        return Page(str(path), 200, 100, [] if faulty else words, error="cannot be read" if faulty else ""), None


def end_once(name):
    """End this process as `kill -9` does, the first time that it is called with this name in the current folder."""
    with contextlib.suppress(FileExistsError):
        open(name, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)


def texts_of(found):
    return {os.path.basename(photo["file"]): " ".join(word["text"] for word in photo["words"]) for photo in found.export()}


def names(results):
    return [os.path.basename(result.file) for result in results]


def start(*arguments, pause=0.02):
    """search.py in a process of its own, with a FakeReader that takes `pause` seconds a photo."""
    return subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, "PAUSE": str(pause)}, text=True)


def save_many(count):
    for k in range(count):
        save(f"photos/{k % 3}/{k}.png", f"photo {k} of\n{count} broken" if k % 7 == 3 else f"photo {k} of\n{count}")


def everything(place):
    """What an index knows, without its numbers and its names of files."""
    store = index.open_store(place)
    files = {store.file(name): facts for name, (_, *facts) in store.files().items()}
    contents = {content: facts for _, content, *facts in store.contents()}
    assert {number for number, *_ in store.files().values()} <= {number for number, *_ in store.contents()}
    return files, contents, list(index.open(place).export())


if __name__ == "__main__":
    search.load_reader = lambda **models: FakeReader(float(os.environ.get("PAUSE", 0)))
    command.run(search.main)
