"""A language's words by their characters: how likely is a character behind those before it?

    >>> ngram = NGram.load("lexicons/en.ngram.npz", Alphabet("seed").characters, weight=0.8, bonus=2.5)
    >>> ctc.beam_search(logits, lexicon=ngram)

A character n-gram model with interpolated Kneser-Ney smoothing (Chen & Goodman, Computer Speech & Language 13, 1999). Words
are spelled with the symbols a to z, in lower case and without marks, 0 for any digit, ? for a letter of another script, and
a boundary before and behind. Punctuation parts words, so that "root.left" is two of them, and is itself neither likely nor
unlikely. `estimate` makes the tables of a model from words and how often they occur; lexicons/make_ngram.py is its script.
"""
import itertools
import unicodedata
import zipfile

import numpy as np

from words import ctc
from words.alphabet import base_of
from words.ctc import Grams

BOUNDARY, DIGIT, OTHER = 0, 27, 28  # symbols; a letter is 1 to 26
SYMBOLS = 29
BITS = 5  # of a symbol in the number of an n-gram
STEP = 21 / 255 ** 2  # a byte b in the file is the probability exp(-STEP * b * b)
TABLES = "labels", "children", "chances", "rest"
LONGEST = 12  # characters of an n-gram: as many symbols as an int64 holds


def symbol_of(character: str) -> int:
    """The symbol that a character is spelled with; BOUNDARY for punctuation, signs and space."""
    if character.isdigit():
        return DIGIT
    letter = character.lower()
    if not letter.isascii():
        letter = base_of(letter)
    if len(letter) == 1 and "a" <= letter <= "z":
        return ord(letter) - ord("a") + 1
    return BOUNDARY if unicodedata.category(character)[0] in "PSZ" else OTHER


class NGram:
    """A character n-gram model to read by.

    `beam_search` adds to a text's log-probability `weight` * (log P(its words) + `bonus` for each letter and digit), as
    Graves & Jaitly (ICML 2014) and Hannun et al. (2014) do with words: the bonus takes from long texts what the
    network, sure of each character, has already paid for. Neither case nor punctuation matters. Fit both on a network's
    own readings.

    tables: as of `estimate`; characters: the network's, character i being class i + 1. ValueError where tables are no good.
    """
    TEMPERATURE = "ngram_temperature"  # of its confidences, in a model's `decoding`

    def __init__(self, tables: dict[str, np.ndarray], characters: str, weight: float = 0.7, bonus: float = 2.4):
        self.grams = _grams(**tables)._replace(symbols=np.array([BOUNDARY, *map(symbol_of, characters)]))
        self.weigh(weight, bonus)

    def weigh(self, weight: float, bonus: float):
        """Set what the model's log-probability counts, and what a character is worth in it."""
        if not (0 <= weight < np.inf and 0 <= bonus < np.inf):
            raise ValueError(f"weight {weight} and bonus {bonus} must be finite and 0 or more")
        self.grams = self.grams._replace(weight=float(weight), bonus=float(bonus))

    @classmethod
    def load(cls, path, characters, **scoring):
        """The model of a file that `save` wrote; ValueError where it is none."""
        try:
            with np.load(path, allow_pickle=False) as file:
                tables = {name: file[name] for name in TABLES}
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError):
            raise ValueError("not an n-gram model; make it with lexicons/make_ngram.py") from None
        return cls(tables, characters, **scoring)

    def prior(self, classes) -> float:
        """What is added to the log-probability of a text, in nats. classes: list of int in 1..C-1."""
        if len(classes) and not 1 <= min(classes) <= max(classes) < len(self.grams.symbols):
            raise ValueError(f"a text holds classes from 1 to {len(self.grams.symbols) - 1}: {list(classes)}")
        return ctc.ngram_prior(np.array(classes, np.int64), self.grams)

    def score(self, text: ctc.Text) -> float:
        """What Texts are ordered by, in nats."""
        return text.log_probability + self.prior(text.classes)

    def __len__(self):
        return len(self.grams.labels) - 1

    @property
    def nbytes(self):
        return sum(np.asarray(table).nbytes for table in self.grams)


# --- From a file's tables to those of the search ------------------------------------------------------------------

def save(path, tables: dict[str, np.ndarray]):
    """Write what `estimate` returns, for `NGram.load`; the folder must be there."""
    with open(path, "wb") as file:
        np.savez_compressed(file, **tables)


def _grams(labels, children, chances, rest):
    """The Grams of a file's tables, without classes or bonus; ValueError where they do not go together.

    Of n n-grams, uint8, node 0 the empty one: labels [n], the last symbol of each; children [n], how many begin with it and
    are one symbol longer, which stand together in ascending order, behind those of all nodes before; chances [n], the
    probability of the last symbol behind those before; rest, for nodes with children but the first, the probability of all
    symbols that are no child.
    """
    size, inner = len(labels), children > 0
    firsts = 1 + np.concatenate([[0], np.cumsum(children, dtype=np.int64)])
    if not (size > SYMBOLS == children[0] and firsts[-1] == size and len(rest) == inner.sum() - 1
            and all(table.dtype == np.uint8 and table.ndim == 1 for table in (labels, children, chances, rest))
            and len(children) == len(chances) == size and labels.max() < SYMBOLS):
        raise ValueError("the n-gram model's tables do not go together; make it again")
    parents = np.repeat(np.arange(size), children)  # of nodes 1, 2, ...
    keys = np.concatenate([[-1], parents << BITS | labels[1:]])
    levels = _levels(firsts)
    if (np.diff(keys) <= 0).any():
        raise ValueError("the n-gram model's tables are out of order; make it again")
    suffix, states = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for first, last in itertools.pairwise(levels[1:]):  # of n-grams of 1, 2, ... symbols
        nodes = np.arange(first, last)
        if first > 1:
            wanted = suffix[parents[nodes - 1]] << BITS | labels[nodes]
            suffix[nodes] = np.minimum(np.searchsorted(keys, wanted), size - 1)
            if (keys[suffix[nodes]] != wanted).any():
                raise ValueError("the n-gram model lacks n-grams that others end with; make it again")
        states[nodes] = np.where(inner[nodes], nodes, states[suffix[nodes]])
    listed = np.zeros(size)  # the probability of a node's children together
    listed[inner] = np.concatenate([[1.0], 1 - _chances(rest)])
    p = _chances(chances)
    p[1:] *= (listed / np.bincount(parents, p[1:], size).clip(1e-300))[parents]
    below = np.bincount(parents, p[suffix[1:]], size)  # the same, behind the node's suffix
    backoff = np.log1p(-listed.clip(0, 1 - 1e-12)) - np.log1p(-below.clip(0, 1 - 1e-12))
    return Grams(*(table.astype(np.int32) for table in (labels, firsts)),
                 *(table.astype(np.float32) for table in (np.log(p.clip(1e-12)), backoff)),
                 *(table.astype(np.int32) for table in (suffix, states)), np.zeros(0, np.int64), 0.0, 0.0)


def _levels(firsts):
    """The first node of 0, 1, 2, ... symbols, and the number of nodes."""
    levels = [0, 1]
    while levels[-2] < levels[-1] < len(firsts) - 1 and len(levels) < LONGEST + 2:
        levels.append(int(firsts[levels[-1]]))
    if levels[-1] != len(firsts) - 1:
        raise ValueError(f"the n-gram model has loose ends, or is of more than {LONGEST} characters; make it again")
    return levels


def _chances(byte):
    return np.exp(-STEP * np.square(byte, dtype=np.float64))


def _bytes(chances):
    return np.rint(np.sqrt(-np.log(np.clip(chances, 1e-12, 1)) / STEP)).clip(0, 255).astype(np.uint8)


# --- From words to tables -----------------------------------------------------------------------------------------

def estimate(words: dict[bytes, float], order: int = 7, discount: float = 0.8, prune: float = 0.0) -> dict[str, np.ndarray]:
    """The tables of a model of words and how often they occur, as `spelled` has them; see `_grams` for what they are.

    order: characters of the longest n-grams, 2 to 12, boundaries among them. discount: D of Kneser-Ney smoothing, 0 to 1;
    a word that occurs less often than that counts nothing where it is longest. prune: n-grams are left out whose count
    times what they add to the log-probability is less (Seymore & Rosenfeld, ICSLP 1996).
    """
    keys, raw = _count(words, order)
    chances = [np.ones(1)]
    lost = []  # what backing off from an n-gram's beginning to its end would make of its probability
    for k in range(order):
        most = raw[k]
        if k < order - 1:  # behind what it is found, but where a word begins
            longer = np.searchsorted(keys[k], keys[k + 1] & ((1 << BITS * (k + 1)) - 1))
            begins = (keys[k] >> BITS * k == BOUNDARY) & (k > 0)
            most = np.where(begins, raw[k], np.bincount(longer, minlength=len(keys[k])))
        if k == 0:  # every symbol, also those that no word has
            most, raw[0] = (np.bincount(keys[0], values, SYMBOLS) for values in (most, raw[0]))
            keys[0] = np.arange(SYMBOLS)
        contexts, where = np.unique(keys[k] >> BITS, return_inverse=True)
        totals, free = (np.bincount(where, values) for values in (most, np.minimum(most, discount)))
        shorter = np.full(SYMBOLS, 1 / SYMBOLS) if k == 0 else chances[k][
            np.searchsorted(keys[k - 1], keys[k] & ((1 << BITS * k) - 1))]
        rest = (free / totals)[where] * shorter
        chances.append(np.maximum(most - discount, 0) / totals[where] + rest)
        lost.append(np.log(chances[-1]) - np.log(rest))
    kept = _prune([count * gain for count, gain in zip(raw, lost)], keys, prune)
    return _tables([level[keep] for level, keep in zip(keys, kept)],
                   [chance[keep] for chance, keep in zip(chances[1:], kept)])


def spelled(counts: dict[str, float]) -> dict[bytes, float]:
    """{word in symbols: how often it occurs} of texts and how often they do; without words of other scripts."""
    words, table = {}, {}
    for text, count in counts.items():
        table.update((c, symbol_of(c)) for c in set(text) - table.keys())
        for word in bytes(table[c] for c in text).split(bytes([BOUNDARY])):
            if word and OTHER not in word:
                words[word] = words.get(word, 0) + count
    return words


def _count(words, order):
    """N-grams of 1 to `order` symbols, as int64 of BITS a symbol in ascending order, and their counts, float64."""
    if not words:
        raise ValueError("no word to make a model of")
    symbols = np.frombuffer(b"".join(b"\0" + word + b"\0" for word in words), np.uint8).astype(np.int64)
    lengths = np.array([len(word) + 2 for word in words])
    weights = np.repeat(np.array(list(words.values()), float), lengths)
    place = np.arange(len(symbols)) - np.repeat(np.cumsum(lengths) - lengths, lengths)  # in its word
    keys, raw, key = [], [], np.zeros(len(symbols), np.int64)
    for k in range(order):  # the k + 1 symbols that end at each place; the boundary before a word is nothing to tell
        key = key | np.concatenate([np.zeros(min(k, len(symbols)), np.int64), symbols[:len(symbols) - k]]) << BITS * k
        here = place >= max(k, 1)
        found, where = np.unique(key[here], return_inverse=True)
        keys.append(found)
        raw.append(np.bincount(where, weights[here]))
    return keys, raw


def _prune(losses, keys, least):
    """Which n-grams to keep, bool [n] a length: those of one symbol, those that lose `least` or more, and what those need:
    their beginnings, and their ends."""
    kept, needed = [], np.zeros(0, np.int64)
    for k in range(len(keys) - 1, -1, -1):
        keep = (losses[k] >= least) | np.isin(keys[k], needed) | (k == 0)
        kept.append(keep)
        needed = np.concatenate([keys[k][keep] >> BITS, keys[k][keep] & ((1 << BITS * k) - 1)])
    return kept[::-1]


def _tables(keys, chances):
    children, rest = [np.array([SYMBOLS])], []
    for k, (shorter, longer) in enumerate(itertools.pairwise(keys), 1):
        parents = np.searchsorted(shorter, longer >> BITS)
        children.append(np.bincount(parents, minlength=len(shorter)))
        rest.append((1 - np.bincount(parents, chances[k], len(shorter)))[children[-1] > 0])
    return {"labels": np.concatenate([[0], *(level & ((1 << BITS) - 1) for level in keys)]).astype(np.uint8),
            "children": np.concatenate([*children, np.zeros(len(keys[-1]), int)]).astype(np.uint8),
            "chances": _bytes(np.concatenate([[1.0], *chances])), "rest": _bytes(np.concatenate(rest))}
