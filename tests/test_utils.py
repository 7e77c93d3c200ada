"""utils.py against enumeration, cases worked by hand, other libraries' answers, and pictures drawn here."""
import contextlib
import importlib.util
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from words import ctc
import command
from command import UserError
from words.alphabet import Alphabet, steps_needed
from words.calibration import fit_decoding
from samples import draw, write, write_images
from words.images import prepare, read_image, write_image
from words.lexicon import Lexicon, load_lexicon
from words.lists import join, read_folder, read_listings, text_of_name, WordList
from words.metrics import calibration, has_doubled, letters_and_digits, score
from words.models import find_model, load_config
from words.reader import DECODING, Reader, settle, squeeze
from words.sheets import contact_sheet
import utils
from utils import keras

ROOT = Path(__file__).parent.parent
SIZE = (100, 32)  # width, height


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def rows(words):
    """(name, text) of each word."""
    return [(words.name(i), words.text(i)) for i in range(len(words))]


# --- Errors and files -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("error, said", [
    (UserError("no words;\n  give --path"), "no words; give --path"),
    (OSError(28, "No space left on device", "out.csv"), "out.csv: No space left on device")])
def test_run_turns_what_the_user_can_mend_into_status_2_and_one_line(error, said, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["somewhere/train.py"])

    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        command.run(main)
    assert end.value.code == 2
    assert capsys.readouterr() == ("", f"train.py: {said}\n")


def test_run_lets_success_and_bugs_pass():
    assert command.run(lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        command.run(lambda: 1 / 0)


def test_written_whole_replaces_at_the_end_only(tmp_path):
    path = write(tmp_path / "a.weights.h5", "old")
    with command.written_whole(path) as beside:
        assert beside.parent == tmp_path and beside.name.endswith(".weights.h5") and beside != path
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.weights.h5"]


def test_written_whole_keeps_the_old_content_and_leaves_nothing_when_it_fails(tmp_path):
    path = write(tmp_path / "a.csv", "old")
    with pytest.raises(KeyboardInterrupt), command.written_whole(path) as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.csv"]


# --- Alphabet -------------------------------------------------------------------------------------------------

def test_named_alphabets():
    assert len(Alphabet("seed")) == 37 and Alphabet("seed").characters == "0123456789abcdefghijklmnopqrstuvwxyz-"
    assert len(Alphabet("ascii")) == 95
    assert all(c.isprintable() and c.isascii() for c in Alphabet("ascii").characters)


@pytest.mark.parametrize("alphabet, text, spelled, outside", [
    ("seed", "Letter", "letter", 0),
    ("seed", "don't", "don-t", 1),  # outside becomes "-", where the alphabet has it
    ("seed", "ça vA?", "-a-va-", 3),
    ("seed", "co-op", "co-op", 0),
    ("seed", "-", "-", 0),
    ("seed", "?!.", "", 3),  # nothing writable is nothing, not "---"
    ("seed", "", "", 0),
    ("ascii", "Don't é", "Don't -", 1),
    ("abc", "ABXcé", "abc", 2),  # no "-" in it: dropped
    ("aBé", "bBÉé", "Bé", 2),  # has a capital, so case is kept
    ("äöü", "ÄÖx", "äö", 1)])
def test_spelling(alphabet, text, spelled, outside):
    assert Alphabet(alphabet).spell(text) == (spelled, outside)


@pytest.mark.parametrize("name", ["seed", "ascii", "zyxé€"])
def test_classes_are_the_characters_places_from_1_and_decode_back(name):
    alphabet = Alphabet(name)
    assert alphabet.encode(alphabet.characters) == list(range(1, len(alphabet) + 1))  # 0 is the blank
    assert alphabet.decode(np.arange(1, len(alphabet) + 1)) == alphabet.characters
    assert alphabet.decode([]) == "" and alphabet.encode("") == []


@pytest.mark.parametrize("characters", ["", "abca"])
def test_an_alphabet_names_each_character_once(characters):
    with pytest.raises(UserError, match="--alphabet"):
        Alphabet(characters)


# --- CTC's needs ----------------------------------------------------------------------------------------------

def collapse(path):
    """The label of a path: repeats merged, blanks (0) removed."""
    return tuple(c for c, _ in itertools.groupby(path) if c)


def test_steps_needed_is_the_length_of_the_shortest_path():
    for steps in range(6):
        writable = {collapse(path) for path in itertools.product(range(3), repeat=steps)}
        for length in range(6):
            for label in itertools.product((1, 2), repeat=length):
                assert (label in writable) == (steps_needed("".join("-ab"[c] for c in label)) <= steps)


@pytest.mark.parametrize("text", ["a", "letter", "book", "aazz", "zzzz"])
def test_keras_loss_is_finite_in_exactly_the_steps_needed(text):
    alphabet, steps = Alphabet("seed"), steps_needed(text)
    loss = keras.losses.CTC()(np.array([alphabet.encode(text)], np.int32), np.zeros((1, steps, 38), np.float32))
    assert float(loss) == pytest.approx(steps * math.log(38), rel=1e-4)  # one path, each step 1 / 38


def test_keras_loss_is_minus_log_of_the_sum_over_all_paths():
    logits = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    labels = [(1, 1), (1, 2), (2,), (), (2, 1, 2)]
    padded = np.array([label + (0,) * (3 - len(label)) for label in labels], np.int32)
    sums = [sum(math.prod(word[t][c] for t, c in enumerate(path))
                for path in itertools.product(range(3), repeat=4) if collapse(path) == label)
            for word, label in zip(probabilities, labels)]
    np.testing.assert_allclose(to_numpy(keras.losses.CTC(reduction=None)(padded, logits)), -np.log(sums), rtol=1e-4)


# --- Word lists -----------------------------------------------------------------------------------------------

def test_a_word_list_gives_back_what_went_in():
    given = [("1/2/3_Ab_4.jpg", "Ab", "w1", "train"), ("top.png", "x", "", "valid"), ("1/2/z.png", "Ab", "w2", ""),
             ("Größe/日本 1.png", "Größe", "w1", "train"), (os.fsdecode(b"caf\xe9/\xff.png"), "", "", "test")]
    words = WordList("root", given)
    assert rows(words) == [(name, text) for name, text, _, _ in given]
    assert words.path(2) == os.path.join("root", "1/2/z.png")
    assert words.groups.tolist() == [0, -1, 1, 0, -1]
    assert words.splits == ["train", "valid", "test"] and words.split_ids.tolist() == [0, 1, -1, 0, 2]
    assert words.texts == ["Ab", "x", "Größe", ""] and words.text_ids.tolist() == [0, 1, 0, 2, 3]
    assert len(WordList("root", [])) == 0


def test_missing_tells_which_files_are_not_there(tmp_path):
    there = ["a.png", "sub/dir/été.png", "sub/日本.png"]
    for name in there:
        write(tmp_path / name, "")
    given = ["sub/a.png", *there, "b.png", "nowhere/a.png", "sub/dir"]
    words = WordList(tmp_path, [(name, "", "", "") for name in given])
    assert words.missing().tolist() == [not os.path.exists(tmp_path / name) for name in given]
    assert words.missing().sum() == 3


@pytest.mark.parametrize("name, text", [("12/3/45_Word_678.jpg", "Word"), ("_it's_a01-000u-00-00.png", "it's"),
                                        ("a_b/c_d/1_x_2.jpg", "x"), ("plain.png", ""), ("two_parts.png", "")])
def test_text_of_name(name, text):
    assert text_of_name(name) == text


def test_listings_are_read_in_mjsynths_format(tmp_path):
    write(tmp_path / "t.txt", "./1/2/3_Word_4.jpg 4\n./1/2/5_naïve_6.jpg 6\r\n\n")
    write(tmp_path / "v.txt", "7/8_WORD_9.jpg 9")
    words = read_listings(tmp_path, train="t.txt", valid="v.txt")
    assert rows(words) == [("1/2/3_Word_4.jpg", "Word"), ("1/2/5_naïve_6.jpg", "naïve"), ("7/8_WORD_9.jpg", "WORD")]
    assert [words.splits[k] for k in words.split_ids] == ["train", "train", "valid"]
    with pytest.raises(UserError, match="none.txt"):
        read_listings(tmp_path, train="none.txt")


def test_labels_csv_is_read_with_its_quotes_writers_and_splits(tmp_path):
    write(tmp_path / "labels.csv", 'text,file,form,split\n"say ""hi"", é",a.png,f1,train\nb,sub/b.png,f2,valid\n')
    words = read_folder(tmp_path)
    assert rows(words) == [("a.png", 'say "hi", é'), ("sub/b.png", "b")]
    assert words.groups.tolist() == [0, 1] and words.splits == ["train", "valid"]


def test_labels_tsv_is_read_with_bare_quotes_and_names_without_suffix(tmp_path):
    write_images(tmp_path, "a01-1.png", "sub/a01-2.webp")
    write(tmp_path / "labels.tsv", 'word_id\tsplit\twriter\ttext\n'
                                   'a01-1\ttrain\t7\t"\nsub/a01-2\ttrain\t\t"Hi\ngone\t\t7\tx\n')
    words = read_folder(tmp_path)
    assert rows(words) == [("a01-1.png", '"'), ("sub/a01-2.webp", '"Hi'), ("gone", "x")]
    assert words.groups.tolist() == [0, -1, 0] and words.split_ids.tolist() == [0, 0, -1]
    assert words.missing().tolist() == [False, False, True]


def test_a_folder_without_table_is_read_by_its_file_names(tmp_path):
    write_images(tmp_path, "_été_1.png", "deep/er/_don't_2.JPG", "x_Word_3.webp")
    write(tmp_path / ".hidden/_no_1.png", "")
    write(tmp_path / "._no_1.png", "")
    write(tmp_path / "notes_on_it.txt", "")
    assert rows(read_folder(str(tmp_path))) == [
        ("_été_1.png", "été"), ("deep/er/_don't_2.JPG", "don't"), ("x_Word_3.webp", "Word")]


def test_folders_that_hold_no_words_are_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_folder(tmp_path / "none")
    with pytest.raises(UserError, match="neither"):
        read_folder(tmp_path)
    write(tmp_path / "labels.csv", "name,label\na.png,a\n")
    with pytest.raises(UserError, match="columns"):
        read_folder(tmp_path)


def test_joined_lists_keep_everything_and_their_writers_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = WordList("one", [("d/a.png", "A", "w", "train"), ("b.png", "B", "", ""), ("c.png", "A", "w", "")])
    two = WordList(tmp_path / "two", [("a.png", "A", "w", "valid"), ("b.png", "C", "v", "train")])
    words = join([one, two])
    assert [(words.path(i), words.text(i)) for i in range(5)] == [(str(tmp_path / name), text) for name, text in (
        ("one/d/a.png", "A"), ("one/b.png", "B"), ("one/c.png", "A"), ("two/a.png", "A"), ("two/b.png", "C"))]
    first, none, again, other, third = words.groups.tolist()
    assert first == again and len({first, none, other, third}) == 4
    assert [words.splits[k] if k >= 0 else "" for k in words.split_ids] == ["train", "", "", "valid", "train"]


def test_a_list_given_twice_keeps_each_word_and_its_copy_in_one_group(tmp_path):
    rows = [("a.png", "A", "w", ""), ("b.png", "B", "", ""), ("c.png", "C", "", "")]
    groups = join([WordList(tmp_path, rows), WordList(tmp_path, rows)]).groups
    assert groups[:3].tolist() == groups[3:].tolist() and len(set(groups.tolist())) == 3


@pytest.mark.parametrize("content", ["file,text\na.png,caf\xe9\n".encode("latin-1"), b"file,text\na.png," + b"a" * 200_000])
def test_label_tables_that_cannot_be_read_are_the_users_to_mend(tmp_path, content):
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UserError, match="labels.csv: .*; save it as plain CSV in UTF-8"):
        read_folder(tmp_path)


def test_label_tables_may_have_short_lines_and_a_byte_order_mark(tmp_path):
    (tmp_path / "labels.csv").write_bytes("\ufefftext,file\nA,a.png\nB\n".encode())
    words = read_folder(tmp_path)
    assert [(words.name(i), words.text(i)) for i in range(2)] == [("a.png", "A"), ("", "B")]


# --- Network --------------------------------------------------------------------------------------------------

def transformer(theta=None, shape=(40, 30, 1)):
    """A SpatialTransformer for images of `shape` whose map is `theta`, six numbers, for any image."""
    layer = utils.SpatialTransformer()
    layer.build((None, *shape))
    if theta is not None:
        layer.localisation.layers[-1].bias.assign(np.array(theta, np.float32))
    return layer


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def test_the_transformer_starts_as_the_identity():
    images = random_images(2, 40, 30, 1)
    np.testing.assert_allclose(to_numpy(transformer()(images)), images, atol=1e-4)


@pytest.mark.parametrize("theta, expected", [
    ([-1, 0, 0, 0, 1, 0], lambda images: images[:, ::-1]),
    ([1, 0, 0, 0, -1, 0], lambda images: images[:, :, ::-1]),
    ([1, 0, 2 * 10 / 39, 0, 1, 0], lambda images: images[:, np.minimum(np.arange(40) + 10, 39)]),  # 10 pixels on
    ([1, 0, 0, 0, 1, -2 * 3 / 29], lambda images: images[:, :, np.maximum(np.arange(30) - 3, 0)]),
    ([0, 0, 0, 0, 0, 0], lambda images: images[:, 19:21, 14:16].mean((1, 2), keepdims=True) + 0 * images),
    ([0, 0, 9, 0, 0, -9], lambda images: images[:, 39:, :1] + 0 * images)],  # beyond a corner
    ids=["flip x", "flip y", "shift x", "shift y", "middle", "corner"])
def test_the_transformer_shows_what_theta_says(theta, expected):
    images = random_images(2, 40, 30, 1)
    np.testing.assert_allclose(to_numpy(transformer(theta)(images)), expected(images), atol=1e-4)


def test_the_transformer_agrees_with_opencv():
    theta = np.array([[0.8, 0.3, 0.1], [-0.2, 1.3, -0.15]])
    image = cv2.GaussianBlur(random_images(30, 40), (0, 0), 2)  # [H, W]
    x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 30))
    sources = np.tensordot(theta, np.stack([x, y, np.ones_like(x)]), axes=1)
    maps = ((sources + 1) * np.array([39, 29])[:, None, None] / 2).astype(np.float32)
    expected = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    out = to_numpy(transformer(theta.ravel())(image.T[np.newaxis, ..., np.newaxis]))
    np.testing.assert_allclose(out[0, ..., 0].T, expected, atol=2e-3)  # OpenCV rounds places to 1/32 pixel


def test_bilinear_sampling_pixel_by_pixel():
    images = random_images(3, 5, 4, 2)
    x, y = (np.random.default_rng(k).uniform(-2, 6, (3, 20)).astype(np.float32) for k in (1, 2))

    def sample(image, x, y):
        x, y = min(max(x, 0), 4), min(max(y, 0), 3)
        return sum(image[i, j] * max(0, 1 - abs(x - i)) * max(0, 1 - abs(y - j)) for i in range(5) for j in range(4))

    expected = [[sample(image, *place) for place in zip(*places)] for image, *places in zip(images, x, y)]
    out = to_numpy(utils.sample_bilinear(keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(x),
                                         keras.ops.convert_to_tensor(y)))
    np.testing.assert_allclose(out.reshape(3, 20, 2), expected, atol=1e-5)


def test_a_saved_network_loads_without_custom_objects(tmp_path):
    network = utils.build_network(5, size=(40, 28), n_units=4, time_dense_size=4, stn=True)
    network.get_layer("stn").localisation.layers[-1].bias.assign([0.9, 0.1, 0.2, 0, 1.1, -0.1])
    network.save(tmp_path / "network.keras")
    images = random_images(2, 40, 28, 1)
    expected = to_numpy(network(images))
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(to_numpy(loaded(images)), expected, atol=1e-5)
    assert expected.shape == (2, 20, 5) and np.isfinite(expected).all()


def test_the_seed_preset_is_the_network_of_2018():
    network = utils.build_network(38, preset="seed")
    assert network.count_params() == 2_831_027 and network.output_shape == (None, 52, 38)


def test_the_lite_preset_is_light():
    network = utils.build_network(38, stn=True)
    assert network.count_params() <= 1_000_000 and network.output_shape == (None, 50, 38)
    assert utils.build_network(96, size=(128, 48)).output_shape == (None, 64, 96)


def test_recurrent_layers_can_be_chosen():
    for rnn, kind in (("GRU", keras.layers.GRU), ("LSTM", keras.layers.LSTM)):
        network = utils.build_network(38, rnn=rnn, n_units=8)
        for layer, units in ((network.get_layer("recurrent1"), 8), (network.get_layer("recurrent2"), 16)):
            assert isinstance(layer.forward_layer, kind) and layer.output.shape[1:] == (50, units)


def test_fused_batch_normalisation_trains_as_keras_s_own():
    images, outcomes = 3 + 2 * np.random.default_rng(0).normal(size=(4, 5, 3, 2)).astype(np.float32), []
    for kind in (keras.layers.BatchNormalization, utils.BatchNormalization):
        inputs = keras.Input((5, 3, 2))
        network = keras.Model(inputs, kind(momentum=0.9)(inputs) ** 2)
        network.layers[1].set_weights([*np.array([[1, 2], [0, 3], [0, 0], [1, 1]], np.float32)])
        network.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        losses = [float(network.train_on_batch(images, np.ones_like(images))) for _ in range(3)]
        outcomes.append([losses, *network.layers[1].get_weights(), to_numpy(network(images))])
    for keras_s, ours in zip(*outcomes):
        np.testing.assert_allclose(ours, keras_s, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backwards", [False, True])
def test_the_gru_reads_and_learns_as_keras_s_own(backwards):
    sequences, outcomes = np.random.default_rng(0).normal(size=(3, 7, 4)).astype(np.float32), []
    weights = [np.random.default_rng(k).normal(size=shape) for k, shape in enumerate(((4, 15), (5, 15), (2, 15)))]
    for kind in (keras.layers.GRU, utils.GRU):
        inputs = keras.Input((7, 4))
        layer = kind(5, return_sequences=True, go_backwards=backwards)
        network = keras.Model(inputs, layer(keras.layers.Dense(4, use_bias=False, kernel_initializer="identity")(inputs)))
        layer.set_weights(weights)
        before = to_numpy(network(sequences))
        network.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        losses = [float(network.train_on_batch(sequences, np.ones_like(before))) for _ in range(3)]
        outcomes.append([before, losses, *network.get_weights(), to_numpy(network(sequences[:1]))])
    for keras_s, ours in zip(*outcomes, strict=True):
        np.testing.assert_allclose(ours, keras_s, rtol=1e-4, atol=1e-6)


TRAIN = """
import sys
import numpy as np
import utils
from utils import keras

folder = sys.argv[1] + "/"
given = np.load(folder + "given.npz")
network = utils.build_network(5, stn=True)
network.load_weights(folder + "start.weights.h5")
logits = keras.ops.convert_to_numpy(network(given["images"], training=False))
network.compile(keras.optimizers.Adam(3e-3), keras.losses.CTC(), jit_compile=False)
losses = [float(network.train_on_batch(given["images"], given["labels"])) for _ in range(3)]
theta = keras.ops.convert_to_numpy(network.get_layer("stn").localisation.layers[-1].bias)
np.savez(folder + keras.backend.backend(), logits=logits, losses=losses, theta=theta)
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with a network's weights and a batch, and the network's answer here."""
    folder = tmp_path_factory.mktemp("start")
    network = utils.build_network(5, stn=True)
    network.save_weights(folder / "start.weights.h5")
    images = np.stack([prepare(draw(text)[0]) for text in ("ab", "bb")])
    np.savez(folder / "given.npz", images=images, labels=np.array([[1, 2], [2, 2]], np.int32))
    return folder, to_numpy(network(images, training=False))


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_each_backend_computes_the_same_and_learns(backend, start):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    folder, logits = start
    subprocess.run([sys.executable, "-c", TRAIN, str(folder)], check=True, cwd=ROOT, timeout=300,
                   env={**os.environ, "KERAS_BACKEND": backend})
    result = np.load(folder / f"{backend}.npz")
    np.testing.assert_allclose(result["logits"], logits, atol=1e-3)
    assert np.isfinite(result["losses"]).all() and result["losses"][-1] < result["losses"][0]
    assert np.abs(result["theta"] - [1, 0, 0, 0, 1, 0]).max() > 1e-4  # the transformer learns too


# --- Batches --------------------------------------------------------------------------------------------------

@pytest.fixture
def seven(tmp_path):
    """WordList of seven images, each with its own text; labels with the text's number + 1 as their one class."""
    write_images(tmp_path, *(f"_{text}_{i}.png" for i, text in enumerate(("ab", "cd", "ef", "gh", "ij", "kl", "mn"))))
    words = read_folder(tmp_path)
    return words, np.arange(1, 8, dtype=np.int32)[:, np.newaxis]


def batches(seven, chosen=range(7), batch_size=3, count=7, **options):
    words, labels = seven
    return utils.WordBatches(words, np.array(chosen), labels, SIZE, batch_size, count, **options)


def seen(reading):
    """Indices of the words in the order they come."""
    return [int(label[0]) - 1 for k in range(len(reading)) for label in reading[k][1]]


def test_every_batch_is_full_and_each_image_has_its_label(seven):
    reading = batches(seven, augment=0.0)
    assert len(reading) == 7
    for images, labels in (reading[k] for k in range(7)):
        assert images.shape == (3, *SIZE, 1) and images.dtype == np.float32
        assert labels.shape == (3, 1) and labels.dtype == np.int32
        for image, label in zip(images, labels):
            np.testing.assert_array_equal(image, prepare(read_image(seven[0].path(label[0] - 1))))


@pytest.mark.parametrize("share, least, most", [(0.0, 0, 0), (0.3, 45, 84), (1.0, 210, 210)])  # 63 +- 3 standard deviations
def test_a_share_of_the_words_is_augmented(seven, share, least, most):
    reading = batches(seven, batch_size=30, augment=share)
    plain = [prepare(read_image(seven[0].path(i))) for i in range(7)]
    changed = sum(not np.array_equal(image, plain[label[0] - 1]) for k in range(7) for image, label in zip(*reading[k]))
    assert least <= changed <= most


def test_each_epoch_shows_each_word_once_in_a_new_order(seven):
    order = np.reshape(seen(batches(seven)), (3, 7))
    assert (np.sort(order, axis=1) == np.arange(7)).all()
    assert len({tuple(epoch) for epoch in order}) == 3
    assert seen(batches(seven)) == order.ravel().tolist() != seen(batches(seven, seed=1))
    assert sorted(seen(batches(seven, chosen=[1, 4, 6], count=1))) == [1, 4, 6]
    assert seen(batches(seven, chosen=[1, 4], batch_size=5, count=2)).count(4) == 5  # a batch longer than an epoch


def test_a_training_that_goes_on_sees_what_it_would_have_seen(seven):
    whole, rest = batches(seven), batches(seven, first=4)
    assert len(rest) == 3
    for k in range(3):
        for ours, theirs in zip(rest[k], whole[4 + k]):
            np.testing.assert_array_equal(ours, theirs)


def test_batches_come_in_order_from_any_number_of_workers(seven):
    inputs = keras.Input((*SIZE, 1))
    echo = keras.Model(inputs, keras.layers.Flatten()(inputs))
    expected = np.concatenate([batches(seven)[k][0] for k in range(7)]).reshape(21, -1)
    for workers in (1, 3):
        with contextlib.closing(batches(seven, workers=workers)) as reading:
            np.testing.assert_allclose(echo.predict(reading, verbose=0), expected, atol=1e-6)


def test_an_unreadable_image_is_remembered_and_replaced(seven):
    write(Path(seven[0].path(2)), "")
    reading = batches(seven)
    order = seen(reading)
    assert len(order) == 21 and set(order) == {0, 1, 3, 4, 5, 6}
    assert reading.unreadable == {2: "the file is empty"}
    with contextlib.closing(batches(seven, workers=2)) as apart:  # in processes of their own
        assert seen(apart) == order and apart.unreadable == {2: "the file is empty"}
    with pytest.raises(UserError, match="not one image"):
        batches(seven, chosen=[2])[0]


# --- Pictures -------------------------------------------------------------------------------------------------

def test_contact_sheet_has_a_tile_for_each_row(tmp_path):
    image = np.zeros((*SIZE, 1), np.float32)
    image[:50] = 1  # ink in the left half
    sheet = contact_sheet([([image], "été")] * 7, columns=6, scale=2)
    assert sheet.dtype == np.uint8 and sheet.shape == (2 * (64 + 4 + 20), 6 * (200 + 4))
    assert (sheet[2:66, 2:102] == 0).all() and (sheet[2:66, 102:202] == 205).all()  # shown dark on light grey
    assert (sheet[88:, 204:] == 255).all() and (sheet[68:88, :204] < 128).any()  # five empty tiles; a caption
    assert contact_sheet([([image, image], "")], columns=1, scale=1).shape == (2 * 36 + 20, 104)


# --- Metrics --------------------------------------------------------------------------------------------------

def test_score_worked_by_hand():
    assert score(["letter", "bok", "", "dog"], ["letter", "book", "a", "dig"]) == pytest.approx({
        "words": 4, "mean_edit_distance": 3 / 4, "normalised_edit_distance": (0 + 1 / 4 + 1 + 1 / 3) / 4, "cer": 3 / 14,
        "word_accuracy": 1 / 4, "doubled_words": 2, "doubled_mean_edit_distance": 1 / 2,  # of letter and book
        "doubled_normalised_edit_distance": 1 / 8, "doubled_cer": 1 / 10, "doubled_word_accuracy": 1 / 2})
    assert score(["xyz"], [""])["normalised_edit_distance"] == 3
    with pytest.raises(ValueError):
        score(["a"], ["a", "b"])


def test_score_of_no_words_is_not_a_number():
    nothing = score([], [])
    assert nothing.pop("words") == nothing.pop("doubled_words") == 0 and all(math.isnan(v) for v in nothing.values())
    assert math.isnan(score(["a"], ["a"])["doubled_word_accuracy"])


def test_edit_distance_is_levenshteins():
    def distance(a, b):  # Wagner, Fischer 1974
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            row, above = [i], row
            for j, y in enumerate(b, 1):
                row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
        return row[-1]

    rng = np.random.default_rng(0)
    pairs = [["".join(rng.choice(list("abc"), rng.integers(1, 9))) for _ in range(2)] for _ in range(200)]
    assert [score([a], [b])["mean_edit_distance"] for a, b in pairs] == [distance(a, b) for a, b in pairs]


@pytest.mark.parametrize("text, kept", [("Don't", "dont"), ("R2-D2", "r2d2"), ("É à la carte", "éàlacarte"), ("O.K. 42!", "ok42")])
def test_letters_and_digits(text, kept):
    assert letters_and_digits(text) == kept


@pytest.mark.parametrize("text, doubled", [("letter", True), ("aab", True), ("abab", False), ("a", False), ("", False)])
def test_has_doubled(text, doubled):
    assert has_doubled(text) is doubled


# --- Model folders and reading --------------------------------------------------------------------------------

def test_a_model_is_found_by_folder_file_or_the_names_of_2018(tmp_path):
    for name in ("config.json", "final.weights.h5", "checkpoint.weights.h5"):
        write(tmp_path / name, "{}")
    final, checkpoint = tmp_path / "final.weights.h5", tmp_path / "checkpoint.weights.h5"
    for given, weights in ((tmp_path, final), (final, final), (tmp_path / "final_weights.h5", final),
                           (checkpoint, checkpoint), (str(tmp_path / "checkpoint_weights.h5"), checkpoint)):
        assert find_model(given) == (tmp_path, weights)


def test_models_that_are_not_there_or_broken_are_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="no config.json"):
        find_model(tmp_path)
    for content in ("", "[]", "{}", '{"network": 3, "alphabet": "ab"}', '{"network": {}}'):
        write(tmp_path / "config.json", content)
        with pytest.raises(UserError, match="config.json"):
            load_config(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        find_model(tmp_path)
    write(tmp_path / "final.weights.h5", "no HDF5")
    with pytest.raises(UserError, match="not weights of this network"):
        utils.load_weights(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]), tmp_path / "final.weights.h5")


class Brightness:
    """Stands for a network: writes "b" where the image has ink, "a" where not, in three steps with a blank between."""
    input_shape = (None, *SIZE, 1)

    def predict_on_batch(self, images):
        logits = np.full((len(images), 3, 3), -50.0)
        logits[:, 1, 0] = 50
        logits[:, ::2, 1] = 0
        logits[:, ::2, 2] = np.where(images.max(axis=(1, 2, 3)) > 0.5, 50, -50)[:, np.newaxis]
        return logits


def test_a_reader_reads_paths_and_arrays_in_their_order(tmp_path):
    blank, (word, _) = np.full((20, 50), 255, np.uint8), draw()
    write_image(tmp_path / "word.png", word)
    reader = Reader(Brightness(), Alphabet("ab"))
    images = [blank, tmp_path / "word.png", word, str(tmp_path / "word.png"), np.dstack([blank] * 3)]
    readings = reader.read(images)
    assert [reading.text for reading in readings] == ["", "bb", "bb", "bb", ""]  # where no ink is, nothing is read
    assert [reading.confidence for reading in readings] == pytest.approx([0, 1, 1, 1, 0])
    faint = prepare(word) * np.float32(0.4)
    prepared = np.stack([faint, prepare(word)] * 70)  # three batches, the last filled up
    for reader.beam_width in (0, 1, 10):
        assert [best[0].text for best in reader.read_prepared(prepared)] == ["aa", "bb"] * 70
    assert reader.read([]) == []
    assert reader.read(word) == reader.read(tmp_path / "word.png") == readings[1]  # one image, one reading
    with pytest.raises(ValueError, match="no such file"):
        reader.read([tmp_path / "none.png"])


SEED = Alphabet("seed")


class Width:
    """Stands for a network: sees an "a", a "b" where the word is less wide, a "c" where less high, with the chances `sure`."""
    input_shape = (None, *SIZE, 1)

    def __init__(self, **sure):
        self.sure, self.seen, self.calls = sure, 0, 0

    def predict_on_batch(self, images):
        self.calls += 1
        widths = (images[..., 0].max(axis=2) > 0.5).sum(axis=1)
        heights = (images[..., 0].max(axis=1) > 0.5).sum(axis=1)
        self.seen += (widths > 0).sum()
        letters = np.where(widths < 50, "b", np.where(heights < 18, "c", "a"))
        chances = np.array([self.sure[letter] for letter in letters])
        logits = np.repeat(np.log((1 - chances) / 36), 38).reshape(-1, 1, 38)  # or any other letter
        logits[range(len(images)), 0, [SEED.encode(letter)[0] for letter in letters]] = np.log(chances)
        logits[:, 0, 0] = -1e9  # but not none
        return logits


BAR = np.zeros((3, *SIZE, 1), np.float32)  # of which the last is empty
BAR[:2, 4:60, 6:26] = 1


def test_squeezed_words_begin_where_they_did_and_stay_in_the_middle():
    for width, height in ((0.5, 1), (1, 0.5), (0.75, 0.75)):
        squeezed = squeeze(BAR, width, height)
        assert squeezed.shape == BAR.shape and squeezed.dtype == np.float32 and not squeezed[2].any()
        columns, rows = squeezed[0, ..., 0].sum(axis=1), squeezed[0, ..., 0].sum(axis=0)
        assert np.average(np.arange(100), weights=columns) + 0.5 == pytest.approx(4 + 28 * width, abs=0.1)  # of 4 to 60
        assert np.average(np.arange(32), weights=rows) + 0.5 == pytest.approx(16, abs=0.05)
        assert columns.sum() == pytest.approx(56 * 20 * width * height, rel=0.02)
    assert np.array_equal(squeeze(BAR, 1, 1), BAR)


@pytest.mark.parametrize("sure, text, chance, looks", [
    ((0.6, 0.9, 0.9), "a", 0.6, 2),  # sure enough: no second look
    ((0.45, 0.9, 0.8), "b", 0.9, 6), ((0.45, 0.8, 0.9), "c", 0.9, 6), ((0.49, 0.48, 0.47), "a", 0.49, 6)])
def test_a_doubtful_word_is_looked_at_again_and_the_surest_look_counts(sure, text, chance, looks):
    for beam_width in (0, 10):
        network = Width(**dict(zip("abc", sure)))
        reader = Reader(network, SEED, beam_width=beam_width)
        assert reader.read_prepared(BAR) == [[(text, pytest.approx(chance))]] * 2 + [[("", 0)]]
        assert (network.seen, network.calls) == (looks, 1 + (looks > 2))  # the further looks go through it together
        reader = Reader(network, SEED, beam_width=beam_width, squeezes=())
        assert reader.read_prepared(BAR)[0] == [("a", pytest.approx(sure[0]))]


def test_with_a_lexicon_the_look_of_the_best_score_counts():
    reader = Reader(Width(a=0.45, b=0.7, c=0.9), SEED)
    reader.lexicon = Lexicon(["b"], SEED.characters, margin=1)
    assert reader.read_prepared(BAR)[0][0].text == "b"  # .7 of the lexicon is more than .9 / e
    reader.lexicon = Lexicon(["b"], SEED.characters, margin=0.1)
    assert reader.read_prepared(BAR)[0][0].text == "c"


def test_the_texts_of_all_looks_at_a_doubtful_word_stand_together():
    def found(*looks):
        return [[ctc.Text(list(classes), np.log(p)) for classes, p in look] for look in looks]

    first = found([((1,), 0.5), ((2,), 0.4)], [((1,), 0.3), ((2,), 0.2)], [((), 0.1), ((3,), 0.05)])
    asked = []
    again = [found([((2,), 0.6), ((4, 4), 0.1)], [((), 0.3), ((3,), 0.2)]), found([((1,), 0.4), ((5,), 0.3)], [((6,), 0.01)])]
    settled = settle(first, lambda which: asked.append(which.tolist()) or again)
    assert asked == [[1, 2]] and settled[0] == first[0]  # sure enough
    assert settled[1:] == found([((2,), 0.6), ((1,), 0.4)], [((), 0.3), ((3,), 0.2)])
    assert settle(first, lambda which: []) == first  # no further looks


class Known:
    """Stands for a Reader whose images are the network's output; looked at again, one class is likelier by 9 nats or none."""

    def __init__(self, alphabet, again=None):
        self.alphabet, self.again = alphabet, again

    def logits(self, images):
        return images

    def look_again(self, images):
        return [] if self.again is None else [images + 9 * np.eye(images.shape[2])[self.again]]


def test_further_looks_count_where_decoding_is_fitted():
    """The words are "aa"; a first look reads "bb", doubtfully, a second surely "aa" or "bb"."""
    alphabet, logits = Alphabet("ab0"), np.tile(np.log([[1e-9, .4, .45, .15], [1, 1e-30, 1e-30, 1e-30], [1e-9, .4, .45, .15]]),
                                                (200, 1, 1))
    by_one, right, wrong = (fit_decoding(Known(alphabet, again), logits, ["aa"] * 200)["temperature"]
                            for again in (None, 1, 2))
    assert right > 5 and max(by_one, wrong) < 0.5  # surer where it is always right, less sure where always wrong


def test_confidence_is_the_string_probability_at_the_fitted_temperature():
    logits = np.log([[[.5, .3, .2], [.6, .3, .1]]])  # "a": .5 * .3 + .3 * .6 + .3 * .3 = .42, the rest less
    for temperature, expected in ((1, .42), (2, .42 ** .5), (9, .42 ** (1 / 9))):
        reader = Reader(Brightness(), Alphabet("ab"), {"temperature": temperature})
        [[reading]] = reader.readings(reader.search(logits))
        assert reading == ("a", pytest.approx(expected, rel=1e-4))
    reader.beam_width = 0  # greedy: the empty text, .3, to the power of 1/9
    assert reader.readings(reader.search(logits)) == [[("", pytest.approx(.3 ** (1 / 9), rel=1e-4))]]


def test_with_a_lexicon_the_texts_share_the_confidence():
    logits = np.log([[[.5, .3, .2], [.6, .3, .1]]])
    # texts: "" .3, a .42, b .05 + .12 + .02 = .19, ab .03, ba .06; "b" is the lexicon's, others cost a factor of 1 / e
    weights = {"b": .19, "a": .42 / np.e, "": .3 / np.e, "ba": .06 / np.e, "ab": .03 / np.e}
    reader = Reader(Brightness(), Alphabet("ab"), {"lexicon_temperature": 2})
    reader.lexicon = Lexicon(["b"], "ab", margin=1)
    total = sum(weight ** .5 for weight in weights.values())
    [readings] = reader.readings(reader.search(logits, 2), 2)
    assert readings == [("b", pytest.approx(.19 ** .5 / total, rel=1e-4)),
                        ("a", pytest.approx((.42 / np.e) ** .5 / total, rel=1e-4))]


def test_calibration_by_hand():
    # bins of a quarter: 0.1, 0.2 (one right of two), 0.6 (right), 0.9, 1.0 (one of two)
    error, rows = calibration([0.1, 0.2, 0.6, 0.9, 1.0], [True, False, True, True, False], bins=4)
    assert rows == [(2, pytest.approx(0.15), 0.5), (1, 0.6, 1.0), (2, pytest.approx(0.95), 0.5)]
    assert error == pytest.approx((2 * 0.35 + 1 * 0.4 + 2 * 0.45) / 5)
    assert calibration([0.5] * 4, [True, False] * 2)[0] == 0
    assert np.isnan(calibration([], [])[0])


def test_decoding_is_fitted_to_what_was_right():
    """A network that is right in half of the words, and as sure of all of them, is less sure at the fitted temperature."""
    alphabet, words = Alphabet("seed"), ["letter", "meeting", "xqzzv", "idea"] * 50
    logits = np.zeros((200, 16, 38))
    rng = np.random.default_rng(0)
    for k, word in enumerate(words):
        wrong = rng.random() < 0.5
        for i, c in enumerate(word):
            right, other = alphabet.encode(c)[0], alphabet.encode("q")[0]
            logits[k, 2 * i, other if wrong and i == 1 else right] = 12
            logits[k, 2 * i, right if wrong and i == 1 else other] += 8  # where it is wrong, the truth comes next
            logits[k, 2 * i + 1, 0] = 12
        logits[k, 2 * len(word):, 0] = 12
    decoding = fit_decoding(Known(alphabet), logits, words)
    assert decoding["temperature"] < 0.5  # confidences of 0.9 become about 0.5
    assert decoding["lexicon_margin"] >= 4  # a wrong letter costs four nats
    right = {}
    for name, lexicon in (("free", None), ("lexicon", "en")):
        reader = Reader(Brightness(), alphabet, decoding, lexicon=lexicon)
        readings = [best[0] for best in reader.readings(reader.search(logits))]
        right[name] = np.array([reading.text == word for reading, word in zip(readings, words)])
        if name == "free":
            assert np.mean([reading.confidence for reading in readings]) == pytest.approx(right[name].mean(), abs=0.1)
    known = np.array([word != "xqzzv" for word in words])
    assert right["lexicon"][known].mean() > 0.95 > 0.6 > right["free"][known].mean()
    assert right["lexicon"][~known].mean() == right["free"][~known].mean()


@pytest.mark.parametrize("names, kept", [(26, True), (24, False)])
def test_a_word_outside_the_lexicon_counts_as_three(names, kept):
    """What reads "idea" right, 100 - names times, reads the name "iqea" away: worth it for 76 : 24, not for 74 : 26."""
    alphabet, words = Alphabet("seed"), ["iqea"] * names + ["idea"] * (100 - names)
    logits = np.zeros((100, 8, 38))
    logits[:, range(0, 8, 2), alphabet.encode("iqea")] = 12
    logits[:, 1::2, 0] = 12
    logits[:, 2, alphabet.encode("d")[0]] = 9  # 3 nats behind the q
    reader = Reader(Brightness(), alphabet, fit_decoding(Known(alphabet), logits, words), lexicon="en")
    assert {best[0].text for best in reader.readings(reader.search(logits))} == {"iqea" if kept else "idea"}


def test_an_alphabet_that_cannot_write_english_gets_its_temperature_only():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("0123456789"), 3)) for _ in range(150)]
    alphabet, logits = Alphabet("0123456789"), np.zeros((150, 6, 11))
    for k, text in enumerate(texts):
        logits[k, 1::2, 0] = 9
        logits[k, [0, 2, 4], alphabet.encode(text)] = 9
    decoding = fit_decoding(Known(alphabet), logits, texts)
    assert {**decoding, "temperature": 1.0} == DECODING and decoding["temperature"] > 2  # all were right
    assert fit_decoding(Known(alphabet), logits[:99], texts[:99]) is None
    assert fit_decoding(Known(alphabet), logits, [text[0] for text in texts]) is None  # words of one letter


def test_a_lexicon_that_cannot_be_read_is_named(tmp_path):
    alphabet = Alphabet("seed")
    with pytest.raises(UserError, match="--lexicon none: no such file; give one with a word a line, or en"):
        load_lexicon("none", alphabet, DECODING)
    for content in (b"", b"# only a remark\n", b"\xff\xfe\x00", b"one two three\n"):
        (tmp_path / "words.txt").write_bytes(content)
        with pytest.raises(UserError, match="words.txt: "):
            load_lexicon(tmp_path / "words.txt", alphabet, DECODING)
    (tmp_path / "words.txt").write_text("board 3\nflipchart")
    lexicon = load_lexicon(str(tmp_path / "words.txt"), alphabet, {"lexicon_weight": 0.25, "lexicon_margin": 4})
    assert (len(lexicon), lexicon.weight, lexicon.margin) == (2, 0.25, 4)
