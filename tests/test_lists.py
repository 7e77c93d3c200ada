"""words/lists.py: tables of labels as people write them, file names, listings."""
import os
import unicodedata

import numpy as np
import pytest
from samples import write, write_images

from command import UserError
from words.lists import WordList, image_names, join, read_folder, read_listings, text_of_name


def rows(words):
    """(name, text) of each word."""
    return [(words.name(i), words.text(i)) for i in range(len(words))]


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
    write_images(tmp_path, "a.png")
    write(tmp_path / "labels.csv", 'text,file,form,split\n"say ""hi"", é",a.png,f1,train\nb,sub/b.png,f2,valid\n')
    words = read_folder(tmp_path)
    assert rows(words) == [("a.png", 'say "hi", é'), ("sub/b.png", "b")]
    assert words.groups.tolist() == [0, 1] and words.splits == ["train", "valid"]


@pytest.mark.parametrize("named", ["sub\\0.png", "sub/0.png", "/0.png", "0.jpg"])
def test_names_of_which_none_is_there_are_told(tmp_path, named):
    write_images(tmp_path, "0.png")
    write(tmp_path / "labels.csv", f"file,text\n{named},x\n{named},y\n")
    with pytest.raises(UserError) as refusal:
        read_folder(tmp_path)
    assert str(refusal.value).endswith(f"labels.csv: not one file that it names is there, such as {named}; it must name "
                                       f"files below {tmp_path}, with / between folders, not \\")


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


# --- Tables as people and programs write them -----------------------------------------------------------------------

WORDS = ["garden", "window", '"', "1,000", "née", "a;b"]


def table(folder, content, name="labels.csv", encoding="utf8"):
    write_images(folder, *(f"{k}.png" for k in range(len(WORDS))))
    (folder / name).write_bytes(content.encode(encoding))
    words = read_folder(folder)
    assert not words.missing().any()
    return [words.text(i) for i in range(len(words))]


def lines(part, words=WORDS, end="\n", pad=""):
    return end.join([f"file{part}text", *(f"{pad}{k}.png{pad}{part}{pad}{word}{pad}" for k, word in enumerate(words))]) + end


@pytest.mark.parametrize("content", [
    lines(","), lines(",", end="\r\n"), "\ufeff" + lines(","), lines(",", pad=" "), lines("\t"), lines(";"),
    lines(",", ["garden", "window", '""""', '"1,000"', "née", "a;b"]), lines(",") + "\n \n",
    lines(",", ["garden,,", "window,,", '"', "1,000", "née", "a;b"]),
    lines(",", ["garden", "window", '"', "1,000", "ne\u0301e", "a;b"]),
    lines(",").replace("0.png", "./0.png"), lines(",").replace("file,", "word_id,").replace(".png", "")])
def test_every_row_of_a_table_is_read(tmp_path, content):
    assert table(tmp_path, content)[:5] == WORDS[:5]


def test_in_a_tsv_nothing_is_quoted(tmp_path):
    texts = ['"a', '""', '"b"', "1,000", "x", "y"]
    assert table(tmp_path, lines("\t", texts), "labels.tsv") == texts


@pytest.mark.parametrize("content, said", [
    ("file,text\n0.png,a\n1.png\n2.png,c\n", "line 3, '1.png', has 1 cells, the first line names 2: file, text"),
    ("text,file\na,0.png\n1,000,1.png\n", "line 3, '1,000,1.png', has 3 cells"),
    ("file,text\n0.png,a,x\n1.png,b,y\n", "most lines have more cells than the columns file, text"),
    ("name,label\n0.png,a\n", "its first line names 'name', 'label'; it must name the columns file"),
    ("0.png a\n1.png b\n", "its first line names '0.png a'"), ("file,text\n", "no word below its first line"),
    ("", "is empty"), ("\n \n", "is empty"), ("file,text\n0.png,\0\n", "not a table of words")])
def test_a_table_that_cannot_be_told_is_refused_by_its_line(tmp_path, content, said):
    write(tmp_path / "labels.csv", content)
    with pytest.raises(UserError, match="labels.csv: .*" + said) as refusal:
        read_folder(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_table_that_is_no_file_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "labels.csv").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "labels.csv").symlink_to(tmp_path / "nowhere.csv")
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "c" / "labels.csv")
    for folder, reason in (("a", "is no file"), ("b", "No such file"), ("c", "is no file")):
        with pytest.raises(UserError, match=f"labels.csv: {reason}.*; it must be a table of labels, or not be there"):
            read_folder(tmp_path / folder)


def test_names_are_found_however_their_accents_and_folders_are_written(tmp_path):
    apart, together = "e\u0301te\u0301.png", "\u00e9t\u00e9.png"
    for on_disk, in_table in ((apart, together), (together, apart), ("sub/0.png", "sub\\0.png"),
                              ("sub/" + apart, "sub\\" + together)):
        folder = tmp_path / str(len(os.listdir(tmp_path)))
        write_images(folder, on_disk)
        write(folder / "labels.csv", f"file,text\n{in_table},x\n")
        words = read_folder(folder)
        assert [words.name(0)] == [on_disk] and not words.missing().any()
    assert text_of_name("_cafe\u0301_1.png") == "caf\u00e9"


def test_labels_are_the_same_with_accents_apart_and_together(tmp_path):
    for k, form in enumerate(("NFC", "NFD")):
        write_images(tmp_path / str(k), "0.png")
        write(tmp_path / str(k) / "labels.csv", unicodedata.normalize(form, "file,text\n0.png,\u00e9l\u00e8ve\n"))
    assert read_folder(tmp_path / "0").texts == read_folder(tmp_path / "1").texts == ["\u00e9l\u00e8ve"]


def test_links_to_folders_are_followed_but_no_folder_is_listed_twice(tmp_path):
    write_images(tmp_path / "words", "a.png", "deep/b.jfif")
    write_images(tmp_path / "elsewhere", "c.png")
    (tmp_path / "words" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "words" / "deep" / "up").symlink_to(tmp_path / "words")
    assert image_names(tmp_path / "words") == ["a.png", "deep/b.jfif", "linked/c.png"]


def test_links_to_folders_are_followed_once(tmp_path):
    write_images(tmp_path / "elsewhere", "_a_1.png")
    write_images(tmp_path / "words", "_b_2.jfif.png", "sub/_c_3.png")
    os.rename(tmp_path / "words" / "_b_2.jfif.png", tmp_path / "words" / "_b_2.jfif")
    (tmp_path / "words" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "words" / "sub" / "up").symlink_to(tmp_path / "words")
    assert rows(read_folder(tmp_path / "words")) == [("_b_2.jfif", "b"), ("link/_a_1.png", "a"), ("sub/_c_3.png", "c")]


@pytest.mark.slow
def test_no_mutation_of_a_table_ends_in_a_traceback(tmp_path):
    rng = np.random.default_rng(0)
    write_images(tmp_path, *(f"{k}.png" for k in range(24)))
    content = lines(",", ["garden", "window", '"say ""hi"", é"', "1,000", "née", "a;b"] * 4).encode()
    insertions = [b'"', b'""', b",", b";", b"\t", b"\n", b"\r", b"\0", b"\xff", b"\xe2\x80\xa8", b"\xef\xbb\xbf",
                  b"e\xcc\x81", b"\\", b"../"]
    read = 0
    for _ in range(300):
        mutated = bytearray(content)
        for _ in range(rng.integers(1, 6)):
            place = int(rng.integers(len(mutated)))
            kind = rng.integers(3)
            if kind == 0:
                mutated[place] = rng.integers(256)
            elif kind == 1:
                mutated[place:place] = insertions[rng.integers(len(insertions))]
            else:
                del mutated[place:place + rng.integers(1, 20)]
        (tmp_path / "labels.csv").write_bytes(mutated)
        try:
            words = read_folder(tmp_path)
            words.missing()
            assert len(words) and all("\n" not in words.text(i) for i in range(len(words)))
            read += 1
        except UserError as error:
            assert "\n" not in str(error) and "labels.csv" in str(error)
    assert 50 < read < 290
