"""Word lists to read by: what is known of a text before one looks at the image.

    >>> lexicon = load_lexicon("words.txt", Alphabet("seed"), reader.decoding)
    >>> ctc.beam_search(logits, lexicon=lexicon)
"""
import collections
import unicodedata
from pathlib import Path

import numpy as np

from command import UserError
from words import ctc
from words.alphabet import base_of, composed
from words.ctc import Trie
from words.ngram import NGram

LONGEST = 100  # characters of a lexicon's word


def _without_marks(word):
    """A word without the punctuation around it."""
    kept = [k for k, c in enumerate(word) if unicodedata.category(c)[0] not in "PSZ"]
    return word[kept[0]:kept[-1] + 1] if kept else ""


def _writable(word, characters):
    """A word with letters that are not among `characters`, in lower case, as their base letters, where those are."""
    if word.isascii():
        return word
    return "".join(c if c.lower() in characters or not set(base_of(c).lower()) <= set(characters) else base_of(c) or c
                   for c in word)


class Lexicon:
    """Words to read by. Neither case nor the punctuation around a word matters.

    `beam_search` orders texts by log-probability and by what is known of them before one looks: to a word of the
    lexicon it adds `weight` * log(count / highest count), but never takes more than `margin` nats, which it takes from
    any other text. So names, numbers and codes are kept where the image says so. What weight and margin are good
    depends on how sure a network is of what it reads: fit them on its own readings.

    words: iterable of str; counts: how often each occurs, above 0, or None; characters: the network's, character i being
    class i + 1. Characters within a word that are not among them become "-" if that is one, else they are left out; a
    word whose first or last one is not is passed over, as are those of more than 100 characters.
    """
    TEMPERATURE = "lexicon_temperature"  # of its confidences, in a model's `decoding`

    def __init__(self, words, characters, counts=None, weight=0.5, margin=3.0):
        firsts = {}  # the first class of each character without case
        fold = np.array([0] + [firsts.setdefault(c.lower(), k) for k, c in enumerate(characters, 1)])
        punctuation = np.array([False] + [unicodedata.category(c)[0] in "PSZ" for c in characters])  # marks, symbols, space
        outside = chr(firsts["-"]) if "-" in firsts else None
        spelling = collections.defaultdict(lambda: outside, {ord(c): chr(k) for c, k in firsts.items() if len(c) == 1})
        marks = "".join(map(chr, np.flatnonzero(punctuation)))
        words = [_writable(composed(word), firsts) for word in words]
        counts = [1.0] * len(words) if counts is None else counts
        if not all(0 < count < np.inf for count in counts):
            raise ValueError("counts must be above 0")
        found = {}  # a word as a str of chr(class): its count
        for word, count in zip(words, counts, strict=True):
            spelled = _without_marks(word.lower()).translate(spelling)
            if spelled == spelled.strip(marks) and len(spelled) <= LONGEST:
                found[spelled] = max(count, found.get(spelled, 0))
        found.pop("", None)
        if not found:
            raise ValueError("no word of the lexicon can be written with the network's characters")
        self._trie = Trie(*_build(found), fold, punctuation)  # with the log of the counts as priors
        self._words = len(found)
        self.weigh(weight, margin)

    def weigh(self, weight, margin):
        """Set what a word's count and a text outside the lexicon add to the score."""
        if not (0 <= weight < np.inf and 0 <= margin < np.inf):
            raise ValueError(f"weight {weight} and margin {margin} must be finite and 0 or more")
        self.weight, self.margin = weight, margin

        def weighed(priors):
            return np.where(priors > -np.inf, np.maximum(weight * np.maximum(priors, -1e9), -margin), -np.inf)

        self.trie = self._trie._replace(priors=weighed(self._trie.priors), best_below=weighed(self._trie.best_below))

    @classmethod
    def load(cls, path, characters, **scoring):
        """The lexicon of a UTF-8 file: a word a line, and after it, if known, how often it occurs.

        Empty lines and those that begin with "# " are passed over. ValueError where a line is something else.
        """
        words, counts = read_counts(path)
        return cls(words, characters, counts, **scoring)

    def __len__(self):
        return self._words

    def __contains__(self, classes):
        return self._prior(classes) > -np.inf

    def _prior(self, classes):
        if len(classes) and not 1 <= min(classes) <= max(classes) < len(self.trie.fold):
            raise ValueError(f"a text holds classes from 1 to {len(self.trie.fold) - 1}: {list(classes)}")
        return ctc.prior(np.array(classes, np.int64), self.trie)

    def score(self, text):
        """What Texts are ordered by, in nats."""
        prior = self._prior(text.classes)
        return text.log_probability + (prior if prior > -np.inf else -self.margin)

    @property
    def nbytes(self):
        return sum(array.nbytes for array in (*self._trie, self.trie.priors, self.trie.best_below))


def read_counts(path: str | Path) -> tuple[list[str], list[float]]:
    """(words, counts) of a UTF-8 file as `Lexicon.load` takes it: lists of str and of float; without a count, 1."""
    words, counts = [], []
    with open(path, encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("# "):
                continue
            word, *count = unicodedata.normalize("NFC", line).split()
            try:
                words.append(word)
                counts.append(float(*count) if count else 1.0)
                if not 0 < counts[-1] < np.inf:
                    raise ValueError
            except (TypeError, ValueError):
                raise ValueError(f"line {number}: {line.strip()[:60]!r} should be a word and, if known, its count") from None
    return words, counts


def _build(counts):
    """labels, children, priors and best_below of a Trie. counts: {word as str of chr(class): its count}."""
    words = np.array(sorted(counts))
    spelled = words.view(np.uint32).reshape(len(words), -1)  # a word a row, 0 behind its end
    ends = np.zeros(len(words), np.int64)  # the node of each word's characters so far
    labels, parents = [np.zeros(1, np.int64)], [np.zeros(0, np.int64)]
    size = 1
    for column in spelled.T:
        fresh = (column > 0) & np.concatenate([[True], (column[1:] != column[:-1]) | (ends[1:] != ends[:-1])])
        labels.append(column[fresh].astype(np.int64))
        parents.append(ends[fresh])
        ends = np.where(column > 0, size - 1 + np.cumsum(fresh), ends)
        size += fresh.sum()
    parent = np.concatenate(parents)  # of nodes 1, 2, ..., in ascending order
    children = 1 + np.searchsorted(parent, np.arange(size + 1))
    priors = np.full(size, -np.inf)
    priors[ends] = np.log([counts[word] for word in words.tolist()]) - np.log(max(counts.values()))
    best_below = priors.copy()
    for k in range(size - 1, 0, -1):
        best_below[parent[k - 1]] = max(best_below[parent[k - 1]], best_below[k])
    return np.concatenate(labels).astype(np.int32), children.astype(np.int32), priors, best_below


LEXICONS = Path(__file__).parent.parent / "lexicons"


def load_lexicon(name: str, alphabet, decoding: dict[str, float]) -> Lexicon | NGram | None:
    """What to read by: a file's words, or its n-gram model (.npz); or the project's own of that name, "en"; or None: "none".

    Of its own, a network whose `decoding` has a weight for it reads by the n-gram model, any other by the words.
    """
    path = Path(name)
    if name == "none":
        return None
    if not path.is_file():
        kinds = (".ngram.npz", ".txt") if decoding["ngram_weight"] else (".txt",)
        path = next((LEXICONS / f"{name}{kind}" for kind in kinds if (LEXICONS / f"{name}{kind}").is_file()), None)
    if path is None:
        own = ", ".join(sorted(path.stem for path in LEXICONS.glob("*.txt") if "LICENSE" not in path.name))
        raise UserError(f"--lexicon {name}: no such file; give one with a word a line, {own} or none")
    try:
        if path.suffix != ".npz":
            return Lexicon.load(path, alphabet.characters, weight=decoding["lexicon_weight"],
                                margin=decoding["lexicon_margin"])
        if not decoding["ngram_weight"]:
            raise ValueError("the network has no weight for n-grams yet; fit it with predict.py --validate --calibrate")
        return NGram.load(path, alphabet.characters, weight=decoding["ngram_weight"], bonus=decoding["ngram_bonus"])
    except UnicodeDecodeError:
        raise UserError(f"--lexicon {path}: not a text in UTF-8") from None
    except ValueError as error:
        raise UserError(f"--lexicon {path}: {error}") from None
