"""render: words that are what their labels say, can be read, and keep the parts of a data set apart."""
import collections
import csv
import shutil
import types

import cv2
import numpy as np
import pytest
from PIL import ImageFont

import render
import render.camera
import render.fonts
import render.renderer
import render.shapes
import render.strokes
import render.styles
import render.surfaces
from command import UserError

KALAM, ROBOTO = "kalam-latin-400-normal.woff2", "roboto-latin-400-normal.woff2"


def manifest():
    with open(render.FONTS / "manifest.csv", encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def renderer():
    return render.Renderer()


@pytest.fixture
def fonts(tmp_path):
    """A function that makes a folder of two faces, with the manifest that it is given."""
    def make(text):
        folder = tmp_path / "fonts"
        folder.mkdir()
        for name in (KALAM, ROBOTO):
            shutil.copy(render.FONTS / name, folder)
        (folder / "manifest.csv").write_text(text)
        return folder
    return make


@pytest.fixture
def lexicon(tmp_path):
    """A function that makes a word list."""
    def make(text):
        path = tmp_path / "words.txt"
        path.write_text(text)
        return path
    return make


def strokes_file(path, **changes):
    """30 writers, each with an "L" of one stroke and an "i" of a line and a dot; words 0 to 3 are not to be used."""
    ell = [[0, y] for y in range(-256, 0, 16)] + [[x, 0] for x in range(0, 201, 20)]  # x right, y down, in 1/128 "x"
    deltas = np.concatenate([np.diff(word, axis=0, prepend=0) for word in (ell, [[4, -128], [9, 0], [2, -200]])])
    quality, marked = np.full(60, 60, np.uint8), np.zeros(60, np.uint8)
    quality[:2], marked[2], marked[3] = 29, 1, 2
    data = dict(points=np.tile(deltas, (30, 1)).astype(np.int16),
                stroke_ends=np.array([30 * k + e for k in range(30) for e in (27, 29, 30)], np.int32),
                word_ends=np.array([3 * k + e for k in range(30) for e in (1, 3)], np.int32),
                text_blob=np.frombuffer(b"Li" * 30, np.uint8), text_ends=np.arange(1, 61, dtype=np.int32),
                writer=np.repeat(np.arange(30), 2), quality=quality, iam_text=marked)
    np.savez(path, **{**data, **changes})
    return path


def words(renderer, count, split="train", seed=0):
    return [renderer.word(np.random.default_rng((seed, k)), split) for k in range(count)]


def test_a_word_depends_on_its_number_alone(renderer):
    some = words(renderer, 20)
    again = words(render.Renderer(), 20)
    alone = renderer.word(np.random.default_rng((0, 13)))
    assert all((a.image == b.image).all() and a[1:] == b[1:] for a, b in zip(some, again))
    assert (alone.image == some[13].image).all() and alone[1:] == some[13][1:]
    assert len({word.text for word in some}) > 10


def test_splits_have_faces_of_their_own(renderer):
    split_of = {row["family"]: row["split"] for row in manifest()}
    seen = {split: {word.source for word in words(renderer, 150, split)} for split in render.SPLITS}
    assert all(split_of[family] == split for split, families in seen.items() for family in families)
    assert min(map(len, seen.values())) > 10
    group_of = {row["family"]: row["group"] for row in manifest()}
    held = collections.Counter((group_of[family], split) for family, split in split_of.items())
    assert all(7 <= held[group, split] <= 9 for group in ("handwriting", "other") for split in ("valid", "test"))


def test_manifest_and_licences_are_complete():
    rows = manifest()
    assert {row["file"] for row in rows} == {path.name for path in render.FONTS.glob("*.woff2")}
    assert all((render.FONTS / f"{row['licence']}.txt").is_file() and row["copyright"] and row["source"] for row in rows)
    assert {row["licence"] for row in rows} <= {"OFL-1.1", "Apache-2.0", "UFL-1.0", "MIT"}
    assert sum(path.stat().st_size for path in render.FONTS.iterdir()) <= 12_000_000


def test_families_without_a_manifest_are_held_out_by_hash():
    faces = [types.SimpleNamespace(family=f"face {k // 2}", split=None) for k in range(90)]
    render.fonts.hold_out(faces)
    counts = collections.Counter(face.split for face in faces[::2])
    assert counts == {"train": 42, "valid": 2, "test": 1}
    assert all(a.split == b.split for a, b in zip(faces[::2], faces[1::2]))
    held = [face.family for face in faces[::2] if face.split != "train"]
    assert held != sorted({face.family for face in faces})[:3]  # not the first of the alphabet, which may be one foundry's


def test_faces_write_only_what_suits_them(fonts, lexicon):
    folder = fonts("file,family,group,caps_only,missing\n"
                   f"{KALAM},Hand,handwriting,0,e\n{ROBOTO},Caps,other,1,\n")
    some = words(render.Renderer(folder, lexicon("letter 9\nsand 9\nNATO 9\n")), 300)
    hand = [word.text for word in some if word.source == "Hand" and word.style == "paper"]
    signs = [word.text for word in some if word.source == "Hand" and word.style == "scene"]
    caps = [word.text for word in some if word.source == "Caps"]
    assert len(hand) > 50 and len(caps) > 50
    assert not any("e" in text for text in hand + signs) and any("E" in text for text in caps)
    assert {"Nato", "NATO"} <= set(signs)
    assert not any(sum(c.isupper() for c in text) > 1 for text in hand) and "Nato" in hand
    assert all(text == text.upper() for text in caps)


def test_without_a_manifest_a_face_is_asked_for_its_glyphs(fonts, lexicon):
    folder = fonts("file,family\n")
    some = words(render.Renderer(folder, lexicon("\u6f22\u5b57\nplain\n")), 60)  # Chinese, which neither face has
    assert not any("\u6f22" in word.text for word in some) and any("plain" in word.text.lower() for word in some)


def test_words_that_few_faces_can_write_are_not_replaced_by_numbers(fonts, lexicon):
    folder = fonts(f"file,family,group,missing\n{KALAM},A,handwriting,eEzZ\n{ROBOTO},B,other,zZ\n")
    some = words(render.Renderer(folder, lexicon("eel 9\nzoo 90\n")), 200)
    eels = [word for word in some if "eel" in word.text.lower()]
    assert 0.75 < len(eels) / len(some) < 0.95 and {word.source for word in eels} == {"B"}
    assert not any("zoo" in word.text.lower() for word in some)


def test_a_lexicon_that_cannot_be_written_is_told(fonts, lexicon):
    folder = fonts(f"file,family,split,missing\n{KALAM},A,train,\n{ROBOTO},B,valid,q\n")
    renderer = render.Renderer(folder, lexicon("quay\n"))
    renderer.word(np.random.default_rng(0))
    with pytest.raises(UserError, match="quay"):
        renderer.word(np.random.default_rng(0), "valid")
    renderer = render.Renderer(folder, lexicon("quay\n"), usable=lambda text: "q" not in text.lower())
    with pytest.raises(UserError, match="alphabet"):
        renderer.word(np.random.default_rng(0))


def test_a_lexicon_is_read_in_composed_form(lexicon):
    texts = render.Texts(lexicon("cafe\u0301 3\n"))
    assert texts.words == ["caf\u00e9"]


def likeness(image, ink):
    """How alike two words look, whatever the light and the crop: the correlation of their ink, each made 32 x 96 px."""
    def standard(grey):
        grey = cv2.GaussianBlur(np.float32(grey), (0, 0), 1)
        strong = abs(grey - np.median(grey)) > 0.4 * abs(grey - np.median(grey)).max()
        x, y, width, height = cv2.boundingRect(np.uint8(strong))
        return cv2.GaussianBlur(cv2.resize(np.float32(strong[y:y + height, x:x + width]), (96, 32)), (0, 0), 2)
    return np.corrcoef(standard(image).ravel(), standard(ink).ravel())[0, 1]


@pytest.mark.parametrize("style", render.STYLES)
def test_a_label_is_what_is_seen(style, fonts, lexicon):
    """Drawn by Pillow alone, the label looks like the word, the label read backwards does not."""
    folder = fonts(f"file,family\n{ROBOTO},B\n")
    (folder / KALAM).unlink()
    font = ImageFont.truetype(str(folder / ROBOTO), 40)
    renderer = render.Renderer(folder, lexicon("lamp\ntrip\nHill\njust\n"), styles={style: 1},
                               usable=lambda text: text.isalpha() and text != text[::-1])
    right = []
    for word in words(renderer, 60):
        label, wrong = (np.asarray(font.getmask(text)).reshape(font.getmask(text).size[::-1])
                        for text in (word.text, word.text[::-1]))
        right.append(likeness(word.image, label) > likeness(word.image, wrong))
    assert np.mean(right) > 0.65


def test_usable_chooses_the_texts():
    some = words(render.Renderer(usable=lambda text: text.isdigit()), 20)
    assert all(word.text.isdigit() for word in some)


def test_strokes_are_decoded_and_drawn_where_they_are(tmp_path):
    strokes = render.Strokes(strokes_file(tmp_path / "strokes.npz"))
    line, dot = strokes.strokes_of(7)
    assert line.tolist() == [[4, -128], [9, 0]] and dot.tolist() == [[2, -200]]
    assert strokes.words["train"].tolist() == list(range(4, 20))  # writers 2 to 9; 0 and 1 are poor or marked
    ink, x_height = render.strokes.draw_strokes(strokes.strokes_of(6), 50, np.random.default_rng(0))  # an "L"
    tall, wide = ink.shape
    assert 40 < tall < 64 and abs(x_height - tall / 2) < 6
    assert ink[:, :6].max(axis=1).min() > 40 and ink[-8:, 2:-2].max(axis=0).min() > 40  # down the left, along the bottom
    assert not ink[:tall // 2, wide // 2:].any()
    ink, _ = render.strokes.draw_strokes([dot], 50, np.random.default_rng(0))
    assert ink.max() > 100  # a stroke of one point is a dot, not nothing


def test_another_hand_writes_the_same_word():
    stem = np.stack([np.full(20, 50), np.linspace(-300, 0, 20)], axis=1)  # an "L": down to the baseline, then along it
    foot = np.stack([np.linspace(50, 400, 30), np.zeros(30)], axis=1)
    word = [np.concatenate([stem, foot]).astype(np.float32), np.float32([[420, -20]])]
    tops = set()
    for seed in range(20):
        ell, dot = render.strokes.vary(word, np.random.default_rng(seed))
        assert ell.shape == (50, 2) and dot.shape == (1, 2) and ell.dtype == np.float32
        x, y = ell.T
        assert abs(y[26:]).max() < 1e-3 and (np.diff(x[26:]) > 0).all()  # past the bend, still in order
        assert dot[0, 0] > x[-1]
        assert (np.diff(y[:18]) > 0).all()
        tops.add(round(float(y[0])))
    assert len(tops) > 15 and min(tops) < -330 and max(tops) > -270


def test_splits_have_writers_of_their_own(tmp_path):
    path = strokes_file(tmp_path / "strokes.npz")
    renderer = render.Renderer(strokes=path, styles={"paper": 1}, strokes_share=1)
    writers = {split: {int(word.source.removeprefix("ondb")) for word in words(renderer, 150, split)}
               for split in render.SPLITS}
    assert writers["train"] == set(range(2, 10)) and writers["valid"] | writers["test"] == set(range(10, 30))
    assert len(writers["valid"]) == len(writers["test"]) == 10
    assert {word.style for word in words(render.Renderer(strokes=path, styles={"scene": 1}), 5)} == {"scene"}


def test_held_out_writers_keep_their_hands(tmp_path, monkeypatch):
    strokes_file(tmp_path / "strokes.npz")
    renderer = render.Renderer(strokes=tmp_path / "strokes.npz", styles={"board": 1}, strokes_share=1)
    seen = []
    monkeypatch.setattr(render.renderer, "vary", lambda strokes, rng: seen.append(1) or strokes)
    for split in ("valid", "test"):
        [renderer.word(np.random.default_rng(k), split) for k in range(20)]
    assert not seen
    [renderer.word(np.random.default_rng(k), "train") for k in range(20)]
    assert 2 < len(seen)


def test_every_word_can_be_read(renderer, monkeypatch):
    seen, weak, readable = [], [], render.camera.readable
    monkeypatch.setattr(render.camera, "readable", lambda *args: seen.append(args) or readable(*args))
    for seed in range(300):
        word = renderer.word(np.random.default_rng((1, seed)))
        image, (_, letters, _) = word.image, seen[-1]
        assert image.dtype == np.uint8 and image.ndim == 2
        assert render.camera.MIN_HEIGHT <= image.shape[0] <= render.camera.MAX_HEIGHT and image.shape[1] >= 8
        threshold, _ = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        ink, paper = image[image > threshold], image[image <= threshold]
        if ink.mean() - paper.mean() < (10 if word.style == "scene" else 20):
            weak.append(word[1:])
        assert any(c.isalnum() for c in word.text)
        around = cv2.boxFilter(letters, -1, (9, 9)) > 0.01  # what lies next to the letters, and is not their edge
        close = around & (cv2.boxFilter(letters, -1, (3, 3)) < 0.01)
        for part in range(0, image.shape[1] - image.shape[0], image.shape[0]):  # on each of the surfaces that it may lie on
            inside, outside = (image[:, part:part + image.shape[0]][mask[:, part:part + image.shape[0]]]
                               for mask in (letters > 0.9, close))
            if min(inside.size, outside.size) >= 20 and abs(inside.mean() - outside.mean()) < 4:
                weak.append(word[1:])
    assert len(weak) <= 3, weak


def test_the_guard_refuses_what_nobody_can_read():
    ink = np.zeros((40, 120), np.float32)
    ink[8:32, 10:110:10] = ink[8:32, 11:111:10] = 1
    clear = np.uint8(230 - 150 * ink)
    faded = clear.copy()
    faded[:, 70:] = 222  # the word's last third
    turned = clear.copy()
    turned[:, 70:] = 255 - clear[:, 70:]  # light on dark there
    assert render.camera.readable(clear, ink, 26) and render.camera.readable(255 - clear, ink, 26)
    assert not render.camera.readable(clear, ink, 160)
    assert render.camera.readable(turned, ink, 12)  # as on a sign that hangs over two surfaces
    assert not any(render.camera.readable(image, ink, 12) for image in (np.full_like(clear, 200), faded))


def test_surfaces_are_another_grey_than_the_letters():
    hidden = []
    for seed in range(300):
        if np.random.default_rng(seed).integers(1, 4) == 1:  # one surface: two that let light through can make any grey
            dark, light = (np.full((40, 120), level, np.float32) for level in (60, 200))
            for page in (dark, light):
                render.surfaces.add_surfaces(page, 120, np.random.default_rng(seed))
            opaque = abs(dark - light) < 2  # the surface alone is seen
            assert not opaque.any() or abs(dark[opaque] - 120).min() > 23
            assert 0 <= dark.min() and light.max() <= 255
            hidden.append(opaque.mean())
    assert len(hidden) > 60 and 0.02 < np.mean(hidden) < 0.5


@pytest.mark.parametrize("ink", [0, 1])
def test_signs_and_their_letters_keep_to_the_greys_there_are(ink):
    for seed in range(150):
        page = render.styles.paint_scene(np.full((40, 120), ink, np.float32), None, np.random.default_rng(seed))
        assert -35 < page.min() and page.max() < 290  # the rest is grain, of at most 6 grey levels' deviation


def test_refused_words_are_drawn_anew(renderer, monkeypatch):
    seen = []
    monkeypatch.setattr(render.camera, "readable", lambda image, ink, least: seen.append(image) or len(seen) > 3)
    word = renderer.word(np.random.default_rng(0))
    assert len(seen) == 4 and word.image is seen[3]


@pytest.mark.parametrize("height, width, seeds", [(300, 90, 1), (140, 90, 100), (40, 1100, 1)])  # 140: with some margins
def test_a_word_too_high_or_wide_is_drawn_anew(renderer, monkeypatch, height, width, seeds):
    warp, again = render.shapes.warp, 0
    for seed in range(seeds):
        seen = []
        monkeypatch.setattr(render.shapes, "warp", lambda *args: seen.append(args) or (
            (np.ones((height, width), np.float32), 2.0) if len(seen) == 1 else warp(*args)))
        assert renderer.word(np.random.default_rng(seed)).image.shape[0] <= render.camera.MAX_HEIGHT
        again += len(seen) > 1
    assert again


def test_the_height_of_letters_is_known_all_the_way(renderer, monkeypatch):
    """Letters 30 px high, an "x" of 15, are doubled on an arc of 65 px: crop and camera are told 60 and 30."""
    monkeypatch.setattr(renderer, "_ink", lambda *args: (np.full((30, 80), 255, np.uint8), 15, "word", "drawn"))
    monkeypatch.setattr(render.shapes, "warp", lambda *args: (np.ones((65, 160), np.float32), 2.0))
    monkeypatch.setattr(render.camera, "readable", lambda *args: True)
    crop, degrade, told = render.shapes.crop, render.camera.degrade, []
    monkeypatch.setattr(render.shapes, "crop", lambda ink, height, *rest: told.append(height) or crop(ink, height, *rest))
    monkeypatch.setattr(render.camera, "degrade", lambda page, x_height, *rest: told.append((x_height, page.shape[0]))
                        or degrade(page, x_height, *rest))
    words(renderer, 40)
    assert told[::2] == [60] * 40
    kept = [x_height for x_height, height in told[1::2] if height < render.camera.MAX_HEIGHT]  # the others were made smaller
    assert len(kept) > 5 and kept == pytest.approx([30] * len(kept))


def test_letters_drawn_one_by_one_are_whole(renderer, monkeypatch):
    faces = [face for face in renderer.fonts.faces["train"] if face.writes("gypsy")]
    heights = []
    for spaced in (0, 1):
        monkeypatch.setattr(render.fonts, "SPACED", spaced)
        monkeypatch.setattr(render.fonts, "SPACES", (0, 0))
        heights.append([face.draw("gypsy", 40, np.random.default_rng(0), "scene")[0].shape[0] for face in faces])
    whole, apart = np.array(heights)
    assert len(faces) > 300 and abs(whole - apart).max() <= 4


def test_texts_follow_the_list_and_the_counts(lexicon):
    texts = render.Texts(lexicon("# a remark\nmany 10000\nrare 100\n\n\u00a9sign 5\n!!\n"))
    drawn = collections.Counter()
    for k in range(3000):
        text = texts.pick(np.random.default_rng(k), "paper").lower()
        drawn.update(word for word in ("many", "rare", "remark", "sign") if word in text)
    assert 7 < drawn["many"] / drawn["rare"] < 14 and set(drawn) == {"many", "rare"}  # the root of 100 is 10


def test_half_of_the_signs_have_words_without_regard_to_counts(lexicon):
    texts = render.Texts(lexicon("many 10000\nrare 100\n"))
    drawn = collections.Counter(texts.pick(np.random.default_rng(k), "scene").lower().strip(".,:;!?'\"()-*")
                                for k in range(4000))
    assert drawn["rare"] / (drawn["many"] + drawn["rare"]) == pytest.approx((1 / 2 + 1 / 11) / 2, abs=0.03)


@pytest.mark.parametrize("arguments", [
    dict(styles={"paper": -1}), dict(styles={"paper": 0}), dict(styles={"paper": float("nan")}),
    dict(styles={"paper": float("inf")}), dict(styles={"poster": 1}), dict(styles={}), dict(strokes_share=1.5),
    dict(fonts="EMPTY"), dict(fonts="NONE"), dict(lexicon="NONE"), dict(lexicon="MARKS"), dict(lexicon="COUNTS"),
    dict(lexicon="BYTES"), dict(strokes="BYTES"), dict(strokes="NONE"), dict(strokes="SHORT"), dict(strokes="FEW")])
def test_mistakes_are_told_in_one_line(arguments, tmp_path):
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "MARKS").write_text("!!\n...\n")
    (tmp_path / "COUNTS").write_text("word -3\n")
    (tmp_path / "BYTES").write_bytes(b"\xff\xfe\x00word")
    strokes_file(tmp_path / "SHORT.npz", word_ends=np.arange(7))
    strokes_file(tmp_path / "FEW.npz", writer=np.zeros(60, int))
    for name in ("SHORT", "FEW"):
        (tmp_path / f"{name}.npz").rename(tmp_path / name)
    arguments = {name: tmp_path / value if isinstance(value, str) else value for name, value in arguments.items()}
    with pytest.raises(UserError) as error:
        render.Renderer(**arguments)
    assert "\n" not in str(error.value) and len(str(error.value)) > 20


def test_a_broken_font_is_named_and_left_out(fonts, capsys):
    folder = fonts("file,family\n")
    (folder / "broken.ttf").write_bytes(b"not a font")
    assert len(render.fonts.load_faces(folder)) == 2
    assert "broken.ttf" in capsys.readouterr().err


def test_words_that_no_face_can_write_are_told(fonts, lexicon):
    folder = fonts(f"file,family,missing\n{KALAM},A,0123456789\n{ROBOTO},B,0123456789\n")
    renderer = render.Renderer(folder, lexicon("word\n"), usable=str.isdigit)
    with pytest.raises(UserError):
        renderer.word(np.random.default_rng(0))


def test_markers_are_thicker_than_pens(tmp_path):
    strokes = render.Strokes(strokes_file(tmp_path / "strokes.npz")).strokes_of(6)  # an "L": its ink is its strokes' width

    def ink(style):
        return np.mean([(render.strokes.draw_strokes(strokes, 50, np.random.default_rng(k), style)[0] > 127).mean()
                        for k in range(40)])

    assert 1.4 < ink("board") / ink("paper") < 2.6


def test_boards_are_written_on_with_faces_of_even_strokes(renderer):
    faces = renderer.fonts.faces["train"]
    known = {face.family: face for face in faces}
    assert known["Quicksand"].unevenness < 0.1 < 0.25 < known["Playfair Display"].unevenness  # one thickness, and two
    shares = []
    for style in ("paper", "board"):
        chosen = [renderer.fonts.pick(np.random.default_rng(k), "train", style) for k in range(300)]
        shares.append(np.mean([face.unevenness < render.fonts.EVEN_STROKES for face in chosen]))
    assert shares[0] < 0.6 and shares[1] > 0.65


def test_boards_have_bits_of_programs(lexicon):
    texts = render.Texts(lexicon("node 9\nlist 9\n"))
    board, paper = ([texts.pick(np.random.default_rng(k), style) for k in range(800)] for style in ("board", "paper"))
    inside = [sum(not c.isalnum() for c in text[1:-1]) > 0 and "node" in text for text in board]
    assert 0.02 < np.mean(inside) < 0.2
    assert {"node.list", "node_list", "nodeList"} & set(board) and not {"node.list", "node_list", "nodeList"} & set(paper)


def test_textures_are_of_one_strength():
    grain, rough, textures = render.surfaces.tiles()
    for tile in (grain, rough, *textures):
        assert tile.shape == render.surfaces.TILE and tile.dtype == np.float32
        assert abs(tile.mean()) < 1e-3 and tile.std() == pytest.approx(1, abs=1e-3)
    for tile in textures[-2:]:  # plates, discs and bars: hard edges, and flat between them
        steps = abs(np.diff(tile, axis=1))
        assert 0.5 < (steps < 0.02).mean() < 0.98 and steps.max() > 1
