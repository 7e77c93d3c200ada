"""Which words to train on and which to validate on: no writer on both sides."""
import numpy as np

from command import UserError
from words.lists import VALID_NAMES


def split(words, usable, portion, rng):
    """Which of the words `usable`, int [n], to train and to validate on: by their own split; at random where they have none.

    A word that is in the list twice is validated on once.

    At random, whole writers or forms go to one side, as do the words of one writer each where writers are unknown.
    Raises UserError where there is nothing to train or to validate on.
    """
    if not len(words):
        raise UserError("the word list is empty; see --path")
    given = {name: usable[words.split_ids[usable] == k] for k, name in enumerate(words.splits)}
    nothing = np.arange(0)
    rest = usable[words.split_ids[usable] < 0]
    train, rest = with_their_writers(words, given.get("train", nothing), rest)
    valid = next((given[name] for name in VALID_NAMES if name in given), nothing)
    valid, rest = with_their_writers(words, valid, rest)
    train, valid = (np.concatenate(sides) for sides in zip((train, valid), split_groups(words, rest, portion, rng)))
    if not len(train):
        raise UserError(f"no word to train on: the words' splits are {', '.join(words.splits)}, and none is called train")
    if not len(valid):
        raise UserError("no word to validate on: give the words a split column with train and valid, or leave the column "
                        "writer out if all are one writer's")
    valid = sorted({words.name(i): i for i in sorted(valid.tolist(), reverse=True)}.values())
    return np.sort(train), np.array(valid, int)


def with_their_writers(words, part, rest):
    """`part` with those of `rest` that are of its writers, and the others of `rest`."""
    known = np.isin(words.groups[rest], words.groups[part]) & (words.groups[rest] >= 0)
    return np.concatenate([part, rest[known]]), rest[~known]


def split_groups(words, indices, portion, rng):
    """`indices` in two: whole groups, in random order, are kept to validate on until about 1 - `portion` is reached."""
    if not len(indices):
        return indices, indices
    groups = words.groups[indices]
    groups = np.where(groups >= 0, groups, groups.max() + 1 + np.arange(len(groups)))  # a group each where unknown
    names, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(names))
    room = (1 - portion) * len(indices)
    sums = np.cumsum(sizes[order])[:-1]  # never everybody
    count = np.argmin(abs(sums - room)) + 1 if len(sums) else 0
    kept = order[:count]
    if count and sums[count - 1] > 2 * room:  # a writer of very many words
        kept = [np.argmin(sizes)]
    valid = np.isin(groups, names[kept])
    return indices[~valid], indices[valid]
