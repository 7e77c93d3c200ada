"""train.py before Keras is loaded: which words it takes, and what it tells a user who made a mistake."""
import os
import shutil
from types import SimpleNamespace

import cv2
import h5py
import mistakes
import numpy as np
import pytest
from mistakes import BEGUN
from samples import write_model

import train
from command import UserError
from fitting import state
from fitting.state import STATE
from words.alphabet import Alphabet
from words.lists import WordList
from words.models import WEIGHTS


def test_what_cannot_be_learnt_is_left_out_and_named(tmp_path):
    rows = [("a.png", "good", "", ""), ("b.png", "lettuce", "", ""), ("c.png", "?!", "", ""), ("d.png", "U.S.", "", "")]
    for name in "abcde":
        (tmp_path / f"{name}.png").write_bytes(b"")
    words = WordList(tmp_path, [*rows, ("gone.png", "good", "", ""), ("e.png", "fine", "", "")])
    shown = []
    data = train.check_words(words, 0.7, 0, Alphabet("seed"), 7, shown.append)
    assert sorted([*data.train, *data.valid]) == [0, 3, 5]  # "lettuce" takes 8 steps: 7 letters, a blank between t and t
    assert shown == [
        "  left out, too long for 7 time steps: 1 (lettuce)",
        "  left out, no character of the alphabet in its label: 1 (?!)",
        "  left out, no such file: 1 (gone.png)",
        "6 words, 5 different; split at random: 2 to train on, 1 to validate on",
        '  with characters outside the alphabet, which become their base letter or "-": 1']
    assert data.left_out.keys() == {1, 2, 4}
    label = data.labels[words.text_ids[3]]
    assert Alphabet("seed").decode(label[label > 0]) == "u-s-"


def test_nothing_left_to_train_on_is_the_users_to_mend(tmp_path):
    words = WordList(tmp_path, [("gone.png", "good", "", "")])
    with pytest.raises(UserError, match="no word is left to train on"):
        train.check_words(words, 0.9, 0, Alphabet("seed"), 50, lambda line: None)


@pytest.mark.parametrize("bad, reason", [("?!", "no character of the alphabet in its label"), ("w" * 60, "too long")])
@pytest.mark.parametrize("seed", range(5))
def test_words_are_left_out_before_the_split(tmp_path, bad, reason, seed):
    """Ten good words among ninety: a split of all hundred would often validate on none of the ten."""
    rows = [(f"{k}.png", "good" if k < 10 else bad, "", "") for k in range(100)]
    for name, *_ in rows:
        (tmp_path / name).touch()
    data = train.check_words(WordList(tmp_path, rows), 0.9, seed, Alphabet("seed"), 50, lambda line: None)
    assert sorted([*data.train, *data.valid]) == list(range(10)) and len(data.valid) == 1
    assert len(data.left_out) == 90 and all(why.startswith(reason) for why in data.left_out.values())


class Drawer:
    """Stands for a render.Renderer: word k of TEXTS, by the last number of the generator's seed."""
    TEXTS = "Letter", "it's", "see", "book"

    def texts_of(self, split):
        assert not self.usable("x" * 60) and not self.usable("\u6f22") and all(map(self.usable, self.TEXTS))

    def word(self, rng, split):
        *self.seed, k = rng.bit_generator.seed_seq.entropy
        self.split = split
        return SimpleNamespace(text=self.TEXTS[k % 4], image=k)


@pytest.mark.parametrize("characters, spelled", [("ascii", Drawer.TEXTS), ("seed", ("letter", "it-s", "see", "book"))])
def test_a_drawn_word_goes_with_its_own_label(tmp_path, characters, spelled):
    (tmp_path / "a.png").touch(), (tmp_path / "b.png").touch()
    words = WordList(tmp_path, [("a.png", "ab", "", "train"), ("b.png", "c", "", "valid")])
    alphabet, drawer = Alphabet(characters), Drawer()
    real = train.check_words(words, 0.9, 0, alphabet, 12, lambda line: None)
    data = train.with_drawn(real, 20, drawer, 5, alphabet, 12)
    assert data.train.tolist() == [0, *range(2, 22)] and data.valid.tolist() == [1]
    for i, split in ((2, "train"), (3, "valid"), (4, "train"), (9, "test")):
        image, label = data.draw(i, 7, split)
        assert (image, drawer.split, drawer.seed) == (i, split, [5, 7])
        assert alphabet.decode(label[label > 0]) == spelled[i % 4]
        assert label.dtype == np.int32 and label.shape == data.labels[0].shape and not label[len(spelled[i % 4]):].any()
    assert alphabet.decode(data.labels[0][:2]) == "ab" and not data.labels[0][2:].any()


@pytest.fixture
def words(tmp_path):
    """A function that makes a folder of four words whose labels.csv holds some text."""
    def make(name, table):
        folder = tmp_path / name
        folder.mkdir()
        for k in range(4):
            cv2.imwrite(str(folder / f"{k}.png"), np.full((20, 50), 255, np.uint8))
        if table is not None:
            (folder / "labels.csv").write_text(table)
        return folder
    return make


def models(tmp_path):
    """Model folders: a good one, one with weights that are no numbers, one with another's weights, one cut off."""
    folders = [tmp_path / name for name in ("good", "nan", "other", "cut")]
    for folder in folders:
        folder.mkdir()
        write_model(folder)
    good, nan, other, cut = folders
    with h5py.File(nan / WEIGHTS["final"], "r+") as file:
        file["layers/layer_0/vars/0"][0] = np.nan
    write_model(tmp_path, n_units=7)
    shutil.move(tmp_path / WEIGHTS["final"], other / WEIGHTS["final"])
    (cut / WEIGHTS["final"]).write_bytes((good / WEIGHTS["final"]).read_bytes()[:3000])
    return folders


def test_mistakes_are_told_in_one_line_before_keras_is_loaded(words, tmp_path):
    path = "--path", str(words("words", "file,text\n0.png,ab\n1.png,cd\n2.png,ef\n3.png,gh\n"))
    folder, link, pipe = (words(name, None) for name in ("folder", "link", "pipe"))
    (folder / "labels.csv").mkdir()
    (link / "labels.csv").symlink_to("nowhere")
    os.mkfifo(pipe / "labels.csv")
    good, nan, other, cut = models(tmp_path)
    (tmp_path / "file").touch()
    broken = tmp_path / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / STATE).write_bytes(b"PK")
    other_training = tmp_path / "models" / "begun"
    other_training.mkdir()
    state.write(other_training, BEGUN, [])
    cases = [
        (["--path", "nowhere"], "--path nowhere: no such folder"),
        (["--path", str(words("empty", "file,text\n"))], "has no word below its first line"),
        (["--path", str(words("short", "file,text\n0.png,ab\n1.png\n"))], "line 3"),
        (["--path", str(words("wild", "name,word\n0.png,ab\n"))], "must name the columns file"),
        (["--path", str(words("long", f"file,text\n0.png,{'ab' * 40}\n"))], "no word is left to train on"),
        (["--path", str(words("gone", "file,text\n9.png,ab\n"))], "not one file that it names is there, such as 9.png"),
        (["--path", str(words("windows", "file,text\nsub\\0.png,ab\n"))], "such as sub\\0.png"),
        (["--path", str(words("valid", "file,text,split\n0.png,ab,valid\n"))], "no word to train on: the words' splits are"),
        (["--path", str(folder)], "labels.csv: is no file"),
        (["--path", str(link)], "labels.csv: No such file"),
        (["--path", str(pipe)], "labels.csv: is no file"),
        ([*path, "--mjsynth"], "name a listing such as annotation_train.txt"),
        ([*path, "--alphabet", ""], "name each character once, and at least one"),
        ([*path, "--alphabet", "aba"], "name each character once"),
        ([*path, "--imgW", "100000"], "must be a whole number from 28 to 2048"),
        ([*path, "--G", "abc"], "abc: must be numbers of GPUs"),
        ([*path, "--resume"], "no interrupted training is here to --resume"),
        ([*path, "--resume", "--overwrite"], "give one of them"),
        ([*path, "--model_name", "broken"], "--resume goes on with it, --overwrite replaces it"),
        ([*path, "--model_name", "broken", "--resume"], "resume.npz: damaged, or of another version; --overwrite starts"),
        ([*path, "--model_name", "begun", "--lr", "0.1", "--resume"], "--lr, --schedule, "),
        ([*path, "--save_path", str(tmp_path), "--model_name", "file"], "file: is no folder"),
        ([*path, "--show_batch", str(tmp_path / "none" / "a.png")], "there is no folder"),
        ([*path, "--pretrained_path", "nowhere"], "nowhere: not a model folder"),
        ([*path, "--pretrained_path", str(nan)], "are not finite numbers"),
        ([*path, "--pretrained_path", str(other)], "not weights of this network"),
        ([*path, "--pretrained_path", str(cut)], "not a weights file"),
        ([*path, "--pretrained_path", str(good), "--time_dense_size", "99"], "has time_dense_size 10, not 99"),
        ([*path, "--pretrained_path", str(good), "--n_units", "2"], "has n_units 6, not 2"),
        (["--synth", "5", "--lexicon", "nowhere"], "nowhere: no such file")]
    mistakes.check("train", ["--save_path", str(tmp_path / "models")], cases)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["begun", "broken"]
    assert [path.name for path in broken.iterdir()] == [STATE]
