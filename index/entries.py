"""What the index keeps of a word that was read: its posterior, its likely texts, and the strings it may be.

    >>> writer = Entries(store, reader.alphabet.characters)
    >>> store.add(photo, [writer.entry(word) for word in page.words])
"""
import math

import numpy as np

from index import posteriors
from index.folding import fold

LIKELY = 0.005  # the chance of a string to be kept


class Entries:
    """Makes a store's entries of the words that a network with these `characters` reads."""

    def __init__(self, store, characters):
        symbols = posteriors.Symbols(store.letters)
        symbols.learn(characters)
        self._symbols = posteriors.Symbols(store.learn(symbols.letters))
        self._classes = self._symbols.learn(characters)

    def entry(self, word):
        """The entry of a photos.page.Word that was read, as `Store.add` takes it."""
        packed = posteriors.pack(self._symbols.posterior(word.log_probabilities, self._classes))
        alternatives = word.alternatives or [(word.text, word.confidence or 0.0)]
        wholes, tokens = {}, {}  # {string: chance}
        for text, _ in alternatives:
            parts = fold(text).split()
            wholes["".join(parts)] = None
            tokens.update(dict.fromkeys(parts))
        for strings in (wholes, tokens):
            for string in strings:
                strings[string], = posteriors.score([packed], self._symbols.encode(string), self._symbols.count)
        rest = min(255, math.ceil(255 * max(0.0, 1 - sum(wholes.values()))))
        strings = [(string, min(255, round(255 * chance)), rest) for string, chance in {**tokens, **wholes}.items()
                   if string and chance >= LIKELY]
        texts, confidences = zip(*alternatives)
        return {"line": word.line or 0, "paragraph": word.paragraph or 0, "polygon": np.asarray(word.polygon), "texts": texts,
                "confidences": np.clip(confidences, 0, 1).tolist(), "posterior": packed, "strings": strings}
