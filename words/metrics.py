"""How well words are read: edit distance, word accuracy, and how true confidences are."""
import unicodedata

import numpy as np


def letters_and_digits(text: str) -> str:
    """What is scored by default: lower case, letters and digits only, as the field and the 2018 repository do.

    Marks behind a letter count as it does: vowel signs of Indian scripts, for one, make it another word.
    """
    kept, behind = [], False  # whether the character before was kept
    for character in unicodedata.normalize("NFC", text.lower()):
        behind = character.isalnum() or (behind and unicodedata.category(character) in ("Mn", "Mc"))
        if behind:
            kept.append(character)
    return "".join(kept)


def worth_scoring(pairs: list[tuple[str, str]]) -> list[bool]:
    """Of (prediction, truth) pairs of `letters_and_digits`, which to score: bool a pair, with two or more in the truth.

    Where no truth has two, as in single digits, those with one.
    """
    least = 2 if any(len(truth) > 1 for _, truth in pairs) else 1
    return [len(truth) >= least for _, truth in pairs]


def distance(prediction: str, truth: str) -> int:
    """Levenshtein's edit distance: how many characters are to be put in, left out or replaced."""
    from rapidfuzz.distance import Levenshtein  # which reading and searching do without
    return Levenshtein.distance(prediction, truth)


def has_doubled(text: str) -> bool:
    """Whether two neighbouring characters are equal, as in "letter": what CTC needs a blank for."""
    return any(a == b for a, b in zip(text, text[1:]))


def score(predictions: list[str], truths: list[str]) -> dict[str, float]:
    """Metrics of predicted against true texts, two lists of str of the same length. Returns a dict:

    words; mean_edit_distance: Levenshtein distance a word; normalised_edit_distance: mean of distance / length of
    the truth; cer: sum of distances / sum of lengths; word_accuracy: part read without any error; and the same with
    `doubled_` before it, over words with doubled letters. NaN where there is no word.
    """
    doubled = [has_doubled(truth) for truth in truths]
    pairs = list(zip(predictions, truths, strict=True))
    return {**_score(pairs), **{f"doubled_{name}": value for name, value in
                                _score([pair for pair, twice in zip(pairs, doubled) if twice]).items()}}


def _score(pairs):
    distances = np.array([distance(*pair) for pair in pairs], float)
    lengths = np.array([max(len(truth), 1) for _, truth in pairs], float)
    mean = np.mean if pairs else lambda values: np.nan
    return {
        "words": len(pairs),
        "mean_edit_distance": float(mean(distances)),
        "normalised_edit_distance": float(mean(distances / lengths)),
        "cer": float(distances.sum() / lengths.sum()) if pairs else float("nan"),
        "word_accuracy": float(mean(distances == 0)),
    }


def calibration(confidences, correct, bins: int = 15) -> tuple[float, list[tuple[int, float, float]]]:
    """How far confidences are from how often they are right, over `bins` equally wide bins of 0 to 1 (Guo et al., 2017).

    confidences: float [N] in 0..1; correct: bool [N]. Returns the expected calibration error, the mean over words of
    |accuracy - mean confidence| of their bin (NaN without words), and the bins with words: rows (words, mean confidence,
    accuracy).
    """
    confidences, correct = np.asarray(confidences, float), np.asarray(correct, bool)
    place = np.minimum((confidences * bins).astype(int), bins - 1)
    rows = [(int(part.sum()), float(confidences[part].mean()), float(correct[part].mean()))
            for part in (place == k for k in range(bins)) if part.any()]
    error = sum(words * abs(accuracy - confidence) for words, confidence, accuracy in rows)
    return error / len(confidences) if rows else float("nan"), rows
