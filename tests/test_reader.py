"""words/reader.py with networks whose outputs are known, and with the shipped models."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import Brightness, Session, draw, write_model

from command import UserError
from words import ctc
from words.alphabet import Alphabet
from words.image_files import write_image
from words.images import prepare, prepare_to_read
from words.lexicon import Lexicon
from words.models import WEIGHTS, load_config, write_onnx
from words.network import build_graph
from words.reader import Reader, search_views, squeeze

ROOT = Path(__file__).parent.parent
SIZE = (100, 32)  # width, height


def test_a_reader_reads_paths_and_arrays_in_their_order(tmp_path):
    blank, (word, _) = np.full((20, 50), 255, np.uint8), draw()
    write_image(tmp_path / "word.png", word)
    reader = Reader(Brightness(), Alphabet("ab"))
    images = [blank, tmp_path / "word.png", word, str(tmp_path / "word.png"), np.dstack([blank] * 3)]
    readings = reader.read(images)
    assert [reading.text for reading in readings] == ["", "bb", "bb", "bb", ""]  # where no ink is, nothing is read
    assert [reading.confidence for reading in readings] == pytest.approx([0, 1, 1, 1, 0])
    faint = prepare(word) * np.float32(0.4)
    prepared = np.stack([faint, prepare(word)] * 70)  # three batches
    for reader.beam_width in (0, 1, 10):
        assert [reading.text for reading in reader.read_prepared(prepared)] == ["aa", "bb"] * 70
    spaced = Reader(Brightness(), Alphabet(" b")).read_prepared(prepared[:2])
    assert [reading.text for reading in spaced] == ["", "bb"]  # no text begins or ends with a space
    assert reader.read([]) == []
    assert reader.read(word) == reader.read(tmp_path / "word.png") == readings[1]  # one image, one reading


def test_a_long_word_that_is_doubtful_is_read_in_halves():
    class Tall(Brightness):
        """Sure where the word is high, else nearly of no opinion; begins with a blank."""
        def logits(self, images):
            high = (images > 0.5).any(axis=1).sum(axis=(1, 2)) > 14
            logits = super().logits(images) * high[:, np.newaxis, np.newaxis] + [0, 0.1, 0]
            return np.concatenate([np.tile([50.0, 0, 0], (len(images), 1, 1)), logits], axis=1)

    bars = np.full((28, 200), 225, np.uint8)
    bars[4:24, 4:196:12] = bars[4:24, 5:196:12] = 30
    reader, words = Reader(Tall(), Alphabet("ab")), [prepare_to_read(bars), None, prepare_to_read(draw()[0])]
    long, nothing, short = reader.read_words(words)
    assert (long.text, short.text, nothing) == ("bbbb", "bb", None) and long.confidence > 0.99
    assert long.log_probabilities.shape == (8, 3) and short.log_probabilities.shape == (4, 3)
    assert reader.read([bars, draw()[0]]) == [long, short]
    assert Reader(Tall(), Alphabet(".-")).read(bars).log_probabilities.shape == (4, 3)  # dots and dashes are no word
    once = Reader(Tall(), Alphabet("ab"), tta=False)
    assert once.read(bars).confidence < 0.5 and reader.read_words(words, tta=False)[0] == once.read(bars)


def test_what_cannot_be_read_has_an_error_that_names_it_and_the_others_are_read(tmp_path):
    write_image(tmp_path / "word.png", draw()[0])
    (tmp_path / "text.png").write_text("no picture")
    reader = Reader(Brightness(), Alphabet("ab"))
    images = [tmp_path / "none.png", tmp_path / "word.png", np.zeros((3, 3, 9)), tmp_path / "text.png"] * 100
    readings = reader.read(images)
    assert [reading.text for reading in readings] == ["", "bb", "", ""] * 100
    assert readings[0].error == f"{tmp_path / 'none.png'}: no such file" and readings[1].error == ""
    assert "shape" in readings[2].error and readings[3].error.startswith(f"{tmp_path / 'text.png'}: not a readable image")
    assert reader.read(tmp_path / "none.png") == readings[0] and readings[0].log_probabilities is None


def test_pil_images_are_read_as_their_files(tmp_path):
    write_image(tmp_path / "word.png", draw()[0])
    reader = Reader(Brightness(), Alphabet("ab"))
    image = Image.open(tmp_path / "word.png", formats=["PNG"])
    for same in (image, image.convert("P"), image.convert("1"), image.convert("CMYK"), image.convert("RGBA")):
        assert reader.read(same).text == reader.read([same])[0].text == "bb"
    (tmp_path / "half.png").write_bytes((tmp_path / "word.png").read_bytes()[:300])
    assert reader.read(Image.open(tmp_path / "half.png")).error.startswith("not a readable image")


def test_a_reading_has_what_later_stages_need():
    [reading] = Reader(Width(a=0.6, b=0.1, c=0.1), SEED).read_prepared(BAR[:1], top_paths=3)
    assert reading.alternatives[0] == (reading.text, reading.confidence) == ("a", pytest.approx(0.6))
    assert len(reading.alternatives) == 3 and reading.alternatives[1][1] == pytest.approx(0.4 / 36, rel=1e-3)
    assert reading.log_probabilities.dtype == np.float32 and reading.log_probabilities.shape == (1, 38)
    assert reading.log_probabilities[0, SEED.encode("a")] == pytest.approx(np.log(0.6), abs=1e-5)


def test_outputs_that_are_no_numbers_are_said_in_a_line():
    with pytest.raises(UserError, match="the model's weights are damaged"):
        Reader(Width(a=np.nan, b=0.5, c=0.5), SEED).read_prepared(BAR)


@pytest.mark.parametrize("threads, count, sizes", [(2, 181, [46, 46, 46, 43]), (1, 130, [44, 44, 42]), (2, 3, [2, 1]),
                                                   (4, 1, [1])])
def test_all_threads_have_as_many_batches_of_about_a_size(threads, count, sizes):
    class Counting(Brightness):
        def run(self, outputs, feed):
            seen.append(len(feed["image"]))
            return super().run(outputs, feed)

    seen = []
    reader = Reader(Counting(), Alphabet("ab"), threads=threads)
    assert len(reader.logits(np.zeros((count, *SIZE, 1), np.float32))) == count
    assert sorted(seen, reverse=True) == sizes


SEED = Alphabet("seed")


class Width(Session):
    """Sees an "a", a "b" where the word is less wide, a "c" where less high, with the chances `sure`."""

    def __init__(self, **sure):
        self.sure, self.seen, self.calls = sure, 0, 0

    def logits(self, images):
        self.calls += 1
        widths = (images[..., 0].max(axis=2) > 0.5).sum(axis=1)
        heights = (images[..., 0].max(axis=1) > 0.5).sum(axis=1)
        self.seen += (widths > 0).sum()
        letters = np.where(widths < 50, "b", np.where(heights < 18, "c", "a"))
        chances = np.array([self.sure[letter] for letter in letters])
        logits = np.repeat(np.log((1 - chances) / 36), 38).reshape(-1, 1, 38)  # or any other letter
        logits[range(len(images)), 0, [SEED.encode(letter)[0] for letter in letters]] = np.log(chances)
        logits[:, 0, 0] = -1e9  # but not none
        return logits


BAR = np.zeros((3, *SIZE, 1), np.float32)  # of which the last is empty
BAR[:2, 4:60, 6:26] = 1


def test_squeezed_words_begin_where_they_did_and_stay_in_the_middle():
    for width, height in ((0.5, 1), (1, 0.5), (0.75, 0.75)):
        squeezed = squeeze(BAR, width, height)
        assert squeezed.shape == BAR.shape and squeezed.dtype == np.float32 and not squeezed[2].any()
        columns, rows = squeezed[0, ..., 0].sum(axis=1), squeezed[0, ..., 0].sum(axis=0)
        assert np.average(np.arange(100), weights=columns) + 0.5 == pytest.approx(4 + 28 * width, abs=0.1)  # of 4 to 60
        assert np.average(np.arange(32), weights=rows) + 0.5 == pytest.approx(16, abs=0.05)
        assert columns.sum() == pytest.approx(56 * 20 * width * height, rel=0.02)
    assert np.array_equal(squeeze(BAR, 1, 1), BAR)


@pytest.mark.parametrize("sure, text, chance, views", [
    ((0.6, 0.9, 0.9), "a", 0.6, 2),  # sure enough
    ((0.45, 0.9, 0.8), "b", 0.9, 6), ((0.45, 0.8, 0.9), "c", 0.9, 6), ((0.49, 0.48, 0.47), "a", 0.49, 6)])
def test_a_doubtful_word_is_read_again_squeezed_and_the_surest_reading_counts(sure, text, chance, views):
    for beam_width in (0, 10):
        network = Width(**dict(zip("abc", sure)))
        reader = Reader(network, SEED, beam_width=beam_width)
        readings = reader.read_prepared(BAR)
        assert [reading.alternatives for reading in readings] == [[(text, pytest.approx(chance))]] * 2 + [[]]
        assert readings[0].log_probabilities[0].max() == pytest.approx(np.log(chance), abs=1e-5)  # of the view that won
        assert (network.seen, network.calls) == (views, views // 2)  # both words go through it together
        assert reader.read_prepared(BAR, tta=False)[0].alternatives == [("a", pytest.approx(sure[0]))]
        reader = Reader(network, SEED, beam_width=beam_width, tta=False)
        assert reader.read_prepared(BAR)[0].alternatives == [("a", pytest.approx(sure[0]))]


def test_with_a_lexicon_the_view_of_the_best_score_counts():
    reader = Reader(Width(a=0.45, b=0.7, c=0.9), SEED)
    reader.lexicon = Lexicon(["b"], SEED.characters, margin=1)
    assert reader.read_prepared(BAR)[0].text == "b"  # .7 of the lexicon is more than .9 / e
    reader.lexicon = Lexicon(["b"], SEED.characters, margin=0.1)
    assert reader.read_prepared(BAR)[0].text == "c"


def test_the_texts_of_all_views_of_a_doubtful_word_stand_together():
    def found(*words):
        return [[ctc.Text(list(classes), np.log(p)) for classes, p in texts] for texts in words]

    views = {0: found([((1,), 0.5), ((2,), 0.4)], [((1,), 0.3), ((2,), 0.2)], [((), 0.1), ((3,), 0.05)], [((7,), 0.3)]),
             1: found([((2,), 0.6), ((4, 4), 0.1)], [((5,), 0.08), ((3,), 0.02)], [((7,), 0.4), ((8,), 0.1)]),
             2: found([((1,), 0.4), ((5,), 0.3)], [((6,), 0.01)])}
    asked = []

    def view(number):
        def logits_of(which):
            asked.append(which.tolist())
            return np.full((len(which), 1, 1), number)
        return logits_of

    def search(logits):
        return list(views[logits[0, 0, 0]])

    texts, logits = search_views(search, np.zeros((4, 1, 1), int), [view(1), view(2)])
    assert asked == [[1, 2, 3], [1, 2]]  # the first is sure enough, the last is read alike in both views
    assert texts == [views[0][0], *found([((2,), 0.6), ((1,), 0.4)], [((), 0.1), ((5,), 0.08)], [((7,), 0.4), ((8,), 0.1)])]
    assert np.ravel(logits).tolist() == [0, 1, 0, 1]  # of the view with the likeliest text
    texts, logits = search_views(search, np.zeros((4, 1, 1)), [])  # no further views
    assert texts == views[0] and not np.any(logits)


def test_a_view_that_only_some_words_have_leaves_the_others_to_the_next():
    def search(logits):
        return [[ctc.Text([int(steps[0, 0])], np.log(0.1 * len(steps)))] for steps in logits]

    asked = []

    def halves(which):
        asked.append(which.tolist())
        return [None, np.full((2, 1), 4), None]

    def squeezed(which):
        asked.append(which.tolist())
        return np.full((len(which), 3, 1), 5)

    texts, logits = search_views(search, np.arange(3).reshape(3, 1, 1), [halves, squeezed])
    assert asked == [[0, 1, 2], [0, 1, 2]]
    assert [[text.classes for text in found] for found in texts] == [[[5]], [[5]], [[5]]]  # as many as the first view has
    texts, logits = search_views(search, np.array([[[0]], [[4]], [[2]]]), [halves, squeezed])
    assert asked[2:] == [[0, 1, 2], [0, 2]]  # the second word reads alike in halves
    assert [len(steps) for steps in logits] == [3, 2, 3]


def test_confidence_is_the_string_probability_at_the_fitted_temperature():
    logits = np.log([[[.5, .3, .2], [.6, .3, .1]]])  # "a": .5 * .3 + .3 * .6 + .3 * .3 = .42, the rest less
    for temperature, expected in ((1, .42), (2, .42 ** .5), (9, .42 ** (1 / 9))):
        reader = Reader(Brightness(), Alphabet("ab"), {"temperature": temperature})
        [[reading]] = reader.alternatives(reader.search(logits))
        assert reading == ("a", pytest.approx(expected, rel=1e-4))
    reader.beam_width = 0  # greedy: the empty text, .3, to the power of 1/9
    assert reader.alternatives(reader.search(logits)) == [[("", pytest.approx(.3 ** (1 / 9), rel=1e-4))]]


def test_with_a_lexicon_the_texts_share_the_confidence():
    logits = np.log([[[.5, .3, .2], [.6, .3, .1]]])
    # texts: "" .3, a .42, b .05 + .12 + .02 = .19, ab .03, ba .06; "b" is the lexicon's, others cost a factor of 1 / e
    weights = {"b": .19, "a": .42 / np.e, "": .3 / np.e, "ba": .06 / np.e, "ab": .03 / np.e}
    reader = Reader(Brightness(), Alphabet("ab"), {"lexicon_temperature": 2})
    reader.lexicon = Lexicon(["b"], "ab", margin=1)
    total = sum(weight ** .5 for weight in weights.values())
    [texts] = reader.alternatives(reader.search(logits, 2), 2)
    assert texts == [("b", pytest.approx(.19 ** .5 / total, rel=1e-4)),
                     ("a", pytest.approx((.42 / np.e) ** .5 / total, rel=1e-4))]


# --- Reading needs no Keras ---------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """A model folder with a network of random weights, as Keras saves them, and its model.onnx."""
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    write_onnx(load_config(folder), folder / WEIGHTS["final"], build_graph)
    return folder


def test_reading_a_word_loads_neither_keras_nor_what_training_needs(small_model):
    program = ("import sys; from words.reader import load_reader; "
               f"print(load_reader({str(small_model)!r}).read('imgs/words/_letter_01.png').error, "
               "*{name.partition('.')[0] for name in sys.modules})")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"onnxruntime", "numba", "cv2"} <= loaded
    assert not loaded & {"keras", "tensorflow", "jax", "torch", "h5py", "onnx", "matplotlib", "fitting", "utils"}


def test_predict_reads_the_sample_words_without_keras(tmp_path, small_model):
    program = ("import sys, runpy; runpy.run_path('predict.py', run_name='__main__'); "
               "print({'keras', 'tensorflow', 'onnx'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", program, "--model_path", small_model, "--image_path", "imgs/words",
                           "--result_path", tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n" and len((tmp_path / "prediction.csv").read_text().splitlines()) == 13
