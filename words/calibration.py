"""What makes confidences true and a lexicon useful: fitted on words with known texts."""
import itertools

import numpy as np

from command import UserError
from words import ctc
from words.lexicon import LEXICONS, load_lexicon
from words.metrics import letters_and_digits
from words.ngram import NGram
from words.reader import CANDIDATES, DECODING, confidences, search_views

FITTED_ON = 100, 2000  # words, at least and at most

OUTSIDE_COUNTS = 3  # words


# What is tried: of a Lexicon (weight, margin), of an NGram (weight, bonus)
LEXICON_GRID = list(itertools.product((0.2, 0.5, 0.8), (0, 1, 2, 3, 4, 6, 8)))
NGRAM_GRID = list(itertools.product((0.5, 0.6, 0.7, 0.8, 0.9), (1.6, 2.4, 3.2, 4.0)))


def fit_decoding(reader, images: np.ndarray, truths: list[str]) -> dict[str, float] | None:
    """What makes confidences true and the lexicon "en" useful: DECODING's values, fitted on words with known texts.

    reader: a Reader; images: prepared, float32 [N, W, H, 1]. Texts are equal here if their letters and digits are, without
    case; words of one letter are left out. None where fewer than 100 words are left; more than 2,000 are not needed.
    A temperature is the one with the highest likelihood of which words were right and which not (after Guo et al.,
    2017). Of the lexicon's weights and margins, and the n-gram model's weights and bonuses, those are taken that read most
    words, where a word outside the lexicon counts as OUTSIDE_COUNTS: those are names and numbers, which one looks for, and
    which a lexicon reads away. An n-gram model that reads fewer than the lexicon gets the weight 0. With an alphabet that
    cannot write English only the temperature is fitted.
    """
    kept = [k for k, truth in enumerate(truths) if len(letters_and_digits(truth)) > 1]
    if len(kept) < FITTED_ON[0]:
        return None
    kept = np.random.default_rng(0).permutation(kept)[:FITTED_ON[1]]
    images, truths, alphabet = images[kept], [truths[k] for k in kept], reader.alphabet
    first, again = reader.logits(images), [view(np.arange(len(images))) for view in reader.views(images)]
    plain = [letters_and_digits(truth) for truth in truths]

    def right(found):
        return np.array([letters_and_digits(alphabet.decode(texts[0].classes)) == truth
                         for texts, truth in zip(found, plain)])

    def search(lexicon=None, top_paths=1):
        found, _ = search_views(lambda logits: ctc.beam_search(logits, top_paths=top_paths, lexicon=lexicon), first,
                                [logits.__getitem__ for logits in again], lexicon)
        return found

    def best_of(lexicon, grid, worth):
        """(words read, settings, temperature) of those of `grid` that read most."""
        read = []
        for settings in grid:
            lexicon.weigh(*settings)
            read.append(worth @ right(search(lexicon)))
        best = int(np.argmax(read))
        lexicon.weigh(*grid[best])
        found = search(lexicon, top_paths=CANDIDATES)
        return read[best], grid[best], fit_temperature(found, right(found), lexicon)

    free = search()
    fitted = {**DECODING, "temperature": fit_temperature(free, right(free))}
    try:
        lexicon = load_lexicon("en", alphabet, DECODING)
    except UserError:
        return fitted
    worth = np.array([1 if alphabet.encode(alphabet.spell(truth)[0]) in lexicon else OUTSIDE_COUNTS
                      for truth in truths])
    by_words, (weight, margin), temperature = best_of(lexicon, LEXICON_GRID, worth)
    fitted |= {"lexicon_weight": weight, "lexicon_margin": float(margin), "lexicon_temperature": temperature}
    by_ngram, (weight, bonus), temperature = best_of(NGram.load(LEXICONS / "en.ngram.npz", alphabet.characters), NGRAM_GRID,
                                                     worth)
    if by_ngram > by_words:
        fitted |= {"ngram_weight": weight, "ngram_bonus": bonus, "ngram_temperature": temperature}
    return fitted


def fit_temperature(found: list[list[ctc.Text]], right: np.ndarray, lexicon=None) -> float:
    """The temperature, 0.1 to 20, with which `confidences` of the best texts are likeliest. right: bool [N]."""
    def loss(temperature):
        sure = np.array([confidences(texts, temperature, lexicon)[0] for texts in found]).clip(1e-6, 1 - 1e-6)
        return -np.log(np.where(right, sure, 1 - sure)).mean()
    return round(float(min(np.geomspace(0.1, 20, 54), key=loss)), 3)
