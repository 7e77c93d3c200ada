"""What is written: words of a word list, numbers, dates, money, acronyms, codes, bits of programs.

    >>> Texts(LEXICON).pick(np.random.default_rng(0), "board")
"""
import copy
import string

import numpy as np

from command import UserError
from render.chances import cumulative, pick
from words.lexicon import read_counts

MAX_LENGTH = 24  # characters; longer ones are too small to read in 32 px
KINDS = ("word", "number", "code", "acronym", "letters", "program")
KIND_CHANCES = {style: cumulative(weights) for style, weights in {
    "scene": (83, 9, 3, 3, 2, 0), "paper": (83, 9, 3, 3, 2, 0), "board": (75, 9, 1, 1, 2, 12)}.items()}
CASES = {"scene": (0.26, 0.50), "paper": (0.70, 0.92), "board": (0.68, 0.87)}  # up to here small, up to here Capitalised
EVEN = {"scene": 0.5, "paper": 0, "board": 0}  # how often a word is taken without regard to its count: names, rare words
NATURAL = {"scene": 0, "paper": 0, "board": 0.5}  # how often it is taken as often as in texts: short words
POSSESSIVE = 0.1  # how much rarer than their count "word's" are: word lists hold more of them than texts
PUNCTUATED = {"scene": 0.04, "paper": 0.12, "board": 0.10}
MARKS, MARK_CHANCES = ("{}.", "{},", "{}:", "{};", "{}!", "{}?", "'{}'", '"{}"', "({})", "-{}", "*{}"), cumulative(
    [28, 26, 8, 4, 6, 6, 4, 6, 5, 3, 1])


class Texts:
    """What is written: words of a word list by damped frequency, numbers, dates, times, money, acronyms, codes,
    and bits of programs on boards.

    The list has a word a line, its count after it if known; lines that begin with "# " are remarks. UserError if it
    cannot be read or holds no word that can be drawn: 1 to 24 letters, digits and ASCII marks.
    """

    def __init__(self, path):
        try:
            words, counts = read_counts(path)
        except OSError as error:
            raise UserError(f"--lexicon {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UserError(f"--lexicon {path}: not a text in UTF-8") from None
        except ValueError as error:
            raise UserError(f"--lexicon {path}: {error}") from None
        kept = [k for k, word in enumerate(words) if drawable(word)]
        if not kept:
            raise UserError(f"--lexicon {path}: holds no word of 1 to {MAX_LENGTH} letters and digits")
        self._take([words[k] for k in kept], np.array([counts[k] for k in kept]))

    def _take(self, words, counts):
        """Keep words, and with what chances they are picked: frequent words come often, rare ones too."""
        self.words, self.counts = words, counts
        rarer = np.array([POSSESSIVE if word.endswith("'s") else 1 for word in words])
        self.even, self.chances, self.natural = (cumulative(rarer * counts ** power) for power in (0, 0.5, 1))

    def only(self, kept):
        """The Texts of some of the words. kept: bool [words], at least one of them true."""
        texts = copy.copy(self)
        texts._take([word for word, keep in zip(self.words, kept) if keep], self.counts[np.array(kept, bool)])
        return texts

    def pick(self, rng, style):
        """A random text, its case and punctuation as common in a style."""
        kind = KINDS[pick(rng, KIND_CHANCES[style])]
        if kind == "number":
            return random_number(rng)
        if kind == "code":
            return "".join(random_letters(rng, 1, string.ascii_uppercase + string.digits + "-" * (k % 3 == 2))
                           for k in range(rng.integers(3, 9))).strip("-")
        if kind == "acronym":
            return random_letters(rng, rng.integers(2, 6), string.ascii_uppercase)
        if kind == "program":
            return random_program(rng, *(self.words[pick(rng, self.natural)] for _ in range(2)))
        usual = rng.random()
        chances = (self.even if usual < EVEN[style] else self.natural if usual < EVEN[style] + NATURAL[style]
                   else self.chances)
        text = random_letters(rng, rng.integers(1, 11)) if kind == "letters" else self.words[pick(rng, chances)]
        small, capitalised = CASES[style]
        case = rng.random()
        text = text if case < small else text[:1].upper() + text[1:] if case < capitalised else text.upper()
        if kind == "word" and rng.random() < 0.02:
            text += "-" + self.words[pick(rng, self.chances)]
        return MARKS[pick(rng, MARK_CHANCES)].format(text) if rng.random() < PUNCTUATED[style] else text


def drawable(text):
    """Whether a text can be drawn: not too long, of letters, digits and ASCII marks, and not of marks alone."""
    return (len(text) <= MAX_LENGTH and any(c.isalnum() for c in text)
            and all(c.isalnum() or c in string.punctuation for c in text))


def random_letters(rng, count, letters=string.ascii_lowercase):
    return "".join(letters[k] for k in rng.integers(0, len(letters), count))


def random_number(rng):
    """A number, date, time, price, share or measure: 1984, 12/5/21, 12:30, $4.50, 3.5%, 25kg."""
    n, hour, minute, day, month = (int(rng.integers(low, high)) for low, high in
                                   ((0, 10 ** int(rng.integers(1, 6))), (0, 24), (0, 60), (1, 32), (1, 13)))
    year = int(rng.integers(1900, 2035))
    forms = (f"{n}", f"{n}", f"{n}", f"{year}", f"{year}", f"{hour}:{minute:02}", f"{day}/{month}/{year % 100:02}",
             f"{day}.{month}.{year}", f"{year}-{month:02}-{day:02}", f"{n / 10:.1f}%", f"{minute}%", f"${n}",
             f"${n / 100:.2f}", f"{n:,}", f"{n}.", f"({day})", f"{hour}am", f"{hour}-{hour + month}", f"#{day}",
             f"{day}{'st' if day in (1, 21, 31) else 'nd' if day in (2, 22) else 'rd' if day in (3, 23) else 'th'}",
             f"{n}{('kg', 'km', 'cm', 'ml', 'm', 'g', 'h', 'k', 'x')[minute % 9]}", f"+{n}", f"{day}/{month}")
    return forms[rng.integers(len(forms))]


def random_program(rng, a, b):
    """What programmers write on boards, of two words: node.next, new_list, maxValue, push(node), arr[3], O(n), i++, [4,"""
    n, m = rng.integers(0, 10, 2)
    x = random_letters(rng, 1, "aijkmnxyABKNXY")
    forms = ("a.b a.b a_b a_b aB AB a(b) a(x) a() a(); a.b() a[x] a[n] a[x+n] O(x) O(nx) x++ x=n x+n a=b a= =n (a, (a a) "
             "a): a){ a; [n, n, n] n,m n) n. -a an a/b //a 'a' \"a\" <a> x, x) (x x: !a #n a: a-> x a!=n").split()
    values = {"a": a, "b": b, "A": a.capitalize(), "B": b.capitalize(), "x": x, "n": str(n), "m": str(m)}
    text = "".join(values.get(c, c) for c in forms[rng.integers(len(forms))])
    return text.upper() if rng.random() < 0.08 else text
