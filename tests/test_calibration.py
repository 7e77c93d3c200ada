"""words/calibration.py: what is fitted, on outputs whose best decoding is known."""
import numpy as np
import pytest
from samples import Brightness

from words.alphabet import Alphabet
from words.calibration import fit_decoding
from words.reader import DECODING, Reader


class Known:
    """Stands for a Reader whose images are the network's output; squeezed, one class is likelier by 9 nats or none."""

    def __init__(self, alphabet, again=None):
        self.alphabet, self.again = alphabet, again

    def logits(self, images):
        return images

    def views(self, images):
        return [] if self.again is None else [lambda which: images[which] + 9 * np.eye(images.shape[2])[self.again]]


@pytest.mark.slow
def test_augmented_views_count_where_decoding_is_fitted():
    """The words are "aa"; plain they read "bb", doubtfully, squeezed surely "aa" or "bb"."""
    letter, blank = [1e-9, .4, .45, .15], [1, 1e-30, 1e-30, 1e-30]
    alphabet, logits = Alphabet("ab0"), np.tile(np.log([letter, blank, letter]), (200, 1, 1))
    by_one, right, wrong = (fit_decoding(Known(alphabet, again), logits, ["aa"] * 200)["temperature"]
                            for again in (None, 1, 2))
    assert right > 5 and max(by_one, wrong) < 0.5  # surer where it is always right, less sure where always wrong


@pytest.mark.slow
def test_decoding_is_fitted_to_what_was_right():
    """A network that is right in half of the words, and as sure of all of them, is less sure at the fitted temperature."""
    alphabet, words = Alphabet("seed"), ["letter", "meeting", "xqzzv", "idea"] * 50
    logits = np.zeros((200, 16, 38))
    rng = np.random.default_rng(0)
    for k, word in enumerate(words):
        wrong = rng.random() < 0.5
        for i, c in enumerate(word):
            right, other = alphabet.encode(c)[0], alphabet.encode("q")[0]
            logits[k, 2 * i, other if wrong and i == 1 else right] = 12
            logits[k, 2 * i, right if wrong and i == 1 else other] += 8  # where it is wrong, the truth comes next
            logits[k, 2 * i + 1, 0] = 12
        logits[k, 2 * len(word):, 0] = 12
    decoding = fit_decoding(Known(alphabet), logits, words)
    assert decoding["temperature"] < 0.5  # confidences of 0.9 become about 0.5
    assert decoding["lexicon_margin"] >= 4  # a wrong letter costs four nats
    right = {}
    for name, lexicon in (("free", None), ("lexicon", "en")):
        reader = Reader(Brightness(), alphabet, decoding, lexicon=lexicon)
        best = [texts[0] for texts in reader.alternatives(reader.search(logits))]
        right[name] = np.array([text == word for (text, _), word in zip(best, words)])
        if name == "free":
            assert np.mean([confidence for _, confidence in best]) == pytest.approx(right[name].mean(), abs=0.1)
    known = np.array([word != "xqzzv" for word in words])
    assert right["lexicon"][known].mean() > 0.95 > 0.6 > right["free"][known].mean()
    assert right["lexicon"][~known].mean() == right["free"][~known].mean()


@pytest.mark.slow
@pytest.mark.parametrize("names, kept", [(26, True), (24, False)])
def test_a_word_outside_the_lexicon_counts_as_three(names, kept):
    """What reads "idea" right, 100 - names times, reads the name "iqea" away: worth it for 76 : 24, not for 74 : 26."""
    alphabet, words = Alphabet("seed"), ["iqea"] * names + ["idea"] * (100 - names)
    logits = np.zeros((100, 8, 38))
    logits[:, range(0, 8, 2), alphabet.encode("iqea")] = 12
    logits[:, 1::2, 0] = 12
    logits[:, 2, alphabet.encode("d")[0]] = 9  # 3 nats behind the q
    reader = Reader(Brightness(), alphabet, fit_decoding(Known(alphabet), logits, words), lexicon="en")
    assert {texts[0][0] for texts in reader.alternatives(reader.search(logits))} == {"iqea" if kept else "idea"}


@pytest.mark.slow
def test_n_grams_are_read_by_where_they_read_more_than_the_word_list():
    """The network reads "linkcdlist" or "prcorder", with an e half a nat behind; the list has neither word."""
    alphabet, words = Alphabet("seed"), ["linkedlist", "preorder", "xqzzv"] * 50
    logits = np.zeros((150, 20, 38))
    logits[..., 0] = 12
    for k, word in enumerate(words):
        logits[k, range(0, 2 * len(word), 2), 0] = 0
        logits[k, range(0, 2 * len(word), 2), alphabet.encode(word.replace("e", "c", 1))] = 12
        logits[k, 2 * word.find("e") if "e" in word else 1, alphabet.encode("e")] = 11.5
    decoding = fit_decoding(Known(alphabet), logits, words)
    assert decoding["ngram_weight"] > 0
    reader = Reader(Brightness(), alphabet, decoding, lexicon="en")
    best = [texts[0] for texts in reader.alternatives(reader.search(logits))]
    assert [text for text, _ in best] == words
    assert min(confidence for _, confidence in best) > 0.9


def test_an_alphabet_that_cannot_write_english_gets_its_temperature_only():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("0123456789"), 3)) for _ in range(150)]
    alphabet, logits = Alphabet("0123456789"), np.zeros((150, 6, 11))
    for k, text in enumerate(texts):
        logits[k, 1::2, 0] = 9
        logits[k, [0, 2, 4], alphabet.encode(text)] = 9
    decoding = fit_decoding(Known(alphabet), logits, texts)
    assert {**decoding, "temperature": 1.0} == DECODING and decoding["temperature"] > 2  # all were right
    assert fit_decoding(Known(alphabet), logits[:99], texts[:99]) is None
    assert fit_decoding(Known(alphabet), logits, [text[0] for text in texts]) is None  # words of one letter
