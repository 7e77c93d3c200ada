"""ctc.py against cases worked by hand, all paths enumerated, TensorFlow's own decoder, and the shipped model's outputs."""
import itertools
from pathlib import Path

import keras
import numpy as np
import pytest

from words import ctc
from words.alphabet import ALPHABETS, Alphabet
from words.image_files import read_image
from words.images import prepare
from words.lexicon import Lexicon, load_lexicon
from words.reader import DECODING, load_reader

LETTERS = "-abcdefghijklmnopqrstuvwxyz"  # "-" stands for the blank, class 0
ROOT = Path(__file__).parent.parent


def logits_of(*paths, margin=5.0):
    """float [B, T, C]: logits whose best class at each step is the one that the path, a str, names."""
    return margin * np.eye(len(LETTERS))[[[LETTERS.index(c) for c in path] for path in paths]]


def random_logits(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 2, shape)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def every_text(logits):
    """{text: probability} of all texts of one word's logits [T, C], by going through all C ** T paths."""
    texts = {}
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        text = tuple(c for c, _ in itertools.groupby(path) if c)
        texts[text] = texts.get(text, 0) + np.prod([step[c] for step, c in zip(softmax(logits), path)])
    return texts


def as_text(classes):
    return "".join(LETTERS[c] for c in classes)


# --- What all decoders share ------------------------------------------------------------------------------------

DECODERS = {"greedy": lambda logits: ctc.greedy(logits),
            "beam": lambda logits: [texts[0] for texts in ctc.beam_search(logits)],
            "a wide beam": lambda logits: [texts[0] for texts in ctc.beam_search(logits, beam_width=300)],
            "two threads": lambda logits: [texts[0] for texts in ctc.beam_search(logits, threads=2)]}


@pytest.fixture(params=DECODERS)
def decode(request):
    return DECODERS[request.param]


def test_repeats_merge_unless_a_blank_stands_between(decode):
    cases = [("l-e-t-t-er", "letter"), ("-llet-tteerr-", "letter"), ("bo-ok", "book"), ("b-oo--oook-", "book"),
             ("a-az-z", "aazz"), ("aa-aaazz-zz", "aazz"),
             ("letter", "leter"), ("-leettteer-", "leter"), ("book", "bok"), ("aazz", "az"),  # no blank between: one letter
             ("abab", "abab"), ("--a", "a"), ("a--", "a"), ("----", "")]
    for path, text in cases:
        assert as_text(decode(logits_of(path))[0].classes) == text


def test_words_of_a_batch_do_not_touch_each_other(decode):
    paths = ["a-a", "aab", "b--", "---", "bba"]
    assert [as_text(text.classes) for text in decode(logits_of(*paths))] == ["aa", "ab", "b", "", "ba"]


def test_smallest_inputs(decode):
    assert decode(np.log([[[.25, .75]]])) == [([1], pytest.approx(np.log(.75)))]  # T = 1
    assert decode(np.log([[[.75, .25]]])) == [([], pytest.approx(np.log(.75)))]
    assert decode(np.zeros((2, 3, 1))) == [([], 0.0)] * 2  # nothing but the blank
    assert decode(np.zeros((2, 0, 5))) == [([], 0.0)] * 2  # T = 0
    assert decode(np.zeros((0, 4, 5))) == []


def test_log_probabilities_are_as_good_as_logits(decode):
    logits = random_logits(5, 7, 4)
    expected = [(text.classes, pytest.approx(text.log_probability, abs=1e-5)) for text in decode(logits)]
    assert decode(ctc.log_softmax(logits)) == expected
    assert decode(logits + random_logits(5, 7, 1, seed=1)) == expected  # a constant more at a step says nothing
    assert decode(1e4 * logits_of("a-a")) == [([1, 1], 0.0)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_by_place(decode, value):
    logits = random_logits(3, 4, 5)
    logits[1, 2, 3] = value
    with pytest.raises(ValueError, match="word 1 are not finite: .* at step 2, class 3"):
        decode(logits)


@pytest.mark.parametrize("shape", [(4, 5), (5,), (1, 2, 3, 4), (2, 3, 0)])
def test_wrong_shapes_are_refused(decode, shape):
    with pytest.raises(ValueError, match=r"logits must be \[B, T, C\]"):
        decode(np.zeros(shape))


# --- Greedy -----------------------------------------------------------------------------------------------------

def test_greedy_worked_by_hand():
    logits = np.log([[[.1, .8, .1], [.9, .05, .05], [.2, .7, .1], [.1, .1, .8]]])
    [(classes, log_probability)] = ctc.greedy(logits)
    assert classes == [1, 1, 2] and all(type(c) is int for c in classes)
    assert log_probability == pytest.approx(np.log(.8 * .9 * .7 * .8)) and type(log_probability) is float


def test_greedy_is_the_likeliest_path():
    logits = random_logits(6, 4, 3)
    for word, (classes, log_probability) in zip(softmax(logits), ctc.greedy(logits)):
        likelihood = {path: np.prod([step[c] for step, c in zip(word, path)])
                      for path in itertools.product(range(3), repeat=4)}
        best = max(likelihood, key=likelihood.get)
        assert classes == [c for c, _ in itertools.groupby(best) if c]
        assert np.exp(log_probability) == pytest.approx(likelihood[best], rel=1e-5)


# --- Beam search ------------------------------------------------------------------------------------------------

def test_beam_search_worked_by_hand():
    """Hannun's case: the best path is blank, blank (0.36), but three paths write "a": 0.16 + 0.24 + 0.24."""
    logits = np.log([[[.6, .4], [.6, .4]]])
    assert ctc.greedy(logits) == [([], pytest.approx(np.log(.36), abs=1e-6))]
    assert ctc.beam_search(logits, top_paths=5) == [[([1], pytest.approx(np.log(.64), abs=1e-6)),
                                                     ([], pytest.approx(np.log(.36), abs=1e-6))]]


@pytest.mark.parametrize("steps, classes", [(1, 4), (2, 3), (4, 2), (5, 3), (6, 3), (4, 4)])
def test_a_wide_beam_finds_every_text_with_its_probability(steps, classes):
    logits = random_logits(8, steps, classes, seed=steps)
    for word, found in zip(logits, ctc.beam_search(logits, beam_width=2000, top_paths=2000, prune=0)):
        expected = every_text(word)
        assert len(found) == len(expected)  # a beam wider than there are prefixes
        assert {tuple(text.classes): np.exp(text.log_probability) for text in found} == pytest.approx(expected, rel=1e-4)
        order = [text.log_probability for text in found]
        assert order == sorted(order, reverse=True)


def test_a_narrow_beam_sums_fewer_paths_and_never_more():
    logits = random_logits(50, 12, 5)
    for width in (1, 2, 5, 20):
        found = ctc.beam_search(logits, beam_width=width, top_paths=width)
        for word, texts in zip(logits, found):
            exact = ctc.string_log_probability(np.repeat(word[None], len(texts), 0), [text.classes for text in texts])
            assert 1 <= len(texts) <= width and len({tuple(text.classes) for text in texts}) == len(texts)
            assert all(text.log_probability <= limit + 1e-4 for text, limit in zip(texts, exact))


def test_a_text_that_left_the_beam_and_came_back_is_one_text():
    for seed in range(20):
        for texts in ctc.beam_search(random_logits(10, 30, 4, seed=seed), beam_width=4, top_paths=4):
            assert len({tuple(text.classes) for text in texts}) == len(texts)


def test_agrees_with_tensorflow():
    tf = pytest.importorskip("tensorflow")
    logits = random_logits(100, 9, 5).astype(np.float32)
    # TensorFlow's blank is the last class
    theirs, scores = tf.nn.ctc_beam_search_decoder(np.roll(logits, -1, axis=2).transpose(1, 0, 2), [9] * 100, 500)
    theirs = tf.sparse.to_dense(theirs[0], default_value=-1).numpy()
    ours = [texts[0] for texts in ctc.beam_search(logits, beam_width=500)]
    assert [text.classes for text in ours] == [[int(c) + 1 for c in row if c >= 0] for row in theirs]
    np.testing.assert_allclose([text.log_probability for text in ours], scores.numpy()[:, 0], rtol=1e-3)


def test_greedy_agrees_with_keras():
    pytest.importorskip("tensorflow")
    logits = random_logits(200, 12, 4).astype(np.float32)
    paths, _ = keras.ops.ctc_decode(logits, [12] * 200, strategy="greedy", mask_index=0)
    theirs = [[int(c) for c in row if c > 0] for row in keras.ops.convert_to_numpy(paths)[0]]
    assert [text.classes for text in ctc.greedy(logits)] == theirs


@pytest.mark.parametrize("wrong", [dict(beam_width=0), dict(top_paths=0), dict(threads=0), dict(prune=-1), dict(prune=.3)])
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ctc.beam_search(random_logits(1, 3, 4), **wrong)


def test_threads_change_nothing():
    logits = random_logits(700, 10, 5)
    assert ctc.beam_search(logits, threads=5, top_paths=3) == ctc.beam_search(logits, top_paths=3)
    assert ctc.beam_search(logits[:2], threads=5) == ctc.beam_search(logits[:2])  # more threads than words


@pytest.fixture(scope="module")
def real_logits():
    """2,004 outputs of the shipped model: the sample words, each changed at random 167 times, as in training."""
    reader = load_reader(ROOT / "models" / "iam")
    rng = np.random.default_rng(0)
    pixels = [read_image(path) for path in sorted((ROOT / "imgs" / "words").glob("*.png"))]
    images = [prepare(image, reader.size, rng) for image in pixels for _ in range(167)]
    return reader.logits(np.stack(images))


@pytest.mark.slow
def test_pruning_changes_no_best_text_and_stays_within_its_bound(real_logits):
    pruned, whole = ctc.beam_search(real_logits), ctc.beam_search(real_logits, prune=0)
    assert [texts[0].classes for texts in pruned] == [texts[0].classes for texts in whole]
    lost = np.exp([texts[0].log_probability for texts in whole]) - np.exp([texts[0].log_probability for texts in pruned])
    # a text may gain as well, when prefixes that were pruned leave their place in the beam to its own
    assert np.abs(lost).max() < real_logits.shape[1] * (real_logits.shape[2] + ctc.BEAM_WIDTH) * ctc.PRUNE


@pytest.mark.parametrize("prune", [1e-4, 1e-3])
def test_pruning_bound_holds_for_every_text(prune):
    logits, width, lost = random_logits(30, 5, 4, seed=3), 40, []
    for word, found in zip(logits, ctc.beam_search(logits, width, top_paths=width, prune=prune)):
        whole = ctc.beam_search(word[None], width, top_paths=width, prune=0)[0]
        kept = {tuple(text.classes): np.exp(text.log_probability) for text in found}
        lost += [np.exp(text.log_probability) - kept.get(tuple(text.classes), 0) for text in whole]
    assert 0 < max(lost) < 5 * (4 + width) * prune


# --- The probability of a given text ----------------------------------------------------------------------------

def test_string_probability_is_the_sum_over_all_paths():
    for word in random_logits(10, 5, 3):
        texts = every_text(word)
        found = ctc.string_log_probability(np.repeat(word[None], len(texts), 0), list(texts))
        np.testing.assert_allclose(np.exp(found), list(texts.values()), rtol=1e-5)
        assert np.exp(found).sum() == pytest.approx(1, rel=1e-5)


def test_string_probability_is_keras_loss():
    logits, texts = random_logits(30, 15, 8).astype(np.float32), np.random.default_rng(1).integers(1, 8, (30, 5))
    losses = keras.ops.convert_to_numpy(keras.losses.CTC(reduction="none")(texts, logits))
    np.testing.assert_allclose(-ctc.string_log_probability(logits, texts.tolist()), losses, rtol=1e-4)


def test_texts_that_cannot_be_written_have_no_probability():
    logits = random_logits(4, 3, 3)
    found = ctc.string_log_probability(logits, [[1, 1], [1, 1, 1], [1, 2, 1], [1, 2, 1, 2]])
    assert np.isfinite(found).tolist() == [True, False, True, False]
    assert ctc.string_log_probability(np.zeros((2, 0, 3)), [[], [1]]).tolist() == [0, -np.inf]


def test_alignment_by_hand():
    assert ctc.alignment(logits_of("-llet-tteerr-"), [[LETTERS.index(c) for c in "letter"]]) == [
        [(1, 2), (3, 3), (4, 4), (6, 7), (8, 9), (10, 11)]]
    assert ctc.alignment(logits_of("---"), [[]]) == [[]]
    assert ctc.alignment(np.zeros((1, 0, 3)), [[]]) == [[]]
    with pytest.raises(ValueError, match="word 0: 0 steps cannot write a text of 1 characters"):
        ctc.alignment(np.zeros((1, 0, 3)), [[1]])


def test_alignment_is_the_best_path_that_writes_the_text():
    for word in random_logits(20, 6, 3):
        for text in [(1,), (1, 2), (2, 2), (1, 2, 1)]:
            paths = [path for path in itertools.product(range(3), repeat=6)
                     if tuple(c for c, _ in itertools.groupby(path) if c) == text]
            best = max(paths, key=lambda path: sum(word[t, c] for t, c in enumerate(path)))
            places, t = [], 0
            for c, same in itertools.groupby(best):
                n = sum(1 for _ in same)
                places += [(t, t + n - 1)] * bool(c)
                t += n
            assert ctc.alignment(word[None], [list(text)]) == [places]


def test_texts_must_fit():
    logits = random_logits(2, 4, 3)
    with pytest.raises(ValueError, match="word 1: 4 steps cannot write a text of 3 characters"):
        ctc.alignment(logits, [[1], [1, 1, 1]])
    for function in (ctc.alignment, ctc.string_log_probability):
        with pytest.raises(ValueError, match="1 texts for 2 words"):
            function(logits, [[1]])
        with pytest.raises(ValueError, match="text of word 0 must hold classes from 1 to 2"):
            function(logits, [[0], [1]])
        with pytest.raises(ValueError, match="text of word 1 must hold classes from 1 to 2"):
            function(logits, [[1], [3]])


# --- Lexicon ----------------------------------------------------------------------------------------------------

SEED = ALPHABETS["seed"]
ASCII = ALPHABETS["ascii"]


def classes_of(text, characters):
    return [characters.index(c) + 1 for c in text]


def readings_of(text, characters, sure=3.0, doubt=""):
    """Logits of a network that reads `text`, and for each character of `doubt` sees that almost as well."""
    path = [c for character in classes_of(text, characters) for c in (character, 0)]
    logits = sure * np.eye(len(characters) + 1)[path]
    for k, c in enumerate(doubt):
        logits[2 * k, characters.index(c) + 1] += sure - 0.5
    return logits[None]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_word_is_that_of_going_through_them_all(seed):
    rng = np.random.default_rng(seed)
    words = sorted({"".join(rng.choice(list("abc"), rng.integers(1, 5))) for _ in range(25)})
    counts = rng.integers(1, 100, len(words)).astype(float)
    lexicon = Lexicon(words, "abc", counts, weight=0.7, margin=1e9)  # other texts never win
    logits = random_logits(20, 6, 4, seed=seed)
    for word, found in zip(logits, ctc.beam_search(logits, beam_width=500, top_paths=5, lexicon=lexicon, prune=0)):
        chances = ctc.string_log_probability(np.repeat(word[None], len(words), 0), [classes_of(w, "abc") for w in words])
        scores = dict(zip(words, chances + 0.7 * np.log(counts / counts.max())))
        best = sorted((w for w in words if scores[w] > -np.inf), key=scores.get, reverse=True)[:5]
        texts = ["".join("abc"[c - 1] for c in text.classes) for text in found]
        assert [text for text in texts if text in scores] == best[:len(texts)]


@pytest.mark.parametrize("margin", [0.0, 1.0, 5.0])
def test_any_other_text_costs_the_margin(margin):
    words, counts = ["ab", "ba", "abc", "cc"], [5, 10, 1, 2]
    lexicon = Lexicon(words, "abc", counts, weight=0.5, margin=margin)
    logits = random_logits(60, 4, 4, seed=7)
    for word, [best] in zip(logits, ctc.beam_search(logits, beam_width=500, lexicon=lexicon, prune=0)):
        def score(text):
            word_ = "".join("abc"[c - 1] for c in text)
            return np.log(every[text]) + (max(0.5 * np.log(counts[words.index(word_)] / 10), -margin)
                                             if word_ in words else -margin)
        every = every_text(word)
        assert tuple(best.classes) == max(every, key=score)


def test_a_word_of_the_lexicon_wins_where_the_image_leaves_it_open():
    lexicon = Lexicon(["letter", "latter", "book"], SEED)
    for read, text in (("lettcr", "letter"), ("lattcr", "latter"), ("bodk", "book")):
        logits = readings_of(read, SEED, 6, text)
        assert "".join(SEED[c - 1] for c in ctc.beam_search(logits)[0][0].classes) == read
        assert "".join(SEED[c - 1] for c in ctc.beam_search(logits, lexicon=lexicon)[0][0].classes) == text


@pytest.mark.parametrize("text", ["h264", "2019", "b2b", "kubernetes", "x86", "3d"])
def test_numbers_codes_and_names_survive_the_lexicon(text):
    lexicon = load_lexicon("en", Alphabet("seed"), DECODING)
    assert classes_of(text, SEED) not in lexicon
    for sure in (6.0, 9.0):  # probabilities of 0.44 to 0.96
        best = ctc.beam_search(readings_of(text, SEED, sure), lexicon=lexicon)[0][0]
        assert "".join(SEED[c - 1] for c in best.classes) == text


def test_case_and_punctuation_around_words_do_not_matter():
    lexicon = Lexicon(["Hello", "don't", "e.g.", "'tis"], ASCII)
    assert len(lexicon) == 4
    for text in ("hello", "Hello", "HELLO", '"Hello,"', "(hello)...", "Don't!", "'don't'", "e.g", "e.g.", "(E.G.)",
                 "'tis", "tis"):
        assert classes_of(text, ASCII) in lexicon, text
    for text in ("hell", "helloo", "h,ello", "hello,x", "don't't", "", "...", "eg", "dont"):
        assert classes_of(text, ASCII) not in lexicon, text
    found = ctc.beam_search(readings_of('"Hcllo,"', ASCII, 6, '"Hello,"'), lexicon=lexicon)[0][0]
    assert "".join(ASCII[c - 1] for c in found.classes) == '"Hello,"'


def test_words_are_spelled_as_in_training():
    small = Lexicon(["Don't", "naïve", "---", "ωmega", "x" * 101], SEED)  # "-mega" and the like are no words
    assert len(small) == 2 and classes_of("don-t", SEED) in small and classes_of("naive", SEED) in small
    letters = Lexicon(["Don't"], "abcdefghijklmnopqrstuvwxyz")
    assert classes_of("dont", "abcdefghijklmnopqrstuvwxyz") in letters
    capitals = Lexicon(["don"], "NOD")
    assert classes_of("DON", "NOD") in capitals
    with pytest.raises(ValueError, match="no word of the lexicon can be written"):
        Lexicon(["???"], "abc")


def prior(lexicon, text, characters=SEED):
    return lexicon.score(ctc.Text(classes_of(text, characters), 0.0))


def test_a_words_prior_is_its_part_of_the_highest_count():
    lexicon = Lexicon(["cat", "the", "CAT", "catalogue"], SEED, [20, 100, 10, 1], weight=0.5, margin=2)
    assert len(lexicon) == 3
    assert prior(lexicon, "the") == 0
    assert prior(lexicon, "cat") == pytest.approx(0.5 * np.log(0.2))
    assert prior(lexicon, "catalogue") == -2  # no less than any other text
    assert prior(lexicon, "catalog") == -2
    lexicon.weigh(0.1, 3)
    assert prior(lexicon, "catalogue") == pytest.approx(0.1 * np.log(0.01)) and prior(lexicon, "catalog") == -3
    with pytest.raises(ValueError, match="must be finite and 0 or more"):
        lexicon.weigh(1, -1)


def test_a_word_list_is_loaded(tmp_path):
    (tmp_path / "words.txt").write_text("# my words\n\nboard 4\nflipchart\t2\nsticky\n#hashtag\n", encoding="utf-8-sig")
    lexicon = Lexicon.load(tmp_path / "words.txt", SEED, margin=7)
    assert len(lexicon) == 4 and lexicon.margin == 7
    assert prior(lexicon, "sticky") == pytest.approx(0.5 * np.log(1 / 4))
    for line in ("board four", "board 0", "board nan", "two words 3", "board -1"):
        (tmp_path / "bad.txt").write_text("fine\n" + line)
        with pytest.raises(ValueError, match=f"line 2: '{line}' should be a word"):
            Lexicon.load(tmp_path / "bad.txt", SEED)


def test_the_english_list_is_large_and_light():
    lexicon = load_lexicon("en", Alphabet("ascii"), DECODING)
    assert 95_000 < len(lexicon) < 105_000 and lexicon.nbytes < 50e6
    assert [classes_of(word, ASCII) in lexicon for word in ("whiteboard", "Meetings", "zzyx")] == [True, True, False]
    assert prior(lexicon, "the", ASCII) == 0 > prior(lexicon, "whiteboard", ASCII)


def test_prefixes_are_ordered_by_the_words_they_can_become():
    """With one prefix in sight, "c" is the likelier first letter, but only the rare "cow" begins so."""
    lexicon = Lexicon(["cow", "bow"], "bcow", [1, 1000], weight=1, margin=100)
    logits = np.log([[[.01, .43, .54, .01, .01], [.01, .01, .01, .96, .01], [.01, .01, .01, .01, .96]]])
    best = [text.classes for text in ctc.beam_search(logits, beam_width=1, top_paths=1, lexicon=lexicon)[0]]
    assert ["".join("bcow"[c - 1] for c in classes) for classes in best] == ["bow"]


@pytest.mark.parametrize("sure", [0.9, 0.99, 0.9999])
def test_a_sure_text_is_still_weighed_against_every_word(sure):
    """"ba" is read, "aa" frequent: which wins depends on how sure the image is; three are asked for as one."""
    lexicon = Lexicon(["aba", "ab"], "ab", [1, 1e6], weight=0.5, margin=5)
    other = (1 - sure) / 2
    logits = np.log([[[other, sure, other], [other, other, sure], [other, sure, other]]])
    every = every_text(logits[0])

    def score(text):
        return np.log(every[text]) + {(1, 2, 1): max(0.5 * np.log(1e-6), -5), (1, 2): 0}.get(text, -5)

    expected = sorted(every, key=score, reverse=True)
    for top_paths in (1, 3):
        found = ctc.beam_search(logits, 100, top_paths, lexicon, prune=0)[0]
        assert [tuple(text.classes) for text in found] == expected[:top_paths]


def test_many_unlikely_paths_add_up():
    total = -1.0
    for _ in range(200_000):
        total = ctc._log_add(total, -15.0)
    assert total == pytest.approx(np.log(np.exp(-1) + 200_000 * np.exp(-15)), rel=1e-9)


def test_where_pruning_may_turn_a_tie():
    """The bound speaks of texts that stay in the beam: the last place of a narrow one goes by a hair's breadth."""
    p = 1e-3
    logits = np.log([[[.5, .5 - 1e-9, 1e-9], [.5 - p, .9 * p, .5 + .1 * p]]])
    whole, pruned = (ctc.beam_search(logits, 2, prune=prune)[0][0] for prune in (0, p))
    assert abs(whole.log_probability - pruned.log_probability) < 2 * (3 + 2) * p


def test_what_no_lexicon_can_be_made_of_is_refused():
    for counts in ([1, 0], [1, np.nan], [1, -2], [1, np.inf]):
        with pytest.raises(ValueError, match="counts must be above 0"):
            Lexicon(["a", "b"], "ab", counts)
    with pytest.raises(ValueError):
        Lexicon(["a", "b"], "ab", [1])
    with pytest.raises(ValueError, match="a text holds classes from 1 to 2"):
        assert [3] in Lexicon(["a", "b"], "ab")


def test_a_lexicon_for_another_alphabet_is_refused():
    with pytest.raises(ValueError, match="the lexicon is for 4 classes, the logits have 5"):
        ctc.beam_search(random_logits(1, 3, 5), lexicon=Lexicon(["ab"], "abc"))
