"""What a query says: words, "quoted phrases" and word*; and which other forms of a word are as good as meant.

    >>> parse('sprint "next week" budget*')
    [Term(('sprint',), False), Term(('next', 'week'), False), Term(('budget',), True)]
"""
import re
from typing import NamedTuple

from index.folding import fold

LONGEST = 1000  # characters of a query that count
TERMS = 20  # and terms


class Term(NamedTuple):
    """Words next to each other on a line, folded; with `prefix`, the last one may go on."""
    words: tuple[str, ...]
    prefix: bool


def parse(query):
    """The Terms of a query, each once; [] where nothing in it is a letter or digit."""
    terms = []
    for phrase, word in re.findall(r'"([^"]*)"|([^\s"]+)', query[:LONGEST]):
        text = phrase or word
        words = tuple(fold(text).split())
        if words:
            terms.append(Term(words, text.rstrip().endswith("*")))
    return list(dict.fromkeys(terms))[:TERMS]


def other_forms(word):
    """Singular and plural, and for verbs the forms with -s, -ed and -ing, of a folded English word, list of str.

    By its ending alone; that gives wrong ones as well, which nobody writes.
    """
    if len(word) < 3 or not word.isalpha():
        return []
    stems = {word}
    for ending, others in (("ies", ["y"]), ("es", ["", "e"]), ("s", [""]), ("ing", ["", "e"]), ("ed", ["", "e"])):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stems = {word[:-len(ending)] + other for other in others}
            break
    forms = set()
    for stem in stems:
        short = stem.removesuffix("e")
        plural = (stem[:-1] + "ies" if stem.endswith("y") else stem + "es" if stem.endswith(("s", "x", "ch", "sh")) else
                  stem + "s")
        forms |= {stem, plural, short + "ing", short + "ed"}
    return sorted(forms - {word})
