"""words/ngram.py against Kneser-Ney smoothing written down once more, all texts enumerated, and cases worked by hand."""
import importlib.util
import io
import itertools
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from command import UserError
from words import ctc
from words.alphabet import Alphabet
from words.lexicon import LEXICONS, Lexicon, load_lexicon
from words.ngram import SYMBOLS, NGram, estimate, save, spelled
from words.reader import DECODING

SEED, ASCII = Alphabet("seed"), Alphabet("ascii")
COUNTS = {"the": 50, "then": 9, "there": 8, "theme": 3, "hen": 5, "node.left": 4, "h264": 2, "don't": 6, "abba": 2.5}
FITTED = {**DECODING, "ngram_weight": 0.8, "ngram_bonus": 2.4}


def model(counts=COUNTS, alphabet=SEED, weight=1.0, bonus=0.0, **options):
    return NGram(estimate(spelled(counts), **options), alphabet.characters, weight, bonus)


def prior(ngram, text, alphabet=SEED):
    return ngram.prior(alphabet.encode(text))


def chances_behind(ngram, state):
    return np.exp([ctc.symbol_behind(state, symbol, ngram.grams)[0] for symbol in range(SYMBOLS)])


def kneser_ney(counts, order, discount):
    """Function from (what is before, symbol) to its probability; words are str of a-z with ^ before and $ behind."""
    words = {f"^{word}$": count for word, count in counts.items()}

    def ways(before, symbol):
        """How often the one follows the other; for shorter n-grams, behind how many different symbols."""
        text = before + symbol
        if len(text) == order or before.startswith("^"):
            return sum(count * word[k:].startswith(text) for word, count in words.items() for k in range(len(word)))
        return len({word[k - 1] for word in words for k in range(1, len(word)) if word[k:].startswith(text)})

    symbols = sorted(set("".join(counts))) + ["$"]

    def chance(before, symbol):
        before = before[-(order - 1):]
        found = {s: ways(before, s) for s in symbols}
        total, lower = sum(found.values()), 1 / SYMBOLS if not before else chance(before[1:], symbol)
        if not total:
            return lower
        free = sum(min(discount, n) for n in found.values())
        return (max(found.get(symbol, 0) - discount, 0) + free * lower) / total
    return chance


def test_a_tiny_model_by_hand():
    """Of "ab", twice, and "a", with bigrams and D = 1/2: an a begins all 3, behind it b is twice and the end once."""
    ngram = model({"ab": 2, "a": 1}, order=2, discount=0.5)
    a, b, end = 0.5 / 4 + 1.5 / 4 / 29, 0.5 / 4 + 1.5 / 4 / 29, 1.5 / 4 + 1.5 / 4 / 29  # end: behind two, a behind one
    a_first, b_behind_a = 2.5 / 3 + 0.5 / 3 * a, 1.5 / 3 + 1 / 3 * b
    end_behind_a, end_behind_b = 0.5 / 3 + 1 / 3 * end, 1.5 / 2 + 0.5 / 2 * end
    assert math.exp(prior(ngram, "ab")) == pytest.approx(a_first * b_behind_a * end_behind_b, rel=0.02)
    assert math.exp(prior(ngram, "a")) == pytest.approx(a_first * end_behind_a, rel=0.02)
    b_first = 0.5 / 3 * b  # never seen: what is left of the beginnings, by how likely b is anywhere
    assert math.exp(prior(ngram, "b")) == pytest.approx(b_first * end_behind_b, rel=0.04)
    assert prior(ngram, "") == prior(ngram, "-") == 0


@pytest.mark.parametrize("order", [2, 3, 4, 7])
def test_probabilities_are_those_of_kneser_and_ney(order):
    counts = {"the": 50, "then": 9, "there": 8, "theme": 3, "hen": 5, "node": 4, "left": 4, "abba": 2.5}
    ngram, chance = model(counts, order=order), kneser_ney(counts, order, 0.8)
    for word in ("the", "then", "hen", "ten", "abba", "baab", "lefthen", "nnn"):
        expected = sum(math.log(chance("^" + word[:k], symbol)) for k, symbol in enumerate([*word, "$"]))
        assert prior(ngram, word) == pytest.approx(expected, abs=0.04 * (len(word) + 1)), word  # a byte each


@pytest.mark.parametrize("prune", [0, 5, 1e9])
def test_probabilities_behind_anything_add_up_to_one(prune):
    ngram = model(prune=prune)
    assert len(ngram) == SYMBOLS if prune == 1e9 else len(ngram) > SYMBOLS
    for state in set(ngram.grams.states.tolist()):
        assert chances_behind(ngram, state).sum() == pytest.approx(1, abs=1e-5)


def test_the_english_model_adds_up_and_knows_english():
    ngram = NGram.load(LEXICONS / "en.ngram.npz", SEED.characters, weight=1, bonus=0)
    assert ngram.nbytes < 25e6 and (LEXICONS / "en.ngram.npz").stat().st_size < 1.5e6
    for state in np.random.default_rng(0).choice(ngram.grams.states, 300):
        assert chances_behind(ngram, int(state)).sum() == pytest.approx(1, abs=1e-5)
    for likely, unlikely in (("the", "tne"), ("linkedlist", "linkedllst"), ("preorder", "preondcr"), ("boards", "boarcls"),
                             ("valueerror", "valueenor")):
        assert prior(ngram, likely) > prior(ngram, unlikely) + 3


def test_punctuation_parts_words_and_case_does_not_matter():
    ngram = model(alphabet=ASCII, weight=0.7, bonus=2)
    the = prior(ngram, "the", ASCII)
    assert [prior(ngram, text, ASCII) for text in ("The", "(THE)", '"the,"', "the...")] == pytest.approx([the] * 4)
    assert prior(ngram, "the-then", ASCII) == pytest.approx(the + prior(ngram, "then", ASCII))
    assert prior(ngram, "h264", ASCII) == pytest.approx(prior(ngram, "H731", ASCII))
    plain = model(alphabet=ASCII)
    assert prior(ngram, "node.left", ASCII) == pytest.approx(0.7 * (prior(plain, "node.left", ASCII) + 8 * 2))
    french = model(alphabet=Alphabet("thé"))
    assert prior(french, "thé", Alphabet("thé")) == pytest.approx(prior(plain, "the", ASCII))
    russian = Alphabet("дом")
    assert prior(model(alphabet=russian), "дом", russian) < -10


@pytest.mark.parametrize("weight, bonus", [(1.0, 0.0), (0.6, 2.0)])
def test_the_best_texts_are_those_of_going_through_all_paths(weight, bonus):
    letters = Alphabet("abn-")
    ngram = model({"ban": 5, "nab": 3, "an": 20, "a": 10, "bab-na": 1}, letters, weight, bonus, order=3)
    rng = np.random.default_rng(1)
    for logits in rng.normal(0, 2, (30, 5, 5)):
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        texts = {}
        for path in itertools.product(range(5), repeat=5):
            text = tuple(c for c, _ in itertools.groupby(path) if c)
            texts[text] = texts.get(text, 0) + math.prod(step[c] for step, c in zip(chances, path))
        scores = {text: math.log(chance) + ngram.prior(list(text)) for text, chance in texts.items()}
        found = ctc.beam_search(logits[None], 2000, 6, ngram, prune=0)[0]
        assert [tuple(text.classes) for text in found] == sorted(scores, key=scores.get, reverse=True)[:6]
        assert [ngram.score(text) for text in found] == pytest.approx([scores[tuple(t.classes)] for t in found], abs=1e-4)


def read(text, ngram, sure=6.0, doubt=""):
    """What is read where the network reads `text`, and for each character of `doubt` sees that half a nat behind."""
    classes = [c for character in SEED.encode(text) for c in (character, 0)]
    logits = sure * np.eye(len(SEED) + 1)[classes]
    for k, character in enumerate(doubt):
        logits[2 * k, SEED.encode(character)[0]] += sure - 0.5
    return SEED.decode(ctc.beam_search(logits[None], lexicon=ngram)[0][0].classes)


def test_english_decides_what_the_image_leaves_open():
    english = load_lexicon("en", SEED, FITTED)
    assert isinstance(english, NGram)
    for seen, meant in (("lettcr", "letter"), ("tnc", "the"), ("preordcr", "preorder"), ("rooi-left", "root-left")):
        assert read(seen, None, doubt=meant) == seen
        assert read(seen, english, doubt=meant) == meant


@pytest.mark.parametrize("text", ["h264", "2019", "b2b", "kubernetes", "x86", "3d", "dijkstra", "mcquillen"])
def test_numbers_codes_and_names_survive(text):
    assert read(text, load_lexicon("en", SEED, FITTED), sure=9.0) == text


def test_which_model_a_network_reads_by(tmp_path):
    assert isinstance(load_lexicon("en", SEED, DECODING), Lexicon)  # not fitted: by words, as ever
    assert isinstance(load_lexicon(str(LEXICONS / "en.txt"), SEED, FITTED), Lexicon)
    save(tmp_path / "own.npz", estimate(spelled(COUNTS)))
    assert len(load_lexicon(str(tmp_path / "own.npz"), SEED, FITTED)) == len(model())
    with pytest.raises(UserError, match="own.npz: the network has no weight for n-grams yet"):
        load_lexicon(str(tmp_path / "own.npz"), SEED, DECODING)
    with pytest.raises(ValueError, match="the lexicon is for 38 classes, the logits have 5"):
        ctc.beam_search(np.zeros((1, 3, 5)), lexicon=model())
    with pytest.raises(ValueError, match="must be finite and 0 or more"):
        model(weight=-1)
    with pytest.raises(ValueError, match="classes from 1 to 37"):
        model().prior([38])
    with pytest.raises(ValueError, match="no word"):
        model({"...": 3, "дом": 1})


def broken(tables):
    """Tables that go together no more, a dict each."""
    def changed(name, place, value):
        table = tables[name].copy()
        table[place] = value
        return {**tables, name: table}

    yield {**tables, "chances": tables["chances"][:-1]}
    yield {**tables, "rest": tables["rest"].astype(float)}
    yield {**tables, "labels": np.array([object()])}
    yield {name: table for name, table in tables.items() if name != "children"}
    yield changed("labels", -1, 200)
    yield changed("labels", 5, 9)
    yield changed("children", 0, 3)
    yield changed("children", -1, 1)
    moved = changed("children", 1, tables["children"][1] + 1)
    moved["children"][np.flatnonzero(moved["children"])[-1]] -= 1
    yield moved
    size = len(tables["children"])
    yield {**tables, "children": np.array([SYMBOLS, *[0] * (size - 2), size - 1 - SYMBOLS], np.uint8)}


def test_a_damaged_file_is_named_in_one_line(tmp_path):
    path, tables = tmp_path / "own.ngram.npz", estimate(spelled(COUNTS))
    content = io.BytesIO()
    np.savez_compressed(content, **tables)
    whole = content.getvalue()
    files = [b"", b"PK", b"no model\n" * 9, whole[:len(whole) // 2], whole[:200] + bytes(90) + whole[290:]]
    for table in broken(tables):
        content = io.BytesIO()
        np.savez_compressed(content, **table)
        files.append(content.getvalue())
    for k, file in enumerate(files):
        path.write_bytes(file)
        with pytest.raises(UserError, match="own.ngram.npz: .*make it"):
            pytest.fail(f"{k} was read: {load_lexicon(str(path), SEED, FITTED)}")


def test_the_script_makes_a_model_of_frequencies_and_texts(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("make_ngram", LEXICONS / "make_ngram.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setitem(sys.modules, "wordfreq", types.SimpleNamespace(
        get_frequency_dict=lambda language, wordlist: {"the": 0.05, "board": 1e-5, "don't": 1e-4, "ваза": 1e-6}))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("Node.left = Node.right\n" + "=" * 60 + "\nonce", encoding="utf8")
    out = tmp_path / "my.ngram.npz"
    script.main(["--text", str(tmp_path / "docs"), "-o", str(out), "--prune", "0", "--share", "0.01"])
    assert "n-grams of 5 words" in capsys.readouterr().out  # the, board, don, t; node
    ngram = NGram.load(out, SEED.characters, weight=1, bonus=0)
    assert prior(ngram, "the") > prior(ngram, "node") > prior(ngram, "board") > prior(ngram, "left") < prior(ngram, "don-t")
    with pytest.raises(UserError, match="my.ngram.npz"):
        script.main(["-o", str(out)])
    with pytest.raises(UserError, match="--text .*missing"):
        script.main(["--text", str(tmp_path / "missing"), "-o", str(Path(tmp_path) / "other.npz")])
