"""What CTC output says: greedy, beam and lexicon decoding, string probability, alignment; needs only numpy and numba.

    >>> best = ctc.beam_search(logits, beam_width=10, top_paths=3)[0]    # the first word's three best texts
    >>> [(alphabet.decode(text.classes), text.log_probability) for text in best]

Connectionist temporal classification (Graves et al., ICML 2006): a network gives each of T time steps a probability
for each of C classes. A path takes one class a step; it writes a text, by merging equal neighbours and then leaving
out the blanks: l, blank, l, l is "ll". A text's probability is the sum over all paths that write it.

Everywhere here `logits` is float [B, T, C], B words; log-probabilities will do as well, as they are normalised first.
Class 0 is the blank, and a text is a list of classes in 1..C-1. Words, steps and shapes that are no good raise
ValueError. The loops are compiled at the first call, which takes seconds, and kept, see `words.compiled`.
"""
import collections
import concurrent.futures

import numpy as np

from words.compiled import compiled

# A search leaves out a class of a step whose probability is below PRUNE, and a text whose probability is below PRUNE times
# that of the step's best. A text loses only the paths that go through what was left out, so that its probability falls by
# less than T * (C + beam width) * PRUNE: with 50 steps, 38 classes and a beam of 10, by less than 0.0024. (Where two texts
# are as good as equal for the last place in the beam, that may decide which of them is lost.)
PRUNE = 1e-6
BEAM_WIDTH = 10
SHARE = 128  # words at least that a thread is worth starting for

Text = collections.namedtuple("Text", "classes log_probability")


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities, float32 [B, T, C], of logits; ValueError for another shape, or naming a step that is not finite."""
    logits = np.ascontiguousarray(logits, np.float32)
    if logits.ndim != 3 or logits.shape[2] < 1:
        raise ValueError(f"logits must be [B, T, C], not of shape {logits.shape}")
    if not np.isfinite(logits).all():
        word, step, label = np.argwhere(~np.isfinite(logits))[0]
        raise ValueError(f"logits of word {word} are not finite: {logits[word, step, label]} at step {step}, class {label}")
    shifted = logits - logits.max(axis=2, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))


def greedy(logits: np.ndarray) -> list[Text]:
    """Best-path decoding (Graves 2006, section 3.2): the best class of each step, merged, without blanks.

    Returns B Texts, each with the probability of that one path, which is at most the text's.
    """
    log_probs = log_softmax(logits)
    path = log_probs.argmax(axis=2)
    totals = log_probs.max(axis=2).sum(axis=1)
    before = np.pad(path, ((0, 0), (1, 0)))[:, :-1]
    written = (path != 0) & (path != before)
    return [Text(steps[keep].tolist(), float(total)) for steps, keep, total in zip(path, written, totals)]


# --- The probability of a given text ---------------------------------------------------------------------------

def string_log_probability(logits: np.ndarray, texts: list[list[int]]) -> np.ndarray:
    """The log-probability of each word's text: the CTC forward sum (Graves 2006, equations 5 to 8).

    texts: B lists of classes. Returns float64 [B]; -inf where the text cannot be written in T steps.
    """
    log_probs, texts = _with_texts(logits, texts)
    return np.array([_forward(steps, _with_blanks(text)) for steps, text in zip(log_probs, texts)])


def alignment(logits: np.ndarray, texts: list[list[int]]) -> list[list[tuple[int, int]]]:
    """Where each character of each word's text is: the first and last step that writes it on the best path (Viterbi).

    texts: B lists of classes. Returns B lists of (first, last), a pair a character, counted from 0.
    ValueError where a text cannot be written in T steps.
    """
    log_probs, texts = _with_texts(logits, texts)
    spans = []
    for word, (steps, text) in enumerate(zip(log_probs, texts)):
        states = _best_states(steps, _with_blanks(text)) if len(steps) else np.full(1, -1 if text else 0)
        if states[0] < 0:
            raise ValueError(f"word {word}: {len(steps)} steps cannot write a text of {len(text)} characters"
                             " (and a blank between equal neighbours)")
        firsts = np.searchsorted(states, 2 * np.arange(len(text)) + 1)  # state 2i + 1 is character i
        lasts = np.searchsorted(states, 2 * np.arange(len(text)) + 1, side="right") - 1
        spans.append(list(zip(firsts.tolist(), lasts.tolist())))
    return spans


def _with_texts(logits, texts):
    log_probs = log_softmax(logits)
    if len(texts) != len(log_probs):
        raise ValueError(f"{len(texts)} texts for {len(log_probs)} words")
    for word, text in enumerate(texts):
        if len(text) and not 1 <= min(text) <= max(text) < log_probs.shape[2]:
            raise ValueError(f"text of word {word} must hold classes from 1 to {log_probs.shape[2] - 1}: {list(text)}")
    return log_probs, texts


def _with_blanks(text):
    """A blank before, between and after the characters: the states that a path goes through."""
    states = np.zeros(2 * len(text) + 1, np.int64)
    states[1::2] = text
    return states


@compiled
def _log_add(a, b):
    """log(exp(a) + exp(b))"""
    if a < b:
        a, b = b, a
    return a + np.log(1.0 + np.exp(b - a)) if b > a - 37 else a  # exp(-37) more or less is nothing to a float64


@compiled
def _may_skip(states, s):
    """Whether a path may come to state s from s - 2: not past the blank between equal characters."""
    return s > 1 and states[s] != 0 and states[s] != states[s - 2]


@compiled
def _forward(log_probs, states):
    alpha = np.full(len(states), -np.inf)  # log-probability of all ways to be in a state by now
    alpha[0] = 0.0  # before the first step, a path stands in front of the first blank
    for t in range(len(log_probs)):
        for s in range(len(states) - 1, -1, -1):  # downwards, so that s - 1 and s - 2 are still those of t - 1
            total = alpha[s]
            if s > 0:
                total = _log_add(total, alpha[s - 1])
            if _may_skip(states, s):
                total = _log_add(total, alpha[s - 2])
            alpha[s] = total + log_probs[t, states[s]]
    return _log_add(alpha[-1], alpha[-2]) if len(states) > 1 else alpha[-1]


@compiled
def _best_states(log_probs, states):
    """The state at each step of the best path that writes the text, int64 [T]; -1 everywhere if there is none."""
    steps, count = len(log_probs), len(states)
    best = np.full(count, -np.inf)
    best[0] = 0.0
    came_from = np.zeros((steps, count), np.int64)
    for t in range(steps):
        for s in range(count - 1, -1, -1):
            origin = s
            if s > 0 and best[s - 1] > best[origin]:
                origin = s - 1
            if _may_skip(states, s) and best[s - 2] > best[origin]:
                origin = s - 2
            came_from[t, s] = origin
            best[s] = best[origin] + log_probs[t, states[s]]
    state = count - 1 if count == 1 or best[-1] > best[-2] else count - 2
    path = np.full(steps, -1)
    if best[state] > -np.inf:
        for t in range(steps - 1, -1, -1):
            path[t] = state
            state = came_from[t, state]
    return path


# --- Lexicon ----------------------------------------------------------------------------------------------------

# A trie in arrays. Node 0 is the root; node i's children are the nodes children[i] to children[i + 1] - 1; labels[i] is
# the class that leads to node i. priors[i] is what the word that ends there adds to a text's score, -inf if none does,
# and best_below[i] the highest at it or below. By class: `fold`, its lower case; `punctuation`, whether it may surround
# words.
Trie = collections.namedtuple("Trie", "labels children priors best_below fold punctuation")


@compiled
def _follow(node, ended, label, trie):
    """(node, ended) of a text one class longer.

    node: the trie's, of the word so far, the root before it begins; ended: the node of the word that a punctuation
    mark has ended. -1 stands for none; both may be some, as in don' (don, or the first half of don't).
    """
    child = -1
    if node >= 0:
        for k in range(trie.children[node], trie.children[node + 1]):
            if trie.labels[k] == trie.fold[label]:
                child = k
    if not trie.punctuation[label]:
        return child, -1
    if node == 0 and child < 0:
        return 0, -1
    if ended < 0 and node >= 0 and trie.priors[node] > -np.inf:
        ended = node
    return child, ended


@compiled
def _at(values, node, ended, trie):
    """The higher of `values`, by node, at `node` and of the ended word's prior; -inf where there is neither."""
    highest = values[node] if node >= 0 else -np.inf
    return max(highest, trie.priors[ended]) if ended >= 0 else highest


@compiled
def prior(classes, trie):
    node, ended = 0, -1
    for label in classes:
        node, ended = _follow(node, ended, label, trie)
    return _at(trie.priors, node, ended, trie)


# --- N-gram -----------------------------------------------------------------------------------------------------

# A character n-gram model in arrays. Node 0 is the empty n-gram; the nodes children[i] to children[i + 1] - 1 are node i's
# with one symbol more. labels[i] is a node's last symbol, and log_p[i] how likely that is behind the others. What is no
# child of a node is as likely as behind suffix[i], the node without its first symbol, plus backoff[i]. states[i] is the
# longest end of node i that has children. symbols: by class, 0 for punctuation, which parts words. weight, bonus: see NGram.
# A text's state is a node: at its beginning and behind punctuation WORD, that of the boundary.
Grams = collections.namedtuple("Grams", "labels children log_p backoff suffix states symbols weight bonus")
WORD = 1


@compiled
def symbol_behind(state, symbol, grams):
    """(log-probability, next state) of a symbol behind a state."""
    total = 0.0
    while True:
        for k in range(grams.children[state], grams.children[state + 1]):
            if grams.labels[k] == symbol:
                return total + grams.log_p[k], np.int64(grams.states[k])
        total += grams.backoff[state]
        state = np.int64(grams.suffix[state])


@compiled
def _say(state, label, grams):
    """(gain, state) of a text one class longer: what is added to its prior."""
    symbol = grams.symbols[label]
    if symbol == 0:
        return _end(state, grams), np.int64(WORD)
    log_p, state = symbol_behind(state, symbol, grams)
    return grams.weight * (log_p + grams.bonus), state


@compiled
def _end(state, grams):
    """What the end of a word adds, where one has begun."""
    if state == WORD:
        return 0.0
    log_p, _ = symbol_behind(state, np.int64(0), grams)
    return grams.weight * log_p


@compiled
def ngram_prior(classes, grams):
    total, state = 0.0, np.int64(WORD)
    for label in classes:
        gain, state = _say(state, label, grams)
        total += gain
    return total + _end(state, grams)


# --- Beam search ------------------------------------------------------------------------------------------------

def beam_search(logits: np.ndarray, beam_width: int = BEAM_WIDTH, top_paths: int = 1, lexicon=None, threads: int = 1,
                prune: float = PRUNE) -> list[list[Text]]:
    """The likeliest texts of each word, by prefix beam search (Graves & Jaitly, ICML 2014; Hannun et al., 2014).

    A step keeps the `beam_width` likeliest prefixes; all paths that write one prefix are summed, those that end with a
    blank apart from those that do not, so that doubled letters need a blank between them and get it.

    Returns B lists of at most `top_paths` Texts, the best first. A log-probability is the sum over the paths that the
    search kept: at most that of `string_log_probability`, which a wide beam reaches.
    With a `Lexicon`, texts are the likeliest ones of any kind and of the lexicon together, ordered by `Lexicon.score`.
    With an `NGram`, prefixes are ordered by their log-probability and what the model says of them (shallow fusion), texts
    by `NGram.score`.
    threads: share the words among so many, 128 words each at least. prune: see PRUNE; 0 leaves nothing out.
    """
    for name, value in (("beam_width", beam_width), ("top_paths", top_paths), ("threads", threads)):
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, not {value}")
    log_probs = log_softmax(logits)
    if not 0 <= prune <= 0.5 / log_probs.shape[2]:  # so that each step keeps its best class
        raise ValueError(f"prune must be 0 or more and at most half of 1 / {log_probs.shape[2]} classes, not {prune}")
    top_paths = min(top_paths, beam_width)
    limit = np.log(prune) if prune else -np.inf
    trie, grams = getattr(lexicon, "trie", _NO_TRIE), getattr(lexicon, "grams", _NO_GRAMS)
    classes = len(trie.fold) + len(grams.symbols)
    if lexicon is not None and log_probs.shape[2] != classes:
        raise ValueError(f"the lexicon is for {classes} classes, the logits have {log_probs.shape[2]}")
    found = _search_words(log_probs, beam_width, top_paths, limit, threads, _NO_TRIE, grams)
    if not len(trie.labels):
        return found
    # No other text can have more than the probability that the best leaves over, and no prior is above log 1 = 0
    unsure = [k for k, texts in enumerate(found)
              if top_paths > 1 or 1 - np.exp(texts[0].log_probability) > np.exp(lexicon.score(texts[0]))]
    for k, words in zip(unsure, _search_words(log_probs[unsure], beam_width, top_paths, limit, threads, trie, grams)):
        found[k] = _best_of(found[k] + words, lexicon, top_paths)
    return found


def _best_of(texts, lexicon, top_paths):
    """The texts with the highest scores; of one found twice, that with the more complete sum."""
    different = {}
    for text in sorted(texts, key=lambda text: text.log_probability):
        different[tuple(text.classes)] = text
    return sorted(different.values(), key=lexicon.score, reverse=True)[:top_paths]


_NO_TRIE = Trie(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0), np.zeros(0), np.zeros(0, np.int64),
                np.zeros(0, np.bool_))
_NO_GRAMS = Grams(*np.zeros((2, 0), np.int32), *np.zeros((2, 0), np.float32), *np.zeros((2, 0), np.int32),
                  np.zeros(0, np.int64), 0.0, 0.0)


def _search_words(log_probs, beam_width, top_paths, limit, threads, trie, grams):
    """`beam_search` without a lexicon; if `trie` is one's, over its words alone, ordered with their priors; if `grams` is an
    n-gram model's, ordered with what it says."""
    words, steps, _ = log_probs.shape
    threads = min(threads, max(1, words // SHARE))
    classes = np.zeros((words, top_paths, steps), np.int32)
    lengths = np.zeros((words, top_paths), np.int64)
    totals = np.full((words, top_paths), -np.inf)

    def search(part):
        _search_part(log_probs[part], beam_width, limit, trie, grams, classes[part], lengths[part], totals[part])

    parts = [slice(words * k // threads, words * (k + 1) // threads) for k in range(threads)]
    if threads == 1:
        search(parts[0])
    else:
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            list(pool.map(search, parts))
    return [[Text(row[:length].tolist(), float(total)) for row, length, total in zip(*texts) if total > -np.inf]
            for texts in zip(classes, lengths, totals)]


@compiled
def _search_part(log_probs, beam_width, limit, trie, grams, classes, lengths, totals):
    for k in range(len(log_probs)):
        _search(log_probs[k], beam_width, limit, trie, grams, classes[k], lengths[k], totals[k])


# Prefixes are numbered as they come up, the empty one 0. `tree` has a row for each: the prefix one class shorter, the
# last class, the first of the prefixes one class longer, the next with the same beginning (-1 where there is none), and
# where the word is in the lexicon (see _follow), or the n-gram model's state. `mass` has the log-probabilities of its paths
# so far: of those that end with a blank, with its last class, and of both together; -inf for a prefix that is not in the
# beam. `ahead` is added to a prefix's score: by the likeliest word it may become, or by what the n-gram model says so far.
_PARENT, _LAST, _CHILD, _SIBLING, _NODE, _ENDED = range(6)
_BLANK, _LABEL, _BOTH = range(3)


@compiled
def _search(log_probs, beam_width, limit, trie, grams, classes, lengths, totals):
    """Prefix beam search over one word's log_probs [T, C], into classes [K, T], lengths [K] and totals [K]."""
    steps, all_classes = log_probs.shape
    tree = np.full((1 + steps * beam_width, 6), -1)
    tree[0, _LAST], tree[0, _NODE] = 0, WORD if len(grams.labels) else 0
    mass = np.full((len(tree), 3), -np.inf)
    mass[0, _BLANK] = mass[0, _BOTH] = 0.0
    ahead = np.zeros(len(tree))
    beam, items = np.zeros(beam_width, np.int64), np.zeros(beam_width, np.int64)
    size, used = np.int64(1), np.int64(1)
    scores, step = np.zeros(beam_width), np.zeros(all_classes)
    same, next_mass = np.full((beam_width, 3), -np.inf), np.full((beam_width, 3), -np.inf)
    for t in range(steps):
        for c in range(all_classes):
            step[c] = log_probs[t, c] if log_probs[t, c] >= limit else -np.inf
        found = _rank(step, tree, mass, ahead, beam[:size], limit, trie, grams, same, scores, items)
        for k in range(found):
            prefix, label = beam[items[k] // all_classes], items[k] % all_classes
            if label == 0:
                _copy(next_mass, k, same, items[k] // all_classes)
                items[k] = prefix
            else:
                items[k] = _find(tree, prefix, label)
                if items[k] < 0:
                    items[k], used = _add(tree, ahead, prefix, label, used, trie, grams), used + 1
                total = _longer(step, tree, mass, prefix, label)
                next_mass[k, _BLANK], next_mass[k, _LABEL], next_mass[k, _BOTH] = -np.inf, total, total
        for k in range(size):
            mass[beam[k], _BLANK] = mass[beam[k], _LABEL] = mass[beam[k], _BOTH] = -np.inf
        size = found
        for k in range(size):
            beam[k] = items[k]
            _copy(mass, beam[k], next_mass, k)
    found = np.int64(0)
    for k in range(size):
        prior = 0.0
        if len(trie.labels):
            prior = _at(trie.priors, tree[beam[k], _NODE], tree[beam[k], _ENDED], trie)
        elif len(grams.labels):
            prior = ahead[beam[k]] + _end(tree[beam[k], _NODE], grams)
        found = _insert(scores, items, found, mass[beam[k], _BOTH] + prior, beam[k])
    for k in range(min(found, len(totals))):
        totals[k], lengths[k] = mass[items[k], _BOTH], _write(tree, items[k], classes[k])


@compiled
def _rank(step, tree, mass, ahead, beam, limit, trie, grams, same, scores, items):
    """The best texts one step on, into `scores` and `items` (place in the beam * C + added class, or + 0); how many.

    `same` gets the rows of `mass` of those that stay as they are.
    """
    found, all_classes = np.int64(0), len(step)
    for k, prefix in enumerate(beam):
        _same(step, tree, mass, prefix, same, k)
        found = _insert(scores, items, found, same[k, _BOTH] + ahead[prefix], k * all_classes)
    least = scores[0] + limit if found else -np.inf  # what comes below this is left out
    for label in range(1, all_classes):
        if step[label] == -np.inf:
            continue
        for k, prefix in enumerate(beam):
            if found == len(scores):
                least = max(least, scores[-1])
            if mass[prefix, _BOTH] + ahead[prefix] + step[label] + grams.weight * grams.bonus < least:  # it would only sink
                break  # the others have even less
            total = _longer(step, tree, mass, prefix, label)
            child = _find(tree, prefix, label)
            if child >= 0 and mass[child, _BOTH] > -np.inf:
                continue  # it is in the beam itself, and _same has counted this
            _, _, more = _grown(tree, ahead, prefix, label, trie, grams)
            found = _insert(scores, items, found, total + more, k * all_classes + label)
    while found > 1 and scores[found - 1] < scores[0] + limit:
        found -= 1
    return found


@compiled
def _same(step, tree, mass, prefix, same, k):
    """Row k of `same`, as one of `mass`: a prefix one step on, after a blank, its last class again, or as a shorter one of
    the beam grows."""
    last, parent = tree[prefix, _LAST], tree[prefix, _PARENT]
    blank, label = mass[prefix, _BOTH] + step[0], mass[prefix, _LABEL] + step[last]
    if parent >= 0:
        label = _log_add(label, _longer(step, tree, mass, parent, last))
    same[k, _BLANK], same[k, _LABEL], same[k, _BOTH] = blank, label, _log_add(blank, label)


@compiled
def _copy(rows, k, others, other):
    for part in range(3):  # each by itself, see `words.compiled`
        rows[k, part] = others[other, part]


@compiled
def _longer(step, tree, mass, prefix, label):
    """The log-probability of a prefix that a class is added to; behind the same class only where a blank stood between."""
    return mass[prefix, _BLANK if tree[prefix, _LAST] == label else _BOTH] + step[label]


@compiled
def _find(tree, prefix, label):
    """The number of `prefix` + `label`, or -1 while it has none."""
    child = tree[prefix, _CHILD]
    while child >= 0 and tree[child, _LAST] != label:
        child = tree[child, _SIBLING]
    return child


@compiled
def _grown(tree, ahead, prefix, label, trie, grams):
    """(node, ended, ahead) of `prefix` + `label`."""
    if len(trie.labels):
        node, ended = _follow(tree[prefix, _NODE], tree[prefix, _ENDED], label, trie)
        return node, ended, _at(trie.best_below, node, ended, trie)
    if len(grams.labels):
        gain, state = _say(tree[prefix, _NODE], label, grams)
        return state, np.int64(-1), ahead[prefix] + gain
    return np.int64(0), np.int64(-1), 0.0


@compiled
def _add(tree, ahead, prefix, label, used, trie, grams):
    """Number `prefix` + `label`: `used` it is."""
    tree[used, _PARENT], tree[used, _LAST] = prefix, label
    tree[used, _SIBLING], tree[prefix, _CHILD] = tree[prefix, _CHILD], used
    tree[used, _NODE], tree[used, _ENDED], ahead[used] = _grown(tree, ahead, prefix, label, trie, grams)
    return used


@compiled
def _insert(scores, items, found, score, item):
    """Put an item in its place among the `found` ones there are, best first, if it is good enough; how many there are."""
    if score == -np.inf or (found == len(scores) and score <= scores[-1]):
        return found
    place = min(found, len(scores) - 1)
    while place > 0 and scores[place - 1] < score:
        scores[place], items[place] = scores[place - 1], items[place - 1]
        place -= 1
    scores[place], items[place] = score, item
    return min(found + 1, len(scores))


@compiled
def _write(tree, prefix, classes):
    """Spell a prefix out into `classes`; its length."""
    length, longer = 0, prefix
    while longer > 0:
        longer, length = tree[longer, _PARENT], length + 1
    for k in range(length - 1, -1, -1):
        classes[k], prefix = tree[prefix, _LAST], tree[prefix, _PARENT]
    return length
