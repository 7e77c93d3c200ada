"""What makes confidences true and a lexicon useful: fitted on words with known texts."""
import itertools

import numpy as np

from command import UserError
from words import ctc
from words.lexicon import load_lexicon
from words.metrics import letters_and_digits
from words.reader import CANDIDATES, DECODING, confidences, search_views

FITTED_ON = 100, 2000  # words, at least and at most

OUTSIDE_COUNTS = 3  # words


def fit_decoding(reader, images: np.ndarray, truths: list[str]) -> dict[str, float] | None:
    """What makes confidences true and the lexicon "en" useful: DECODING's values, fitted on words with known texts.

    reader: a Reader; images: prepared, float32 [N, W, H, 1]. Texts are equal here if their letters and digits are, without
    case; words of one letter are left out. None where fewer than 100 words are left; more than 2,000 are not needed.
    A temperature is the one with the highest likelihood of which words were right and which not (after Guo et al.,
    2017). Of the lexicon's weights and margins those are taken that read most words, where a word outside the lexicon
    counts as OUTSIDE_COUNTS: those are names and numbers, which one looks for, and which a lexicon reads away. With an
    alphabet that cannot write English only the temperature is fitted.
    """
    kept = [k for k, truth in enumerate(truths) if len(letters_and_digits(truth)) > 1]
    if len(kept) < FITTED_ON[0]:
        return None
    kept = np.random.default_rng(0).permutation(kept)[:FITTED_ON[1]]
    images, truths, alphabet = images[kept], [truths[k] for k in kept], reader.alphabet
    first, again = reader.logits(images), reader.augmented_logits(images)
    plain = [letters_and_digits(truth) for truth in truths]

    def right(found):
        return np.array([letters_and_digits(alphabet.decode(texts[0].classes)) == truth
                         for texts, truth in zip(found, plain)])

    def search(lexicon=None, top_paths=1):
        found, _ = search_views(lambda logits: ctc.beam_search(logits, top_paths=top_paths, lexicon=lexicon), first,
                                lambda which: [logits[which] for logits in again], lexicon)
        return found

    free = search()
    fitted = {**DECODING, "temperature": fit_temperature(free, right(free))}
    try:
        lexicon = load_lexicon("en", alphabet, DECODING)
    except UserError:
        return fitted
    worth = np.array([1 if alphabet.encode(alphabet.spell(truth)[0]) in lexicon else OUTSIDE_COUNTS
                      for truth in truths])
    most = -1
    for weight, margin in itertools.product((0.2, 0.5, 0.8), (0, 1, 2, 3, 4, 6, 8)):
        lexicon.weigh(weight, margin)
        read = worth @ right(search(lexicon))
        if read > most:
            most, fitted["lexicon_weight"], fitted["lexicon_margin"] = read, weight, float(margin)
    lexicon.weigh(fitted["lexicon_weight"], fitted["lexicon_margin"])
    found = search(lexicon, top_paths=CANDIDATES)
    fitted["lexicon_temperature"] = fit_temperature(found, right(found), lexicon)
    return fitted


def fit_temperature(found: list[list[ctc.Text]], right: np.ndarray, lexicon=None) -> float:
    """The temperature, 0.1 to 20, with which `confidences` of the best texts are likeliest. right: bool [N]."""
    def loss(temperature):
        sure = np.array([confidences(texts, temperature, lexicon)[0] for texts in found]).clip(1e-6, 1 - 1e-6)
        return -np.log(np.where(right, sure, 1 - sure)).mean()
    return round(float(min(np.geomspace(0.1, 20, 54), key=loss)), 3)
