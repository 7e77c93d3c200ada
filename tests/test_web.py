"""index/web.py: pages and pictures, by Flask's client."""
import io
import os
import re
import threading
import time

import numpy as np
import pytest
from photo_index import BLUE, RED, WHITE, FakeIndex, three_photos
from PIL import Image
from samples import HEIC

import index
from command import UserError
from index import pictures, web


@pytest.fixture
def found(tmp_path):
    return three_photos(tmp_path)


@pytest.fixture
def client(found):
    return web.create_app(found).test_client()


def pixels_of(response):
    assert response.status_code == 200 and response.mimetype == "image/jpeg"
    return np.asarray(Image.open(io.BytesIO(response.data), formats=["JPEG"])).astype(int)


def near(pixel, colour):
    return np.abs(np.array(pixel) - colour).max() < 40


# --- Pages ------------------------------------------------------------------------------------------------------

def test_start_page_says_how_much_there_is(client):
    text = client.get("/").get_data(as_text=True)
    assert "3 photos" in re.sub(r"\s+", " ", text) and "7 words" in re.sub(r"\s+", " ", text)


def test_a_plain_form_finds_photos(client, found):
    text = client.get("/?q=budget+tea&all=1&since=2026-01-01").get_data(as_text=True)
    assert found.asked == [("budget tea", 21, True, "2026-01-01", None)]
    assert re.findall(r'id="photo-(\d)"', text) == ["1", "2", "3"] and "3 photos" in text
    assert 'value="budget tea"' in text and "turned.jpg" in text
    assert 'href="/photo/2?q=budget+tea&amp;all=1&amp;since=2026-01-01"' in text


def test_the_fragment_holds_the_same_results_as_the_page(client):
    page, part = (client.get(f"{path}?q=sprint").get_data(as_text=True) for path in ("/", "/results"))
    assert part in page and "<html" not in part


def test_a_card_shows_the_part_of_the_photo_around_the_match(client):
    windows = re.findall(r'viewBox="(\d+) (\d+) (\d+) (\d+)"', client.get("/results?q=budget").get_data(as_text=True))
    assert windows == [("0", "0", "1200", "900"), ("0", "0", "267", "200"), ("0", "975", "300", "225")]


def test_a_card_cuts_out_different_words_first():
    def cut_out(*texts):
        return [match.text for match in web.different([index.Match([], text, 0.9) for text in texts])]
    assert cut_out("tea", "Tea", "budget", "tea", "sprint") == ["tea", "budget", "sprint", "Tea", "tea"]
    assert cut_out() == []


def test_one_more_than_the_limit_is_asked_for_and_leads_on(client, found):
    text = client.get("/?q=budget&limit=2").get_data(as_text=True)
    assert text.count('class="card"') == 2 and "The best 2 photos" in text and "limit=42" in text
    assert "Show more" not in client.get("/?q=budget&limit=3").get_data(as_text=True)
    client.get("/?q=budget&limit=1000000")
    assert found.asked[-1][1] == web.MOST + 1


def test_photos_that_are_less_likely_are_apart(client, found):
    assert "Less likely" not in client.get("/?q=budget").get_data(as_text=True)  # scores 1, 1/4, 1/9
    found.kept[4], found.pages[4] = found.kept[3], found.pages[3]
    text = client.get("/?q=budget").get_data(as_text=True)  # and 1/16
    assert text.partition("Less likely")[2].count('class="card"') == 1 and "3 photos, 1 less likely" in text


@pytest.mark.parametrize("counts, text", [
    ((1, 0, False), "1 photo"), ((20, 0, True), "The best 20 photos"), ((9, 11, True), "9 photos, 11 less likely"),
    ((0, 3, False), "No photo for sure, 3 less likely")])
def test_how_many_were_found_in_words(counts, text):
    assert web.summary(*counts) == text


def test_nothing_found_and_nothing_indexed(client):
    assert "Nothing found" in client.get("/?q=xyzzy").get_data(as_text=True)
    empty = web.create_app(FakeIndex()).test_client()
    assert "python search.py index PHOTOS" in empty.get("/").get_data(as_text=True)


def test_an_index_that_cannot_be_read_is_no_fault_of_who_asks(client, found, capsys, monkeypatch):
    def gone(*_, **__):
        raise UserError("postgresql://reader@server/photos: connection refused")

    for name in ("find", "photo"):
        with monkeypatch.context() as patch:
            patch.setattr(found, name, gone)
            for path in ("/?q=budget", "/results?q=budget", "/photo/1?q=budget")[2 * (name == "photo"):]:
                answer = client.get(path)
                assert answer.status_code == 503 and "cannot be read right now" in answer.get_data(as_text=True)
                assert "reader" not in answer.get_data(as_text=True)
                assert capsys.readouterr().err == "postgresql://reader@server/photos: connection refused\n"
        assert client.get("/photo/1?q=budget").status_code == 200


@pytest.mark.parametrize("query", ["", "   ", "'; DROP TABLE photos; --", "(.*)+$", "%00", "\udcff", "100%", "*", '"'])
def test_odd_queries_are_only_queries(client, query):
    assert client.get("/", query_string={"q": query.encode("utf8", "surrogateescape")}).status_code == 200


def test_a_query_too_long_is_refused_in_one_line(client, found):
    answer = client.get("/?q=" + "a" * 10_000)
    assert answer.status_code == 400 and "at most 500 characters; these are 10,000" in answer.get_data(as_text=True)
    assert not found.asked
    assert client.get("/photo/1?q=" + "a" * 10_000).status_code == 400
    assert client.get("/?q=a&since=yesterday").status_code == 400


def test_html_in_query_words_and_names_stays_text(client, found):
    query = '"><script>alert(1)</script>'
    for path in ("/", "/results", "/photo/1"):
        assert "<script>" not in client.get(path, query_string={"q": query}).get_data(as_text=True)
        assert "<b>" not in client.get(path, query_string={"q": "</script><b>"}).get_data(as_text=True)  # a word of photo 1
    found.kept[1].file = "<img src=x>.jpg"
    for path in ("/?q=sprint", "/photo/1"):
        text = client.get(path).get_data(as_text=True)
        assert "<img src=x>" not in text and "&lt;img src=x&gt;.jpg" in text


def test_a_name_that_is_no_utf8_is_shown(client, found):
    found.kept[1].file = os.fsdecode(b"caf\xe9\n.jpg")
    assert "caf\ufffd" in client.get("/?q=sprint").get_data(as_text=True)
    assert "caf\ufffd" in client.get("/photo/1").get_data(as_text=True)


def test_the_photo_page_has_its_words_in_order_and_marks_the_found(client):
    text = client.get("/photo/1?q=tea+next").get_data(as_text=True)
    spoken = text[text.index('id="transcript"'):]
    assert re.findall(r"<(mark|span) data-word=\"word-(\d)\">([^<]*)", spoken) == [
        ("span", "0", "sprint"), ("span", "1", "budget"), ("mark", "2", "tea"), ("span", "3", "&lt;/script&gt;&lt;b&gt;"),
        ("mark", "4", "next")]
    assert spoken.count('class="line"') == 3 and spoken.count("<p>") == 2
    assert 'points="100.0,200.0 200.0,200.0 200.0,240.0 100.0,240.0"' in text and 'viewBox="0 0 1600 900"' in text


def test_the_photo_page_leads_to_the_photos_before_and_after(client):
    def ways(number):
        text = client.get(f"/photo/{number}?q=budget").get_data(as_text=True)
        return re.findall(r'rel="(prev|next)" href="/photo/(\d)\?q=budget"', text)
    assert [ways(number) for number in (1, 2, 3)] == [[("next", "2")], [("prev", "1"), ("next", "3")], [("prev", "2")]]
    assert "rel=" not in client.get("/photo/1").get_data(as_text=True).partition("<body")[2]


def test_a_photo_that_is_gone_says_so(client, found):
    os.remove(found.kept[1].file)
    assert "file is gone" in client.get("/?q=sprint").get_data(as_text=True)
    text = client.get("/photo/1?q=sprint").get_data(as_text=True)
    assert "file is gone" in text and "sprint" in text and "<image" not in text
    assert client.get("/photo/1/small.jpg").status_code == 404


def test_a_photo_that_was_not_read_says_why(client, found):
    found.kept[1].error, found.pages[1] = "not a readable image", []
    text = client.get("/photo/1").get_data(as_text=True)
    assert "could not be read: not a readable image." in text and "No words were found" in text and "<image" not in text


def test_a_photo_that_leaves_while_it_is_searched_is_left_out(client, found):
    del found.kept[2]
    assert client.get("/?q=budget").get_data(as_text=True).count('class="card"') == 2


@pytest.mark.parametrize("path", [
    "/photo/4", "/photo/0", "/photo/-1", "/photo/1000000000000000000000", "/photo/1.5", "/photo/x", "/photo/1/other.jpg",
    "/photo/../../etc/passwd", "/photo/..%2f..%2fetc%2fpasswd", "/photo/1/../../../../etc/passwd", "/static/../web.py",
    "/static/..%2fweb.py", "/static/%2e%2e/web.py", "/static//etc/passwd", "/photo/1/piece.jpg",
    "/photo/1/piece.jpg?at=1,2,3", "/photo/1/piece.jpg?at=../../etc", "/photo/1/piece.jpg?at=0,0,0,0,0,0,0,0",
    "/photo/1/piece.jpg?at=9000,9000,9100,9000,9100,9100,9000,9100", "/photo/1/piece.jpg?at=1e9,0,0,0,0,0,0,0"])
def test_what_is_not_there_is_not_found(client, path):
    assert client.get(path).status_code == 404


def test_only_reading(client):
    for path in ("/", "/results", "/photo/1", "/photo/1/small.jpg"):
        assert {client.open(path, method=method).status_code for method in ("POST", "PUT", "DELETE", "PATCH")} == {405}


def test_pages_ask_for_nothing_from_elsewhere_and_hold_no_script_or_style(client):
    for path in ("/", "/?q=budget", "/photo/1?q=sprint", "/nothing"):
        text = client.get(path).get_data(as_text=True)
        assert re.findall(r'(?:src|href|action)="([^"]*)"', text)
        assert all(re.match(r"[/#]", address) for address in re.findall(r'(?:src|href|action)="([^"]*)"', text))
        assert not re.search(r"<style|\sstyle=|<script(?! src=)|\son\w+=", text)


# --- Pictures ---------------------------------------------------------------------------------------------------

def test_photos_are_shown_upright_and_small(client):
    pixels = pixels_of(client.get("/photo/1/small.jpg"))
    assert pixels.shape == (450, 800, 3)
    assert near(pixels[275, 525], RED) and near(pixels[275, 575], BLUE) and near(pixels[10, 10], WHITE)
    assert pixels_of(client.get("/photo/1/large.jpg")).shape == (900, 1600, 3)


def test_what_is_see_through_is_shown_white(client):
    assert near(pixels_of(client.get("/photo/2/small.jpg"))[100, 150], WHITE)


def test_what_browsers_cannot_show_is_shown_as_jpeg(client, found, tmp_path):
    deep = np.zeros((90, 160), np.uint16)
    deep[:, 80:] = 40_000
    Image.fromarray(deep).save(tmp_path / "scan.tif")
    found.add(tmp_path / "scan.tif", (160, 90))
    pixels = pixels_of(client.get("/photo/4/large.jpg"))
    assert near(pixels[45, 40], (0, 0, 0)) and near(pixels[45, 120], WHITE)


def test_an_iphones_photo_is_shown_as_jpeg(client, found):
    found.add(HEIC, (110, 85), ("red", 90, 0, 110, 40, 0, 0))
    shown = pixels_of(client.get("/photo/4/large.jpg")), pixels_of(client.get("/photo/4/small.jpg"))
    for pixels in shown:
        assert pixels.shape == (85, 110, 3) and near(pixels[20, 100], (255, 0, 0)) and near(pixels[60, 20], (200, 200, 200))
    assert near(pixels_of(client.get("/photo/4/piece.jpg?at=90,0,110,0,110,40,90,40")).mean(axis=(0, 1)), (255, 0, 0))


def test_a_piece_is_cut_upright(client):
    straight = pixels_of(client.get("/photo/1/piece.jpg?at=1000,500,1200,500,1200,600,1000,600"))
    over = pixels_of(client.get("/photo/1/piece.jpg?at=1200,600,1000,600,1000,500,1200,500"))
    assert straight.shape == over.shape == (96, 192, 3)
    assert near(straight[48, 40], RED) and near(straight[48, 150], BLUE)
    assert near(over[48, 40], BLUE) and near(over[48, 150], RED)


def test_a_piece_on_a_page_has_a_margin(client):
    address, = re.findall(r'src="(/photo/1/piece.jpg[^"]*)"', client.get("/results?q=sprint").get_data(as_text=True))
    assert "at=970,470,1230,470,1230,630,970,630&" in address
    pixels = pixels_of(client.get(address.replace("&amp;", "&")))
    assert near(pixels[3, 80], WHITE) and near(pixels[48, 50], RED)


def test_margins_follow_a_turned_word():
    down = np.array([[100., 0], [100, 200], [50, 200], [50, 0]])  # text that runs down the photo
    assert np.allclose(pictures.widened(down, 0.2), [[110, -10], [110, 210], [40, 210], [40, -10]])


def test_pictures_may_be_kept_and_change_with_the_photo(client, found):
    address, = re.findall(r'<image href="(/photo/1/small.jpg[^"]*)"', client.get("/results?q=sprint").get_data(as_text=True))
    first = client.get(address)
    assert "immutable" in first.headers["Cache-Control"] and "private" in first.headers["Cache-Control"]
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.data
    Image.new("RGB", (1600, 900), BLUE).save(found.kept[1].file)
    changed = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert near(pixels_of(changed)[10, 10], BLUE) and changed.headers["ETag"] != first.headers["ETag"]
    assert "immutable" not in changed.headers["Cache-Control"] and "no-cache" in changed.headers["Cache-Control"]


def test_a_photo_that_cannot_be_read_is_no_picture(client, found):
    with open(found.kept[1].file, "wb") as file:
        file.write(b"no picture")
    assert client.get("/photo/1/small.jpg").status_code == 404


def test_many_who_ask_at_once_decode_a_photo_once(found, monkeypatch):
    calls, read = [], pictures.read_photo
    monkeypatch.setattr(pictures, "read_photo", lambda path: (time.sleep(0.1), calls.append(path), read(path))[2])
    shown = pictures.Pictures()
    asking = [threading.Thread(target=make, args=(found.kept[1].file,)) for make in (shown.small, shown.large) * 4]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(calls) == 1


def test_no_more_photos_are_decoded_at_once_than_there_are_cores(tmp_path, monkeypatch):
    running, most = [0], [0]

    def read(path):
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.02)
        running[0] -= 1
        return np.zeros((8, 8), np.uint8)

    monkeypatch.setattr(pictures, "read_photo", read)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    shown = pictures.Pictures()
    for i in range(8):
        (tmp_path / f"{i}.png").touch()
    asking = [threading.Thread(target=shown.small, args=(str(tmp_path / f"{i}.png"),)) for i in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert most == [2]


def test_what_is_kept_is_bounded(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(pictures, "LRUCache", lambda *args, **named: kept.append(Kept(*args, **named)) or kept[-1])
    shown = pictures.Pictures(pixels=100_000, jpegs=8_000)
    for i in range(12):
        Image.new("RGB", (100, 100), (i, i, i)).save(tmp_path / f"{i}.png")
        shown.small(str(tmp_path / f"{i}.png"))
        shown.piece(str(tmp_path / f"{i}.png"), ((0, 0), (50, 0), (50, 20), (0, 20)))
    assert all(0 < cache.currsize <= cache.maxsize and cache.lost for cache in kept) and len(kept) == 3


class Kept(pictures.LRUCache):
    lost = 0

    def popitem(self):
        self.lost += 1
        return super().popitem()
