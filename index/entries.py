"""What an index keeps of the words that were read on a photo.

    >>> entries = Entries(store, reader.words.alphabet.characters)
    >>> store.add(photo, *entries.of(page.words))
"""
import numpy as np

from index import blocks, posteriors


class Entries:
    """Makes a store's entries of the words that a network with these `characters` reads."""

    def __init__(self, store, characters):
        symbols = posteriors.Symbols(store.letters)
        symbols.learn(characters)
        self._symbols = posteriors.Symbols(store.learn(symbols.letters))
        self._classes = self._symbols.learn(characters)

    def of(self, words):
        """(words, posteriors) of photos.page.Words that were read, as `Store.add` takes them."""
        words = [word for word in words if word.log_probabilities is not None]
        packed = [posteriors.pack(self._symbols.posterior(word.log_probabilities, self._classes)) for word in words]
        return [_plain(word) for word in words], blocks.pack_photo([word.line or 0 for word in words], packed)


def _plain(word):
    """A word as a dict that JSON can hold: polygon in whole pixels, line, paragraph, alternatives (text, confidence)."""
    alternatives = word.alternatives or [(word.text, word.confidence or 0.0)]
    return {"polygon": np.round(word.polygon).astype(int).tolist(), "line": word.line or 0, "paragraph": word.paragraph or 0,
            "alternatives": [(text, round(float(confidence), 3)) for text, confidence in alternatives]}
