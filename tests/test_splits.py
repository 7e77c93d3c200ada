"""words/splits.py: no writer on both sides, no word left out."""
import numpy as np
import pytest

from command import UserError
from words.lists import WordList, read_folder
from words.splits import split


def word_list(root, rows):
    for name, *_ in rows:
        (root / name).write_bytes(b"")
    return WordList(root, rows)


def test_a_random_split_keeps_writers_apart(tmp_path):
    words = word_list(tmp_path, [(f"{k}.png", "ab", f"writer{k % 7}", "") for k in range(70)])
    taken, kept = split(words, np.arange(len(words)), 0.7, np.random.default_rng(3))
    assert sorted([*taken, *kept]) == list(range(70))
    assert not set(words.groups[taken]) & set(words.groups[kept])
    assert (len(taken), len(kept)) == (50, 20)  # two writers of ten words are nearer to 0.3 of 70 than three


def test_one_large_writer_does_not_turn_the_split_over(tmp_path):
    words = word_list(tmp_path, [(f"{k}.png", "ab", "a" if k < 80 else "b", "") for k in range(100)])
    for seed in range(5):
        taken, kept = split(words, np.arange(len(words)), 0.9, np.random.default_rng(seed))
        assert (len(taken), len(kept)) == (80, 20)  # the smallest writer, though it is more than a tenth


def test_words_of_one_writer_need_another_way_to_split(tmp_path):
    words = word_list(tmp_path, [(f"{k}.png", "ab", "a", "") for k in range(10)])
    with pytest.raises(UserError, match="no word to validate on: .*leave the column writer out"):
        split(words, np.arange(len(words)), 0.9, np.random.default_rng(0))


def test_forms_known_by_file_name_are_kept_together(tmp_path):
    for k in range(40):
        (tmp_path / f"_ab_a01-{k // 10:03}u-00-{k:02}.png").write_bytes(b"")
    words = read_folder(tmp_path)
    taken, kept = split(words, np.arange(len(words)), 0.75, np.random.default_rng(0))
    assert (len(taken), len(kept)) == (30, 10) and not set(words.groups[taken]) & set(words.groups[kept])


def test_words_without_a_split_are_split_beside_those_with_one(tmp_path):
    words = word_list(tmp_path, [(f"{k}.png", "ab", "", ("train", "valid", "test", "")[k % 4]) for k in range(80)])
    taken, kept = split(words, np.arange(len(words)), 0.5, np.random.default_rng(0))
    assert [np.bincount(part % 4, minlength=4).tolist() for part in (taken, kept)] == [[20, 0, 0, 10], [0, 20, 0, 10]]


def test_words_without_a_split_stay_with_their_writer(tmp_path):
    words = word_list(tmp_path, [(f"{k}.png", "ab", f"w{k % 5}", ("train", "valid", "", "", "")[k % 5] if k < 5 else "")
                                 for k in range(50)])
    for seed in range(8):
        taken, kept = split(words, np.arange(len(words)), 0.5, np.random.default_rng(seed))
        assert set(range(0, 50, 5)) <= set(taken) and set(range(1, 50, 5)) <= set(kept)
        assert not set(words.groups[taken]) & set(words.groups[kept])


def test_a_tiny_writer_is_not_all_there_is_to_validate_on(tmp_path):
    words = word_list(tmp_path, [(f"{k}.png", "ab", f"w{k // 20}", "") for k in range(181)])  # nine of 20 words, one of 1
    for seed in range(5):
        assert 18 <= len(split(words, np.arange(len(words)), 0.9, np.random.default_rng(seed))[1]) <= 22


def test_splits_without_one_to_train_on_are_the_users_to_mend(tmp_path):
    words = word_list(tmp_path, [("a.png", "ab", "", "mine"), ("b.png", "ab", "", "test")])
    with pytest.raises(UserError, match="splits are mine, test, and none is called train"):
        split(words, np.arange(len(words)), 0.5, np.random.default_rng(0))
    with pytest.raises(UserError, match="the word list is empty"):
        split(WordList(tmp_path, []), np.arange(0), 0.5, np.random.default_rng(0))


def test_words_of_unknown_writers_are_split_one_by_one(tmp_path):
    words = word_list(tmp_path, [(f"{k}.png", "ab", "", "") for k in range(50)])
    taken, kept = split(words, np.arange(len(words)), 0.9, np.random.default_rng(0))
    assert (len(taken), len(kept)) == (45, 5)


def test_a_given_split_is_kept(tmp_path):
    words = word_list(tmp_path, [(f"{k}.png", "ab", "", ("train", "val", "test")[k % 3]) for k in range(9)])
    taken, kept = split(words, np.arange(len(words)), 0.5, np.random.default_rng(0))
    assert (taken.tolist(), kept.tolist()) == ([0, 3, 6], [1, 4, 7])
